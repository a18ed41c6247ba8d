"""Compares what an engine read from a catalog with the truth, whichever version of the engine it was.

How things are read is the business of a `Reading`; what they must be was written down by `truth`. Polars only.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

from pipeline_defs.exports.nautilus.naming import folder_name
from pipeline_defs.exports.nautilus.rounding import DETAIL, ROUNDED_OFF
from pipeline_defs.exports.nautilus.targets import FIXED_PRECISION
from pipeline_defs.exports.nautilus.truth import COMPARED, INSTRUMENTS_FILE, ROUNDED_FILE, sample_file, series_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.exports.verifying import Report

DECODED: Final = pl.Decimal(38, FIXED_PRECISION)
"""Type of decoded prices and sizes."""

_TIME: Final = pl.col("ts_init")
_CHECK_NAMES: Final = {
    "Bar": "bars",
    "TradeTick": "trade_ticks",
    "QuoteTick": "quote_ticks",
    "OptionGreeks": "option_greeks",
    "IndexPriceUpdate": "index_prices",
}
_CONTRACTS: Final = {"FuturesContract", "OptionContract"}


class Reading(Protocol):
    """What an engine reads from a catalog."""

    def instruments(self) -> list[dict[str, Any]]:
        """Give the instruments: `class_name`, and what the engine's own `to_dict` says, decimals as text."""
        ...

    def series(self, class_name: str) -> Iterator[tuple[str, pl.DataFrame]]:
        """Decode a class file by file: the folder's name, and a frame.

        Values are `DECODED` and times `ts_event` and `ts_init` nanoseconds (Int64); in the order of the file. Empty
        without columns when there are no rows.
        """
        ...

    def bar_types_at(self, instant_ns: int) -> set[str]:
        """Query the bars of all instruments at one instant, and give their types."""
        ...


def compare(report: Report, reading: Reading, truth: Path) -> None:
    """Compare a catalog with what it must hold.

    Parameters
    ----------
    report : Report
        Receives checks, failures and what was read of bars.
    reading : Reading
        The catalog.
    truth : Path
        Directory filled by `pipeline_defs.exports.nautilus.truth.write_truth`.

    """
    _check_instruments(report, reading, pl.read_parquet(truth / INSTRUMENTS_FILE))
    if (truth / ROUNDED_FILE).exists():
        report.checks[DETAIL] = json.loads((truth / ROUNDED_FILE).read_text(encoding="utf-8"))
    for class_name in COMPARED:
        file = truth / series_file(class_name)
        if file.exists():
            sample = pl.read_parquet(truth / sample_file(class_name))
            _check_series(report, reading, class_name, pl.read_parquet(file), sample)
        else:
            found = [folder for folder, frame in reading.series(class_name) if frame.height > 0]
            report.expect(f"files of {class_name}", [], found)
    _check_unfiltered_query(report, reading, pl.read_parquet(truth / series_file("Bar")))


def _check_instruments(report: Report, reading: Reading, expected: pl.DataFrame) -> None:
    found = reading.instruments()
    counts = Counter(facts["class_name"] for facts in found)
    report.checks["instruments"] = dict(counts)
    report.expect("instruments by class", dict(expected.group_by("class_name").len().iter_rows()), dict(counts))
    terms = {row["engine_id"]: row for row in expected.iter_rows(named=True)}
    for facts in found:
        row = terms.get(facts["id"])
        if row is None:
            report.expect("instruments", "none besides the slice's", facts["id"])
            continue
        for what, wanted, was in _terms(row, facts):
            report.expect(f"{facts['id']} {what}", wanted, was)


def _terms(row: dict[str, Any], facts: dict[str, Any]) -> list[tuple[str, object, object]]:
    """Pair what the slice says about an instrument with what Nautilus says."""
    currency = facts["quote_currency"] if row["class_name"] == "CurrencyPair" else facts["currency"]
    terms: list[tuple[str, object, object]] = [
        ("class", row["class_name"], facts["class_name"]),
        ("raw symbol", row["raw_symbol"], facts["raw_symbol"]),
        ("venue", row["venue"], facts["id"].rpartition(".")[2]),
        ("currency", row["currency"], currency),
        ("terms by date", row["terms"] and json.loads(row["terms"]), (facts["info"] or {}).get("terms")),
    ]
    if row["class_name"] == "CurrencyPair":
        terms.append(("base currency", row["base_currency"], facts["base_currency"]))
    if row["class_name"] in _CONTRACTS and facts["class_name"] in _CONTRACTS:
        terms += [
            ("underlying", row["underlying"], facts["underlying"]),
            ("expiration", row["expiry_close_ns"] + 1, facts["expiration_ns"]),
            ("is active at its first bar", True, facts["activation_ns"] <= row["first_ns"]),
            ("expires after its last bar", True, facts["expiration_ns"] > row["last_ns"]),
            ("lot size", row["lot_size"], int(facts["lot_size"])),
            ("multiplier", 1, int(facts["multiplier"])),
        ]
    if row["class_name"] == facts["class_name"] == "OptionContract":
        terms += [
            ("strike", row["strike"], Decimal(facts["strike_price"])),
            ("option kind", row["option_kind"], facts["option_kind"]),
        ]
    return terms


