"""What Nautilus must read back, written down from the slice for another process.

The slice is read again here, so that a verification compares the catalog with the market data and
not with what the builder believed. The files lie outside the catalog and are deleted afterwards.
Polars only; Nautilus is not imported.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.nautilus import naming
from pipeline_defs.exports.nautilus.checks import PRICES, TICK_SIZES
from pipeline_defs.exports.nautilus.rounding import DETAIL, ROUNDED_OFF, round_down, shares_of
from pipeline_defs.exports.nautilus.settlement import IS_UNDERLYING
from pipeline_defs.exports.nautilus.ticks import quotes_of, trades_of
from pipeline_defs.exports.nautilus.trials import choose_trial
from pipeline_defs.exports.periods import changing_terms, terms_as_text
from pipeline_defs.schema.columns import SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

INSTRUMENTS_FILE: Final = "instruments.parquet"
TRIAL_FILE: Final = "trial.json"
ROUNDED_FILE: Final = "rounded.json"
"""How many rows had sizes that were rounded down; missing when there were none."""

COMPARED: Final = {
    "Bar": (*PRICES, "volume"),
    "TradeTick": ("price", "size"),
    "QuoteTick": ("bid_price", "ask_price", "bid_size", "ask_size"),
    "OptionGreeks": ("open_interest",),
    "IndexPriceUpdate": ("value",),
}
"""Classes of data, and the columns that are compared by their sums and, in the sample, one by one."""

_CLAIMED: Final = ("rows", "first_timestamp", "last_timestamp", "close_sum", "volume_sum")


def series_file(class_name: str) -> str:
    """Name the file with the expected sums of a class: one row for each identifier."""
    return f"series-{class_name}.parquet"


def sample_file(class_name: str) -> str:
    """Name the file with the rows of a class that are compared one by one."""
    return f"sample-{class_name}.parquet"


@dataclass
class _Series:
    """Sums and sample of one class, gathered frame by frame."""

    class_name: str
    sample_ids: list[int]
    sums: list[pl.DataFrame] = field(default_factory=list)
    sample: list[pl.DataFrame] = field(default_factory=list)

    def add(self, frame: pl.DataFrame, tail: str = "", bar_seconds: int = 0) -> None:
        """Add a frame with the class's own column names; `tail` makes an instrument's id the identifier."""
        names = COMPARED[self.class_name]
        told = {"tail": pl.lit(tail), "bar_seconds": pl.lit(bar_seconds, pl.Int32)}
        rounded = [pl.col(name).sum() for name in (ROUNDED_OFF,) if name in frame.columns]
        self.sums.append(
            frame.group_by("instrument_id")
            .agg(
                pl.col(names).sum().name.suffix("_sum"),
                *rounded,
                rows=pl.len().cast(pl.Int64),
                first_timestamp=pl.col("timestamp").min(),
                last_timestamp=pl.col("timestamp").max(),
            )
            .with_columns(**told)
        )
        ids = [name for name in ("trade_id",) if name in frame.columns]
        rows = frame.filter(pl.col("instrument_id").is_in(self.sample_ids))
        self.sample.append(rows.select("instrument_id", "timestamp", *names, *ids).with_columns(**told))

    def write(self, folder: Path, named: pl.DataFrame) -> None:
        """Write down what was gathered, by identifier."""
        if not self.sums:
            return
        engine_ids = named.select("instrument_id", "engine_id")
        for parts, name in ((self.sums, series_file), (self.sample, sample_file)):
            whole = pl.concat(parts).join(engine_ids, on="instrument_id", how="left", maintain_order="left")
            whole.with_columns(
                pl.col("^(first_|last_)?timestamp$").dt.epoch("ns").name.replace("timestamp", "ns"),
                identifier=pl.concat_str("engine_id", "tail"),
            ).write_parquet(folder / name(self.class_name))


def write_truth(
    built: BuiltExport, market: MarketSlice, folder: Path, sample_size: int, *, index_prices: bool
) -> list[str]:
    """Write down what a catalog of a slice must hold.

    Parameters
    ----------
    built : BuiltExport
        What the builder claims to have written.
    market : MarketSlice
        Read in full, once.
    folder : Path
        Existing directory outside the catalog; receives `INSTRUMENTS_FILE` (terms), for each class of data
        `series_file` (sums of every series) and `sample_file` (rows to compare one by one), and `TRIAL_FILE` (a
        backtest and its outcome).
    sample_size : int
        Number of futures and options in the sample.
    index_prices : bool
        Whether the catalog must hold prices of an index beside its bars.

    Returns
    -------
    list of str
        Where the builder's claims differ from the slice; empty when they agree.

    """
    named = naming.with_identifiers(naming.all_instruments(market))
    series = {class_name: _Series(class_name, _sample_ids(named, sample_size)) for class_name in COMPARED}
    underlying_ids = named.filter(IS_UNDERLYING)["instrument_id"].to_list()
    index_ids = named.filter(IS_UNDERLYING & (pl.col("kind") == "SPOT"))["instrument_id"].to_list()
    option_ids = named.filter(pl.col("kind") == "OPT")["instrument_id"].to_list()
    shares = shares_of(named) if market.fractional else []
    rounded: dict[str, int] = {}
    underlyings, first_closes = [], []
    for part in market.every_resolution:
        tail = f"-{naming.bar_specification(part.bar_seconds)}"
        for exact in part.read_bars():
            bars, touched = round_down(exact, shares, ("volume",))
            if market.fractional:
                rounded["bars"] = rounded.get("bars", 0) + touched
                off = (exact["volume"] - bars["volume"]).cast(SIZE)
                bars = bars.with_columns(off.alias(ROUNDED_OFF))
            series["Bar"].add(bars, tail, part.bar_seconds)
            if part is market:
                underlying = bars.filter(pl.col("instrument_id").is_in(underlying_ids))
                underlyings.append(underlying)
                first_closes.append(_first_closes(bars))
                held = pl.col("instrument_id").is_in(option_ids) & pl.col("open_interest").is_not_null()
                series["OptionGreeks"].add(bars.filter(held).with_columns(pl.col("open_interest").cast(pl.Float64)))
                if index_prices:
                    index = underlying.filter(pl.col("instrument_id").is_in(index_ids))
                    series["IndexPriceUpdate"].add(index.with_columns(value="close"))
    for every in () if market.ticks is None else market.ticks.read():
        ticks, touched = round_down(every, shares, TICK_SIZES)
        if market.fractional:
            rounded["ticks"] = rounded.get("ticks", 0) + touched
        series["TradeTick"].add(trades_of(ticks))
        series["QuoteTick"].add(quotes_of(ticks))
    for of_class in series.values():
        of_class.write(folder, named)
    by_date = terms_as_text(changing_terms(market))
    _described(named.join(by_date, on="instrument_id", how="left", maintain_order="left")).write_parquet(
        folder / INSTRUMENTS_FILE
    )
    bar_sums = pl.concat(series["Bar"].sums).join(named.select("instrument_id", "engine_id"), on="instrument_id")
    finest = bar_sums.filter(pl.col("bar_seconds") == market.bar_seconds).join(
        pl.concat(first_closes), on="instrument_id", how="left"
    )
    trial = choose_trial(market, named, finest, pl.concat(underlyings))
    (folder / TRIAL_FILE).write_text(json.dumps(trial), encoding="utf-8")
    if any(rounded.values()):
        (folder / ROUNDED_FILE).write_text(json.dumps(rounded), encoding="utf-8")
    return [*_false_claims(built, bar_sums), *_false_rounding(built, rounded)]


def _first_closes(bars: pl.DataFrame) -> pl.DataFrame:
    """Give each instrument's first close, and that of its first bar in which something was traded."""
    traded = pl.col("volume") > 0
    return bars.group_by("instrument_id").agg(
        first_close=pl.col("close").first(),
        traded_close=pl.col("close").filter(traded).first(),
        traded_timestamp=pl.col("timestamp").filter(traded).first(),
    )


