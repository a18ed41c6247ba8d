"""Loads an export with Backtrader itself and compares it with the truth: a process of its own.

``python -m pipeline_defs.exports.backtrader.verify FOLDER TRUTH`` writes ``TRUTH/report.json`` and exits with 0 when
everything agreed, 1 when something did not. Without a report, the process has crashed.

Of every file the text is read exactly: its rows, stamps, order and sums. Backtrader then loads the
files as users do, plainly with all defaults and through `load_chain`; it manages some 25 000 bars a
second, so of a large export the truth names a part for that, and the report says how much it was.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import fields
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import backtrader as bt
import polars as pl

from pipeline_defs.backtests.backtrader_hold import hold_to_expiry
from pipeline_defs.errors import PipelineError
from pipeline_defs.exports.backtrader.contracts import SIDECAR_NAME, read_sidecar, read_terms
from pipeline_defs.exports.backtrader.loader import load_chain
from pipeline_defs.exports.backtrader.naming import bar_length
from pipeline_defs.exports.backtrader.readback import TextFile, as_backtrader_holds, read_texts, replay
from pipeline_defs.exports.backtrader.text import GREEKS_COLUMNS
from pipeline_defs.exports.backtrader.truth import BARS_FILE, CONTRACTS_FILE, FILES_FILE, TRIAL_FILE, VALUES
from pipeline_defs.exports.backtrader.values import Contract
from pipeline_defs.exports.manifest import MANIFEST_NAME
from pipeline_defs.exports.verifying import Report
from pipeline_defs.schema.exports import READBACK_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.exports.backtrader.values import Sidecar


_TERMS: Final = tuple(
    term.name for term in fields(Contract) if term.name not in {"name", "files", "settlement", "terms"}
)
"""Compared by the name of the column that the truth has for it."""

_DAY_END: Final = dt.time(23, 59, 59)
"""Where Backtrader puts a bar when it takes the file for a daily one, to the second."""


def verify_export(root: Path, truth: Path) -> Report:
    """Compare an export with what it must hold.

    Parameters
    ----------
    root : Path
        The export.
    truth : Path
        Directory filled by `pipeline_defs.exports.backtrader.truth.write_truth`.

    Returns
    -------
    Report

    """
    report = Report(f"backtrader {version('backtrader')}")
    try:
        _verify(report, root, truth)
    except PipelineError as error:
        report.failures.append(str(error))
    return report


def _verify(report: Report, root: Path, truth: Path) -> None:
    expected = pl.read_parquet(truth / CONTRACTS_FILE)
    files = pl.read_parquet(truth / FILES_FILE)
    check_file_names(report, root, files["file"].to_list())
    texts = check_texts(report, root, files)
    report.readback = readback(files, texts)
    sidecar = read_sidecar(root)
    _check_sidecar(report, sidecar, expected, files)
    check_described_files(report, sidecar, texts)
    # A file that is missing or not as it should be makes Backtrader raise, which tells less than the lines so far.
    if not report.failures:
        bars = pl.read_parquet(truth / BARS_FILE).partition_by("file", as_dict=True, include_key=False)
        read = files.filter("in_engine")
        truths = {name: bars[name,] for name in read["file"]}
        for name, held in truths.items():
            if texts[name].greeks_fingerprint is None and GREEKS_COLUMNS[0] in held.columns:
                truths[name] = held.drop(GREEKS_COLUMNS)
        check_engine(report, root, truths, files.height)
        _check_trial(report, root, json.loads((truth / TRIAL_FILE).read_text()))


def check_file_names(report: Report, root: Path, wanted: list[str]) -> None:
    """Expect a folder to hold these files and the sidecar, and no other but the manifest."""
    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - {MANIFEST_NAME}
    report.checks["files"] = len(found)
    report.expect("files that are missing", [], sorted({*wanted, SIDECAR_NAME} - found))
    report.expect("files that do not belong there", [], sorted(found - {*wanted, SIDECAR_NAME}))


def check_texts(report: Report, root: Path, files: pl.DataFrame) -> dict[str, TextFile]:
    """Read the text of every file that is there, exactly, and compare what `files` says of it."""
    there = [file for file in files["file"] if (root / file).is_file()]
    texts = dict(zip(there, read_texts(root, there), strict=True))
    compared = [name for name in ("rows", "first", "last") if name in files.columns]
    sums = [name for name in VALUES if f"{name}_sum" in files.columns]
    for row in files.iter_rows(named=True):
        where, found = row["file"], texts.get(row["file"])
        if found is None:
            continue
        if found.defect is not None:
            report.failures.append(f"{where}: {found.defect}")
            continue
        known = len(report.failures)
        for name in compared:
            label = {"first": "first stamp", "last": "last stamp"}.get(name, name)
            report.expect(f"{where} {label}", row[name], getattr(found, name))
        for value in sums:
            report.expect(f"{where} sum of {value}", row[f"{value}_sum"], found.sums[value])
        if len(report.failures) == known and row.get("fingerprint", found.fingerprint) != found.fingerprint:
            report.failures.append(
                f"{where}: expected the bars of the slice, found others, though rows, bounds and all sums agree"
            )
        if row.get("greeks_fingerprint", found.greeks_fingerprint) != found.greeks_fingerprint:
            report.failures.append(f"{where}: expected the Greeks of the slice, found others")
    report.checks["text"] = {"files": len(texts), "bars": sum(text.rows for text in texts.values())}
    return texts


def readback(files: pl.DataFrame, texts: dict[str, TextFile]) -> pl.DataFrame:
    """Give what the texts hold, as `READBACK_SCHEMA`, from files of which the truth says whose they are."""
    rows = [
        {
            "instrument_id": row["instrument_id"],
            "bar_seconds": row["bar_seconds"],
            "rows": found.rows,
            "first_timestamp": _instant(found.first, row["timezone"]),
            "last_timestamp": _instant(found.last, row["timezone"]),
            "close_sum": found.sums["close"],
            "volume_sum": found.sums["volume"],
        }
        for row in files.iter_rows(named=True)
        for found in [texts.get(row["file"])]
        if found is not None and found.defect is None
    ]
    return pl.DataFrame(rows, schema=READBACK_SCHEMA).sort("instrument_id", "bar_seconds")


def _instant(time: dt.datetime | None, zone: str) -> dt.datetime | None:
    return None if time is None else time.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


def _check_sidecar(report: Report, sidecar: Sidecar, expected: pl.DataFrame, files: pl.DataFrame) -> None:
    contracts = {contract.name: contract for contract in sidecar.contracts}
    report.expect("contracts in the sidecar", expected["name"].to_list(), sorted(contracts))
    told = [(contract.name, bars.bar_seconds, bars.file) for contract in sidecar.contracts for bars in contract.files]
    report.expect("files in the sidecar", sorted(files.select("name", "bar_seconds", "file").rows()), sorted(told))
    report.expect("zone in the sidecar", files["timezone"].unique().to_list(), [sidecar.timezone])
    settled = 0
    for row in expected.iter_rows(named=True):
        contract = contracts.get(row["name"])
        if contract is None:
            continue
        for term in _TERMS:
            report.expect(f"{row['name']} {term} in the sidecar", row[term], getattr(contract, term))
        periods = read_terms(json.loads(row["terms"] or "null"))
        report.expect(f"{row['name']} terms by date in the sidecar", periods, contract.terms)
        price, basis, close, time = _settlement(contract)
        settled += price is not None
        report.expect(f"{row['name']} settlement price", row["settlement_price"], price)
        report.expect(f"{row['name']} basis of that price", row["settlement_basis"], basis)
        report.expect(f"{row['name']} close it is settled on", row["underlying_close"], close)
        report.expect(f"{row['name']} time of that close", row["underlying_time"], time)
    report.checks["contracts"] = {"described": len(contracts), "settled": settled}


def _settlement(contract: Contract) -> tuple[Decimal | None, str | None, Decimal | None, dt.datetime | None]:
    settlement = contract.settlement
    if settlement is None:
        return None, None, None, None
    return settlement.price, settlement.basis, settlement.underlying_close, settlement.underlying_time


def check_described_files(report: Report, sidecar: Sidecar, texts: dict[str, TextFile]) -> None:
    """Expect the files to be what the sidecar says of them, byte by byte."""
    described = {bars.sha256: bars.file for contract in sidecar.contracts for bars in contract.files}
    for contract in sidecar.contracts:
        for bars in contract.files:
            found = texts.get(bars.file)
            if found is None:
                continue
            if found.sha256 != bars.sha256 and found.sha256 in described:
                report.failures.append(
                    f"{bars.file}: expected its own bars, found those of {described[found.sha256]}: files were swapped"
                )
                continue
            report.expect(f"{bars.file} sha256", bars.sha256, found.sha256)
            if found.defect is None:
                told = {"rows": bars.rows, "first": bars.first, "last": bars.last}
                for name, value in told.items():
                    report.expect(f"{bars.file} {name} in the sidecar", getattr(found, name), value)


def check_engine(report: Report, root: Path, truths: dict[str, pl.DataFrame], all_files: int) -> None:
    """Have Backtrader load files in both ways and compare every bar.

    Parameters
    ----------
    report : Report
        Takes what differs.
    root : Path
        The export.
    truths : dict
        By file, its bars as they must come: `time` (naive) and `VALUES`, and the Greeks of files that have them.
    all_files : int
        How many the export holds.

    """
    held = {file: as_backtrader_holds(truth) for file, truth in truths.items()}
    _check_plain(report, root, held)
    _check_chain(report, root, held)
    report.checks["engine"] = {
        "files": len(truths),
        "bars": sum(truth.height for truth in truths.values()),
        "all": len(truths) == all_files,
    }


def _check_plain(report: Report, root: Path, truths: dict[str, pl.DataFrame]) -> None:
    """Load each file with every parameter at its default, which takes it for daily bars."""
    for file, truth in truths.items():
        found = replay(bt.feeds.GenericCSVData(dataname=str(root / file))).with_columns(
            pl.col("time").dt.truncate("1s")
        )
        at_day_end = truth.select("time", *VALUES).with_columns(pl.col("time").dt.date().dt.combine(_DAY_END))
        _compare(report, f"{file} with all defaults", at_day_end, found)


def _check_chain(report: Report, root: Path, truths: dict[str, pl.DataFrame]) -> None:
    """Load each file as the loader does, which keeps the exact stamps."""
    lengths = {bar_length(seconds).resolution for seconds in read_sidecar(root).resolutions}
    feeds = {feed.bar_file.file: feed for feed in load_chain(root, resolutions=lengths)}
    for file, truth in truths.items():
        _compare(report, f"{file} through load_chain", truth, replay(feeds[file]))


def _compare(report: Report, where: str, truth: pl.DataFrame, found: pl.DataFrame) -> None:
    if truth.height != found.height:
        report.expect(f"{where}, bars", truth.height, found.height)
        return
    if truth.equals(found):
        return
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_found")) for name in truth.columns)
    both = truth.hstack(found.rename({name: f"{name}_found" for name in found.columns}))
    row = both.filter(differs).row(0, named=True)
    expected, was = ({name: str(row[f"{name}{end}"]) for name in truth.columns} for end in ("", "_found"))
    report.expect(where, expected, was)


def _check_trial(report: Report, root: Path, expected: dict[str, Any] | None) -> None:
    """Hold one option to expiry and compare every fill."""
    if expected is None:
        report.checks["trial"] = "no option expires within the export"
        return
    try:
        result = hold_to_expiry(root, expected["contract"], expected["quantity"])
    except PipelineError as error:
        report.failures.append(f"trial backtest of {expected['contract']}: expected a settlement, found {error.what}")
        return
    told = json.loads(result.to_json()) | {"instrument_id": expected["instrument_id"]}
    report.checks["trial"] = {"hold_to_expiry": told}
    found = {
        "entry_price": result.entry_price,
        "entry_time": result.entry_time,
        "settlement_price": result.exit_price,
        "exit_time": result.exit_time,
        "gross_pnl": result.gross_pnl,
    }
    for name, value in found.items():
        wanted = expected[name]
        parsed = dt.datetime.fromisoformat(wanted) if name.endswith("_time") else Decimal(wanted)
        report.expect(f"trial backtest of {result.instrument}, {name}", parsed, value)


def main(arguments: Sequence[str]) -> int:
    """Verify one export and write the report.

    Parameters
    ----------
    arguments : sequence of str
        Export and truth directory.

    Returns
    -------
    int
        Exit code.

    """
    root, truth = map(Path, arguments)
    report = verify_export(root, truth)
    report.write(truth)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
