"""What Nautilus must read back, written down from the slice for another process.

The slice is read again here, so that a verification compares the catalog with the market data and
not with what the builder believed. The files lie outside the catalog and are deleted afterwards.
Polars only; Nautilus is not imported.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.backtests.result import STALE_AFTER
from pipeline_defs.exports.nautilus import naming
from pipeline_defs.exports.nautilus.checks import PRICES
from pipeline_defs.exports.nautilus.settlement import IS_UNDERLYING, settlements
from pipeline_defs.exports.periods import changing_terms, terms_as_text

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

INSTRUMENTS_FILE: Final = "instruments.parquet"
SAMPLE_FILE: Final = "sample.parquet"
TRIAL_FILE: Final = "trial.json"

SUMMED: Final = (*PRICES, "volume")

_CLAIMED: Final = ("rows", "first_timestamp", "last_timestamp", "close_sum", "volume_sum")


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one reading of the bars gave."""

    sums: pl.DataFrame
    sample: pl.DataFrame
    underlying: pl.DataFrame


def write_truth(built: BuiltExport, market: MarketSlice, folder: Path, sample_size: int) -> list[str]:
    """Write down what a catalog of a slice must hold.

    Parameters
    ----------
    built : BuiltExport
        What the builder claims to have written.
    market : MarketSlice
        Read in full, once.
    folder : Path
        Existing directory outside the catalog; receives `INSTRUMENTS_FILE` (terms and sums of every
        instrument), `SAMPLE_FILE` (bars to compare one by one) and `TRIAL_FILE` (a backtest and its
        outcome).
    sample_size : int
        Number of futures and options in the sample.

    Returns
    -------
    list of str
        Where the builder's claims differ from the slice; empty when they agree.

    """
    named = naming.with_identifiers(market.instruments)
    read = _read(market, named, _sample_ids(named, sample_size))
    terms = named.drop("first_timestamp", "last_timestamp")
    truth = terms.join(read.sums, on="instrument_id", how="left", maintain_order="left")
    specification = naming.bar_specification(market.bar_seconds)
    end: dt.datetime = market.sessions.select(pl.col("close").max()).item()
    trial = _hold(truth, read.underlying, end) or _replay(truth, specification)
    by_date = terms_as_text(changing_terms(market))
    described = _described(truth.join(by_date, on="instrument_id", how="left", maintain_order="left"), specification)
    described.write_parquet(folder / INSTRUMENTS_FILE)
    bar_types = named.select("instrument_id", bar_type=pl.concat_str("engine_id", pl.lit(f"-{specification}")))
    sample = read.sample.join(bar_types, on="instrument_id", how="left", maintain_order="left")
    sample.with_columns(ns=pl.col("timestamp").dt.epoch("ns")).write_parquet(folder / SAMPLE_FILE)
    (folder / TRIAL_FILE).write_text(json.dumps(trial))
    return _false_claims(built, truth)


def _sample_ids(named: pl.DataFrame, size: int) -> list[int]:
    """Take the underlying, and contracts at even distances in order of their ids."""
    is_underlying = pl.col("kind").is_in(["SPOT", "EQ"])
    contracts = named.filter(~is_underlying).sort("engine_id")
    step = max(1, contracts.height // max(1, size))
    chosen = pl.concat([named.filter(is_underlying), contracts.gather_every(step).head(size)])
    return chosen["instrument_id"].to_list()


def _read(market: MarketSlice, named: pl.DataFrame, sample_ids: list[int]) -> _Pass:
    underlying_ids = named.filter(IS_UNDERLYING)["instrument_id"].to_list()
    sums, samples, underlyings = [], [], []
    for frame in market.read_bars():
        sums.append(
            frame.group_by("instrument_id").agg(
                pl.col(SUMMED).sum().name.suffix("_sum"),
                rows=pl.len().cast(pl.Int64),
                first_timestamp=pl.col("timestamp").min(),
                last_timestamp=pl.col("timestamp").max(),
                first_close=pl.col("close").sort_by("timestamp").first(),
                greeks_rows=pl.col("open_interest").count().cast(pl.Int64),
                open_interest_sum=pl.col("open_interest").sum(),
            )
        )
        samples.append(frame.filter(pl.col("instrument_id").is_in(sample_ids)))
        underlyings.append(frame.filter(pl.col("instrument_id").is_in(underlying_ids)))
    return _Pass(pl.concat(sums), pl.concat(samples), pl.concat(underlyings))


def _described(truth: pl.DataFrame, specification: str) -> pl.DataFrame:
    """Name what is compared, in the words of Nautilus' instruments."""
    is_option = pl.col("kind") == "OPT"
    return truth.select(
        "engine_id",
        "rows",
        *(f"{name}_sum" for name in SUMMED),
        "venue",
        "currency",
        "strike",
        "terms",
        bar_type=pl.concat_str("engine_id", pl.lit(f"-{specification}")),
        class_name=pl.col("kind").replace_strict(naming.CLASSES),
        first_ns=pl.col("first_timestamp").dt.epoch("ns"),
        last_ns=pl.col("last_timestamp").dt.epoch("ns"),
        greeks_rows=pl.when(is_option).then("greeks_rows").otherwise(0),
        open_interest_sum=pl.when(is_option).then("open_interest_sum").otherwise(0),
        raw_symbol="symbol",
        underlying="root",
        option_kind=pl.col("option_type").replace_strict({"CE": "CALL", "PE": "PUT"}, default=None),
        expiry_close_ns=pl.col("expiry_close").dt.epoch("ns"),
        lot_size=pl.col("lot_size").fill_null(1),
    )


def _hold(truth: pl.DataFrame, underlying: pl.DataFrame, end: dt.datetime) -> dict[str, Any] | None:
    """Choose the option nearest to the money that expires within the slice, and work out its outcome."""
    options = truth.filter(pl.col("kind") == "OPT")
    prices = settlements(options, underlying, end).filter(pl.col("expiry_close") - pl.col("timestamp") <= STALE_AFTER)
    direction = pl.when(pl.col("option_type") == "CE").then(1).otherwise(-1)
    distance = (pl.col("close") - pl.col("strike")) * direction
    candidates = (
        options.join(prices.select("expiry", "expiry_close", "close"), on=["expiry", "expiry_close"])
        .with_columns(distance=distance)
        .sort(pl.col("distance") <= 0, pl.col("distance").abs(), "engine_id")
    )
    if candidates.is_empty():
        return None
    option = candidates.row(0, named=True)
    quantity = option["lot_size"] or 1
    settlement = max(option["distance"], option["distance"] * 0)
    return {
        "kind": "hold",
        "instrument": option["engine_id"],
        "quantity": quantity,
        "entry_price": str(option["first_close"]),
        "entry_time": option["first_timestamp"].isoformat(),
        "settlement_price": str(settlement),
        "exit_time": option["expiry_close"].isoformat(),
        "gross_pnl": str((settlement - option["first_close"]) * quantity),
    }


def _replay(truth: pl.DataFrame, specification: str) -> dict[str, Any]:
    """Choose the instrument with the most bars, to be played without a strategy."""
    busiest = truth.sort(["rows", "engine_id"], descending=[True, False]).row(0, named=True)
    return {"kind": "replay", "bar_type": f"{busiest['engine_id']}-{specification}", "rows": busiest["rows"]}


def _false_claims(built: BuiltExport, truth: pl.DataFrame) -> list[str]:
    claimed = built.instruments.select("engine_id", *_CLAIMED)
    both = truth.select("engine_id", *_CLAIMED).join(
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
