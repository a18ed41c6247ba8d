"""Whole months: every planted defect is found by its own check, at its own row, and nothing else is."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.quality.results import list_failures, list_results
from pipeline_defs.quality.specs import SPECS, SPECS_BY_NAME
from pipeline_defs.samples.chain import ChainSpec
from pipeline_defs.samples.defects import Month, plant_defects
from pipeline_defs.samples.market import Weather
from pipeline_defs.samples.month import MonthSpec, month_batches
from pipeline_defs.schema.tables import OBSERVATION_TABLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.quality.specs import Outcome
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., None]
type Check = Callable[..., dict[str, Outcome]]

MUHURAT = dt.date(2025, 10, 21)
CRASH, REBOUND = dt.date(2025, 10, 13), dt.date(2025, 10, 17)


def month_of(spec: MonthSpec) -> Month:
    return {
        (trade_date, batch.table, batch.bar_seconds): batch
        for trade_date, batches in month_batches(spec)
        for batch in batches
    }


def check_all(month: Month, check: Check) -> int:
    """Check every partition of the month; give how many."""
    days = sorted({trade_date for trade_date, _, _ in month})
    for day in days:
        for dataset in OBSERVATION_TABLES:
            check(dataset, day)
    return len(days) * len(OBSERVATION_TABLES)


def test_a_clean_month_gives_no_alarm(warehouse: Warehouse, load: Load, check: Check) -> None:
    month = month_of(MonthSpec())
    load(*month.values())

    partitions = check_all(month, check)
    results = list_results(warehouse)

    assert partitions == 80
    assert [(r.trade_date, r.dataset, r.check_name, r.found) for r in results if not r.passed] == []
    # Every check looked at something, on the Muhurat hour as well: silence is no proof otherwise.
    examined = Counter[str]()
    for result in results:
        examined[result.check_name] += result.examined
    assert {spec.name for spec in SPECS if not examined[spec.name]} == set()
    hour = {r.dataset: r for r in results if r.trade_date == MUHURAT and r.check_name == "row_count"}
    assert "the session had 60 minutes" in hour["options_ticks"].detail
    assert 0 < hour["options_ticks"].examined <= 60 * 20


def test_a_wild_month_with_a_crash_and_a_rebound_gives_no_alarm(warehouse: Warehouse, load: Load, check: Check) -> None:
    wild = Weather(2.5, moves_strikes=True)
    spec = MonthSpec(
        seed=11,
        chain=ChainSpec("NIFTY", strikes_each_side=2, strike_every=10, monthlies=2, futures=2),
        activity=1.0,
        usual_weather=wild,
        weather={
            CRASH: dataclasses.replace(wild, gaps=((10_000, 0.92),)),
            REBOUND: dataclasses.replace(wild, gaps=((0, 1.08),)),
        },
        tick_dates=(CRASH,),
        tick_contracts=1,
    )
    month = month_of(spec)
    spot = month[CRASH, "spot_prices", 60].observations
    jumps = spot.select(change=(spot["close"].cast(float) / spot["close"].cast(float).shift(1)).log())
    assert jumps.filter(pl.col("change") < -0.07).height
    load(*month.values())

    check_all(month, check)

    assert [(r.trade_date, r.dataset, r.check_name, r.found) for r in list_results(warehouse) if not r.passed] == []


def test_each_planted_defect_is_found_by_its_check_at_its_row_and_nothing_else_is(
    warehouse: Warehouse, load: Load, check: Check
) -> None:
    month = month_of(MonthSpec())
    planted = plant_defects(month)
    assert {defect.check for defect in planted} == {spec.name for spec in SPECS}
    assert all(defect.severity == SPECS_BY_NAME[defect.check].severity for defect in planted)
    load(*month.values())

    check_all(month, check)
    found = [result for result in list_results(warehouse) if not result.passed]
    failures = list_failures(warehouse, [result.check_id for result in found])

    assert {(r.check_name, r.severity, r.dataset, r.trade_date, r.failing) for r in found} == {
        (d.check, d.severity, d.table, d.trade_date, d.failing) for d in planted
    }
    rows = {
        (r.check_name, r.dataset, r.trade_date): tuple((f.symbol, f.timestamp) for f in failures[r.check_id])
        for r in found
    }
    assert rows == {(d.check, d.table, d.trade_date): d.rows for d in planted}
