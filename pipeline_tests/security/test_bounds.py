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
from pipeline_defs.quality.expectations import Expectations
from pipeline_defs.reconciliation.tolerances import load_tolerances
from pipeline_defs.settings import MOST_OWN_BYTES
from pipeline_defs.sources.asking.universe import find_universe, read_universe
from pipeline_defs.sources.manual_csv.mapping import read_mapping
from pipeline_defs.sources.places import universe_market
from pipeline_defs.storage.raw_archive import holds_contents
from pipeline_defs.warehouse.precedence import load_precedence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNFOLDED_BYTES = 64 << 20
MOST_MEMORY_BYTES = 16 << 20

LAUGHS = "a0: &a0 [ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
HOSTILE_YAML = {
    "aliases": (LAUGHS, "uses aliases|'a0', expected one of"),
    "nesting": ("polygon: " + "[" * 20_000, "is nested too deeply"),
    "size": ("#" * (MOST_OWN_BYTES + 1), "is longer than 1024 KiB"),
    "call": ("polygon: !!python/object/apply:os.system [true]", "is no YAML|'polygon', expected one of"),
    "digits": ("polygon: " + "9" * 100_000, "a value has 100000 characters"),
    "no text": ("polygon: \udcff\udcfe", "is no UTF-8"),
}


def _universe(file: Path) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_UNIVERSE", str(file))
        assert universe_market("polygon") is None
        with pytest.raises(ConfigurationError):
            find_universe("polygon")
        return read_universe("polygon")


def _precedence(file: Path) -> object:
    return load_precedence(file.rename(file.with_name("precedence.yaml")).parent)


@pytest.mark.parametrize("hostile", HOSTILE_YAML)
@pytest.mark.parametrize("reader", [_universe, _precedence], ids=["universe", "precedence"])
def test_a_hostile_file_of_one_s_own_is_refused(reader: Callable[[Path], object], hostile: str, tmp_path: Path) -> None:
    text, said = HOSTILE_YAML[hostile]
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")

    with pytest.raises(ConfigurationError, match=said) as refused:
        reader(file)

    assert str(tmp_path) in str(refused.value.where)


@pytest.mark.parametrize("reader", [Expectations, lambda file: load_tolerances(file.parent), read_mapping])
@pytest.mark.parametrize("hostile", ["size", "no text"])
def test_a_hostile_table_or_mapping_of_one_s_own_is_refused(
    reader: Callable[[Path], object], hostile: str, tmp_path: Path
) -> None:
    text, said = HOSTILE_YAML[hostile]
    file = tmp_path / "tolerances.csv"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")

    with pytest.raises(ConfigurationError, match=said.replace("1024", "(1024|64)")):
        reader(file)


def test_a_mapping_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "day.mapping.toml"
    file.write_text("a = " + "[" * 60_000, encoding="utf-8")

    with pytest.raises(ConfigurationError, match="is not readable as TOML"):
        read_mapping(file)


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
