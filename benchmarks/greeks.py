"""What implied volatility and Greeks cost, against the floor, and what the libraries at hand give.

``python -m benchmarks.greeks [--rows 1000000] [--rounds 5] [--day-rows 250000]`` prints one JSON object. The ways take
turns in one process, each timed in CPU seconds of one core; only ratios mean anything across machines.

model       implied volatility and five Greeks of every row, `pipeline_defs.greeks`
floor       one evaluation of Black's price of the same rows with NumPy and scipy's normal distribution
nautilus    `imply_vol_and_greeks` of nautilus_trader, a call a row, of a sample
quantlib    `blackFormulaImpliedStdDevLiRS` and `BlackCalculator` of QuantLib, a call a row, of a sample
session     a generated day in the database: read, computed, stored; then again, when nothing differs
"""

# ruff: noqa: INP001, T201 -- a script to run, which prints

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import QuantLib
from nautilus_trader.core import nautilus_pyo3
from scipy.special import ndtr

from benchmarks.measuring import Server
from pipeline_defs.greeks import black
from pipeline_defs.greeks.implied import implied_volatility
from pipeline_defs.greeks.parameters import GreeksParameters
from pipeline_defs.greeks.session import GreeksReport, compute_session
from pipeline_defs.samples.generate import benchmark_day, generate
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE: Final = 20_000
"""Rows of the ways that take one at a time."""


def chain(rows: int) -> tuple[black.Contracts, black.Floats]:
    """Make options as an index chain has them in the minutes of months, and their prices to two decimals."""
    random = np.random.default_rng(20_250_814)
    forward = 24_600 * np.exp(random.normal(0, 0.01, rows))
    strike = np.round(forward * np.exp(random.normal(0, 0.04, rows)) / 50) * 50
    years = random.uniform(1 / 365, 0.25, rows)
    contracts = black.Contracts(forward, strike, years, np.full(rows, 0.065), random.integers(0, 2, rows) == 1)
    price = black.price(contracts, random.uniform(0.08, 0.4, rows))
    return contracts, np.maximum(np.round(price, 2), 0.05)


def floor(contracts: black.Contracts, volatility: black.Floats) -> black.Floats:
    """Evaluate the formula once, as a textbook has it."""
    total = volatility * np.sqrt(contracts.years)
    d1 = np.log(contracts.forward / contracts.strike) / total + total / 2
    sign = np.where(contracts.is_call, 1.0, -1.0)
    value = contracts.forward * ndtr(sign * d1) - contracts.strike * ndtr(sign * (d1 - total))
    return np.asarray(sign * contracts.discount * value)


def model(contracts: black.Contracts, price: black.Floats) -> black.Greeks:
    """Do what the asset does with a row."""
    with np.errstate(all="ignore"):
        return black.futures_greeks(contracts, implied_volatility(contracts, price))


def one_by_one(contracts: black.Contracts, price: black.Floats, ask: Callable[..., object]) -> int:
    """Ask a library that takes one row at a time; give how many rows it refused."""
    columns = (contracts.forward, contracts.strike, contracts.years, contracts.rate, contracts.is_call, price)
    refused = 0
    for row in zip(*(column[:SAMPLE].tolist() for column in columns), strict=True):
        try:
            ask(*row)
        except RuntimeError:
            refused += 1
    return refused


def ask_nautilus(*row: Any) -> None:  # noqa: ANN401 -- numbers
    """Ask Nautilus' calculator."""
    forward, strike, years, rate, is_call, price = row
    nautilus_pyo3.imply_vol_and_greeks(forward, rate, 0.0, is_call, strike, years, price)


def ask_quantlib(*row: Any) -> None:  # noqa: ANN401 -- numbers
    """Ask QuantLib."""
    forward, strike, years, rate, is_call, price = row
    kind, discount = QuantLib.Option.Call if is_call else QuantLib.Option.Put, math.exp(-rate * years)
    deviation = QuantLib.blackFormulaImpliedStdDevLiRS(kind, strike, forward, price, discount)
    told = QuantLib.BlackCalculator(QuantLib.PlainVanillaPayoff(kind, strike), forward, deviation, discount)
    told.deltaForward(), told.gammaForward(), told.vega(years), told.theta(forward, years)


def timed(work: Callable[[], object]) -> float:
    """Give the CPU seconds of a piece of work."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def session(rows: int) -> dict[str, Any]:
    """Import a generated day and compute its Greeks twice."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        sample = generate(benchmark_day(rows, max(rows // 400, 2)), folder / "day")
        (day,) = sample.trade_dates
        server = Server(folder / "postgres")
        try:
            warehouse = Warehouse(server.url)
            source = get_source("nse_csv", path=str(sample.landing))
            list(import_source(warehouse, source, ImportRequest(day, day)))
            chosen = GreeksParameters(rate=0.065, dividend_yield=0.0125)
            runs = [compute_session(warehouse, "nse_csv", day, parameters=chosen) for _ in range(2)]
        finally:
            server.stop()
    return {"first": _told(runs[0]), "again": _told(runs[1])}


def _told(report: GreeksReport) -> dict[str, Any]:
    return {
        "rows": report.rows,
        "with_numbers": report.with_numbers,
        "written": report.counts.new + report.counts.changed,
        "seconds": round(report.seconds, 2),
        "model_seconds": round(report.model_seconds, 2),
        "rows_per_second": round(report.rows / report.seconds),
    }


def main() -> None:
    """Run the rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--day-rows", type=int, default=250_000)
    options = parser.parse_args()
    contracts, price = chain(options.rows)
    volatility = np.nan_to_num(implied_volatility(contracts, price), nan=0.2)
    ways: dict[str, tuple[int, Callable[[], object]]] = {
        "model": (options.rows, lambda: model(contracts, price)),
        "floor": (options.rows, lambda: floor(contracts, volatility)),
        "nautilus": (SAMPLE, lambda: one_by_one(contracts, price, ask_nautilus)),
        "quantlib": (SAMPLE, lambda: one_by_one(contracts, price, ask_quantlib)),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, (_, work) in ways.items():
            seconds[way].append(timed(work))
    medians = {way: statistics.median(rounds) for way, rounds in seconds.items()}
    per_row = {way: medians[way] / ways[way][0] for way in ways}
    result = {
        "rows": options.rows,
        "rounds": options.rounds,
        "rows_per_cpu_second": {way: round(1 / cost) for way, cost in per_row.items()},
        "model_over_floor": round(per_row["model"] / per_row["floor"], 2),
        "nautilus_over_model": round(per_row["nautilus"] / per_row["model"], 2),
        "quantlib_over_model": round(per_row["quantlib"] / per_row["model"], 2),
        "without_volatility": int(np.isnan(implied_volatility(contracts, price)).sum()),
        "session": session(options.day_rows),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
