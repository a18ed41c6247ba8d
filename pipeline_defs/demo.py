"""``python -m pipeline_defs.demo``: the main job from end to end on generated data, and a short summary of it.

Writes a sample delivery into the landing folder, materialises its sessions and catalogs through the Dagster assets, and
holds one option to expiry in both engines over what was exported. No rule of its own: it calls what the UI, the
command line and the tests call.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import PipelineError
from pipeline_defs.exports.registry import EXPORTERS
from pipeline_defs.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.orchestration.runs import CheckOutcome, PartitionRun
    from pipeline_defs.samples.generate import GeneratedSample
    from pipeline_defs.warehouse.connection import Warehouse

UNDERLYING: Final = "NIFTY"
LOT: Final = 75

_SESSION_ASSETS: Final = "group:ingestion or group:bars"
_CATALOG_ASSETS: Final = "group:catalogs"

# The contract of the nearest expiry whose strike lay closest to the index at the first bar.
_HELD_CONTRACT: Final = """
SELECT o.expiry, trim_scale(o.strike) AS strike, o.option_type
FROM v_options_ticks AS o
WHERE o.underlying = %(underlying)s AND o.bar_seconds = 60 AND o.option_type = 'CE' AND o.expiry <= %(last)s
GROUP BY o.expiry, o.strike, o.option_type
ORDER BY o.expiry, abs(o.strike - (SELECT open FROM v_spot_prices WHERE underlying = %(underlying)s
                                   AND bar_seconds = 60 ORDER BY timestamp LIMIT 1))
LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Contract:
    """An option, as both engines name it."""

    nautilus: str
    backtrader: str


def main() -> int:
    """Run the demo; progress goes to standard error, the summary to standard output.

    Returns
    -------
    int
        0 if every asset, check and engine agreed.

    """
    started = time.monotonic()
    try:
        lines = list(_run(load_settings()))
    except PipelineError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    lines.append(f"done in {time.monotonic() - started:.0f} s; next: 'make ui' opens the Dagster UI on this state")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _run(settings: Settings) -> Iterator[str]:
    from pipeline_defs.orchestration.runs import materialize_partition, open_instance  # noqa: PLC0415 -- loads Dagster
    from pipeline_defs.samples.generate import DEMO, generate  # noqa: PLC0415 -- loads NumPy
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    _say("writing sample files of five sessions")
    sample = generate(DEMO, settings.home)
    _say("starting the database")
    warehouse = open_warehouse(settings)
    month = f"{sample.trade_dates[0]:%Y-%m}|{UNDERLYING}"
    with open_instance(settings) as instance:
        runs = []
        for trade_date in sample.trade_dates:
            _say(f"importing {trade_date}")
            runs.append(_succeeded(materialize_partition(_SESSION_ASSETS, trade_date.isoformat(), instance)))
        _say(f"exporting {month}: each catalog is read back by its engine before it is published")
        runs.append(_succeeded(materialize_partition(_CATALOG_ASSETS, month, instance)))
    yield from _imported(warehouse, sample)
    folders = {name: settings.catalogs_dir / name / UNDERLYING / month[:7] for name in sorted(EXPORTERS)}
    yield from _published(folders)
    yield from _parity(settings.catalogs_dir / "certificates" / UNDERLYING / month[:7] / "certificate.json")
    contract = _held_contract(warehouse, sample)
    _say("holding one option to expiry in both engines")
    yield from _held(folders, contract)
    yield from _checks([check for run in runs for check in run.checks])


def _checks(checks: list[CheckOutcome]) -> Iterator[str]:
    warned = [check for check in checks if not check.passed]
    yield f"checks      {len(checks) - len(warned)} of {len(checks)} passed; warned, as they should on this sample:"
    for check in warned:
        found = " ".join(str(check.metadata.get("found", "see the UI")).split())
        yield f"            {check.asset} {check.name}: {found[:90]}"


def _succeeded(run: PartitionRun) -> PartitionRun:
    if not run.succeeded:
        raise PipelineError(
            "\n".join(run.failures) or "a step failed",
            where=f"run {run.run_id}",
            next_step="'make ui' shows the run with its events",
        )
    return run


