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
from pipeline_defs.exports.backtrader.naming import bar_length, underlying_id, unite, with_names
from pipeline_defs.exports.backtrader.settlement import with_settlements
from pipeline_defs.exports.backtrader.text import GREEKS_COLUMNS, exchange_time, with_greeks
from pipeline_defs.exports.periods import changing_terms, terms_as_text
from pipeline_defs.exports.trials import choose_option
from pipeline_defs.schema.columns import PRICE_SCALE

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

CONTRACTS_FILE: Final = "contracts.parquet"
FILES_FILE: Final = "files.parquet"
BARS_FILE: Final = "bars.parquet"
TRIAL_FILE: Final = "trial.json"
ENGINE_BARS: Final = 100_000
"""Bars that the engine reads at most, the underlying's apart, where nobody asks for more."""

VALUES: Final = (*PRICES, "volume", "open_interest")
"""What is compared of a bar, besides its stamp."""

COMPARED: Final = pl.Decimal(38, PRICE_SCALE)
"""Type to which prices and volumes from the text, from Backtrader and from the truth are brought, exactly."""

FINGERPRINT: Final = pl.struct("time", *VALUES).hash()
"""Of a bar, from `time` and `VALUES` as `COMPARED`: two values that changed places leave all sums as they were.

Only compared between processes of one machine: another version of Polars may give another.
"""

GREEKS_FINGERPRINT: Final = pl.struct("time", *GREEKS_COLUMNS).hash().bitwise_xor().alias("greeks_fingerprint")
"""Of the Greeks of a file, as floats; empty ones are null."""

_CLAIMED: Final = ("rows", "first_timestamp", "last_timestamp", "close_sum", "volume_sum")


