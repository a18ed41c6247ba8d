"""The same assets, run in this process on the persistent instance: what scripts use in place of the UI.

A run made here is a run like any other: it stands in the UI with its events, metadata and checks.
"""

from __future__ import annotations

import contextlib
import fcntl
import uuid
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import dagster as dg
from dagster._core.instance.ref import InstanceRef  # the only way to change one setting of an instance

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.orchestration.instance import prepare_dagster_home

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from pipeline_defs.settings import Settings


_KEEPS_NOTHING: Final = {
    "module": "dagster._core.storage.noop_compute_log_manager",
    "class": "NoOpComputeLogManager",
}

ROWS: Final = "dagster/partition_row_count"
"""Metadata that every asset has: rows of the partition, in Dagster's own name for it."""


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """One evaluated asset check.

    Parameters
    ----------
    asset, name : str
        Asset key with slashes; name of the check.
    passed : bool
        Outcome.
    blocking : bool
        Whether a failure stops what comes after.
    metadata : dict
        Plain values by name, ``expected`` and ``found`` among them.

    """

    asset: str
    name: str
    passed: bool
    blocking: bool
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PartitionRun:
    """Outcome of a run over one partition.

    Parameters
    ----------
    run_id : str
        As in the UI.
    succeeded : bool
        Whether every step succeeded or was skipped for want of data.
    metadata : dict
        By asset key with slashes, the plain metadata of its materialisation.
    checks : list of CheckOutcome
        In the order in which they were evaluated.
    failures : list of str
        What failed steps said, without tracebacks.

    """

    run_id: str
    succeeded: bool
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: list[CheckOutcome] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def open_instance(settings: Settings, *, captures_output: bool = True) -> dg.DagsterInstance:
    """Open the persistent instance of a home; to be closed, or used as a context manager.

    Parameters
    ----------
    settings : Settings
        Where it is.
    captures_output : bool, default True
        Whether what steps print is kept with their run. It is taken from the whole process meanwhile: a command that
        has a terminal to talk to cannot do without it.

    Returns
    -------
    dagster.DagsterInstance

    """
    home = str(prepare_dagster_home(settings))
    # Two processes that make the same SQLite files at the same moment would stumble over each other.
    with _one_at_a_time(settings.dagster_home / ".opening"):
        if captures_output:
            return dg.DagsterInstance.from_config(home)
        return dg.DagsterInstance.from_ref(InstanceRef.from_dir(home, overrides={"compute_logs": _KEEPS_NOTHING}))


@contextlib.contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def materialize_partition(
    selection: str,
    partition: str,
    instance: dg.DagsterInstance,
    *,
    on_progress: Callable[[str], None] | None = None,
) -> PartitionRun:
    """Materialise assets for one partition, with their checks, and wait for it.

    Parameters
    ----------
    selection : str
        As in ``dagster asset materialize --select``, e.g. ``group:ingestion or group:bars``.
    partition : str
        Key all selected assets have, e.g. ``2025-08-14`` or ``2025-08|NIFTY``.
    instance : dagster.DagsterInstance
        Where the run is recorded.
    on_progress : callable, optional
        Called with one line when a step begins, an asset is materialised, a check is evaluated.

    Returns
    -------
    PartitionRun
        Also when steps or checks failed.

    Raises
    ------
    ConfigurationError
        If nothing is selected, or a selected asset has no such partition.

    """
    from pipeline_defs.definitions import defs  # noqa: PLC0415 -- the definitions import this room

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # Dagster warns of a parameter that it passes itself
        keys = dg.AssetSelection.from_string(selection).resolve(defs.resolve_asset_graph())
    _refuse_unknown(defs, selection, keys, partition)
    run_id = str(uuid.uuid4())
    if on_progress is not None:
        instance.add_event_listener(run_id, lambda entry: _tell(entry, on_progress))
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        run_id=run_id,
        asset_selection=sorted(keys),
        partition_key=partition,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    return PartitionRun(
        run_id=run_id,
        succeeded=result.success,
        metadata={
            event.asset_key.to_user_string(): _plain(event.step_materialization_data.materialization.metadata)
            for event in result.get_asset_materialization_events()
            if event.asset_key is not None
        },
        checks=[
            CheckOutcome(
                asset=evaluation.asset_key.to_user_string(),
                name=evaluation.check_name,
                passed=evaluation.passed,
                blocking=bool(evaluation.blocking),
                metadata=_plain(evaluation.metadata),
            )
            for evaluation in result.get_asset_check_evaluations()
        ],
        failures=[failure_reason(event) for event in result.all_events if event.is_step_failure],
    )


def _refuse_unknown(defs: dg.Definitions, selection: str, keys: Collection[dg.AssetKey], partition: str) -> None:
    if not keys:
        raise ConfigurationError(
            f"{selection!r} selects no asset",
            next_step="list them with 'dagster asset list -m pipeline_defs.definitions'",
        )
    graph = defs.resolve_asset_graph()
    for key in sorted(keys):
        partitions = graph.get(key).partitions_def
        if partitions is None or not partitions.has_partition_key(partition):
            raise ConfigurationError(
                f"{key.to_user_string()} has no partition {partition!r}",
                next_step="a source takes a trading session (YYYY-MM-DD), a catalog a month and an underlying"
                " (YYYY-MM|UNDERLYING) of PIPELINE_UNDERLYINGS",
            )


def _tell(entry: dg.EventLogEntry, on_progress: Callable[[str], None]) -> None:
    event = entry.dagster_event
    if event is None:
        return
    if event.event_type is dg.DagsterEventType.STEP_START:
        on_progress(f"{event.step_key}: begins")
    elif event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key is not None:
        metadata = _plain(event.step_materialization_data.materialization.metadata)
        on_progress(f"{event.asset_key.to_user_string()}: {metadata.get(ROWS, 0):,} rows")
    elif event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        evaluation = event.asset_check_evaluation_data
        outcome = "passed" if evaluation.passed else "FAILED"
        on_progress(f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name} {outcome}")


def _plain(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    return {name: value.value for name, value in metadata.items()}


def failure_reason(event: dg.DagsterEvent) -> str:
    """Take from a failed step what a person needs: what was raised on purpose, else the error behind Dagster's own."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return event.message or "" if error is None else error.message.strip()
