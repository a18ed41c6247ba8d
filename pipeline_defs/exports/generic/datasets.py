"""From a slice to the files it becomes: which there are, and the frames of each.

The contracts' own columns are joined in here, as they were on the trade date of each row. How frames become bytes is
for `writing`; whether they are as they should be, for `checks`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.interchange import (
    ACTIONS,
    BAR_COLUMNS,
    BARS,
    GREEKS,
    INSTRUMENTS,
    OWN_TERMS,
    ROW_KEYS,
    SESSIONS,
    SETTLED_BAR,
    SETTLEMENTS,
    SMALL_FILES,
    TERM_PERIODS,
    TICK_COLUMNS,
    TICKS,
    file_stem,
)
from pipeline_defs.schema.tables import DAY, TICK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.schema.exports import MarketSlice

_DATED_TERMS: Final = ("symbol", "underlying", "expiry", "strike")
"""Terms of `OWN_TERMS` that can change while the instrument stays the same."""

PIECE: Final = 1 << 17
"""Rows that are given at a time: with ten columns of terms they take far more room than what the reader holds."""

_INSTANT: Final = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Dataset:
    """One file of an export.

    Parameters
    ----------
    content : str
        What it holds, as in `pipeline_defs.schema.interchange`.
    schema : dict
        Its columns.
    bar_seconds : int or None
        Resolution of bars and ticks; None for the small files.
    derived_from : str or None
        Name, without ending, of the file whose rows these were made of; None for what the warehouse stores.
    announced : polars.DataFrame or None
        `instrument_id` and `row_count`, which the rows must agree with; None for the small files.
    read : callable
        Gives the frames, each with `schema`.

    """

    content: str
    schema: dict[str, pl.DataType]
    bar_seconds: int | None
    derived_from: str | None
    announced: pl.DataFrame | None
    read: Callable[[], Iterator[pl.DataFrame]]

    @property
    def stem(self) -> str:
        """File name without its ending."""
        return file_stem(self.content, self.bar_seconds)

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that the rows are sorted by and unique by."""
        return ROW_KEYS[self.content]


def datasets(market: MarketSlice) -> tuple[Dataset, ...]:
    """List the files of a slice.

    Parameters
    ----------
    market : MarketSlice
        What is exported.

    Returns
    -------
    tuple of Dataset
        Bars by resolution, the finest first; ticks; Greeks; then the small files that there is something for.

    Raises
    ------
    ExportError
        If a small file's rows have other types than the schema says.

    """
    stored = file_stem(BARS, market.bar_seconds)
    found = [_bars(part, None if part is market else stored) for part in market.every_resolution]
    if market.ticks is not None:
        found.append(_ticks(market))
    if market.read_greeks is not None:
        found.append(Dataset(GREEKS, SMALL_FILES[GREEKS], None, None, None, market.read_greeks))
    small = {
        INSTRUMENTS: all_instruments(market),
        TERM_PERIODS: None if market.term_periods is None else _cut(market.term_periods, market),
        SESSIONS: market.sessions,
        SETTLEMENTS: market.settlements,
        ACTIONS: market.actions,
    }
    return (*found, *(_small(content, rows) for content, rows in small.items() if rows is not None))


def all_instruments(market: MarketSlice) -> pl.DataFrame:
    """Describe every instrument that has rows in any file.

    Parameters
    ----------
    market : MarketSlice
        What is exported.

    Returns
    -------
    polars.DataFrame
        Columns of the instruments' file, sorted by `instrument_id`.

    """
    frames = [part.instruments for part in market.every_resolution]
    if market.ticks is not None:
        frames.append(market.ticks.instruments)
    columns = list(SMALL_FILES[INSTRUMENTS])
    everything = pl.concat(frame.select(columns) for frame in frames)
    return everything.unique("instrument_id", keep="first", maintain_order=True).sort("instrument_id")


