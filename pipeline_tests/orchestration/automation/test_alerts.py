"""The sensors that tell people, over real runs that fail: what is told, once, together, and without any secret."""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState

from pipeline_defs.alerting import collecting, delivering, registry
from pipeline_defs.alerting.alert import Message
from pipeline_defs.alerting.log_file import log_path
from pipeline_defs.alerting.notifier import AlertError, Notifier
from pipeline_defs.definitions import defs
from pipeline_defs.errors import SourceError
from pipeline_defs.orchestration.assets.describing import failures_explained
from pipeline_defs.orchestration.automation import alert_events, alerts
from pipeline_defs.orchestration.automation.alerts import asset_alert_sensor, run_failure_sensor
from pipeline_defs.settings import Settings
from pipeline_defs.sources.asking.credentials import read_credential
from pipeline_defs.sources.registry import SOURCES

PARTITIONS = dg.StaticPartitionsDefinition(["2025-08-13", "2025-08-14"])
HIDDEN = "token-that-nobody-may-see"

type Look = Callable[..., list[dict[str, Any]]]


@dg.asset(partitions_def=PARTITIONS)
def prices(context: dg.AssetExecutionContext) -> None:
    with failures_explained():
        raise SourceError(
            f"0 bars on a trading day; asked https://api.example/v2?apiKey={HIDDEN}",
            where=f"acme {context.partition_key}",
            next_step="run the partition again later",
        )


@dg.asset
def defect() -> None:
    raise ZeroDivisionError("nobody foresaw this")


@dg.asset(
    check_specs=[
        dg.AssetCheckSpec("sound", asset="checked"),
        dg.AssetCheckSpec("pleasant", asset="checked"),
        dg.AssetCheckSpec("there", asset="checked"),
    ]
)
def checked() -> Iterator[Any]:
    yield dg.MaterializeResult()
    wrong = {"expected": "375 minutes", "found": "374 minutes"}
    yield dg.AssetCheckResult(passed=False, check_name="sound", metadata=wrong, description="a minute is missing")
    yield dg.AssetCheckResult(passed=False, check_name="pleasant", severity=dg.AssetCheckSeverity.WARN)
    yield dg.AssetCheckResult(passed=True, check_name="there")


