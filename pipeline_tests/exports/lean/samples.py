"""The vectors and sample files of LEAN's own repository, where they lie beside the clone."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any, Final

import pytest

from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARED: Final = PROJECT_ROOT.parent / "shared/data"

SAMPLES: Final = SHARED / "lean/Data"

needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"LEAN's own sample files are not in {SAMPLES}; they are no part of the project"
)


def vectors(name: str) -> list[dict[str, Any]]:
    """Read ``lean_path_vectors`` or ``lean_line_vectors``."""
    read: list[dict[str, Any]] = json.loads((SHARED / f"lean/{name}.json").read_text())
    return read


def sample_zips() -> list[Path]:
    return sorted(SAMPLES.rglob("*.zip"))


def sample_path(zip_file: Path) -> str:
    """Path below the data folder; two samples of LEAN end in ``.zip.zip``, by mistake."""
    return zip_file.relative_to(SAMPLES).as_posix().replace(".zip.zip", ".zip")


def sample_entries(zip_file: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(zip_file) as archive:
        for name in archive.namelist():
            yield name, archive.read(name).decode("ascii")
