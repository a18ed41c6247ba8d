"""What must be read back, written down from the slice for another process.

The slice is read again here, so that a verification compares the files with the market data and not with what the
builder believed. The truth lies outside the export and is deleted afterwards.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.lean.build import written_parts
from pipeline_defs.exports.lean.checks import PRICES
from pipeline_defs.exports.lean.columns import QUOTE_PRICES
from pipeline_defs.exports.lean.databases import write_databases
from pipeline_defs.exports.lean.grid import Sessions, session_grid, with_starts
from pipeline_defs.exports.lean.interest import following_midnights
from pipeline_defs.exports.lean.kinds import OptionStyle, SecurityType
from pipeline_defs.exports.lean.listings import write_listings
from pipeline_defs.exports.lean.quotes import QUOTE_SECONDS, quote_frames
from pipeline_defs.exports.lean.symbols import with_symbols
from pipeline_defs.exports.lean.universes import daily_bars
from pipeline_defs.exports.lean.writing import batches
from pipeline_defs.schema.tables import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

SUMS_FILE: Final = "sums.parquet"
"""One row per instrument, resolution and tick type: count, bounds and sums."""

VALUES_FOLDER: Final = "values"
"""Every value of the instruments that are compared one by one."""

SESSIONS_FILE: Final = "sessions.parquet"
CLOSES_FILE: Final = "closes.parquet"
ZONE_FILE: Final = "zone.json"
EXPECTED_FOLDER: Final = "expected"
"""The files beside the data, byte for byte."""

VALUES: Final = {
    "trade": (*PRICES, "volume"),
    "quote": (*QUOTE_PRICES, "bid_size", "ask_size"),
    "openinterest": ("open_interest",),
}
"""Tick type to what is compared of it."""

VALUE: Final = pl.Decimal(38, 8)
_CLAIMED: Final = ("rows", "first_timestamp", "last_timestamp", "close_sum", "volume_sum")


def write_truth(
    built: BuiltExport, market: MarketSlice, folder: Path, option_style: OptionStyle, compared_bars: int
) -> list[str]:
    """Write down what the folder of a slice must hold.

    Parameters
    ----------
    built : BuiltExport
        What the builder claims to have written.
    market : MarketSlice
        Read in full, once.
    folder : Path
        Existing directory outside the export.
    option_style : OptionStyle
        Of options on shares.
    compared_bars : int
        Bars of which every value is written down.

    Returns
    -------
    list of str
        Where the builder's claims differ from the slice.

    """
    grid = session_grid(market.sessions, market.timezone)
    (folder / VALUES_FOLDER).mkdir()
    sums: list[pl.DataFrame] = []
    daily: list[pl.DataFrame] = []
    named: list[pl.DataFrame] = []
    closes: list[pl.DataFrame] = []
    left = compared_bars
    for part in written_parts(market):
        symbols = with_symbols(part.instruments, market.timezone, option_style)
        named.append(symbols)
        chosen = compared(symbols, left)
        left -= int(symbols.filter(pl.col("instrument_id").is_in(chosen))["row_count"].sum())
        for index, frame in enumerate(_frames(part, symbols)):
            bars = with_starts(frame, grid, part.bar_seconds).join(
                symbols.select("instrument_id", "engine_id", "security"), on="instrument_id", how="left"
            )
            bars = bars.with_columns(bar_seconds=pl.lit(part.bar_seconds, pl.Int32))
            daily.append(daily_bars(bars))
            told = bars.filter(
                pl.col("open_interest").is_not_null()
                & pl.col("security").is_in([SecurityType.FUTURE, SecurityType.OPTION, SecurityType.INDEX_OPTION])
            )
            for tick_type, rows in (("trade", bars), ("openinterest", told)):
                sums.append(summed(rows, tick_type))
                _write_values(folder, rows, chosen, tick_type, f"{part.bar_seconds}-{index}")
            if part.bar_seconds == DAY:
                closes.append(bars.group_by("security", "session_date").agg(pl.col("timestamp").max()))
    if market.ticks is not None:
        ticked = with_symbols(market.ticks.instruments, market.timezone, option_style)
        named.append(ticked)
        sums += _write_quotes(folder, market, grid, ticked, compared_bars)
    every = pl.concat(named).unique("engine_id", keep="first", maintain_order=True)
    first = pl.concat(daily).unique(["instrument_id", "session_date"], keep="first", maintain_order=True)
    (folder / EXPECTED_FOLDER).mkdir()
    write_listings(folder / EXPECTED_FOLDER, market, every, first)
    write_databases(folder / EXPECTED_FOLDER, market, every)
    truth = pl.concat(sums, how="diagonal")
    truth.write_parquet(folder / SUMS_FILE)
    grid.join(following_midnights(grid, market.timezone), on="session_date").write_parquet(folder / SESSIONS_FILE)
    empty = {"security": pl.String(), "session_date": pl.Date(), "timestamp": pl.Datetime("us", "UTC")}
    pl.concat([pl.DataFrame(schema=empty), *closes]).group_by("security", "session_date").agg(
        pl.col("timestamp").max()
    ).write_parquet(folder / CLOSES_FILE)
    (folder / ZONE_FILE).write_text(json.dumps(market.timezone))
    return _false_claims(built, truth)


def compared(named: pl.DataFrame, bars: int) -> list[int]:
    """Choose the instruments of which every value is compared.

    Parameters
    ----------
    named : polars.DataFrame
        Of `pipeline_defs.exports.lean.symbols.with_symbols`.
    bars : int
        How many bars, about.

    Returns
    -------
    list of int
        All of them if they have no more; else the first and others at even distances, the same ones each time.

    """
    total = int(named["row_count"].sum())
    step = max(1, -(-total // max(bars, 1)))
    return named.sort("engine_id").gather_every(step)["instrument_id"].to_list()


def summed(rows: pl.DataFrame, tick_type: str) -> pl.DataFrame:
    """Sum what is to be compared.

    Parameters
    ----------
    rows : polars.DataFrame
        With `engine_id`, `bar_seconds`, `timestamp` and the values of the tick type.
    tick_type : str
        Key of `VALUES`.

    Returns
    -------
    polars.DataFrame
        One row per instrument and resolution; `instrument_id` too where the rows have it.

    """
    keys = [name for name in ("instrument_id", "engine_id", "bar_seconds") if name in rows.columns]
    return (
        rows.group_by(keys, maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            first_timestamp=pl.col("timestamp").min(),
            last_timestamp=pl.col("timestamp").max(),
            **{f"{name}_sum": pl.col(name).cast(VALUE).sum() for name in VALUES[tick_type]},
        )
        .with_columns(tick_type=pl.lit(tick_type))
    )


def _frames(part: MarketSlice, symbols: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Read in the bounded pieces that the builder reads in."""
    for batch in batches(symbols):
        yield from part.read_bars(batch["instrument_id"].to_list())