def run(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, partition: str | None = None) -> str:
    return dg.materialize([asset], instance=instance, partition_key=partition, raise_on_error=False).run_id


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as the sensors see it, in seconds; to be changed."""
    told = [1_000_000.0]
    monkeypatch.setattr(alerts, "utc_now", lambda: dt.datetime.fromtimestamp(told[0], dt.UTC))
    return told


@pytest.fixture
def look(home: Settings, instance: dg.DagsterInstance, now: list[float]) -> Look:
    """Let a sensor look; gives the messages that it has added to the log file."""
    del home, now
    state: dict[str, str | None] = {}

    def evaluate(sensor: dg.SensorDefinition = run_failure_sensor) -> list[dict[str, Any]]:
        before = _lines()
        context = dg.build_sensor_context(
            instance=instance, cursor=state.get(sensor.name), repository_def=defs.get_repository_def()
        )
        result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        assert not result.run_requests
        state[sensor.name] = result.cursor
        assert result.skip_reason is not None
        state["said"] = result.skip_reason.skip_message
        return _lines()[len(before) :]

    evaluate.state = state  # type: ignore[attr-defined]
    evaluate(run_failure_sensor)
    evaluate(asset_alert_sensor)
    return evaluate


def _lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in log_path().read_text().splitlines()] if log_path().exists() else []


def said(look: Look) -> str:
    text: str = look.state["said"]  # type: ignore[attr-defined]
    return text


def test_a_failed_run_is_told_with_what_where_and_the_next_step(
    look: Look, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_UI_URL", "https://ui.example.org/")
    run_id = run(instance, prices, "2025-08-14")
    (message,) = look()

    (alert,) = message["alerts"]
    at = dt.datetime.fromisoformat(alert.pop("at"))
    assert abs(dt.datetime.now(dt.UTC) - at) < dt.timedelta(minutes=5)
    assert alert == {
        "kind": "run failed",
        "subject": "__ephemeral_asset_job__",
        "partition": "2025-08-14",
        "error": "acme 2025-08-14: 0 bars on a trading day; asked https://api.example/v2?apiKey=***",
        "next_step": "run the partition again later",
        "run_id": run_id,
        "url": f"https://ui.example.org/runs/{run_id}",
    }
    assert said(look) == "1 new alerts; log was told of 1"


def test_a_run_is_told_once(look: Look, instance: dg.DagsterInstance, now: list[float]) -> None:
    run(instance, defect)
    (message,) = look()
    assert "ZeroDivisionError: nobody foresaw this" in message["text"]
    assert "open the run, read its first error" in message["text"]
    now[0] += 10_000

    assert look() == []
    assert said(look) == "0 new alerts"


def test_what_a_sensor_remembers_stays_small(look: Look, instance: dg.DagsterInstance, now: list[float]) -> None:
    for _ in range(120):
        fail(instance)
    for _ in range(3):
        look()
        now[0] += 1_000

    assert len(look.state["run_failure_sensor"]) < 3_000  # type: ignore[attr-defined]


def test_what_failed_before_the_sensor_was_switched_on_is_not_told(
    home: Settings, instance: dg.DagsterInstance
) -> None:
    del home
    run(instance, defect)
    first = run_failure_sensor(dg.build_sensor_context(instance=instance))

    assert isinstance(first, dg.SensorResult)
    assert not log_path().exists()


def test_a_run_that_will_be_tried_again_is_no_failure_yet(look: Look, instance: dg.DagsterInstance) -> None:
    run_id = run(instance, defect)
    instance.add_run_tags(run_id, {"dagster/will_retry": "true"})

    assert look() == []


def fail(instance: dg.DagsterInstance, job_name: str = "nse_daily", message: str = "died", **fields: Any) -> None:
    """Record a run that failed without a step of its own having done so."""
    failed = dg.DagsterRun(job_name, str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED, **fields)
    instance.add_run(failed)
    instance.report_run_failed(failed, message)


def test_a_broken_night_is_a_few_messages(look: Look, instance: dg.DagsterInstance, now: list[float]) -> None:
    messages = []
    for _ in range(6):
        for _ in range(5):
            fail(instance)
        messages += look()
        now[0] += 200

    assert [len(message["alerts"]) + message.get("left_out", 0) for message in messages] == [5, 25]
    assert messages[1]["title"].startswith("25 alerts, the first: run failed")
    assert (len(messages[1]["alerts"]), messages[1]["left_out"]) == (20, 5)


def test_more_failures_than_a_look_takes_in_are_told_by_the_next_one(
    look: Look, instance: dg.DagsterInstance, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_events, "RUNS_A_LOOK", 3)
    for _ in range(5):
        fail(instance)
    told = []
    for _ in range(3):
        told += [len(message["alerts"]) for message in look()]
        now[0] += 1_000

    assert told == [3, 2]


def test_a_run_that_ended_without_any_step_says_what_ended_it_and_what_it_was_to_make(
    look: Look, instance: dg.DagsterInstance
) -> None:
    keys = frozenset({dg.AssetKey(["zerodha", "options_ticks"]), dg.AssetKey(["zerodha", "futures_ticks"])})
    fail(instance, message="the run worker exited with code -9", asset_selection=keys)
    (message,) = look()

    (alert,) = message["alerts"]
    assert alert["error"] == "the run worker exited with code -9"
    assert alert["assets"] == ["zerodha/futures_ticks", "zerodha/options_ticks"]


def test_on_a_persons_machine_where_every_run_has_a_file_of_its_own_it_is_the_same(
    home: Settings, tmp_path: Path
) -> None:
    del home
    folder = tmp_path / "dagster"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}}) as sqlite:
        cursors: dict[str, str | None] = {}
        for _ in range(2):
            for sensor in (run_failure_sensor, asset_alert_sensor):
                context = dg.build_sensor_context(instance=sqlite, cursor=cursors.get(sensor.name))
                result = sensor(context)
                assert isinstance(result, dg.SensorResult)
                cursors[sensor.name] = result.cursor
            if not _lines():
                run(sqlite, checked)
                fail(sqlite)

    assert [line["title"] for line in _lines()] == ["run failed: nse_daily", "check failed: checked sound"]


class Pager(Notifier):
    """A notifier that does as it is told."""

    name: ClassVar[str] = "pager"
    troubles: ClassVar[list[Exception]] = []
    messages: ClassVar[list[str]] = []

    def send(self, message: Message, *, timeout_seconds: float) -> None:
        del timeout_seconds
        read_credential("PAGER_TOKEN", "a token")
        if self.troubles:
            raise self.troubles.pop(0)
        self.messages.append(message.text)


@pytest.fixture
def pager(monkeypatch: pytest.MonkeyPatch) -> type[Pager]:
    point = SimpleNamespace(name="pager", dist=None, load=lambda: Pager)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [point])
    monkeypatch.setenv("PIPELINE_ALERTS", "pager")
    monkeypatch.setenv("PAGER_TOKEN", HIDDEN)
    monkeypatch.setattr(delivering, "AlertPatience", partial(delivering.AlertPatience, first_wait_seconds=0))
    Pager.troubles, Pager.messages = [], []
    return Pager


def test_a_notifier_that_fails_is_seen_fails_no_run_and_is_tried_again_later(
    look: Look, instance: dg.DagsterInstance, now: list[float], pager: type[Pager]
) -> None:
    pager.troubles = [AlertError(f"down: {HIDDEN}", again=True) for _ in range(3)]
    run_id = run(instance, defect)
    (failed,) = look()

    assert (failed["event"], failed["notifier"], failed["error"]) == ("notifier_failed", "pager", "down: ***")
    assert said(look) == "1 new alerts; pager FAILED: down: ***"
    assert pager.messages == []
    look()
    assert pager.messages == []  # it waits a minute first
    now[0] += 61
    look()
    (text,) = pager.messages
    assert run_id in text


def test_a_notifier_that_works_does_not_wait_for_one_that_does_not(
    look: Look, instance: dg.DagsterInstance, pager: type[Pager], monkeypatch: pytest.MonkeyPatch
) -> None:
    del pager
    monkeypatch.setenv("PIPELINE_ALERTS", "mail,pager")
    run(instance, defect)
    (failed,) = look()

    assert failed["notifier"] == "mail"
    assert "PIPELINE_ALERT_SMTP_HOST" in failed["error"]
    assert "mail FAILED" in said(look)
    assert "pager was told of 1" in said(look)


def test_no_secret_is_in_what_is_told_nor_in_what_the_sensor_remembers(
    look: Look, instance: dg.DagsterInstance, pager: type[Pager]
) -> None:
    pager.troubles = [KeyError(HIDDEN)]
    run(instance, prices, "2025-08-13")
    look()

    remembered = look.state["run_failure_sensor"]  # type: ignore[attr-defined]
    assert "0 bars on a trading day" in remembered
    assert HIDDEN not in remembered
    assert HIDDEN not in log_path().read_text()
    assert HIDDEN not in said(look)


def test_with_alerts_off_nothing_is_written(
    look: Look, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_ALERTS", "off")
    run(instance, defect)

    assert look() == []
    assert said(look) == "1 new alerts"


def test_a_wrong_pace_keeps_no_alert_back(
    look: Look, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(collecting.EVERY_VARIABLE, "soon")
    run(instance, defect)

    assert len(look()) == 1
    assert "PIPELINE_ALERT_EVERY_SECONDS: 'soon' is no number" in said(look)


def test_a_failed_check_of_severity_error_is_told_and_no_other(look: Look, instance: dg.DagsterInstance) -> None:
    run_id = run(instance, checked)
    (message,) = look(asset_alert_sensor)

    (alert,) = message["alerts"]
    assert (alert["kind"], alert["subject"], alert["run_id"]) == ("check failed", "checked sound", run_id)
    assert alert["error"] == "a minute is missing\nexpected: 375 minutes\nfound: 374 minutes"
    assert look(asset_alert_sensor) == []
    assert look() == []  # the run itself succeeded


def test_an_asset_that_becomes_stale_is_told_once_and_again_after_it_was_fresh(
    look: Look, instance: dg.DagsterInstance, now: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = dg.AssetKey(["ccxt", "spot_prices"])
    states: dict[dg.AssetKey, Any] = {}
    asked: list[int] = []

    def records(keys: list[dg.AssetKey]) -> dict[dg.AssetKey, Any]:
        asked.append(len(keys))
        assert key in keys
        return states

    monkeypatch.setattr(instance, "get_freshness_state_records", records)
    since = dt.datetime(2025, 8, 14, 12, tzinfo=dt.UTC)

    def become(state: FreshnessState) -> list[dict[str, Any]]:
        states[key] = SimpleNamespace(freshness_state=state, updated_at=since)
        now[0] += 1_000
        return look(asset_alert_sensor)

    assert become(FreshnessState.PASS) == []
    (told,) = become(FreshnessState.FAIL)
    assert told["alerts"][0]["error"] == "its freshness policy fails since 2025-08-14 12:00 UTC"
    assert become(FreshnessState.FAIL) == []
    assert become(FreshnessState.WARN) == []
    since = dt.datetime(2025, 8, 16, 9, tzinfo=dt.UTC)
    (again,) = become(FreshnessState.FAIL)
    assert again["alerts"][0]["error"] == "its freshness policy fails since 2025-08-16 09:00 UTC"
    assert len(asked) == 5
    assert min(asked) >= sum(len(entry.tables) for entry in SOURCES.values() if entry.source_type == "api")


def test_the_daemons_record_of_a_stale_asset_is_read(instance: dg.DagsterInstance) -> None:
    assert alert_events.stale_assets(instance, [dg.AssetKey("a")]) == {}
    assert alert_events.stale_assets(instance, []) == {}


@pytest.mark.parametrize("name", ["run_failure_sensor", "asset_alert_sensor", "landing_sensor"])
def test_sensors_are_stopped_and_say_what_they_do(name: str) -> None:
    sensor = defs.resolve_sensor_def(name)

    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    assert len(sensor.description or "") > 100
