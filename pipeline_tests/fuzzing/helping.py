"""What checks share: a folder to write an input to, questions to answer, and promises that hold for every reader."""

from __future__ import annotations

import atexit
import csv
import shutil
import tempfile
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.markets.market import Market, market
from pipeline_defs.sources.asking.questions import ANSWER_SCHEMA, Dataset, Listed, Question, Window

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence

    from pipeline_defs.schema.batches import ImportBatch

NUMBERS: Final = (
    *("open", "high", "low", "close", "volume", "open_interest", "bid_price", "bid_size", "ask_price", "ask_size"),
    "settlement_price",
)
"""Columns of observations that are read as they stand in a cell."""


@cache
def _root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="fuzzing-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def fresh(name: str) -> Path:
    """Give an empty folder; the one of the same name before is gone."""
    folder = _root() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def place(name: str, data: bytes) -> Path:
    """Write an input to a file of that name, alone in its folder."""
    path = fresh(name.replace("/", "-")) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def text_of(data: bytes) -> str:
    """Give bytes as the text that a command line or an environment variable would hold, which may be no UTF-8."""
    return data.decode("utf-8", "surrogateescape")


def question(
    source: str, day: dt.date, *, bar_seconds: int = 60, kind: str = "EQ", name: str = "GS", of: str = "US"
) -> Question:
    """Make a question about one instrument on a day."""
    asked: Market = market(of)
    table = "equity_daily" if bar_seconds == 86_400 else "spot_prices"
    listed = Listed(name, {"kind": kind, "symbol": name, "underlying": "GS"})
    return Question(source, "1", Dataset(table, bar_seconds, 7, (kind,)), listed, Window(day, day), *asked.bounds(day))


def check_answer(rows: pl.DataFrame, count: int | None = None) -> pl.DataFrame:
    """Hold the rows of an answer against what is promised of them; give those that are taken.

    Every row that came is there, each is whole or says why not, and prices are numbers.
    """
    assert rows.schema == pl.Schema(ANSWER_SCHEMA)
    if count is not None:
        assert rows.height == count, f"{rows.height} rows of {count} that came"
    good = rows.filter(pl.col("reason").is_null())
    lacking = good.filter(pl.any_horizontal(pl.col("open", "high", "low", "close").is_null()))
    assert lacking.is_empty(), f"a row without a reason lacks a price: {lacking.row(0)}"
    return good


def check_exact(told: Any, read: Decimal | None, name: str) -> None:
    """Hold a number that was read against the text it was read from."""
    assert read is None or Decimal(str(told)) == read, f"{name} {told!r} was read as {read}"


def lines_of(data: bytes) -> list[str]:
    """Cut a file into lines as editors count them, without an empty one behind the last end."""
    return data.decode("utf-8", "replace").removesuffix("\n").split("\n")


def check_cells(
    batches: Iterable[ImportBatch],
    lines: list[str],
    columns: Sequence[str],
    *,
    separator: str = ",",
    has_quotes: bool = True,
    instant: Callable[[dict[str, str]], dt.datetime | None] | None = None,
) -> None:
    """Hold every number that was taken against the cell it came from, and its instant against the clock beside it.

    Parameters
    ----------
    batches : iterable of ImportBatch
        What was read.
    lines : list of str
        Of the file.
    columns : sequence of str
        What its cells hold, as observations call it.
    separator : str
        Between cells.
    has_quotes : bool
        Whether a cell may be quoted that has the separator in it.
    instant : callable, optional
        When the row of these cells was known; None where that is not known.

    """
    for batch in batches:
        for row in batch.observations.iter_rows(named=True):
            line = lines[row["line"] - 1].rstrip("\r")
            cells = next(csv.reader([line], delimiter=separator)) if has_quotes else line.split(separator)
            told = dict(zip(columns, (cell.strip(' "\ufeff') for cell in cells), strict=False))
            for name in NUMBERS:
                if name in told:
                    check_exact(told[name], row[name], f"line {row['line']}: {name}")
            if instant is not None and (expected := instant(told)) is not None:
                assert row["timestamp"] == expected, f"line {row['line']}: {row['timestamp']} of {line!r}"


def check_lines(batches: Iterable[ImportBatch], count: int, first: int) -> None:
    """Hold what became of lines against their number: each is a row, or refused with a reason."""
    told = [line for batch in batches for frame in (batch.observations, batch.rejects) for line in frame["line"]]
    assert sorted(set(told)) == list(range(first, first + count)), f"lines {sorted(set(told))} of {count} from {first}"
