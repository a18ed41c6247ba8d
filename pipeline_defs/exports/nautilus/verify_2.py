"""Has Nautilus 2 read a catalog in its own environment, and compares what it read with the truth.

``python -m pipeline_defs.exports.nautilus.verify_2 CATALOG TRUTH`` writes ``TRUTH/report.json`` and exits
with 0 when everything agreed, 1 when something did not. Version 2 runs in yet another process, that of `engine_2`.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.errors import PipelineError
from pipeline_defs.exports.nautilus.compare import compare
from pipeline_defs.exports.nautilus.reading_2 import DumpedReading, read_with_version_2
from pipeline_defs.exports.nautilus.targets import get_target
from pipeline_defs.exports.nautilus.truth import TRIAL_FILE, series_file
from pipeline_defs.exports.verifying import Report
from pipeline_defs.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Sequence


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
        Without the environment of version 2, or when that version fails or aborts, a failure that says so.

    """
    report = Report(get_target("2").engine)
    trial = json.loads((truth / TRIAL_FILE).read_text())
    (instant,) = pl.read_parquet(truth / series_file("Bar"))["first_ns"].mode().sort().head(1).to_list()
    with scratch("nautilus2") as folder:
        try:
            reading = read_with_version_2(root, folder, {"instant_ns": instant, "trial": trial})
        except PipelineError as error:
            report.failures.append(str(error))
            return report
        report.expect("engine", report.engine, reading.engine)
        compare(report, reading, truth)
        if report.failures:
            report.checks["trial"] = "not judged, since the catalog differs from the slice"
        elif trial["kind"] == "hold" and trial["traded_price"] is not None:
            _judge_hold(report, trial, reading)
        else:
            _judge_replay(report, trial, reading)
    return report


def _judge_hold(report: Report, trial: dict[str, Any], reading: DumpedReading) -> None:
    """Compare the fills of an option that was held to expiry."""
    played = reading.trial()
    fills = [
        (fill["side"], Decimal(fill["price"]), int(Decimal(fill["quantity"])), fill["ns"] // 1_000)
        for fill in played["fills"]
    ]
    expected = [
        ("BUY", Decimal(trial["traded_price"]), trial["quantity"], _microseconds(trial["traded_time"])),
        ("SELL", Decimal(trial["worth_over_underlying"]), trial["quantity"], _microseconds(trial["exit_time"])),
    ]
    if trial["is_delivered"]:
        # Version 2 settles an option on a share by the trades of that share; bars alone leave it open.
        expected, fills = expected[:1], fills[:1]
    report.checks["trial"] = {"hold_to_expiry": {"instrument": trial["instrument"], "fills": played["fills"]}}
    report.expect(f"trial backtest of {trial['instrument']}, fills", expected, fills)


def _judge_replay(report: Report, trial: dict[str, Any], reading: DumpedReading) -> None:
    """Compare how many bars the engine saw; of an option that was never traded nothing more can be asked."""
    if trial["kind"] != "replay":
        report.checks["trial"] = f"not judged, since {trial['instrument']} has no volume"
        return
    iterations = reading.trial()["iterations"]
    report.checks["trial"] = {"replay": {"bar_type": trial["bar_type"], "iterations": iterations}}
    report.expect(f"trial replay of {trial['bar_type']}, bars", trial["rows"], iterations)


def _microseconds(instant: str) -> int:
    return (dt.datetime.fromisoformat(instant) - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1)


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