def with_terms(rows: pl.DataFrame, market: MarketSlice, instruments: pl.DataFrame, bar_seconds: int) -> pl.DataFrame:
    """Join the contracts' own columns to rows, as they were on each row's trade date.

    Parameters
    ----------
    rows : polars.DataFrame
        With `instrument_id` and `timestamp`.
    market : MarketSlice
        Has the zone of the trade dates, and the periods of equal terms.
    instruments : polars.DataFrame
        What `all_instruments` returned.
    bar_seconds : int
        Resolution: a bar that ends at midnight belongs to the day before, a tick at midnight to the day that begins.

    Returns
    -------
    polars.DataFrame
        With `OWN_TERMS` and `bar_seconds`; terms of an instrument that nobody announced are null.

    """
    own = list(OWN_TERMS)
    joined = rows.join(
        instruments.select("instrument_id", *own), on="instrument_id", how="left", maintain_order="left"
    ).with_columns(bar_seconds=pl.lit(bar_seconds, pl.Int32()))
    changing = _changing(market)
    if changing.is_empty() or joined.join(changing, on="instrument_id", how="semi").is_empty():
        return joined
    shift = dt.timedelta(0) if bar_seconds == TICK else _INSTANT
    dated = joined.with_columns(
        pl.col("timestamp").sub(shift).dt.convert_time_zone(market.timezone).dt.date().alias("trade_date")
    )
    as_they_were = dated.join_asof(
        changing.with_columns(is_dated=pl.lit(value=True)),
        left_on="trade_date",
        right_on="valid_from",
        by="instrument_id",
        strategy="backward",
        suffix="_then",
        check_sortedness=False,
    )
    then = (pl.when("is_dated").then(f"{name}_then").otherwise(name).alias(name) for name in _DATED_TERMS)
    return as_they_were.with_columns(*then).select(joined.columns)


def _changing(market: MarketSlice) -> pl.DataFrame:
    """Give the periods of instruments that have several, sorted by date."""
    if market.term_periods is None:
        return pl.DataFrame(schema={"instrument_id": pl.Int32()})
    periods = _cut(market.term_periods, market)
    several = periods.filter(pl.len().over("instrument_id") > 1)
    return several.select("instrument_id", "valid_from", *_DATED_TERMS).sort("valid_from")


def _cut(periods: pl.DataFrame, market: MarketSlice) -> pl.DataFrame:
    """Cut periods to the slice: what happens before or after it must not change the bytes of the export."""
    after_end = market.end_date + dt.timedelta(days=1)
    return periods.with_columns(
        pl.max_horizontal("valid_from", pl.lit(market.start_date)).alias("valid_from"),
        pl.min_horizontal("valid_to", pl.lit(after_end)).alias("valid_to"),
    )


def _bars(part: MarketSlice, derived_from: str | None) -> Dataset:
    settles = part.bar_seconds == DAY and derived_from is None and part.settlements is not None
    schema = {**BAR_COLUMNS, "volume": part.bar_schema["volume"], **(SETTLED_BAR if settles else {})}
    instruments = all_instruments(part)

    def read() -> Iterator[pl.DataFrame]:
        for frame in part.read_bars():
            for piece in frame.iter_slices(PIECE):
                rows = with_terms(piece, part, instruments, part.bar_seconds)
                yield (_with_settlements(rows, part) if settles else rows).select(list(schema))

    return Dataset(BARS, schema, part.bar_seconds, derived_from, part.instruments, read)


def _ticks(market: MarketSlice) -> Dataset:
    ticks = market.ticks
    if ticks is None:
        raise AssertionError("asked for the ticks of a slice without any")
    schema = {name: market.tick_schema.get(name, dtype) for name, dtype in TICK_COLUMNS.items()}
    instruments = all_instruments(market)

    def read() -> Iterator[pl.DataFrame]:
        for frame in ticks.read():
            for piece in frame.iter_slices(PIECE):
                yield with_terms(piece, market, instruments, TICK).select(list(schema))

    return Dataset(TICKS, schema, TICK, None, ticks.instruments, read)


def _small(content: str, rows: pl.DataFrame) -> Dataset:
    schema = SMALL_FILES[content]
    sorted_rows = rows.select(list(schema)).sort(ROW_KEYS[content], nulls_last=False)
    if dict(sorted_rows.schema) != schema:
        raise ExportError(f"{content} came with the columns {dict(sorted_rows.schema)}, expected {schema}")
    return Dataset(content, schema, None, None, None, lambda: iter([sorted_rows]))


def _with_settlements(rows: pl.DataFrame, market: MarketSlice) -> pl.DataFrame:
    """Add the exchange's settlement as the warehouse keeps it: of an option on expiry day, the underlying's."""
    settlements = market.settlements
    if settlements is None:
        raise AssertionError("asked for the settlements of a slice without any")
    known = settlements.select("instrument_id", "settlement_price", "underlying_price", trade_date="session_date")
    dated = rows.with_columns(
        pl.col("timestamp").sub(_INSTANT).dt.convert_time_zone(market.timezone).dt.date().alias("trade_date")
    )
    joined = dated.join(known, on=["instrument_id", "trade_date"], how="left", maintain_order="left")
    of_option = pl.when(pl.col("kind") == "OPT").then("underlying_price").otherwise("settlement_price")
    return joined.with_columns(settlement_price=of_option)
