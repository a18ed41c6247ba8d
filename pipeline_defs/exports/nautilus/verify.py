"""Reads a catalog with Nautilus itself and compares it with the truth: a process of its own.

``python -m pipeline_defs.exports.nautilus.verify CATALOG TRUTH`` writes ``TRUTH/report.json`` and exits
with 0 when everything agreed, 1 when something did not. A file that Nautilus cannot decode aborts the
process without a report, which is why no process that matters may import this module.

Every check opens the catalog as a user does, ``ParquetDataCatalog(path)``, and adds to the report what
it found. How things are read is the business of `readback`.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import nautilus_trader
import polars as pl
from nautilus_trader.backtest.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.instruments import FuturesContract, OptionContract
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.backtests.nautilus_hold import hold_to_expiry
from pipeline_defs.errors import PipelineError
from pipeline_defs.exports.nautilus.naming import folder_name
from pipeline_defs.exports.nautilus.readback import DECODED, bar_files, greeks_files
from pipeline_defs.exports.nautilus.truth import INSTRUMENTS_FILE, SAMPLE_FILE, SUMMED, TRIAL_FILE
from pipeline_defs.exports.verifying import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nautilus_trader.model.instruments import Instrument

_TIME: Final = pl.col("ts_init")
_FACTS: Final = (
    *(pl.col(name).sum().name.suffix("_sum") for name in SUMMED),
    pl.col("bar_type").first(),
    _TIME.first().alias("first_ns"),
    _TIME.last().alias("last_ns"),
    (_TIME.shift() < _TIME).all().alias("ascends in time"),
    (pl.col("ts_event") == _TIME).all().alias("has equal times"),
)
_CAPITAL: Final = 1_000_000_000


def verify_catalog(root: Path, truth: Path) -> Report:
    """Compare a catalog with what it must hold.

    Parameters
    ----------
    root : Path
        The catalog.
    truth : Path
        Directory filled by `pipeline_defs.exports.nautilus.truth.write_truth`.

    Returns
    -------
    Report

    """
    report = Report(f"nautilus_trader {nautilus_trader.__version__}")
    catalog = ParquetDataCatalog(str(root.resolve()))
    expected = pl.read_parquet(truth / INSTRUMENTS_FILE)
    _check_instruments(report, catalog, expected)
    _check_bars(report, catalog, expected, pl.read_parquet(truth / SAMPLE_FILE))
    _check_open_interest(report, catalog, expected)
    _check_unfiltered_query(report, catalog, expected)
    if report.failures:
        report.checks["trial"] = "not run, since the catalog differs from the slice"
        return report
    trial = json.loads((truth / TRIAL_FILE).read_text())
    if trial.pop("kind") == "hold":
        _hold(report, root, **trial)
    else:
        _replay(report, root, **trial)
    return report


def _check_instruments(report: Report, catalog: ParquetDataCatalog, expected: pl.DataFrame) -> None:
    found = catalog.instruments()
    counts = Counter(type(instrument).__name__ for instrument in found)
    report.checks["instruments"] = dict(counts)
    report.expect("instruments by class", dict(expected.group_by("class_name").len().iter_rows()), dict(counts))
    terms = {row["engine_id"]: row for row in expected.iter_rows(named=True)}
    for instrument in found:
        row = terms.get(instrument.id.value)
        if row is None:
            report.expect("instruments", "none besides the slice's", instrument.id.value)
            continue
        for what, wanted, was in _terms(row, instrument):
            report.expect(f"{instrument.id} {what}", wanted, was)


def _terms(row: dict[str, Any], instrument: Instrument) -> list[tuple[str, object, object]]:
    """Pair what the slice says about an instrument with what Nautilus says."""
    terms = [
        ("class", row["class_name"], type(instrument).__name__),
        ("raw symbol", row["raw_symbol"], instrument.raw_symbol.value),
        ("venue", row["venue"], instrument.id.venue.value),
        ("currency", row["currency"], instrument.quote_currency.code),
        ("terms by date", row["terms"] and json.loads(row["terms"]), (instrument.info or {}).get("terms")),
    ]
    if isinstance(instrument, FuturesContract | OptionContract):
        terms += [
            ("underlying", row["underlying"], instrument.underlying),
            ("expiration", row["expiry_close_ns"] + 1, instrument.expiration_ns),
            ("is active at its first bar", True, instrument.activation_ns <= row["first_ns"]),
            ("expires after its last bar", True, instrument.expiration_ns > row["last_ns"]),
            ("lot size", row["lot_size"], int(instrument.lot_size)),
            ("multiplier", 1, int(instrument.multiplier)),
        ]
    if isinstance(instrument, OptionContract):
        terms += [
            ("strike", row["strike"], Decimal(str(instrument.strike_price))),
            ("option kind", row["option_kind"], instrument.option_kind.name),
        ]
    return terms


def _check_bars(report: Report, catalog: ParquetDataCatalog, expected: pl.DataFrame, sample: pl.DataFrame) -> None:
    """Compare the bars of all instruments by sums, and those of the sample one by one."""
    wanted = {folder_name(row["bar_type"]): row for row in expected.iter_rows(named=True)}
    samples = {str(bar_type): bars for (bar_type,), bars in sample.partition_by("bar_type", as_dict=True).items()}
    report.checks["bars"] = 0
    report.checks["bars_compared_one_by_one"] = sample.height
    for folder, bars in bar_files(catalog):
        row = wanted.pop(folder, None)
        if row is None:
            report.expect("bar files", "one for each instrument of the slice", f"{folder} besides, or twice")
            continue
        report.checks["bars"] += bars.height
        report.expect(f"{folder} rows", row["rows"], bars.height)
        if bars.is_empty():
            continue
        for what, found in bars.select(_FACTS).row(0, named=True).items():
            # What the slice does not say must simply be true.
            report.expect(f"{folder} {what}", row.get(what, True), found)
        if row["bar_type"] in samples:
            _compare(report, row["bar_type"], samples.pop(row["bar_type"]), bars)
    report.expect("bar types without a file", [], sorted(wanted))


def _check_open_interest(report: Report, catalog: ParquetDataCatalog, expected: pl.DataFrame) -> None:
    wanted = {row["engine_id"]: row for row in expected.filter(pl.col("greeks_rows") > 0).iter_rows(named=True)}
    found = {folder: (greeks.height, greeks["open_interest"].sum()) for folder, greeks in greeks_files(catalog)}
    report.checks["option_greeks"] = sum(height for height, _ in found.values())
    for engine_id in sorted(wanted.keys() | {folder for folder in found if folder not in wanted}):
        row = wanted.get(engine_id, {"greeks_rows": 0, "open_interest_sum": 0})
        report.expect(
            f"{engine_id} rows and sum of open interest",
            (row["greeks_rows"], float(row["open_interest_sum"])),
            found.get(folder_name(engine_id), (0, 0.0)),
        )


def _check_unfiltered_query(report: Report, catalog: ParquetDataCatalog, expected: pl.DataFrame) -> None:
    """Query all instruments at once, which loses those that share a table name."""
    (instant,) = expected["first_ns"].mode().sort().head(1).to_list()
    wanted = set(expected.filter(pl.col("first_ns") == instant)["bar_type"])
    found = {str(bar.bar_type) for bar in catalog.query(Bar, start=instant, end=instant)}
    report.checks["unfiltered_query"] = {"instant_ns": instant, "bars": len(found)}
    report.expect(f"bar types missing from an unfiltered query at {instant} ns", [], sorted(wanted - found))


def _compare(report: Report, bar_type: str, wanted: pl.DataFrame, bars: pl.DataFrame) -> None:
    truth = wanted.select("ns", *(pl.col(name).cast(DECODED) for name in SUMMED))
    found = bars.select(pl.col("ts_init").cast(pl.Int64).alias("ns"), *SUMMED)
    if truth.height == found.height and not truth.equals(found):
        both = truth.hstack(found.rename({name: f"{name}_found" for name in found.columns}))
        differs = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_found") for name in truth.columns)
        row = both.filter(differs).row(0, named=True)
        expected, was = ({name: str(row[f"{name}{end}"]) for name in truth.columns} for end in ("", "_found"))
        report.expect(f"{bar_type}, first differing bar", expected, was)


def _hold(report: Report, root: Path, **expected: Any) -> None:  # noqa: ANN401 -- values of a JSON object
    """Hold one option to expiry and compare every fill."""
    try:
        result = hold_to_expiry(root, expected["instrument"], expected["quantity"])
    except PipelineError as error:
        report.failures.append(f"trial backtest of {expected['instrument']}: expected a settlement, found {error.what}")
        return
    found = {
        "entry_price": result.entry_price,
        "entry_time": result.entry_time,
        "settlement_price": result.exit_price,
        "exit_time": result.exit_time,
        "gross_pnl": result.gross_pnl,
    }
    report.checks["trial"] = {"hold_to_expiry": json.loads(result.to_json())}
    for name, value in found.items():
        wanted = expected[name]
        parsed = dt.datetime.fromisoformat(wanted) if name.endswith("_time") else Decimal(wanted)
        report.expect(f"trial backtest of {result.instrument}, {name}", parsed, value)


def _replay(report: Report, root: Path, bar_type: str, rows: int) -> None:
    """Play one instrument through a backtest node and count what the engine saw."""
    venue = BarType.from_str(bar_type).instrument_id.venue.value
    config = BacktestRunConfig(
        engine=BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)),
        venues=[
            BacktestVenueConfig(
                name=venue, oms_type="NETTING", account_type="MARGIN", starting_balances=[f"{_CAPITAL} INR"]
            )
        ],
        data=[BacktestDataConfig(catalog_path=str(root.resolve()), data_cls=Bar, bar_types=[bar_type])],
        raise_exception=True,
    )
    (result,) = BacktestNode([config]).run()
    report.checks["trial"] = {"replay": {"bar_type": bar_type, "iterations": result.iterations}}
    report.expect(f"trial replay of {bar_type}, bars", rows, result.iterations)


def main(arguments: Sequence[str]) -> int:
    """Verify and report.

    Parameters
    ----------
    arguments : sequence of str
        The catalog and the directory of the truth.

    Returns
    -------
    int
        0 when everything agreed, else 1.

    """
    root, truth = (Path(argument) for argument in arguments)
    report = verify_catalog(root, truth)
    report.write(truth)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
