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

import backtrader as bt
import polars as pl

from pipeline_defs.backtests.backtrader_hold import hold_to_expiry
from pipeline_defs.errors import PipelineError
from pipeline_defs.exports.backtrader.contracts import SIDECAR_NAME, read_sidecar, read_terms
from pipeline_defs.exports.backtrader.loader import load_chain
from pipeline_defs.exports.backtrader.readback import COMPARED, read_texts, replay
from pipeline_defs.exports.backtrader.truth import BARS_FILE, CONTRACTS_FILE, TRIAL_FILE, VALUES
from pipeline_defs.exports.backtrader.values import Contract
from pipeline_defs.exports.verifying import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_TERMS: Final = tuple(
    term.name for term in fields(Contract) if term.name not in {"name", "sha256", "settlement", "terms"}
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
    expected = pl.read_parquet(truth / CONTRACTS_FILE)
    bars = pl.read_parquet(truth / BARS_FILE).with_columns(pl.col(VALUES).cast(COMPARED))
    _check_files(report, root, expected)
    if not report.failures:
        _check_sidecar(report, root, expected)
        _check_texts(report, root, expected)
    # A file that is missing or not as it should be makes Backtrader raise, which tells less than the lines so far.
    if not report.failures:
        read = expected.filter("in_engine")
        parts = bars.partition_by("name", as_dict=True, include_key=False)
        truths = {name: parts[name,] for name in read["name"]}
        _check_plain(report, root, zip(read["name"], read["file"], strict=True), truths)
        _check_chain(report, root, expected["name"].to_list(), truths)
        _check_trial(report, root, json.loads((truth / TRIAL_FILE).read_text()))
        report.checks["engine"] = {
            "files": read.height,
            "bars": int(read["rows"].sum()),
            "all": read.height == expected.height,
        }
    return report


def _check_files(report: Report, root: Path, expected: pl.DataFrame) -> None:
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    wanted = sorted([*expected["file"], SIDECAR_NAME])
    report.checks["files"] = len(found)
    report.expect("files that are missing", [], sorted(set(wanted) - set(found)))
    report.expect("files besides the slice's", [], sorted(set(found) - set(wanted)))


def _check_sidecar(report: Report, root: Path, expected: pl.DataFrame) -> None:
    contracts = {contract.name: contract for contract in read_sidecar(root).contracts}
    report.expect("contracts in the sidecar", expected["name"].to_list(), sorted(contracts))
    settled = 0
    for row in expected.iter_rows(named=True):
        contract = contracts.get(row["name"])
        if contract is None:
            continue
        for term in _TERMS:
            report.expect(f"{row['name']} {term} in the sidecar", row[term], getattr(contract, term))
        periods = read_terms(json.loads(row["terms"] or "null"))
        report.expect(f"{row['name']} terms by date in the sidecar", periods, contract.terms)
        price, close, time = _settlement(contract)
        settled += price is not None
        report.expect(f"{row['name']} settlement price", row["settlement_price"], price)
        report.expect(f"{row['name']} close it is settled on", row["underlying_close"], close)
        report.expect(f"{row['name']} time of that close", row["underlying_time"], time)
    report.checks["contracts"] = {"described": len(contracts), "settled": settled}


def _settlement(contract: Contract) -> tuple[Decimal | None, Decimal | None, dt.datetime | None]:
    settlement = contract.settlement
    if settlement is None:
        return None, None, None
    return settlement.price, settlement.underlying_close, settlement.underlying_time


def _check_texts(report: Report, root: Path, expected: pl.DataFrame) -> None:
    hashes = {contract.file: contract.sha256 for contract in read_sidecar(root).contracts}
    rows = 0
    for row, found in zip(expected.iter_rows(named=True), read_texts(root, expected["file"]), strict=True):
        where = row["file"]
        report.expect(f"{where} sha256", hashes.get(where), found.sha256)
        if found.defect is not None:
            report.failures.append(f"{where}: {found.defect}")
            continue
        rows += found.rows
        report.expect(f"{where} rows", row["rows"], found.rows)
        report.expect(f"{where} first stamp", row["first"], found.first)
        report.expect(f"{where} last stamp", row["last"], found.last)
        for name in VALUES:
            report.expect(f"{where} sum of {name}", row[f"{name}_sum"], found.sums[name])
    report.checks["text"] = {"files": expected.height, "bars": rows}


def _check_plain(report: Report, root: Path, files: Iterable[tuple[str, str]], truths: dict[str, pl.DataFrame]) -> None:
    """Load each file with every parameter at its default, which takes it for daily bars."""
    for name, file in files:
        found = replay(bt.feeds.GenericCSVData(dataname=str(root / file))).with_columns(
            pl.col("time").dt.truncate("1s")
        )
        at_day_end = truths[name].with_columns(pl.col("time").dt.date().dt.combine(_DAY_END))
        _compare(report, f"{file} with all defaults", at_day_end, found)


def _check_chain(report: Report, root: Path, names: list[str], truths: dict[str, pl.DataFrame]) -> None:
    """Load each file as the loader does, which keeps the exact stamps."""
    feeds = {feed._name: feed for feed in load_chain(root)}  # noqa: SLF001 -- Backtrader's
    report.expect("contracts in the chain", names, sorted(feeds))
    for name, truth in truths.items():
        _compare(report, f"{name} through load_chain", truth, replay(feeds[name]))


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
    report.checks["trial"] = {"hold_to_expiry": json.loads(result.to_json())}
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
