"""Looks while a market is open: when they are asked for, and what their run does at an exchange on the loopback."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.definitions import defs
from pipeline_defs.orchestration import resources
from pipeline_defs.orchestration.automation.intraday import EVERY_5_MINUTES, HOURLY, Pace, build_intraday_schedule
from pipeline_defs.orchestration.freshness import FRESH_BY_SESSIONS
from pipeline_defs.orchestration.runs import materialize_partition
from pipeline_defs.sources.ccxt.adapter import CcxtSource
from pipeline_defs.warehouse.cache import list_statistics
from pipeline_tests.orchestration.automation.conftest import UNIVERSE, write_universe
from pipeline_tests.sources.ccxt.server import MINUTE, ExchangeServer, epoch_ms, invented, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_tests.orchestration.automation.conftest import Tick

DAY = dt.date(2025, 5, 2)


def schedule_of(source: str, at: str, pace: Pace = EVERY_5_MINUTES, late: float = 2) -> dg.ScheduleDefinition:
    """The schedule of the product, with a clock some seconds after the tick."""
    job = defs.resolve_job_def(f"{source}_intraday")
    now = dt.datetime.fromisoformat(at) + dt.timedelta(seconds=late)
    return build_intraday_schedule(source, job, pace, lambda: now.astimezone(dt.UTC))


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("zerodha", "2025-08-14T09:20:00+05:30"),
        ("zerodha", "2025-08-14T15:30:00+05:30"),
        ("zerodha", "2026-08-03T15:40:00+05:30"),
        ("zerodha", "2025-10-21T14:00:00+05:30"),  # Muhurat
        ("zerodha", "2024-11-01T18:05:00+05:30"),  # and one in the evening
        ("zerodha", "2025-02-01T12:00:00+05:30"),  # a Saturday
        ("yahoo", "2025-03-07T09:35:00-05:00"),
        ("yahoo", "2025-03-10T09:35:00-04:00"),  # the clocks have changed
        ("yahoo", "2025-11-03T16:00:00-05:00"),  # and back
        ("yahoo", "2025-11-28T13:00:00-05:00"),  # a short day
        ("ccxt", "2025-11-02T03:00:00+00:00"),
    ],
)
def test_a_look_is_asked_for_while_the_session_runs(tick: Tick, source: str, at: str) -> None:
    answer = tick(schedule_of(source, at), at)

    assert not isinstance(answer, str), answer
    assert [request.run_key for request in answer] == [
        f"{source}:{dt.datetime.fromisoformat(at).astimezone(dt.UTC):%Y-%m-%dT%H:%MZ}"
    ]


@pytest.mark.parametrize(
    ("source", "at", "reason"),
    [
        ("zerodha", "2025-08-14T09:15:00+05:30", "opens at 03:45 UTC"),
        ("zerodha", "2025-08-14T15:35:00+05:30", "closed at 10:00 UTC"),
        ("zerodha", "2025-08-15T12:00:00+05:30", "no session on 2025-08-15: holiday"),
        ("zerodha", "2025-08-16T12:00:00+05:30", "no session on 2025-08-16: weekend"),
        ("zerodha", "2025-10-21T12:00:00+05:30", "opens at 08:15 UTC"),
        ("zerodha", "2024-11-01T12:00:00+05:30", "opens at 12:30 UTC"),
        ("zerodha", "2026-07-31T15:35:00+05:30", "closed at 10:00 UTC"),
        ("zerodha", "2026-08-03T15:45:00+05:30", "closed at 10:10 UTC"),
        ("yahoo", "2025-03-10T09:30:00-04:00", "opens at 13:30 UTC"),
        ("yahoo", "2025-03-09T12:00:00-04:00", "no session on 2025-03-09: weekend"),
        ("yahoo", "2025-11-03T09:30:00-05:00", "opens at 14:30 UTC"),
        ("yahoo", "2025-11-28T13:05:00-05:00", "closed at 18:00 UTC"),
        ("ccxt", "2025-11-02T00:00:00+00:00", "opens at 00:00 UTC"),
    ],
)
def test_outside_the_session_the_reason_is_told(tick: Tick, source: str, at: str, reason: str) -> None:
    for pace in (HOURLY, EVERY_5_MINUTES):
        assert reason in tick(schedule_of(source, at, pace), at)


def test_a_tick_that_was_missed_is_left_to_the_next_one(tick: Tick) -> None:
    at = "2025-05-02T10:00:00+00:00"

    assert tick(schedule_of("ccxt", at, late=301), at) == (
        "the look of 10:00 UTC was missed; the next one asks for what it would have"
    )
    assert not isinstance(tick(schedule_of("ccxt", at, HOURLY, late=301), at), str)


def test_there_is_no_second_look_before_the_first_has_ended(tick: Tick, instance: dg.DagsterInstance) -> None:
    at = "2025-05-02T10:00:00+00:00"
    instance.add_run(dg.DagsterRun("ccxt_intraday", str(uuid.uuid4())))

    assert "the look before has not ended" in tick(schedule_of("ccxt", at), at)


def test_a_source_without_bars_within_the_day_is_skipped(tick: Tick, home: Settings) -> None:
    at = "2025-05-02T10:00:00+00:00"
    write_universe(home, {"ccxt": {**UNIVERSE["ccxt"], "bars": {"spot_prices": "1d"}}})

    assert "no bars of ccxt within the day" in tick(schedule_of("ccxt", at), at)


@pytest.mark.parametrize("source", ["ccxt", "interactive_brokers", "polygon", "yahoo", "zerodha"])
def test_both_paces_are_there_stopped_and_share_the_pool_of_the_source(source: str) -> None:
    for pace in (HOURLY, EVERY_5_MINUTES):
        schedule = defs.resolve_schedule_def(f"{source}_{pace.name}_schedule")
        assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
        assert schedule.cron_schedule == pace.cron
    (node,) = defs.resolve_job_def(f"{source}_intraday").all_node_defs
    assert isinstance(node, dg.OpDefinition)
    assert node.pool == source


NAMES = ("rows_stored", "cache", "source_calls", "complete_to")


def stamp(hour: int, minute: int) -> float:
    return dt.datetime.combine(DAY, dt.time(hour, minute), dt.UTC).timestamp()


# What the run does. -------------------------------------------------------------------------------------------------


class Exchange:
    """A server, and the time at which it is asked."""

    def __init__(self, server: ExchangeServer) -> None:
        self.server, self.now = server, dt.datetime.combine(DAY, dt.time(), dt.UTC)
        self.truth = dict(invented(epoch_ms(DAY), epoch_ms(DAY) + 1439 * MINUTE, MINUTE))

    def set(self, hour: int, minute: int) -> None:
        self.now = dt.datetime.combine(DAY, dt.time(), dt.UTC) + dt.timedelta(hours=hour, minutes=minute, seconds=30)
        stamp = round(self.now.timestamp() * 1000)
        self.server.candles["BTCUSDT", MINUTE] = {
            time: values for time, values in self.truth.items() if time + MINUTE <= stamp
        }


@pytest.fixture
def exchange(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:
    settings.home.mkdir(parents=True, exist_ok=True)
    write_universe(settings, UNIVERSE)
    with running(ExchangeServer()) as server:
        made = Exchange(server)
        monkeypatch.setattr(resources, "get_source", lambda _: CcxtSource(endpoint=server.url, clock=lambda: made.now))
        yield made


def look(instance: dg.DagsterInstance, tables: list[str] | None = None) -> dg.ExecuteInProcessResult:
    config = {"ops": {"look_at_ccxt": {"config": {"tables": tables}}}} if tables else {}
    return defs.resolve_job_def("ccxt_intraday").execute_in_process(
        instance=instance, run_config=config, raise_on_error=False
    )


def stored(warehouse: Warehouse) -> int:
    with warehouse.connect() as connection:
        ((count,),) = connection.execute("SELECT count(*) FROM spot_prices").fetchall()
    return int(count)


def test_looks_store_parts_of_the_day_and_only_the_days_run_materialises_it(
    exchange: Exchange, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    key = dg.AssetKey(["ccxt", "spot_prices"])
    for minute in (5, 10):
        exchange.set(9, minute)
        result = look(instance, ["spot_prices"])
        assert result.success
        assert stored(warehouse) == 9 * 60 + minute
    observed = instance.fetch_observations(key, limit=10).records
    told = [record.asset_observation for record in observed]
    shown = [(one.partition, *(one.metadata[name].value for name in NAMES)) for one in told if one]
    assert shown == [
        (DAY.isoformat(), 5, "miss", 2, stamp(9, 10)),
        (DAY.isoformat(), 545, "miss", 2, stamp(9, 5)),
    ]
    look(instance)
    (again,) = instance.fetch_observations(key, limit=1).records
    assert again.asset_observation is not None
    assert [again.asset_observation.metadata[name].value for name in NAMES] == [0, "hit", 0, stamp(9, 10)]
    assert [(one.hits, one.misses) for one in list_statistics(warehouse)] == [(1, 2)]
    assert instance.get_materialized_partitions(key) == set()

    exchange.set(24, 5)
    run = materialize_partition('key:"ccxt/spot_prices"', DAY.isoformat(), instance)
    assert run.succeeded, run.failures
    # The other sessions of these years are not stored, which the check of freshness says rightly.
    assert {check.name for check in run.checks if not check.passed} == {FRESH_BY_SESSIONS}
    assert stored(warehouse) == 1440
    assert instance.get_materialized_partitions(key) == {DAY.isoformat()}


def test_a_run_that_starts_when_the_session_is_over_asks_nothing_and_says_so(
    exchange: Exchange, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CcxtSource, "default_market", "NSE")
    exchange.set(20, 0)
    result = look(instance)

    assert result.success
    assert exchange.server.every_request == []
    messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert any(
        "nothing was asked: the session of NSE on 2025-05-03" in text or "no session" in text for text in messages
    )


def test_a_source_that_cannot_be_asked_fails_the_run_with_its_next_step(
    exchange: Exchange, instance: dg.DagsterInstance, settings: Settings
) -> None:
    exchange.set(9, 5)
    write_universe(settings, {})
    result = look(instance)

    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "says nothing of ccxt" in str(failure.step_failure_data.user_failure_data)


def test_a_look_of_which_nothing_is_usable_fails_its_run_and_shows_the_load(
    exchange: Exchange, warehouse: Warehouse, instance: dg.DagsterInstance
) -> None:
    exchange.set(9, 5)
    worthless = ("-1", "-1", "-1", "-1", "0")
    exchange.server.candles["BTCUSDT", MINUTE] = dict.fromkeys(exchange.server.candles["BTCUSDT", MINUTE], worthless)
    result = look(instance)

    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "partitions stored nothing; spot_prices 2025-05-02" in str(failure.step_failure_data.user_failure_data)
    (record,) = instance.fetch_observations(dg.AssetKey(["ccxt", "spot_prices"]), limit=5).records
    assert record.asset_observation is not None
    assert record.asset_observation.metadata["rows_refused"].value == 545
    assert stored(warehouse) == 0


def test_a_source_of_another_kind_is_refused(
    exchange: Exchange, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline_defs.sources.nse_csv.adapter import NseCsvSource  # noqa: PLC0415

    del exchange
    monkeypatch.setattr(resources, "get_source", lambda _: NseCsvSource())
    result = look(instance)

    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "cannot be asked for a part of a day" in str(failure.step_failure_data.user_failure_data)
