"""What Backtrader must read back, written down from the slice for another process.

The slice is read again here, so that a verification compares the files with the market data and not
with what the builder believed. The truth lies outside the export and is deleted afterwards. Backtrader
is not imported.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.exports.backtrader.checks import PRICES
from pipeline_defs.exports.backtrader.naming import bar_length, underlying_id, with_names
from pipeline_defs.exports.backtrader.settlement import with_settlements
from pipeline_defs.exports.backtrader.text import exchange_time
from pipeline_defs.exports.periods import changing_terms, terms_as_text

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

CONTRACTS_FILE: Final = "contracts.parquet"
BARS_FILE: Final = "bars.parquet"
TRIAL_FILE: Final = "trial.json"

VALUES: Final = (*PRICES, "volume", "open_interest")
"""What is compared of a bar, besides its stamp."""

_CLAIMED: Final = ("rows", "first_timestamp", "last_timestamp", "close_sum", "volume_sum")


def write_truth(built: BuiltExport, market: MarketSlice, folder: Path, engine_bars: int) -> list[str]:
    """Write down what the files of a slice must hold.

    Parameters
    ----------
    built : BuiltExport
        What the builder claims to have written.
    market : MarketSlice
        Read in full, once.
    folder : Path
        Existing directory outside the export; receives `CONTRACTS_FILE` (terms and sums of every
        contract), `BARS_FILE` (the bars that the engine must give back one by one) and `TRIAL_FILE`.
    engine_bars : int
        Bars that the engine reads at most; see `choose_for_engine`.

    Returns
    -------
    list of str
        Where the builder's claims differ from the slice; empty when they agree.

    """
    named = with_names(market.instruments, bar_length(market.bar_seconds))
    settles = underlying_id(named)
    chosen = choose_for_engine(named, settles, engine_bars)
    sums, samples, underlyings = [], [], []
    for frame in market.read_bars():
        known = frame.with_columns(pl.col("volume", "open_interest").fill_null(0))
        sums.append(_sums(known))
        samples.append(known.filter(pl.col("instrument_id").is_in(chosen)))
        underlyings.append(frame.filter(pl.col("instrument_id") == (-1 if settles is None else settles)))
    end: dt.datetime = market.sessions.select(pl.col("close").max()).item()
    terms = named.drop("first_timestamp", "last_timestamp", "row_count").join(
        pl.concat(sums), on="instrument_id", how="left"
    )
    truth = with_settlements(terms, pl.concat(underlyings), end).with_columns(
        in_engine=pl.col("instrument_id").is_in(chosen)
    )
    by_date = terms_as_text(changing_terms(market))
    _described(truth.join(by_date, on="instrument_id", how="left")).write_parquet(folder / CONTRACTS_FILE)
    bars = pl.concat(samples).join(named.select("instrument_id", "name"), on="instrument_id", how="left")
    bars.select("name", exchange_time("timestamp").alias("time"), *VALUES).sort("name", "time").write_parquet(
        folder / BARS_FILE
    )
    (folder / TRIAL_FILE).write_text(json.dumps(_trial(truth)))
    return _false_claims(built, truth)


def choose_for_engine(named: pl.DataFrame, settles: int | None, engine_bars: int) -> list[int]:
    """Choose the instruments that the engine itself reads.

    Parameters
    ----------
    named : polars.DataFrame
        What `naming.with_names` returned.
    settles : int or None
        The underlying, which is always among them.
    engine_bars : int
        Bars that the engine reads at most, the underlying's apart.

    Returns
    -------
    list of int
        All instruments if they hold no more bars than that, else as many as do, taken at even
        distances in the order of their names: the same for the same slice.

    """
    others = named.filter(pl.col("instrument_id").ne_missing(settles)).sort("name")
    bars = int(others["row_count"].sum())
    step = max(1, -(-bars // max(engine_bars, 1)))
    taken = others.gather_every(step).filter(pl.col("row_count").cum_sum() <= engine_bars)
    return [*([] if settles is None else [settles]), *taken["instrument_id"]]


def _sums(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.group_by("instrument_id").agg(
        pl.col(VALUES).sum().name.suffix("_sum"),
        rows=pl.len().cast(pl.Int64),
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        first_close=pl.col("close").sort_by("timestamp").first(),
    )


def _described(truth: pl.DataFrame) -> pl.DataFrame:
    """Name what is compared as the sidecar does."""
    return truth.select(
        "name",
        "file",
        "kind",
        "symbol",
        "underlying",
        "expiry",
        "strike",
        "series",
        "isin",
        "lot_size",
        "tick_size",
        "currency",
        "venue",
        "terms",
        "rows",
        *(f"{name}_sum" for name in VALUES),
        "settlement_price",
        "underlying_close",
        "in_engine",
        right="option_type",
        multiplier=1,
        expiry_close=exchange_time("expiry_close"),
        first=exchange_time("first_timestamp"),
        last=exchange_time("last_timestamp"),
        underlying_time=exchange_time("underlying_timestamp"),
    ).sort("name")


def _trial(truth: pl.DataFrame) -> dict[str, Any] | None:
    """Choose the option nearest to the money that is settled within the slice, and work out its outcome."""
    # An order is filled with the next bar that comes, so there must be one after the first.
    candidates = (
        truth.filter((pl.col("kind") == "OPT") & (pl.col("first_timestamp") < pl.col("underlying_timestamp")))
        .with_columns(distance=(pl.col("underlying_close") - pl.col("strike")).abs())
        # One that is worth something tells more than one that expires worthless.
        .sort(pl.col("settlement_price") == 0, "distance", "name")
    )
    if candidates.is_empty():
        return None
    option = candidates.row(0, named=True)
    quantity = option["lot_size"] or 1
    return {
        "contract": option["name"],
        "quantity": quantity,
        "entry_price": str(option["first_close"]),
        "entry_time": option["first_timestamp"].isoformat(),
        "settlement_price": str(option["settlement_price"]),
        "exit_time": option["expiry_close"].isoformat(),
        "gross_pnl": str((option["settlement_price"] - option["first_close"]) * quantity),
    }


def _false_claims(built: BuiltExport, truth: pl.DataFrame) -> list[str]:
    claimed = built.instruments.select("engine_id", *_CLAIMED)
    both = truth.select(*_CLAIMED, engine_id="name").join(
        claimed, on="engine_id", how="full", coalesce=True, suffix="_built"
    )
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_built")) for name in _CLAIMED)
    return [
        f"{row['engine_id']}: built as "
        + ", ".join(f"{name} {row[f'{name}_built']}" for name in _CLAIMED)
        + "; expected "
        + ", ".join(f"{name} {row[name]}" for name in _CLAIMED)
        for row in both.filter(differs).iter_rows(named=True)
    ]
