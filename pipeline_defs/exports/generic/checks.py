"""What a frame must be before a byte of it is written: sorted, whole, and such that it can be imported again.

Refusals name the instrument and the time. Nothing is mended here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.generic.ordering import Order
from pipeline_defs.schema.interchange import BARS, OWN_TERMS

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.exports.generic.datasets import Dataset

_OPTIONAL: Final = frozenset(
    {
        *("expiry", "strike", "option_type", "series", "base_currency", "open_interest", "settlement_price"),
        *("bid_price", "bid_size", "ask_price", "ask_size"),
    }
)
_COUNTED: Final = ("volume", "open_interest", "size", "bid_size", "ask_size")
_PRICES: Final = ("open", "high", "low", "close", "price", "bid_price", "ask_price", "settlement_price")


@dataclass
class RowChecks:
    """Looks at the frames of one file, one after the other.

    Parameters
    ----------
    dataset : Dataset
        Bars or ticks.
    start, end : datetime.datetime
        Bounds of the export: the first open and the last close, UTC.

    """

    dataset: Dataset
    start: dt.datetime
    end: dt.datetime
    _order: Order = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no row."""
        self._order = Order(self.dataset.key)

    def check(self, rows: pl.DataFrame) -> None:
        """Refuse a frame that is not as it should be.

        Parameters
        ----------
        rows : polars.DataFrame
            The dataset's columns.

        Raises
        ------
        ExportError
            If types differ from the dataset's; a required value is null or an instrument was not announced; rows are
            not strictly ascending by the dataset's key, across frames too; a price is not positive; a high or low does
            not enclose the other prices; a count is negative; a stamp lies outside the bounds.

        """
        if rows.is_empty():
            return
        if dict(rows.schema) != self.dataset.schema:
            raise ExportError(f"rows came with the columns {dict(rows.schema)}, expected {self.dataset.schema}")
        rules = self._rules(rows)
        verdicts = rows.select(is_bad.any().alias(what) for what, is_bad in rules.items())
        for what, is_bad in rules.items():
            if verdicts.item(0, what):
                _refuse(rows.filter(is_bad), what)
        row = self._order.first_break(rows)
        if row is not None:
            _refuse(rows[row], f"rows are not sorted by {' and '.join(self.dataset.key)}, or one is there twice")

    def _rules(self, rows: pl.DataFrame) -> dict[str, pl.Expr]:
        columns = set(rows.columns)
        required = [name for name in rows.columns if name not in _OPTIONAL]
        time = pl.col("timestamp")
        early = time <= self.start if self.dataset.content == BARS else time < self.start
        rules = {
            "the slice does not announce the instrument": pl.all_horizontal(pl.col(list(OWN_TERMS)).is_null()),
            "a required value is missing": pl.any_horizontal(pl.col(required).is_null()),
            "a price is not above zero": pl.any_horizontal(pl.col(n) <= 0 for n in _PRICES if n in columns),
            "a count is below zero": pl.any_horizontal(pl.col(n) < 0 for n in _COUNTED if n in columns),
            f"the stamp lies outside the sessions, {self.start.isoformat()} to {self.end.isoformat()}": (
                early | (time > self.end)
            ),
        }
        if self.dataset.content == BARS:
            rules["high and low do not enclose the prices"] = ~(
                (pl.col("high") >= pl.max_horizontal("open", "low", "close"))
                & (pl.col("low") <= pl.min_horizontal("open", "close"))
            )
        return rules


def check_announced(dataset: Dataset, summary: pl.DataFrame) -> None:
    """Refuse other rows than the slice announces.

    Parameters
    ----------
    dataset : Dataset
        Bars or ticks.
    summary : polars.DataFrame
        `instrument_id`, `rows` and `symbol` of what was written.

    Raises
    ------
    ExportError
        If an instrument has another number of rows than announced.

    """
    if dataset.announced is None:
        return
    both = dataset.announced.select("instrument_id", "symbol", "row_count").join(
        summary.select("instrument_id", "rows"), on="instrument_id", how="left"
    )
    for row in both.filter(pl.col("row_count").ne_missing(pl.col("rows"))).head(1).iter_rows(named=True):
        raise ExportError(
            f"the reader gave {row['rows'] or 0} rows for {dataset.stem}, but the slice announces {row['row_count']}",
            where=f"instrument {row['instrument_id']} ({row['symbol']})",
            next_step="the data changed while it was read: export again",
        )


def _refuse(bad: pl.DataFrame, what: str) -> None:
    """Raise for the first bad row."""
    row: dict[str, Any] = bad.row(0, named=True)
    values = ", ".join(f"{name} {row[name]}" for name in row if name in {*_PRICES, *_COUNTED})
    raise ExportError(
        f"{what}: {values}",
        where=f"instrument {row['instrument_id']} ({row['symbol']}) at {row['timestamp']}",
        next_step="correct the import of that day, then export again",
    )
