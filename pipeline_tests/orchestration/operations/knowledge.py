"""What Dagster knows of partitions, checks, data versions and runs, as one value that can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Sequence


def known(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey], run_id: str) -> dict[str, Any]:
    """Read everything that pages, sensors, checks and re-executions read."""
    storage = instance.event_log_storage
    latest = {key: instance.get_latest_materialization_event(key) for key in keys}
    records = {key: instance.fetch_materializations(key, limit=100).records for key in keys}
    checks = list(storage.get_latest_asset_check_execution_by_key(_check_keys(instance, keys)))
    return {
        "partitions": {key: instance.get_materialized_partitions(key) for key in keys},
        "latest": latest,
        "metadata": {
            key: [record.asset_materialization.metadata for record in found if record.asset_materialization]
            for key, found in records.items()
        },
        "data versions": {
            key: [(record.asset_materialization.tags or {}) for record in found if record.asset_materialization]
            for key, found in records.items()
        },
        "by partition": {
            key: storage.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
            for key in keys
        },
        "checks": {
            key: [(one.status, one.event) for one in storage.get_asset_check_execution_history(key, limit=100)]
            for key in checks
        },
        "run": [(run.status, run.tags) for run in instance.get_runs(dg.RunsFilter(run_ids=[run_id]))],
        "statistics": instance.get_run_stats(run_id),
        # Not the markers: when a step's resources were made is a shade on the page of a run, and is forgotten.
        "steps": [
            (step.step_key, step.status, step.start_time, step.end_time, step.attempts)
            for step in instance.get_run_step_stats(run_id)
        ],
        "state changes": [
            record.event_log_entry
            for record in instance.fetch_run_status_changes(dg.DagsterEventType.RUN_SUCCESS, limit=100).records
        ],
        "planned": {key: instance.get_latest_planned_materialization_info(key) for key in keys},
        "output": [
            entry.get_dagster_event().logs_captured_data
            for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
        ],
    }


def _check_keys(instance: dg.DagsterInstance, keys: Sequence[dg.AssetKey]) -> list[dg.AssetCheckKey]:
    evaluated = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
        dagster_event_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
    )
    found = {entry.get_dagster_event().asset_check_evaluation_data.asset_check_key for entry in evaluated.values()}
    return sorted(key for key in found if key.asset_key in set(keys))
