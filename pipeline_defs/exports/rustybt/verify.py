"""Has rustybt read a root in its own environment, and compares every value that it gave with the truth.

``python -m pipeline_defs.exports.rustybt.verify ROOT TRUTH`` writes ``TRUTH/report.json`` and exits with 0 when
everything agreed, 1 when something did not. Without a truth in TRUTH (a published folder that is validated) what both
bundles give is compared with each other, and their bars are counted against the manifest. rustybt runs in yet another
process, that of `engine`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ExportError, PipelineError
from pipeline_defs.exports.manifest import check_manifest, list_objects, read_manifest
from pipeline_defs.exports.rustybt.build import ENGINE
from pipeline_defs.exports.rustybt.checks import DAY, MINUTE, VALUES
from pipeline_defs.exports.rustybt.reading import read_with_rustybt
from pipeline_defs.exports.rustybt.run_bundle import PER_UNIT
from pipeline_defs.exports.rustybt.truth import ASKED_FILE, bars_file
from pipeline_defs.exports.verifying import Report
from pipeline_defs.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

_READERS: Final = {DAY: "daily", MINUTE: "minute"}
_STAMP: Final = pl.Datetime("us")


def verify_root(root: Path, truth: Path) -> Report:
    """Compare a root with what it must hold.

    Parameters
    ----------
    root : Path
        The export.
    truth : Path
        Directory filled by `pipeline_defs.exports.rustybt.truth.write_truth`, or empty.

    Returns
    -------
    Report
        Without the environment of rustybt, or when rustybt fails, a failure that says so.

    """
    report = Report(ENGINE)
    with scratch("rustybt") as output:
        try:
            expected = _expected(root, truth)
            before = list_objects(root)
            found = read_with_rustybt(root, output, expected)
        except PipelineError as error:
            report.failures.append(str(error))
            return report
        changed = [entry["path"] for entry in list_objects(root) if entry not in before]
        report.expect("files that rustybt changed by reading", [], changed)
        report.expect("engine", ENGINE, f"rustybt {found['version']}")
        report.checks["bundles.load of the decimal bundle"] = found["loading"]
        bars = {seconds: _engine_bars(output, seconds) for seconds in expected["resolutions"]}
        rows = sum(frame.height for frame in bars.values())
        report.expect("bars in bundle_metadata", rows, found["metadata"]["row_count"])
        if "symbols" in expected:
            _compare_with_truth(report, expected, found, bars, truth)
        else:
            report.expect("bars that the manifest counts", expected["bars"], rows)
        if DAY in bars:
            portal = pl.read_parquet(output / "portal.parquet").rename({"date": "stamp"})
            _compare(report, "PolarsDataPortal, 1d close", bars[DAY].select("sid", "stamp", "close"), portal)
        if expected["run_bundle"] is not None:
            _compare_run_bundle(report, output, found, bars)
    return report


def _expected(root: Path, truth: Path) -> dict[str, Any]:
    """Read what is asked of rustybt: from the truth, or from what the export says of itself."""
    if (truth / ASKED_FILE).exists():
        asked: dict[str, Any] = json.loads((truth / ASKED_FILE).read_text(encoding="utf-8"))
        return asked
    manifest = read_manifest(root)
    differences = check_manifest(root)
    if differences:
        # The extension is a program: one that is not as it was published is not run.
        raise ExportError(f"is not as it was published, so rustybt was not started: {differences[0]}", where=str(root))
    details = manifest["details"]
    folder = root / "data" / "bundles" / details["decimal_bundle"]
    return {
        "decimal_bundle": details["decimal_bundle"],
        "run_bundle": details["run_bundle"],
        "resolutions": [seconds for seconds, name in _READERS.items() if (folder / f"{name}_bars").exists()],
        "bars": manifest["counts"]["bars"],
    }


def _engine_bars(output: Path, bar_seconds: int) -> pl.DataFrame:
    """Give what the reader of a resolution gave: `sid`, `stamp` (a date or a naive instant) and exact values."""
    rows = pl.read_parquet(output / f"{_READERS[bar_seconds]}.parquet")
    return rows.rename({"date" if bar_seconds == DAY else "dt": "stamp"}).select("sid", "stamp", *VALUES)


def _compare_with_truth(
    report: Report, expected: dict[str, Any], found: dict[str, Any], bars: dict[int, pl.DataFrame], truth: Path
) -> None:
    symbols = [[sid, symbol, sid] for sid, symbol in expected["symbols"]]
    report.expect("symbols by sid, found both ways", symbols, found["symbols"])
    report.expect("adjustments of the decimal bundle", expected["adjustments"], found["adjustments"])
    readback = []
    for bar_seconds, rows in bars.items():
        wanted = pl.read_parquet(truth / bars_file(bar_seconds))
        stamp = pl.col("session_date") if bar_seconds == DAY else pl.col("timestamp").dt.replace_time_zone(None)
        wanted = wanted.with_columns(stamp=stamp)
        _compare(report, f"{_READERS[bar_seconds]} bars", wanted.select("sid", "stamp", *VALUES), rows)
        # The close of a daily bar is not in the files, its date is: the instant comes from the sessions.
        readback.append(
            rows.join(wanted.select("sid", "stamp", "instrument_id", "timestamp"), on=["sid", "stamp"])
            .group_by("instrument_id")
            .agg(
                bar_seconds=pl.lit(bar_seconds, pl.Int32),
                rows=pl.len().cast(pl.Int64),
                first_timestamp=pl.col("timestamp").min(),
                last_timestamp=pl.col("timestamp").max(),
                close_sum=pl.col("close").cast(pl.Decimal(38, 8)).sum(),
                volume_sum=pl.col("volume").cast(pl.Decimal(38, 8)).sum(),
            )
        )
    report.readback = pl.concat(readback).sort("instrument_id", "bar_seconds")
    if expected["run_bundle"] is not None:
        report.expect("sessions of the run bundle", expected["sessions"], found["run_sessions"])


def _compare_run_bundle(report: Report, output: Path, found: dict[str, Any], bars: dict[int, pl.DataFrame]) -> None:
    report.expect("symbols of both bundles", found["symbols"], found["run_symbols"])
    for bar_seconds, rows in bars.items():
        given = pl.read_parquet(output / f"run_{_READERS[bar_seconds]}.parquet")
        _compare(report, f"run bundle, {_READERS[bar_seconds]} bars", _as_run(rows), _exact(given))
    report.expect("adjustments of both bundles", found["adjustments"], found["run_adjustments"])
    history = pl.read_parquet(output / "run_history.parquet")
    ratios = _ratios(found["run_adjustments"])
    for bar_seconds, frequency in ((DAY, "1d"), (MINUTE, "1m")):
        if bar_seconds not in bars:
            continue
        given = history.filter(pl.col("frequency") == frequency).select("sid", "stamp", "close")
        # The window is that of the portal; what it must hold is ours.
        asked = pl.col("stamp").is_in(given["stamp"].unique().implode())
        wanted = bars[bar_seconds].select("sid", pl.col("stamp").cast(_STAMP), "close").filter(asked)
        _compare(
            report,
            f"DataPortal, {frequency} close",
            _exact(_adjusted(wanted, ratios)),
            _exact(given.filter(pl.col("close").is_not_nan())),
        )
    report.checks["sessions"] = len(found["run_sessions"])
    report.checks["adjustments"] = {name: len(rows) for name, rows in found["run_adjustments"].items()}


def _ratios(adjustments: dict[str, list[list[Any]]]) -> pl.DataFrame:
    rows = [row for table in adjustments.values() for row in table]
    schema = {"sid": pl.Int64(), "seconds": pl.Int64(), "ratio": pl.Float64()}
    return pl.DataFrame(rows, schema=schema, orient="row").select(
        "sid", "ratio", effective=pl.from_epoch("seconds").cast(_STAMP)
    )


def _adjusted(rows: pl.DataFrame, ratios: pl.DataFrame) -> pl.DataFrame:
    """Multiply closes by the ratios of all later dates, as a window that ends after them has them."""
    later = (
        rows.select("sid", "stamp")
        .join(ratios, on="sid")
        .filter(pl.col("stamp") < pl.col("effective"))
        .group_by("sid", "stamp")
        .agg(pl.col("ratio").product())
    )
    return rows.join(later, on=["sid", "stamp"], how="left").select(
        "sid", "stamp", close=pl.col("close").cast(pl.Float64) * pl.col("ratio").fill_null(1)
    )


def _as_run(rows: pl.DataFrame) -> pl.DataFrame:
    """Give exact bars as whole thousandths and whole units, with a naive instant."""
    prices = [name for name in rows.columns if name not in {"sid", "stamp", "volume"}]
    return rows.with_columns(
        pl.col("stamp").cast(_STAMP),
        *((pl.col(name).cast(pl.Decimal(38, 8)) * PER_UNIT).cast(pl.Int64) for name in prices),
        *(pl.col(name).cast(pl.Int64) for name in rows.columns if name == "volume"),
    )


def _exact(rows: pl.DataFrame) -> pl.DataFrame:
    """Give floating point bars as whole thousandths, which their error of a few units in the last place never blurs."""
    return rows.with_columns(
        *((pl.col(name) * PER_UNIT).round().cast(pl.Int64) for name in rows.columns if name in VALUES[:-1]),
        *(pl.col(name).round().cast(pl.Int64) for name in rows.columns if name == "volume"),
    )


def _compare(report: Report, what: str, expected: pl.DataFrame, found: pl.DataFrame) -> None:
    """Compare rows by sid and stamp, value by value."""
    names = [name for name in expected.columns if name not in {"sid", "stamp"}]
    both = expected.join(
        found.select(expected.columns), on=["sid", "stamp"], how="full", coalesce=True, suffix="_found"
    )
    differs: pl.Expr = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_found")) for name in names)
    report.checks[what] = found.height
    report.expect(f"{what}, rows", expected.height, found.height)
    for row in both.filter(differs).sort("sid", "stamp").head(10).iter_rows(named=True):
        report.failures.append(
            f"{what}, sid {row['sid']} at {row['stamp']}: expected {', '.join(f'{n} {row[n]}' for n in names)}; "
            f"found {', '.join(f'{n} {row[n + "_found"]}' for n in names)}"
        )


def main(arguments: Sequence[str]) -> int:
    """Verify and report.

    Parameters
    ----------
    arguments : sequence of str
        The root and the directory of the truth.

    Returns
    -------
    int
        0 when everything agreed, else 1.

    """
    root, truth = (Path(argument) for argument in arguments)
    report = verify_root(root, truth)
    report.write(truth)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
