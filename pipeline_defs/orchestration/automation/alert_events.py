"""What the instance's events say went wrong since the last look, as alerts.

A look reads what is new and nothing else: runs that ended since a cursor, with the checks of those runs, and the
present freshness of assets that have a policy. A run that Dagster is about to try again is no failure yet.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pipeline_defs.alerting.alert import Alert
from pipeline_defs.orchestration.runs import failure_reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

UI_VARIABLE: Final = "PIPELINE_UI_URL"

FAILED: Final = dg.DagsterEventType.RUN_FAILURE
ENDED: Final = (FAILED, dg.DagsterEventType.RUN_SUCCESS)

RUNS_A_LOOK: Final = 100
"""More are taken up by the next look."""

_WILL_RETRY: Final = "dagster/will_retry"
_PARTITION: Final = "dagster/partition"
_STEPS_TOLD: Final = 3
_NEXT: Final = "Next: "


def newest_cursor(instance: dg.DagsterInstance, kind: dg.DagsterEventType) -> str:
    """Give the cursor of a first look: what happened before is not told."""
    return instance.fetch_run_status_changes(kind, limit=1).cursor


def ended_runs(
    instance: dg.DagsterInstance, kind: dg.DagsterEventType, cursor: str
) -> tuple[list[tuple[dg.DagsterRun, dg.EventLogEntry]], str]:
    """List the runs that ended in one way since a cursor.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Where the events are.
    kind : dagster.DagsterEventType
        One of `ENDED`.
    cursor : str
        Of the last look.

    Returns
    -------
    tuple of list and str
        Runs with the event, oldest first; and the cursor of the next look.

    """
    found = instance.fetch_run_status_changes(kind, limit=RUNS_A_LOOK, cursor=cursor, ascending=True)
    runs = []
    for record in found.records:
        run = instance.get_run_by_id(record.run_id)
        if run is not None:
            runs.append((run, record.event_log_entry))
    return runs, found.cursor


def run_alert(instance: dg.DagsterInstance, run: dg.DagsterRun, event: dg.EventLogEntry) -> Alert | None:
    """Tell a failed run.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Where its events are.
    run : dagster.DagsterRun
        That failed.
    event : dagster.EventLogEntry
        By which it did.

    Returns
    -------
    Alert or None
        None if it will be tried again.

    """
    if run.tags.get(_WILL_RETRY) == "true":
        return None
    error, next_step = _failure_of(instance, run, event)
    return Alert(
        kind="run failed",
        subject=run.job_name,
        partition=run.tags.get(_PARTITION, ""),
        assets=tuple(sorted(key.to_user_string() for key in run.asset_selection or ())),
        error=error,
        next_step=next_step,
        run_id=run.run_id,
        url=_run_url(run.run_id),
        at=_instant(event.timestamp),
    )


def check_alerts(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Alert]:
    """Tell the checks of severity ERROR that failed in a run.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Where its events are.
    run : dagster.DagsterRun
        That ended.

    Yields
    ------
    Alert
        One for each.

    """
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    for record in instance.get_records_for_run(run.run_id, of_type=kind).records:
        event = record.event_log_entry.dagster_event
        evaluation = None if event is None else event.asset_check_evaluation_data
        if evaluation is None or evaluation.passed or evaluation.severity is not dg.AssetCheckSeverity.ERROR:
            continue
        told = evaluation.metadata
        sides = [f"{side}: {told[side].value}" for side in ("expected", "found") if side in told]
        yield Alert(
            kind="check failed",
            subject=f"{evaluation.asset_key.to_user_string()} {evaluation.check_name}",
            partition=evaluation.partition or run.tags.get(_PARTITION, ""),
            error="\n".join([evaluation.description or "the check did not pass", *sides]),
            next_step="look at the check on the asset's page; it can be run again for this partition",
            run_id=run.run_id,
            url=_run_url(run.run_id),
            at=_instant(record.event_log_entry.timestamp),
        )


def stale_assets(instance: dg.DagsterInstance, keys: Collection[dg.AssetKey]) -> dict[str, dt.datetime]:
    """List the assets whose freshness policy fails.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Whose daemon evaluates the policies.
    keys : collection of dagster.AssetKey
        Those with a policy.

    Returns
    -------
    dict of str to datetime.datetime
        Asset keys with slashes, each with the instant since when.

    """
    records = instance.get_freshness_state_records(list(keys)) if keys else {}
    return {
        key.to_user_string(): record.updated_at
        for key, record in records.items()
        if record.freshness_state.value == "FAIL"
    }


def stale_alerts(stale: Mapping[str, dt.datetime], known: Collection[str]) -> list[Alert]:
    """Tell the assets that have become stale since the last look."""
    return [
        Alert(
            kind="stale",
            subject=asset,
            error=f"its freshness policy fails since {since:%Y-%m-%d %H:%M} UTC",
            next_step="materialise the last session, or switch its daily schedule on",
            at=since.isoformat(),
        )
        for asset, since in sorted(stale.items())
        if asset not in known
    ]


def _failure_of(instance: dg.DagsterInstance, run: dg.DagsterRun, event: dg.EventLogEntry) -> tuple[str, str]:
    """Give what failed steps said, with the first next step; of a run without any, what ended it."""
    kind = dg.DagsterEventType.STEP_FAILURE
    texts, next_step = [], ""
    for record in instance.get_records_for_run(run.run_id, of_type=kind, limit=_STEPS_TOLD).records:
        failed = record.event_log_entry.dagster_event
        if failed is None:
            continue
        text = failure_reason(failed)
        next_step = next_step or _next_step(text)
        texts.append("\n".join(line for line in text.splitlines() if not line.startswith(_NEXT)))
    if not texts and event.dagster_event is not None:
        texts = [event.dagster_event.message or "the run failed before any step did"]
    return "\n".join(texts), next_step or "open the run, read its first error, and run the partition again"


def _next_step(text: str) -> str:
    return next((line.removeprefix(_NEXT) for line in text.splitlines() if line.startswith(_NEXT)), "")


def _run_url(run_id: str) -> str:
    base: Any = os.environ.get(UI_VARIABLE)
    return f"{base.rstrip('/')}/runs/{run_id}" if base else ""


def _instant(timestamp: float) -> str:
    return dt.datetime.fromtimestamp(timestamp, dt.UTC).isoformat(timespec="seconds")
