"""``daily_equities.bcolz``: one table of all daily bars of an ingestion, ordered by number and day.

Prices are whole thousandths, days are seconds of the epoch at midnight UTC, ``id`` is the number of the row's share.
``__attrs__`` says which rows belong to which number, and which calendar the days are from.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.migration.amounts import KEY, LINE, PRICES, WHEN, exact_bars
from pipeline_defs.migration.blosc_columns import open_column, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.migration.amounts import Bars
    from pipeline_defs.migration.blosc_columns import BloscColumn

FOLDER: Final = "daily_equities.bcolz"
ROWS_AT_ONCE: Final = 1 << 18

_THOUSANDTHS: Final = pl.Decimal(18, 3)
_DAY_SECONDS: Final = 86_400
_COLUMNS: Final = (*PRICES, "volume", "day", "id")


@dataclass(frozen=True, slots=True)
class DailyTable:
    """An open table of daily bars.

    Parameters
    ----------
    columns : dict of str to BloscColumn
        By name, all of one length.
    rows_by_sid : dict of int to tuple of int
        First and last row of each number.
    calendar : str or None
        Name of the calendar, e.g. ``XNYS``.

    """

    columns: dict[str, BloscColumn]
    rows_by_sid: dict[int, tuple[int, int]]
    calendar: str | None

    @property
    def length(self) -> int:
        """Rows."""
        return self.columns["id"].length


def open_daily(folder: Path) -> DailyTable:
    """Open the table of an ingestion.

    Parameters
    ----------
    folder : Path
        ``daily_equities.bcolz``.

    Returns
    -------
    DailyTable

    Raises
    ------
    SourceError
        If a column is missing or damaged, lengths differ, or the attributes do not fit.

    """
    columns = {name: open_column(folder / name) for name in _COLUMNS}
    lengths = {name: column.length for name, column in columns.items()}
    if len(set(lengths.values())) != 1:
        raise SourceError(f"its columns have {lengths} values, expected equally many", where=str(folder))
    attributes = read_json(folder / "__attrs__")
    try:
        first, last = attributes["first_row"], attributes["last_row"]
        rows = {int(sid): (int(first[sid]), int(last[sid])) for sid in first}
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"first_row and last_row do not fit: {error!r}", where=str(folder / "__attrs__")) from error
    calendar = attributes.get("calendar_name")
    return DailyTable(columns, rows, None if calendar is None else str(calendar))


def read_daily(folder: Path) -> Iterator[Bars]:
    """Read all rows of a table.

    Parameters
    ----------
    folder : Path
        ``daily_equities.bcolz``.

    Yields
    ------
    Bars
        At most `ROWS_AT_ONCE` rows; `LINE` is the row of the table, counted from 1.

    Raises
    ------
    SourceError
        If the table is damaged, or a row has another number than the attributes say.

    """
    table = open_daily(folder)
    expected = pl.DataFrame(
        [(sid, first, last) for sid, (first, last) in table.rows_by_sid.items()],
        schema={"sid": pl.Int64, "first": pl.Int64, "last": pl.Int64},
        orient="row",
    ).sort("first")
    for start in range(0, table.length, ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, table.length)
        parts = {name: pl.Series(name, _plain(column.read(start, stop))) for name, column in table.columns.items()}
        frame = pl.DataFrame(parts).with_columns(pl.int_range(start, stop, dtype=pl.Int64).alias("row"))
        _hold_against(frame, expected, folder)
        whole_days = pl.col("day").cast(pl.Int64) % _DAY_SECONDS == 0
        days = pl.from_epoch(pl.col("day").cast(pl.Int64) // _DAY_SECONDS, time_unit="d")
        yield exact_bars(
            frame.select(
                pl.col("id").cast(pl.Int64).alias(KEY),
                pl.when(whole_days).then(days).alias(WHEN),
                *(thousandths(name) for name in PRICES),
                pl.col("volume"),
                (pl.col("row") + 1).alias(LINE),
            ),
            zeros_are_none=True,
        )


def thousandths(name: str, ratio: int = 1000) -> pl.Expr:
    """Give whole numbers as the prices that they are `ratio` times of; `ratio` is a power of ten up to 10**8."""
    if ratio == 1000:  # noqa: PLR2004 -- what nearly all tables have
        return (pl.col(name).cast(_THOUSANDTHS) * pl.lit(Decimal("0.001"))).cast(pl.Decimal(20, 8))
    return (pl.col(name).cast(pl.Decimal(28, 8)) * pl.lit(1 / Decimal(ratio))).cast(pl.Decimal(20, 8))


def _plain(values: Any) -> Any:  # noqa: ANN401 -- arrays of numpy
    return values.astype(values.dtype.newbyteorder("="))


def _hold_against(frame: pl.DataFrame, expected: pl.DataFrame, folder: Path) -> None:
    joined = frame.select("row", pl.col("id").cast(pl.Int64)).join_asof(expected, left_on="row", right_on="first")
    fits = (pl.col("sid") == pl.col("id")) & (pl.col("row") <= pl.col("last"))
    wrong = joined.filter(~fits.fill_null(value=False))
    if wrong.height:
        row, sid = wrong.row(0)[:2]
        raise SourceError(
            f"row {row + 1} has the number {sid}, expected {wrong['sid'][0]} as __attrs__ says", where=str(folder)
        )
