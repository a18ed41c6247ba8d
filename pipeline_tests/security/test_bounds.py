"""Small files that unfold to large ones: refused, or read in memory that does not grow with them."""

from __future__ import annotations

import gzip
import hashlib
import io
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.asking.universe import MOST_BYTES, read_universe
from pipeline_defs.storage.raw_archive import holds_contents

if TYPE_CHECKING:
    from pathlib import Path

UNFOLDED_BYTES = 64 << 20
MOST_MEMORY_BYTES = 16 << 20

LAUGHS = "a0: &a0 [ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "uses aliases"),
        ("polygon: " + "[" * 20_000, "is nested too deeply"),
        ("#" * (MOST_BYTES + 1), "is longer than 1 MiB"),
        ("polygon: !!python/object/apply:os.system [true]", "is no YAML"),
        ("polygon: !!python/name:os.system", "is no YAML"),
    ],
    ids=["aliases", "nesting", "size", "call", "name"],
)
def test_a_hostile_universe_file_is_refused(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "universe.yaml"
    file.write_text(text, encoding="utf-8")
    monkeypatch.setenv("PIPELINE_UNIVERSE", str(file))

    with pytest.raises(ConfigurationError, match=said):
        read_universe("polygon")


def test_a_universe_file_that_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "universe.yaml"
    file.write_bytes(b"polygon: \xff\xfe")
    monkeypatch.setenv("PIPELINE_UNIVERSE", str(file))

    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        read_universe("polygon")


@pytest.mark.parametrize("ending", ["csv.gz", "zip", "zip in a zip"])
def test_what_a_kept_delivery_unpacks_to_is_compared_without_being_held(ending: str, tmp_path: Path) -> None:
    content = bytes(UNFOLDED_BYTES)
    digest = hashlib.sha256(content).hexdigest()
    path = tmp_path / f"day.{ending.partition(' ')[0]}"
    if ending == "csv.gz":
        path.write_bytes(gzip.compress(content, 1))
    else:
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("day.csv", content)
        if ending == "zip":
            path.write_bytes(inner.getvalue())
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("inner.zip", inner.getvalue())
    del content

    tracemalloc.start()
    try:
        assert holds_contents(path, {digest})
        assert not holds_contents(path, {"0" * 64})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_MEMORY_BYTES