def _check_series(
    report: Report, reading: Reading, class_name: str, expected: pl.DataFrame, sample: pl.DataFrame
) -> None:
    """Compare all series of a class by sums, and those of the sample row by row."""
    what = _CHECK_NAMES[class_name]
    wanted = {folder_name(row["identifier"]): row for row in expected.iter_rows(named=True)}
    samples = {str(name): rows for (name,), rows in sample.partition_by("identifier", as_dict=True).items()}
    report.checks[what] = 0
    report.checks[f"{what}_compared_one_by_one"] = sample.height
    read = []
    for folder, frame in reading.series(class_name):
        row = wanted.pop(folder, None)
        if row is None:
            report.expect(f"{class_name} files", "one for each instrument of the slice", f"{folder} besides, or twice")
            continue
        report.checks[what] += frame.height
        report.expect(f"{folder} rows", row["rows"], frame.height)
        if frame.is_empty():
            continue
        if class_name == "Bar":
            read.append(_readback(row, frame))
        for fact, found in frame.select(_facts(class_name)).row(0, named=True).items():
            # What the slice does not say must simply be true.
            report.expect(f"{folder} {fact}", row.get(fact, True), found)
        if row["identifier"] in samples:
            _compare_rows(report, class_name, samples.pop(row["identifier"]), frame)
    report.expect(f"{class_name} series without a file", [], sorted(wanted))
    if class_name == "Bar" and read:
        report.readback = pl.concat(read).sort("instrument_id", "bar_seconds")


def _facts(class_name: str) -> list[pl.Expr]:
    facts = [
        *(pl.col(name).sum().name.suffix("_sum") for name in COMPARED[class_name]),
        _TIME.first().alias("first_ns"),
        _TIME.last().alias("last_ns"),
        (pl.col("ts_event") == _TIME).all().alias("has equal times"),
        pl.col("identifier").first(),
    ]
    if class_name in {"TradeTick", "QuoteTick"}:
        facts.append((_TIME.shift() <= _TIME).all().alias("does not go back in time"))
    else:
        facts.append((_TIME.shift() < _TIME).all().alias("ascends in time"))
    if class_name == "TradeTick":
        facts.append((pl.col("trade_id").n_unique() == pl.len()).alias("has unique trade ids"))
    return facts


def _readback(row: dict[str, Any], bars: pl.DataFrame) -> pl.DataFrame:
    """Say what was read of one instrument's bars, as `READBACK_SCHEMA`."""
    instant = (pl.col("ts_init") // 1_000).cast(pl.Datetime("us", "UTC"))
    return bars.select(
        instrument_id=pl.lit(row["instrument_id"], pl.Int32),
        bar_seconds=pl.lit(row["bar_seconds"], pl.Int32),
        rows=pl.len().cast(pl.Int64),
        first_timestamp=instant.min(),
        last_timestamp=instant.max(),
        close_sum=pl.col("close").sum().cast(pl.Decimal(38, 8)),
        volume_sum=pl.col("volume").sum().cast(pl.Decimal(38, 8)),
        # What the engine read is held to the rounded truth above; by how much that was rounded, the slice alone knows.
        **({ROUNDED_OFF: pl.lit(row[ROUNDED_OFF], pl.Decimal(38, 8))} if ROUNDED_OFF in row else {}),
    )


def _compare_rows(report: Report, class_name: str, wanted: pl.DataFrame, frame: pl.DataFrame) -> None:
    ids = [name for name in ("trade_id",) if name in wanted.columns]
    values = [*COMPARED[class_name], *ids]
    truth = wanted.select("ns", *values).cast({name: frame.schema[name] for name in values})
    found = frame.select(_TIME.alias("ns"), *values)
    if truth.height == found.height and not truth.equals(found):
        both = truth.hstack(found.rename({name: f"{name}_found" for name in found.columns}))
        differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_found")) for name in truth.columns)
        row = both.filter(differs).row(0, named=True)
        expected, was = ({name: str(row[f"{name}{end}"]) for name in truth.columns} for end in ("", "_found"))
        report.expect(f"{wanted.item(0, 'identifier')}, first differing row", expected, was)


def _check_unfiltered_query(report: Report, reading: Reading, expected: pl.DataFrame) -> None:
    """Query all instruments at once, which loses those that share a table name."""
    (instant,) = expected["first_ns"].mode().sort().head(1).to_list()
    wanted = set(expected.filter(pl.col("first_ns") == instant)["identifier"])
    found = reading.bar_types_at(instant)
    report.checks["unfiltered_query"] = {"instant_ns": instant, "bars": len(found)}
    report.expect(f"bar types missing from an unfiltered query at {instant} ns", [], sorted(wanted - found))