def _write_quotes(
    folder: Path, market: MarketSlice, grid: Sessions, ticked: pl.DataFrame, compared_bars: int
) -> list[pl.DataFrame]:
    symbols = ticked.filter(pl.col("security") != SecurityType.INDEX)
    if market.ticks is None or symbols.is_empty():
        return []
    sums = []
    chosen, ids = compared(symbols, compared_bars), symbols["instrument_id"].to_list()
    for index, frame in enumerate(quote_frames(market.ticks, market.tick_schema, grid, ids)):
        rows = frame.join(symbols.select("instrument_id", "engine_id"), on="instrument_id", how="left")
        rows = rows.with_columns(bar_seconds=pl.lit(QUOTE_SECONDS, pl.Int32))
        sums.append(summed(rows, "quote"))
        _write_values(folder, rows, chosen, "quote", str(index))
    return sums


def _write_values(folder: Path, rows: pl.DataFrame, chosen: list[int], tick_type: str, name: str) -> None:
    values = rows.filter(pl.col("instrument_id").is_in(chosen)).select(
        "engine_id", "bar_seconds", "timestamp", pl.col(VALUES[tick_type]).cast(VALUE)
    )
    if not values.is_empty():
        values.write_parquet(folder / VALUES_FOLDER / f"{tick_type}-{name}.parquet")


def _false_claims(built: BuiltExport, truth: pl.DataFrame) -> list[str]:
    keys = ["instrument_id", "bar_seconds"]
    claimed = built.instruments.select(*keys, "engine_id", *_CLAIMED).with_columns(
        pl.col("close_sum", "volume_sum").cast(VALUE)
    )
    both = claimed.join(
        truth.filter(tick_type="trade").select(*keys, *_CLAIMED), on=keys, how="full", suffix="_true", coalesce=True
    )
    return [
        f"{row['engine_id']} {name} of {row['bar_seconds']} second bars: the builder claims {row[name]}, the slice has "
        f"{row[f'{name}_true']}"
        for row in both.iter_rows(named=True)
        for name in _CLAIMED
        if row[name] != row[f"{name}_true"]
    ]
