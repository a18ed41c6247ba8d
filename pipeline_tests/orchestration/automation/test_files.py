from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.sessions import IST, first_covered_date, last_covered_date, session_dates
from pipeline_defs.orchestration.automation.files import nse_daily_schedule
from pipeline_defs.orchestration.partitions import session_close

DEADLINE = dt.time(21, 0)


def tick(day: str) -> dg.RunRequest | dg.SkipReason:
    at = dt.datetime.combine(dt.date.fromisoformat(day), DEADLINE, IST)
    answer = nse_daily_schedule(dg.build_schedule_context(scheduled_execution_time=at))
    assert isinstance(answer, dg.RunRequest | dg.SkipReason)
    return answer


def test_the_schedule_asks_for_the_days_session() -> None:
    request = tick("2025-08-14")

    assert isinstance(request, dg.RunRequest)
    assert (request.partition_key, request.run_key) == ("2025-08-14", "deadline:2025-08-14")


@pytest.mark.parametrize(("day", "reason"), [("2025-08-15", "holiday"), ("2025-08-16", "weekend")])
def test_the_schedule_skips_a_day_without_a_session_and_says_why(day: str, reason: str) -> None:
    skipped = tick(day)

    assert isinstance(skipped, dg.SkipReason)
    assert day in str(skipped.skip_message)
    assert reason in str(skipped.skip_message)


def test_the_schedule_takes_a_special_session_on_a_weekend() -> None:
    assert isinstance(tick("2025-02-01"), dg.RunRequest)


def test_a_date_beyond_the_calendar_fails_the_tick_instead_of_passing_for_a_holiday() -> None:
    with pytest.raises(MarketRuleError, match="calendar"):
        tick("2101-01-03")


def test_every_session_ever_is_over_by_the_deadline() -> None:
    for day in session_dates(first_covered_date(), last_covered_date()):
        assert session_close(day) < dt.datetime.combine(day, DEADLINE, IST), day


def test_the_deadline_of_the_cron_is_the_one_tested_here() -> None:
    assert nse_daily_schedule.cron_schedule == f"{DEADLINE.minute} {DEADLINE.hour} * * *"
    assert nse_daily_schedule.execution_timezone == "Asia/Kolkata"
