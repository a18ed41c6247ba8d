from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.markets.market import market
from pipeline_defs.quality.running import check_partition
from pipeline_tests.warehouse.deliveries import Delivery, make_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.quality.specs import Outcome
    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., None]
type Check = Callable[..., dict[str, Outcome]]

TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, MONDAY = (dt.date(2019, 1, day) for day in (1, 2, 3, 4, 7))


def day_of(trade_date: dt.date, minutes: int = 375, instruments: int = 1, **more: object) -> ImportBatch:
    rows = [(f"C{number}", minute, "100") for number in range(instruments) for minute in range(1, minutes + 1)]
    return make_batch(Delivery(rows), trade_date=trade_date, **more)  # type: ignore[arg-type]


def test_a_weekend_is_not_missed_and_a_session_is(load: Load, check: Check) -> None:
    load(day_of(WEDNESDAY, 10), day_of(FRIDAY, 10), day_of(MONDAY, 10))

    assert check("options_ticks", WEDNESDAY)["missing_sessions"].passed
    assert check("options_ticks", MONDAY)["missing_sessions"].passed
    outcome = check("options_ticks", FRIDAY)["missing_sessions"]
    assert (outcome.examined, outcome.failing) == (2, 1)
    assert outcome.failures[0].detail == "nothing was delivered of 2019-01-03"


def test_a_session_is_missed_on_its_own_day_once_it_is_over(check: Check) -> None:
    noon, evening = (dt.datetime(2019, 1, 2, hour, tzinfo=dt.UTC) for hour in (6, 12))

    assert check("options_ticks", WEDNESDAY, now=noon)["missing_sessions"].passed
    assert check("options_ticks", WEDNESDAY, now=evening)["missing_sessions"].failing == 1


def test_confirmed_emptiness_is_a_delivery(load: Load, check: Check) -> None:
    load(day_of(TUESDAY, 10), day_of(WEDNESDAY, 0, empty_reason="the vendor had none"), day_of(THURSDAY, 10))

    assert check("options_ticks", THURSDAY)["missing_sessions"].passed


def test_a_source_that_paused_for_weeks_has_begun_anew(load: Load, check: Check) -> None:
    later = dt.date(2019, 2, 5)
    load(day_of(TUESDAY, 10), day_of(later, 10))

    assert check("options_ticks", later)["missing_sessions"].passed


def test_a_day_that_no_calendar_covers_is_not_missed(check: Check) -> None:
    outcomes = check("spot_prices", dt.date(1980, 1, 1))

    assert outcomes["missing_sessions"].examined == 0
    assert outcomes["outside_session"].passed


def test_half_of_the_usual_rows_are_too_few_and_an_hour_of_muhurat_is_not_half(load: Load, check: Check) -> None:
    # Three usual sessions before 2025-10-21, whose session has 60 minutes.
    usual = [dt.date(2025, 10, day) for day in (16, 17, 20)]
    muhurat, after = dt.date(2025, 10, 21), dt.date(2025, 10, 23)
    load(*(day_of(day, 375, 2) for day in usual))
    load(day_of(muhurat, 60, 2), day_of(after, 140, 2))

    assert check("options_ticks", muhurat)["row_count"].passed
    outcome = check("options_ticks", after)["row_count"]
    assert outcome.failing == 1
    assert outcome.failures[0].detail.startswith("60 s: 280 rows against the usual, expected 300 to ")


def test_before_there_is_a_usual_only_the_file_decides(
    warehouse: Warehouse, load: Load, check: Check, tmp_path: Path
) -> None:
    load(day_of(TUESDAY, 375, 2))
    assert check("options_ticks", TUESDAY)["row_count"].passed

    header = (
        "source,dataset,bar_seconds,per,min_rows,max_rows,min_rows_per_instrument,max_rows_per_instrument,"
        "min_share_of_usual,max_share_of_usual,why"
    )
    (tmp_path / "expected_rows.csv").write_text(f"{header}\nnse_csv,options_ticks,60,minute,3,,,0.5,,,my own\n")
    outcome = check_partition(
        warehouse, "options_ticks", "nse_csv", TUESDAY, market("NSE"), home=tmp_path, now=dt.datetime.now(dt.UTC)
    )["row_count"]

    assert [failure.detail for failure in outcome.failures] == [
        "60 s: 750 rows, expected at least 1125; my own",
        "60 s: 375 rows an instrument, expected at most 187.5; my own",
    ]


@pytest.mark.parametrize("hour", [4, 9])
def test_rows_of_a_running_session_are_not_counted_against_the_whole(load: Load, check: Check, hour: int) -> None:
    load(day_of(TUESDAY, 5))

    outcome = check("options_ticks", TUESDAY, now=dt.datetime(2019, 1, 1, hour, tzinfo=dt.UTC))["row_count"]

    assert outcome.passed
    assert outcome.found == "the session is not over yet"


def test_hourly_bars_may_be_one_more_than_the_hours(load: Load, check: Check) -> None:
    rows = [("C", 60 * hour, "100") for hour in range(1, 7)] + [("C", 375, "100")]
    load(make_batch(Delivery(rows), bar_seconds=3600))

    assert check("options_ticks", TUESDAY)["row_count"].passed


def test_a_resolution_nobody_expects_is_told_and_not_judged(load: Load, check: Check) -> None:
    load(make_batch(Delivery([("C", 7, "100")]), bar_seconds=420))

    outcome = check("options_ticks", TUESDAY)["row_count"]

    assert outcome.passed
    assert (outcome.expected, outcome.found) == ("nothing in particular", "420 s: 1 rows of 1 instruments")
