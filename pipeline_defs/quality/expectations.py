"""How many rows a partition should have: expectations kept beside the code, by source and dataset.

``data/expected_rows.csv`` is the product's; a file of the same columns named ``expected_rows.csv`` in
``PIPELINE_HOME`` adds lines of one's own and replaces those with the same source, dataset and resolution. A line of
``*`` is for every source without one. Expectations are by minute of the session, so that an hour of Muhurat is not a
day with rows missing.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.settings import read_own_text

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "expected_rows.csv"

_NUMBERS: Final = (
    "min_rows",
    "max_rows",
    "min_rows_per_instrument",
    "max_rows_per_instrument",
    "min_share_of_usual",
    "max_share_of_usual",
)
COLUMNS: Final = ("source", "dataset", "bar_seconds", "per", *_NUMBERS, "why")
_PER: Final = ("minute", "session")
_ANY_SOURCE: Final = "*"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of one source's dataset at one resolution; None where nothing is.

    Parameters
    ----------
    source, dataset : str
        ``*`` for every source; observation table.
    bar_seconds : int
        Resolution.
    per : str
        ``minute`` of the session, or whole ``session``: what rows are counted by.
    min_rows, max_rows : float or None
        Of all instruments.
    min_rows_per_instrument, max_rows_per_instrument : float or None
        On average over the instruments that are there.
    min_share_of_usual, max_share_of_usual : float or None
        Against the median of the sessions before.
    why : str
        Where the numbers come from.

    """

    source: str
    dataset: str
    bar_seconds: int
    per: str
    min_rows: float | None
    max_rows: float | None
    min_rows_per_instrument: float | None
    max_rows_per_instrument: float | None
    min_share_of_usual: float | None
    max_share_of_usual: float | None
    why: str


class Expectations:
    """The lines of both files.

    Parameters
    ----------
    own : Path, optional
        File of one's own; one that does not exist says nothing.

    Raises
    ------
    ConfigurationError
        If a line says nothing sensible.

    """

    def __init__(self, own: Path | None = None) -> None:
        packaged = (resources.files("pipeline_defs.quality") / "data" / FILE_NAME).read_text(encoding="utf-8")
        lines = parse_expectations(packaged, FILE_NAME)
        if own is not None and own.exists():
            lines += parse_expectations(read_own_text(own), str(own))
        self._lines = {(line.source, line.dataset, line.bar_seconds): line for line in lines}

    def find(self, source: str, dataset: str, bar_seconds: int) -> Expectation | None:
        """Find the line of a source, else that of every source."""
        own = self._lines.get((source, dataset, bar_seconds))
        return own or self._lines.get((_ANY_SOURCE, dataset, bar_seconds))


def parse_expectations(text: str, where: str) -> list[Expectation]:
    """Read a file of expectations.

    Parameters
    ----------
    text : str
        CSV with the header `COLUMNS`.
    where : str
        What to call it in errors.

    Returns
    -------
    list of Expectation
        In file order.

    Raises
    ------
    ConfigurationError
        If the header is another one; a line has more or fewer cells, an unknown table or unit, a resolution that is no
        whole number, an expectation that is no number of zero or more, a minimum above its maximum; or two lines are
        for the same source, dataset and resolution.

    """
    reader = csv.reader(text.splitlines())
    header = tuple(next(reader, ()))
    if header != COLUMNS:
        raise ConfigurationError(
            f"the header is {','.join(header)!r}, expected {','.join(COLUMNS)!r}",
            where=where,
            next_step="copy the header of pipeline_defs/quality/data/expected_rows.csv",
        )
    found: dict[tuple[str, str, int], Expectation] = {}
    for cells in reader:
        at = f"{where} line {reader.line_num}"
        try:
            line = _expectation(cells)
        except ValueError as error:
            raise ConfigurationError(str(error), where=at, next_step="correct the line") from error
        key = line.source, line.dataset, line.bar_seconds
        if key in found:
            raise ConfigurationError(
                f"a second line for {line.source}, {line.dataset}, {line.bar_seconds} s",
                where=at,
                next_step="keep one of the two",
            )
        found[key] = line
    return list(found.values())


def _expectation(cells: list[str]) -> Expectation:
    if len(cells) != len(COLUMNS):
        raise ValueError(f"{len(cells)} cells, expected {len(COLUMNS)} ({','.join(COLUMNS)})")
    row = dict(zip(COLUMNS, cells, strict=True))
    if row["dataset"] not in OBSERVATION_TABLES:
        raise ValueError(f"dataset {row['dataset']!r}, expected one of {', '.join(OBSERVATION_TABLES)}")
    if row["per"] not in _PER:
        raise ValueError(f"per {row['per']!r}, expected minute or session")
    if not row["bar_seconds"].isdecimal():
        raise ValueError(f"bar_seconds {row['bar_seconds']!r}, expected a whole number of seconds, 0 for ticks")
    numbers = {name: _number(name, row[name]) for name in _NUMBERS}
    for least, most in zip(_NUMBERS[::2], _NUMBERS[1::2], strict=True):
        low, high = numbers[least], numbers[most]
        if low is not None and high is not None and low > high:
            raise ValueError(f"{least} {low} is more than {most} {high}")
    return Expectation(
        source=row["source"],
        dataset=row["dataset"],
        bar_seconds=int(row["bar_seconds"]),
        per=row["per"],
        why=row["why"],
        **numbers,
    )


def _number(name: str, text: str) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name} {text!r}, expected a number of zero or more, or nothing")
    return number
