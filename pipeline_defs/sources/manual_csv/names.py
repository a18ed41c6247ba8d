"""Names that mean something beside a file of one's own. Standard library only: a sensor reads them every minute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MAPPING_NAME: Final = "mapping.toml"
"""Mapping of every file of its folder that has none of its own."""

MAPPING_ENDING: Final = ".mapping.toml"
"""``NAME.mapping.toml`` is the mapping of ``NAME.csv``."""


def is_mapping(name: str) -> bool:
    """Tell whether a file's name is that of a mapping."""
    return name == MAPPING_NAME or name.endswith(MAPPING_ENDING)


def own_mapping(file: Path) -> Path:
    """Say where the mapping of a file alone would lie."""
    return file.with_suffix(MAPPING_ENDING)


def is_passed_over(name: str) -> bool:
    """Tell whether a file is hidden, or was left by a spreadsheet program that has a workbook open."""
    return name.startswith((".", "~$"))
