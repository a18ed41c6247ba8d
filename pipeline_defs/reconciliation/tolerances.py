"""How far two sources may be apart: by kind of comparison, table, instrument kind and field, as data.

The package's own table is ``data/tolerances.csv``; lines of ``PIPELINE_HOME/tolerances.csv`` take the place of those
with the same first four cells. A field without a line is not compared.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from importlib import resources
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.tables import KIND_TABLES, OBSERVATION_TABLES
from pipeline_defs.settings import read_own_text

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "tolerances.csv"
COLUMNS: Final = ("comparison", "dataset", "kind", "field", "ticks", "tick_size_if_unknown", "relative")
FIELDS: Final = ("open", "high", "low", "close", "volume", "open_interest")
COMPARISONS: Final = ("intraday", "daily", "bhavcopy")
"""Bars below a day, bars of a day, and a source's finer data against the exchange's daily file."""

_CHOICES: Final = {
    "comparison": COMPARISONS,
    "dataset": tuple(OBSERVATION_TABLES),
    "kind": tuple(KIND_TABLES),
    "field": FIELDS,
}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two values of a field may be apart and still agree: the larger of both terms.

    Parameters
    ----------
    comparison, dataset, kind, field : str
        What it is for.
    ticks : Decimal
        In ticks of the contract's `tick_size` on the trade date.
    tick_size_if_unknown : Decimal
        In the unit of the price; used for contracts whose tick size nobody told.
    relative : Decimal
        Share of the larger of both values, 0.01 for one per cent.

    """

    comparison: str
    dataset: str
    kind: str
    field: str
    ticks: Decimal
    tick_size_if_unknown: Decimal
    relative: Decimal

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is for."""
        return self.comparison, self.dataset, self.kind, self.field


def load_tolerances(home: Path) -> tuple[Tolerance, ...]:
    """Read the tolerances in force.

    Parameters
    ----------
    home : Path
        ``PIPELINE_HOME``; its ``tolerances.csv`` need not exist.

    Returns
    -------
    tuple of Tolerance
        The package's own, with the user's in place of those they are for, and the user's further ones.

    Raises
    ------
    ConfigurationError
        If a line of either file is not understood; it names the line.

    """
    packaged = (resources.files("pipeline_defs.reconciliation") / "data" / FILE_NAME).read_text(encoding="utf-8")
    tolerances = {one.key: one for one in parse_tolerances(packaged, FILE_NAME)}
    own = home / FILE_NAME
    if own.is_file():
        tolerances |= {one.key: one for one in parse_tolerances(read_own_text(own), str(own))}
    return tuple(tolerances.values())


def parse_tolerances(text: str, name: str) -> list[Tolerance]:
    """Read tolerances from the text of a file.

    Parameters
    ----------
    text : str
        CSV with the header `COLUMNS`.
    name : str
        Of the file, for errors.

    Returns
    -------
    list of Tolerance
        One a line, in file order.

    Raises
    ------
    ConfigurationError
        If the header differs, a line has more or fewer cells, a cell is none of its choices or no number of at least
        0, or two lines are for the same.

    """
    reader = csv.reader(text.splitlines())
    header = tuple(next(reader, ()))
    if header != COLUMNS:
        raise ConfigurationError(
            f"the header is {','.join(header)!r}, expected {','.join(COLUMNS)!r}",
            where=f"{name} line 1",
            next_step="begin the file with that header",
        )
    found: dict[tuple[str, str, str, str], Tolerance] = {}
    for cells in reader:
        if not cells:
            continue
        where = f"{name} line {reader.line_num}"
        tolerance = _parse_line(cells, where)
        if tolerance.key in found:
            raise ConfigurationError(f"a second tolerance for {', '.join(tolerance.key)}", where=where)
        found[tolerance.key] = tolerance
    return list(found.values())


def _parse_line(cells: list[str], where: str) -> Tolerance:
    if len(cells) != len(COLUMNS):
        raise ConfigurationError(f"{len(cells)} cells, expected {len(COLUMNS)}: {','.join(COLUMNS)}", where=where)
    values = {name: cell.strip() for name, cell in zip(COLUMNS, cells, strict=True)}
    for name, choices in _CHOICES.items():
        if values[name] not in choices:
            raise ConfigurationError(f"{name} {values[name]!r}, expected one of {', '.join(choices)}", where=where)
    return Tolerance(
        values["comparison"],
        values["dataset"],
        values["kind"],
        values["field"],
        *(_number(values, name, where) for name in COLUMNS[4:]),
    )


def _number(values: dict[str, str], name: str, where: str) -> Decimal:
    try:
        number = Decimal(values[name])
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or number < 0:
        raise ConfigurationError(f"{name} {values[name]!r}, expected a number of at least 0", where=where)
    return number
