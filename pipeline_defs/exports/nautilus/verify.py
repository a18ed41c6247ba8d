"""Reads a catalog with Nautilus 1.231 itself and compares it with the truth: a process of its own.

``python -m pipeline_defs.exports.nautilus.verify CATALOG TRUTH`` writes ``TRUTH/report.json`` and exits
with 0 when everything agreed, 1 when something did not. A file that Nautilus cannot decode aborts the
process without a report, which is why no process that matters may import this module.

How things are read is the business of `readback`, what they must be that of `compare`; here a backtest is added.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import nautilus_trader
from nautilus_trader.backtest.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.data import Bar, BarType

from pipeline_defs.backtests.nautilus_hold import hold_to_expiry
from pipeline_defs.errors import PipelineError
from pipeline_defs.exports.nautilus.compare import compare
from pipeline_defs.exports.nautilus.readback import CatalogReading
from pipeline_defs.exports.nautilus.truth import TRIAL_FILE
from pipeline_defs.exports.verifying import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    compare(report, CatalogReading(root), truth)
    if report.failures:
        report.checks["trial"] = "not run, since the catalog differs from the slice"
        return report
    trial = json.loads((truth / TRIAL_FILE).read_text())
    if trial.pop("kind") == "hold":
        _hold(report, root, **trial)
    else:
        _replay(report, root, **trial)
    return report


def _hold(report: Report, root: Path, **expected: Any) -> None:  # noqa: ANN401 -- values of a JSON object
    """Hold one option to expiry and compare every fill."""
    try:
        official = expected["official"]
        result = hold_to_expiry(
            root,
            expected["instrument"],
            expected["quantity"],
            settlement_price=None if official is None else Decimal(official),
        )
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
    told = json.loads(result.to_json()) | {"instrument_id": expected["instrument_id"]}
    report.checks["trial"] = {"hold_to_expiry": told}
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