def write_truth(built: BuiltExport, market: MarketSlice, folder: Path, engine_bars: int) -> list[str]:
    """Write down what the files of a slice must hold.

    Parameters
    ----------
    built : BuiltExport
        What the builder claims to have written.
    market : MarketSlice
        Read in full, once, with its further resolutions.
    folder : Path
        Existing directory outside the export; receives `CONTRACTS_FILE` (terms and settlement of every contract),
        `FILES_FILE` (bounds, sums and fingerprint of every file), `BARS_FILE` (the bars that the engine must give back
        one by one) and `TRIAL_FILE`.
    engine_bars : int
        Bars that the engine reads at most; see `choose_for_engine`.

    Returns
    -------
    list of str
        Where the builder's claims differ from the slice; empty when they agree.

    """
    parts = [
        (part, with_names(part.instruments, bar_length(part.bar_seconds)))
        for part in market.every_resolution
        if not part.instruments.is_empty()
    ]
    named = unite(part_named for _, part_named in parts)
    settles = underlying_id(named)
    all_bars = sum(int(part_named["row_count"].sum()) for _, part_named in parts)
    files, samples, underlyings = [], [], []
    for part, part_named in parts:
        bars = int(part_named["row_count"].sum())
        chosen = choose_for_engine(part_named, settles, engine_bars * bars // max(all_bars, 1))
        options = part_named.filter(pl.col("kind") == "OPT")["instrument_id"]
        sums, sample, underlying = _read(part, chosen, settles, options)
        of_file = part_named.select("instrument_id", "name", "file")
        files.append(
            of_file.join(sums, on="instrument_id", how="left").with_columns(
                pl.lit(part.bar_seconds, pl.Int32).alias("bar_seconds"),
                in_engine=pl.col("instrument_id").is_in(chosen),
            )
        )
        samples.append(
            sample.join(of_file, on="instrument_id", how="left").select(
                "file",
                exchange_time("timestamp", market.timezone).alias("time"),
                pl.col(VALUES).cast(COMPARED),
                *(_greek(sample, name) for name in GREEKS_COLUMNS if market.read_greeks is not None),
            )
        )
        underlyings.append(underlying)
    truth = with_settlements(named, underlyings[0], market)
    by_date = terms_as_text(changing_terms(market))
    _described(truth.join(by_date, on="instrument_id", how="left"), market.timezone).write_parquet(
        folder / CONTRACTS_FILE
    )
    told = pl.concat(files, how="diagonal").sort("file")
    told.with_columns(
        exchange_time("first_timestamp", market.timezone).alias("first"),
        exchange_time("last_timestamp", market.timezone).alias("last"),
        timezone=pl.lit(market.timezone),
    ).write_parquet(folder / FILES_FILE)
    pl.concat(samples).sort("file", "time").write_parquet(folder / BARS_FILE)
    finest = told.filter(pl.col("bar_seconds") == market.bar_seconds)
    (folder / TRIAL_FILE).write_text(json.dumps(_trial(truth, finest)))
    return _false_claims(built, told)


def choose_for_engine(named: pl.DataFrame, settles: int | None, engine_bars: int) -> list[int]:
    """Choose the instruments of a resolution that the engine itself reads.

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


def _greek(sample: pl.DataFrame, name: str) -> pl.Expr:
    return pl.col(name) if name in sample.columns else pl.lit(None, pl.Float64()).alias(name)


def _read(
    part: MarketSlice, chosen: list[int], settles: int | None, options: pl.Series
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Read a resolution once: its sums, the chosen instruments' bars, the underlying's bars."""
    no_bars = with_greeks(pl.DataFrame(schema=part.bar_schema), part.read_greeks, options)
    sums, sample = [_sums(no_bars, part.timezone)], [no_bars]
    underlying = [pl.DataFrame(schema=part.bar_schema)]
    for frame in part.read_bars():
        known = with_greeks(frame, part.read_greeks, options).with_columns(
            pl.col("volume", "open_interest").fill_null(0)
        )
        sums.append(_sums(known, part.timezone))
        sample.append(known.filter(pl.col("instrument_id").is_in(chosen)))
        underlying.append(frame.filter(pl.col("instrument_id") == (-1 if settles is None else settles)))
    return pl.concat(sums), pl.concat(sample), pl.concat(underlying)


def _sums(bars: pl.DataFrame, zone: str) -> pl.DataFrame:
    compared = bars.with_columns(pl.col(VALUES).cast(COMPARED), time=exchange_time("timestamp", zone))
    return (
        compared.with_columns(fingerprint=FINGERPRINT)
        .group_by("instrument_id")
        .agg(
            pl.col(VALUES).sum().name.suffix("_sum"),
            pl.col("fingerprint").bitwise_xor(),
            *([pl.when(pl.col("is_option").first()).then(GREEKS_FINGERPRINT)] if "is_option" in bars.columns else []),
            rows=pl.len().cast(pl.Int64),
            first_timestamp=pl.col("timestamp").min(),
            last_timestamp=pl.col("timestamp").max(),
            first_close=pl.col("close").sort_by("timestamp").first(),
        )
    )


def _described(truth: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Name what is compared as the sidecar does."""
    return truth.select(
        "name",
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
        "base_currency",
        "venue",
        "terms",
        "settlement_price",
        "settlement_basis",
        "underlying_close",
        right="option_type",
        multiplier=1,
        expiry_close=exchange_time("expiry_close", zone),
        underlying_time=exchange_time("underlying_timestamp", zone),
    ).sort("name")


def _trial(truth: pl.DataFrame, finest: pl.DataFrame) -> dict[str, Any] | None:
    """Choose an option that is settled within the slice, and work out its outcome."""
    bounds = finest.select("instrument_id", "first_timestamp", "last_timestamp", "first_close")
    option = choose_option(truth.join(bounds, on="instrument_id", how="inner"))
    if option is None:
        return None
    quantity = option["lot_size"] or 1
    return {
        "instrument_id": option["instrument_id"],
        "contract": option["name"],
        "quantity": quantity,
        "entry_price": str(option["first_close"]),
        "entry_time": option["first_timestamp"].isoformat(),
        "settlement_price": str(option["settlement_price"]),
        "exit_time": option["expiry_close"].isoformat(),
        "gross_pnl": str((option["settlement_price"] - option["first_close"]) * quantity),
    }


def _false_claims(built: BuiltExport, truth: pl.DataFrame) -> list[str]:
    key = ["engine_id", "bar_seconds"]
    claimed = built.instruments.select(*key, *_CLAIMED).with_columns(pl.col("close_sum", "volume_sum").cast(COMPARED))
    both = truth.select(*_CLAIMED, "bar_seconds", engine_id="name").join(
        claimed, on=key, how="full", coalesce=True, suffix="_built"
    )
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_built")) for name in _CLAIMED)
    return [
        f"{row['engine_id']}, bars of {row['bar_seconds']} s: built as "
        + ", ".join(f"{name} {row[f'{name}_built']}" for name in _CLAIMED)
        + "; expected "
        + ", ".join(f"{name} {row[name]}" for name in _CLAIMED)
        for row in both.filter(differs).iter_rows(named=True)
    ]
