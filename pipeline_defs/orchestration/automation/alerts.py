"""Two sensors that tell people: of failed runs, and of failed checks and stale assets. They start no run.

What is said to whom, and how often, is decided in `pipeline_defs.alerting`; `alert_events` reads the events. A notifier
that fails is named in the sensor's tick and in the log file; what it did not take is kept and tried again.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pipeline_defs.alerting.alert import compose
from pipeline_defs.alerting.collecting import Queue, every_seconds
from pipeline_defs.alerting.registry import chosen_names
from pipeline_defs.errors import PipelineError
from pipeline_defs.orchestration.automation.alert_events import (
    ENDED,
    FAILED,
    check_alerts,
    ended_runs,
    newest_cursor,
    run_alert,
    stale_alerts,
    stale_assets,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.alerting.alert import Alert

SENSOR_SECONDS: Final = 30
_MAX_REMEMBERED: Final = 100
"""Alerts that were told, so that none is told twice; few, since Dagster keeps the cursor of every tick for a week."""


@dg.sensor(
    minimum_interval_seconds=SENSOR_SECONDS,
    description=(
        "Every 30 seconds: tells of each run that failed and will not be tried again by itself, once: job, partition,"
        " assets, the first lines of the error, the next step, the run. The first alert goes out at once, later ones"
        " together, a message every 15 minutes at most (PIPELINE_ALERT_EVERY_SECONDS). To whom says PIPELINE_ALERTS;"
        " without it, to PIPELINE_HOME/alerts/alerts.jsonl."
    ),
)
def run_failure_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Tell of the runs that failed since the last look."""
    memory = _read(context.cursor)
    runs = _new_runs(context.instance, memory, [FAILED])
    alerts = [alert for run, event in runs if (alert := run_alert(context.instance, run, event)) is not None]
    return _tell(context, memory, alerts)


@dg.sensor(
    minimum_interval_seconds=SENSOR_SECONDS,
    description=(
        "Every 30 seconds: tells of each asset check of severity ERROR that failed in a run that has ended, and of each"
        " asset whose freshness policy has begun to fail. Collected and sent as by run_failure_sensor."
    ),
)
def asset_alert_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Tell of checks that failed since the last look, and of assets that have become stale."""
    memory = _read(context.cursor)
    runs = _new_runs(context.instance, memory, list(ENDED))
    alerts = [alert for run, _ in runs for alert in check_alerts(context.instance, run)]
    stale = stale_assets(context.instance, _keys_with_policy(context))
    alerts += stale_alerts(stale, memory.get("stale", []))
    memory["stale"] = sorted(stale)
    return _tell(context, memory, alerts)


def utc_now() -> dt.datetime:
    """Tell the time."""
    return dt.datetime.now(dt.UTC)


def _new_runs(
    instance: dg.DagsterInstance, memory: dict[str, Any], kinds: Sequence[dg.DagsterEventType]
) -> list[tuple[dg.DagsterRun, dg.EventLogEntry]]:
    """List the runs that ended since the last look, and move its cursors on; a first look sees none."""
    cursors, runs = memory.setdefault("cursors", {}), []
    for kind in kinds:
        if kind.value not in cursors:
            cursors[kind.value] = newest_cursor(instance, kind)
            continue
        found, cursors[kind.value] = ended_runs(instance, kind, cursors[kind.value])
        runs += found
    return runs


def _tell(context: dg.SensorEvaluationContext, memory: dict[str, Any], alerts: list[Alert]) -> dg.SensorResult:
    """Queue what is new for each notifier, and send what is due."""
    from pipeline_defs.alerting.delivering import deliver  # noqa: PLC0415 -- only a tick sends

    told: list[str] = memory.setdefault("told", [])
    new = [alert for alert in alerts if alert.identity not in told]
    memory["told"] = [*told, *(alert.identity for alert in new)][-_MAX_REMEMBERED:]
    now = utc_now().timestamp()
    said = [f"{len(new)} new alerts"]
    queues = _queues(memory, said)
    for name in chosen_names():
        queue = queues.setdefault(name, Queue())
        queue.add(new)
        if not queue.is_due(now):
            continue
        message = compose(queue.waiting, queue.left_out)
        outcome = deliver(name, message)
        if outcome.error is None:
            said.append(f"{name} was told of {len(message.alerts) + message.left_out}")
            queue.was_sent(now, _pace(said))
        else:
            context.log.error("notifier %s failed after %d tries: %s", name, outcome.tries, outcome.error)
            said.append(f"{name} FAILED: {outcome.error}")
            queue.has_failed(now)
    # A notifier that is no longer chosen owes nothing.
    memory["queues"] = {name: queue.plain() for name, queue in queues.items() if name in chosen_names()}
    return dg.SensorResult(cursor=json.dumps(memory), skip_reason="; ".join(said))


def _pace(said: list[str]) -> float:
    """Give the time between two messages; a wrong setting must not keep alerts back."""
    try:
        return every_seconds()
    except PipelineError as error:
        said.append(str(error))
        return 0.0


def _read(cursor: str | None) -> dict[str, Any]:
    """Give what was remembered; nothing if that cannot be read: telling twice is better than never again."""
    try:
        memory = json.loads(cursor or "{}")
    except (ValueError, RecursionError):
        return {}
    return memory if isinstance(memory, dict) else {}


def _queues(memory: dict[str, Any], said: list[str]) -> dict[str, Queue]:
    """Give what waits for each notifier, and say of which that cannot be read."""
    queues: dict[str, Queue] = {}
    for name, plain in memory.get("queues", {}).items():
        try:
            queues[name] = Queue.read(plain)
        except ValueError as error:
            said.append(f"what waited for {name} is lost: {error}")
    return queues


def _keys_with_policy(context: dg.SensorEvaluationContext) -> list[dg.AssetKey]:
    if context.repository_def is None:
        return []
    graph = context.repository_def.asset_graph
    return [key for key in graph.materializable_asset_keys if graph.get(key).freshness_policy is not None]