def _imported(warehouse: Warehouse, sample: GeneratedSample) -> Iterator[str]:
    with warehouse.connect() as connection:
        datasets = connection.execute(
            "SELECT dataset, sum(rows_stored + rows_unchanged + rows_corrected)::bigint FROM loads AS l"
            " WHERE load_id IN (SELECT max(load_id) FROM loads GROUP BY dataset, bar_seconds, trade_date, source)"
            " GROUP BY dataset ORDER BY dataset"
        ).fetchall()
        contracts = connection.execute("SELECT kind, count(*) FROM instruments GROUP BY kind ORDER BY kind").fetchall()
        refused = connection.execute(
            "SELECT reason, count(*) FROM quarantine"
            " WHERE load_id IN (SELECT max(load_id) FROM loads GROUP BY dataset, bar_seconds, trade_date, source)"
            " GROUP BY reason ORDER BY count(*) DESC, reason"
        ).fetchall()
        example = connection.execute(
            "SELECT load_id FROM quarantine GROUP BY load_id ORDER BY count(*) DESC"
        ).fetchone()
    days = sample.trade_dates
    yield f"sessions    {len(days)}: {days[0]} to {days[-1]}, one of them with planted defects"
    yield "rows        " + ", ".join(f"{rows:,} {dataset}" for dataset, rows in datasets)
    names = {"OPT": "options", "FUT": "futures", "CONT": "rolling futures", "SPOT": "indices", "EQ": "shares"}
    yield "contracts   " + ", ".join(f"{count} {names[kind]}" for kind, count in contracts)
    yield f"refused     {sum(count for _, count in refused)}: " + ", ".join(f"{n} {reason}" for reason, n in refused)
    if example is not None:
        yield f"            each with file and line: .venv/bin/pipeline quarantine --load {example[0]}"


def _published(folders: dict[str, Path]) -> Iterator[str]:
    for name, folder in folders.items():
        described = json.loads((folder / "_manifest.json").read_text(encoding="utf-8"))
        counts = ", ".join(f"{count:,} {what}" for what, count in described["counts"].items())
        yield f"{name:<11} {folder}"
        yield f"            {counts}; confirmed by {described['verification']['engine']}"


def _parity(file: Path) -> Iterator[str]:
    certificate = json.loads(file.read_text(encoding="utf-8"))
    if not certificate["passed"]:
        raise PipelineError("the formats do not agree:\n" + "\n".join(certificate["differences"]), where=str(file))
    yield f"parity      {', '.join(catalog['format'] for catalog in certificate['catalogs'])} give the same bars:"
    for part in certificate["resolutions"]:
        yield f"            {part['rows']:,} of {part['bar_seconds']:,} s, {part['contracts']} contracts"


def _held_contract(warehouse: Warehouse, sample: GeneratedSample) -> Contract:
    with warehouse.connect() as connection:
        row = connection.execute(_HELD_CONTRACT, {"underlying": UNDERLYING, "last": sample.trade_dates[-1]}).fetchone()
    if row is None:
        raise PipelineError("no option of the sample expires within it", where=UNDERLYING)
    expiry, strike, option_type = row
    return Contract(
        nautilus=f"{UNDERLYING}{expiry:%y%m%d}{option_type[0]}{strike:f}.NSE",
        backtrader=f"{UNDERLYING}_{expiry:%y%m%d}_{strike:f}_{option_type}",
    )


def _held(folders: dict[str, Path], contract: Contract) -> Iterator[str]:
    quantity = ("--quantity", str(LOT), "--json")
    results = {
        "nautilus": _engine(
            "nautilus_hold", "--catalog", str(folders["nautilus"]), "--instrument", contract.nautilus, *quantity
        ),
        "backtrader": _engine(
            "backtrader_hold", "--directory", str(folders["backtrader"]), "--contract", contract.backtrader, *quantity
        ),
    }
    yield f"strategy    buy {LOT} {contract.backtrader}, hold to expiry"
    for name, result in results.items():
        fills = ", ".join(f"{fill['side']} at {fill['price']}" for fill in result["fills"])
        yield (
            f"  {name:<10} {fills}; settled at {result['settlement_price']};"
            f" profit {result['gross_pnl']} ({result['engine']})"
        )
    if len({result["gross_pnl"] for result in results.values()}) != 1:
        raise PipelineError("the engines disagree on the profit", where=contract.backtrader)


def _engine(module: str, *arguments: str) -> dict[str, Any]:
    """Run one backtest in a process of its own: an engine that crashes must not take the demo along."""
    completed = subprocess.run(  # noqa: S603 -- our own module with arguments of our own
        [sys.executable, "-m", f"pipeline_defs.backtests.{module}", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise PipelineError(f"the backtest failed: {completed.stderr.strip()[-2000:]}", where=module)
    result: dict[str, Any] = json.loads(completed.stdout)
    return result


def _say(line: str) -> None:
    sys.stderr.write(f"{line} ...\n")


if __name__ == "__main__":
    sys.exit(main())
