"""Sends each run to a worker, whole.

In ``dagster.yaml``:

.. code-block:: yaml

    run_launcher:
      module: pipeline_defs.orchestration.workers.launcher
      class: WorkerRunLauncher

The launcher of dagster-celery does the sending. This one reads the broker's address where secrets are read, chooses the
queue, and finds out by signs of life whether a worker still lives: what Celery says of a task whose machine is gone is
that it has started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_QUEUE_TAG, DAGSTER_CELERY_TASK_ID_TAG

from pipeline_defs.orchestration.pools import ASKING_QUEUE
from pipeline_defs.orchestration.sharing import CONFIGURATION_TAG, configuration_digest
from pipeline_defs.orchestration.workers.broker import RUNS_QUEUE, broker_url, run_settings
from pipeline_defs.orchestration.workers.signs import DEAD_AFTER_LEASES, LEASE_SECONDS, SLOT_TAG, Listener
from pipeline_defs.sources.registry import api_sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagster._serdes import ConfigurableClassData

_ASKING_JOBS = frozenset({"backfill", "fill_gaps", "import_data"})
"""Jobs that ask vendors without a pool of one of them."""

_ASKING_ASSETS = frozenset({dg.AssetKey(["gaps", "backfill"])})


class WorkerRunLauncher(CeleryRunLauncher):
    """Starts runs on workers of Celery, and knows which of them are dead.

    Parameters
    ----------
    lease_seconds : float
        How long a run may be cut off from Dagster's database before it ends itself. The workers read it from their own
        instance: all hosts need the same.
    inst_data : ConfigurableClassData, optional
        What made it.

    """

    def __init__(self, lease_seconds: float, inst_data: ConfigurableClassData | None = None) -> None:
        self.lease_seconds = lease_seconds
        self._listener = Listener()
        super().__init__(
            default_queue=RUNS_QUEUE,
            broker=broker_url(),
            backend="disabled://",  # what becomes of a run stands in Dagster's database, not in the broker
            config_source=run_settings(),
            inst_data=inst_data,
        )

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Describe what may be set in ``dagster.yaml``."""
        return {
            "lease_seconds": dg.Field(
                dg.IntSource,
                is_required=False,
                default_value=LEASE_SECONDS,
                description="How long a run may be cut off from Dagster's database before it ends itself.",
            )
        }

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Make it from what ``dagster.yaml`` says."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Send a run to the queue it belongs to."""
        run = context.dagster_run
        tags = {CONFIGURATION_TAG: configuration_digest()}
        if DAGSTER_CELERY_QUEUE_TAG not in run.tags:
            tags[DAGSTER_CELERY_QUEUE_TAG] = queue_of(run)
        self._instance.add_run_tags(run.run_id, tags)
        tagged = context.dagster_run.with_tags({**run.tags, **tags})
        super().launch_run(LaunchRunContext(dagster_run=tagged, workspace=context.workspace))

    def terminate(self, run_id: str) -> bool:
        """Have the worker interrupt the run; it writes its own end."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        self._instance.report_run_canceling(run)
        return super().terminate(run_id)

    @property
    def supports_resume_run(self) -> bool:
        """No: a partition is replaced as a whole, so a run that died is run again from its begin, as another run."""
        return False

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Tell whether a run that has begun still gives signs of life."""
        silent = self._listener.silent_seconds(self._instance, run)
        if silent <= self.lease_seconds * DEAD_AFTER_LEASES:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        self._listener.forget(run.run_id)
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            f"worker {run.tags.get(SLOT_TAG, 'unknown')} gave no sign of life for {silent:.0f} s;"
            " its process was killed, or its machine is gone or cut off",
        )

    def get_run_worker_debug_info(
        self,
        run: dg.DagsterRun,
        include_container_logs: bool | None = True,  # noqa: FBT001, FBT002 -- Dagster's signature
    ) -> str | None:
        """Say where a run is, for messages about it."""
        del include_container_logs
        queue = run.tags.get(DAGSTER_CELERY_QUEUE_TAG, RUNS_QUEUE)
        return f"queue {queue}; worker {run.tags.get(SLOT_TAG, 'none yet: does a worker listen to this queue?')}"


def queue_of(run: dg.DagsterRun) -> str:
    """Choose the queue of a run: the one of the host that asks vendors, if it may ask one.

    Parameters
    ----------
    run : dagster.DagsterRun
        Before it is sent.

    Returns
    -------
    str

    """
    pools = set() if run.run_op_concurrency is None else set(run.run_op_concurrency.all_pools or ())
    asks = (
        bool(pools & set(api_sources()))
        or run.job_name in _ASKING_JOBS
        or bool(_ASKING_ASSETS & set(run.asset_selection or ()))
    )
    return ASKING_QUEUE if asks else RUNS_QUEUE
