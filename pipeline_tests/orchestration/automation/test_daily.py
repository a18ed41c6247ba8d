"""The schedule of an API's days, at instants around closes, weekends, holidays, evenings and changes of the clock."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.definitions import defs
from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.market import market
from pipeline_defs.orchestration.automation import daily, jobs
from pipeline_defs.orchestration.automation.wanting import tables_of
from pipeline_defs.sources.registry import source_entry
from pipeline_tests.orchestration.automation.conftest import UNIVERSE, partitions_of, store, write_universe

if TYPE_CHECKING:
    from pipeline_defs.settings import Settings
    from pipeline_tests.orchestration.automation.conftest import Tick

ZERODHA = [["zerodha", "spot_prices"], ["zerodha", "options_ticks"], ["options_hourly"], ["options_daily"]]
YAHOO = [["yahoo", "equity_daily"], ["yahoo", "spot_prices"]]


@pytest.mark.parametrize(
    ("schedule", "at", "newest"),
    [
        # India: the day itself once it is final, three hours after the close; before that the day before.
        ("zerodha_daily_schedule", "2025-08-14T18:45:00+05:30", "2025-08-14"),
        ("zerodha_daily_schedule", "2025-08-14T18:29:59+05:30", "2025-08-13"),
        ("zerodha_daily_schedule", "2025-08-15T18:45:00+05:30", "2025-08-14"),  # a holiday
        ("zerodha_daily_schedule", "2025-08-17T18:45:00+05:30", "2025-08-14"),  # its weekend
        ("zerodha_daily_schedule", "2025-02-01T18:45:00+05:30", "2025-02-01"),  # a Saturday with a session
        ("zerodha_daily_schedule", "2025-10-21T18:45:00+05:30", "2025-10-21"),  # Muhurat, in the afternoon that year
        ("zerodha_daily_schedule", "2024-11-01T18:45:00+05:30", "2024-10-31"),  # Muhurat in the evening: not yet
        ("zerodha_daily_schedule", "2024-11-01T23:30:00+05:30", "2024-11-01"),  # but late
        ("zerodha_daily_schedule", "2026-08-03T18:39:59+05:30", "2026-07-31"),  # closes at 15:40 from that day on
        ("zerodha_daily_schedule", "2026-08-03T18:45:00+05:30", "2026-08-03"),
        # The United States, on both sides of the changes of the clock (a Sunday at 02:00 in New York).
        ("yahoo_daily_schedule", "2025-03-07T20:05:00-05:00", "2025-03-07"),
        ("yahoo_daily_schedule", "2025-03-07T19:59:59-05:00", "2025-03-06"),
        ("yahoo_daily_schedule", "2025-03-09T20:05:00-04:00", "2025-03-07"),
        ("yahoo_daily_schedule", "2025-03-10T20:05:00-04:00", "2025-03-10"),
        ("yahoo_daily_schedule", "2025-03-10T19:59:59-04:00", "2025-03-07"),
        ("yahoo_daily_schedule", "2025-10-31T20:05:00-04:00", "2025-10-31"),
        ("yahoo_daily_schedule", "2025-11-02T20:05:00-05:00", "2025-10-31"),
        ("yahoo_daily_schedule", "2025-11-03T19:59:59-05:00", "2025-10-31"),
        ("yahoo_daily_schedule", "2025-11-03T20:05:00-05:00", "2025-11-03"),
        ("yahoo_daily_schedule", "2025-11-28T17:00:00-05:00", "2025-11-28"),  # closed at 13:00
        ("yahoo_daily_schedule", "2025-11-27T20:05:00-05:00", "2025-11-26"),  # Thanksgiving
        # A day of UTC is over at midnight, final a minute later.
        ("ccxt_daily_schedule", "2025-11-02T00:10:00+00:00", "2025-11-01"),
        ("ccxt_daily_schedule", "2025-11-02T00:00:59+00:00", "2025-10-31"),
    ],
)
def test_the_newest_session_that_is_asked_for_is_the_last_final_one(
    tick: Tick, schedule: str, at: str, newest: str
) -> None:
    asked = partitions_of(tick(schedule, at))

    assert asked[0] == newest
    assert asked == sorted(asked, reverse=True)
    assert len(asked) == 5


def test_only_what_is_not_stored_is_asked_for(tick: Tick, instance: dg.DagsterInstance) -> None:
    store(instance, ZERODHA, ["2025-08-08", "2025-08-11", "2025-08-13"])
    store(instance, ZERODHA[:1], ["2025-08-12"])  # the indices alone: the options are missing

    assert partitions_of(tick("zerodha_daily_schedule", "2025-08-14T18:45:00+05:30")) == ["2025-08-14", "2025-08-12"]


def test_what_was_missed_while_nothing_ran_is_asked_for_but_not_years(tick: Tick, instance: dg.DagsterInstance) -> None:
    store(instance, YAHOO, ["2025-06-02"])

    asked = partitions_of(tick("yahoo_daily_schedule", "2025-06-13T20:05:00-04:00"))
    assert asked == ["2025-06-13", "2025-06-12", "2025-06-11", "2025-06-10", "2025-06-09"]


def test_a_session_that_was_stored_before_its_answer_was_final_is_asked_for_again(
    tick: Tick, instance: dg.DagsterInstance
) -> None:
    # Whatever is recorded now lies before a close of the future.
    store(instance, YAHOO, ["2027-01-04", "2026-12-31", "2026-12-30", "2026-12-29", "2026-12-28"])

    assert "2027-01-04" in partitions_of(tick("yahoo_daily_schedule", "2027-01-04T20:05:00-05:00"))


def test_a_second_tick_and_a_tick_that_comes_twice_ask_with_the_same_key(tick: Tick) -> None:
    first = tick("ccxt_daily_schedule", "2025-06-02T00:10:00+00:00")
    late = tick("ccxt_daily_schedule", "2025-06-02T06:00:00+00:00")
    tomorrow = tick("ccxt_daily_schedule", "2025-06-03T00:10:00+00:00")

    keys = [[request.run_key for request in answer] for answer in (first, late) if not isinstance(answer, str)]
    assert keys[0] == keys[1]
    assert keys[0][0] == "ccxt:2025-06-01:2025-06-02"
    assert not isinstance(tomorrow, str)
    # A session that failed is asked for once a day: that needs another key.
    assert {request.run_key for request in tomorrow}.isdisjoint(keys[0])


def test_only_the_tables_that_the_universe_wants_are_selected(tick: Tick) -> None:
    answer = tick("zerodha_daily_schedule", "2025-08-14T18:45:00+05:30")
    assert not isinstance(answer, str)
    request = answer[0]

    assert {tuple(key.path) for key in request.asset_selection or ()} == {tuple(key) for key in ZERODHA}


def test_a_session_whose_run_has_not_ended_is_left_to_it(tick: Tick, instance: dg.DagsterInstance) -> None:
    own = dg.DagsterRun("ccxt_daily", str(uuid.uuid4()), tags={"dagster/partition": "2025-06-01"})
    backfill = dg.DagsterRun(
        "__ASSET_JOB",
        str(uuid.uuid4()),
        tags={"dagster/partition": "2025-05-31"},
        asset_selection=frozenset({dg.AssetKey(["ccxt", "spot_prices"])}),
        status=dg.DagsterRunStatus.STARTED,
    )
    another = dg.DagsterRun("yahoo_daily", str(uuid.uuid4()), tags={"dagster/partition": "2025-05-30"})
    for run in (own, backfill, another):
        instance.add_run(run)

    asked = partitions_of(tick("ccxt_daily_schedule", "2025-06-02T00:10:00+00:00"))
    assert asked == ["2025-05-30", "2025-05-29", "2025-05-28"]


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ("2025-08-15T18:45:00+05:30", "2025-08-15 has no session: holiday"),
        ("2025-08-16T18:45:00+05:30", "2025-08-16 has no session: weekend"),
        ("2025-08-14T17:00:00+05:30", "the answer of zerodha about 2025-08-14 is final at 2025-08-14 13:00 UTC"),
        ("2025-08-14T18:45:00+05:30", "every session from 2025-08-08 to 2025-08-14 is stored or on its way"),
    ],
)
def test_a_tick_that_asks_for_nothing_says_why(tick: Tick, instance: dg.DagsterInstance, at: str, reason: str) -> None:
    days = ["2025-08-07", "2025-08-08", "2025-08-11", "2025-08-12", "2025-08-13", "2025-08-14"]
    store(instance, ZERODHA, days)

    assert reason in tick("zerodha_daily_schedule", at)


def test_it_says_which_runs_it_waits_for(tick: Tick, instance: dg.DagsterInstance) -> None:
    for day in ("2025-06-01", "2025-05-31", "2025-05-30", "2025-05-29", "2025-05-28"):
        instance.add_run(dg.DagsterRun("ccxt_daily", str(uuid.uuid4()), tags={"dagster/partition": day}))

    assert "runs of 2025-05-28, 2025-05-29" in tick("ccxt_daily_schedule", "2025-06-02T00:10:00+00:00")


def test_a_source_of_which_nothing_is_wanted_is_skipped_and_says_what_to_write(tick: Tick, home: Settings) -> None:
    write_universe(home, {"ccxt": UNIVERSE["ccxt"], "polygon": {"pairs": ["BTC/USDT"]}})

    assert "says nothing of yahoo" in tick("yahoo_daily_schedule", "2025-06-13T20:05:00-04:00")
    assert "names no instrument of polygon" in tick("polygon_daily_schedule", "2025-06-13T21:05:00-04:00")
    (home.home / "universe.yaml").unlink()
    assert "cannot be read" in tick("ccxt_daily_schedule", "2025-06-13T00:10:00+00:00")


def test_a_date_beyond_the_calendar_fails_the_tick_instead_of_passing_for_a_holiday(tick: Tick) -> None:
    with pytest.raises(dg.DagsterError) as failure:
        tick("yahoo_daily_schedule", "2101-01-03T20:05:00-05:00")
    assert isinstance(failure.value.__cause__, MarketRuleError)


def test_before_the_first_partition_there_is_nothing_to_ask_for(tick: Tick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_FIRST_DATE", "2025-06-10")

    assert partitions_of(tick("yahoo_daily_schedule", "2025-06-11T20:05:00-04:00")) == ["2025-06-11", "2025-06-10"]
    assert tick("yahoo_daily_schedule", "2025-06-10T09:00:00-04:00").endswith("is final at 2025-06-11 00:00 UTC")  # type: ignore[union-attr]


@pytest.mark.parametrize("source", ["ccxt", "interactive_brokers", "polygon", "yahoo", "zerodha"])
def test_the_jobs_resolve_and_take_every_partition_that_a_schedule_asks_for(source: str) -> None:
    job = defs.resolve_job_def(f"{source}_daily")
    assert job.partitions_def is not None
    assert job.partitions_def.has_partition_key("2025-08-14")
    assert {key.path[-1] for key in job.asset_layer.executable_asset_keys} >= {
        key.path[-1] for key in jobs.daily_keys(source)
    }
    schedule = defs.resolve_schedule_def(f"{source}_daily_schedule")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert "skipped with the reason" in (schedule.description or "")


def test_why_nothing_is_asked_for_is_told_even_when_there_is_no_session_yet() -> None:
    at = dt.datetime(2025, 6, 2, 12, tzinfo=dt.UTC)

    assert daily._why_nothing("yahoo", market("US"), at.replace(hour=23, day=3), {}, set()).startswith("the answer")
    assert daily._why_nothing("yahoo", market("US"), dt.datetime(2025, 6, 4, 3, 30, tzinfo=dt.UTC), {}, set()) == (
        "yahoo has no session yet"
    )


def test_of_a_source_without_a_universe_every_table_is_wanted() -> None:
    assert tables_of("nse_csv") == frozenset(source_entry("nse_csv").tables)