def _sample_ids(named: pl.DataFrame, size: int) -> list[int]:
    """Take the underlying, and contracts at even distances in order of their ids."""
    is_underlying = pl.col("kind").is_in(["SPOT", "EQ", "PAIR"])
    contracts = named.filter(~is_underlying).sort("engine_id")
    step = max(1, contracts.height // max(1, size))
    chosen = pl.concat([named.filter(is_underlying), contracts.gather_every(step).head(size)])
    return chosen["instrument_id"].to_list()


def _described(named: pl.DataFrame) -> pl.DataFrame:
    """Name what is compared, in the words of Nautilus' instruments."""
    return named.select(
        "engine_id",
        "venue",
        "currency",
        "base_currency",
        "strike",
        "terms",
        class_name=pl.col("kind").replace_strict(naming.CLASSES),
        raw_symbol="symbol",
        underlying="root",
        option_kind=pl.col("option_type").replace_strict({"CE": "CALL", "PE": "PUT"}, default=None),
        expiry_close_ns=pl.col("expiry_close").dt.epoch("ns"),
        first_ns=pl.col("first_timestamp").dt.epoch("ns"),
        last_ns=pl.col("last_timestamp").dt.epoch("ns"),
        lot_size=pl.col("lot_size").fill_null(1),
    )


def _false_rounding(built: BuiltExport, rounded: dict[str, int]) -> list[str]:
    claimed, true = (
        {what: count for what, count in counts.items() if count} for counts in (built.details.get(DETAIL, {}), rounded)
    )
    return [] if claimed == true else [f"rows with rounded sizes: built as {claimed}; expected {true}"]


def _false_claims(built: BuiltExport, truth: pl.DataFrame) -> list[str]:
    keys = ["engine_id", "bar_seconds"]
    claimed = built.instruments.select(*keys, *_CLAIMED)
    both = truth.select(*keys, *_CLAIMED).join(
        claimed, on=keys, how="full", coalesce=True, suffix="_built", maintain_order="left_right"
    )
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_built")) for name in _CLAIMED)
    return [
        f"{row['engine_id']} at {row['bar_seconds']} s: built as "
        + ", ".join(f"{name} {row[f'{name}_built']}" for name in _CLAIMED)
        + "; expected "
        + ", ".join(f"{name} {row[name]}" for name in _CLAIMED)
        for row in both.filter(differs).iter_rows(named=True)
    ]
