"""What a worker starts with: ``celery -A pipeline_defs.orchestration.workers.app worker -Q runs -c 2 -n %h``.

Importing it reads the settings of the host, and refuses those with which a worker would lean on its own disk.
"""

from __future__ import annotations

import os
from typing import Any

from billiard.process import current_process
from celery import Celery, Task
from dagster import DagsterInstance
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster_celery import make_app as apps
from dagster_celery import tasks

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.orchestration.executors import refuse_child_processes
from pipeline_defs.orchestration.sharing import (
    CONFIGURATION_TAG,
    HOSTS_VARIABLE,
    MANY,
    refuse_other_configuration,
    require_shared_state,
)
from pipeline_defs.orchestration.workers.broker import STEP_SETTINGS, broker_url, result_url, run_settings
from pipeline_defs.orchestration.workers.signs import LEASE_SECONDS, giving_signs

_DEFINITIONS = "pipeline_defs.definitions"
_OF_STEPS = ("task_acks_late", "task_reject_on_worker_lost", "task_time_limit")


class RunTask(Task):  # type: ignore[misc] # celery ships no types
    """Executes a whole run, with signs of life."""

    abstract = True

    def __call__(self, execute_job_args_packed: Any) -> int:  # noqa: ANN401 -- what dagster-celery packed
        """Execute it, unless this host is configured otherwise than the one that sent it."""
        run_id = unpack_value(execute_job_args_packed, as_type=ExecuteRunArgs).run_id
        slot = f"{self.request.hostname}/{getattr(current_process(), 'index', 0)}"
        with DagsterInstance.get() as instance:
            run = instance.get_run_by_id(run_id)
            if run is None:
                return 1
            try:
                refuse_other_configuration(run.tags.get(CONFIGURATION_TAG), slot)
            except ConfigurationError as error:
                data = JobFailureData(error=None, failure_reason=RunFailureReason.RUN_EXCEPTION)
                instance.report_run_failed(run, str(error), data)
                return 1
            lease = getattr(instance.run_launcher, "lease_seconds", LEASE_SECONDS)
            with giving_signs(instance, run_id, slot, lease):
                return int(super().__call__(execute_job_args_packed=execute_job_args_packed))


def build_app() -> Celery:
    """Make the application of this host.

    Returns
    -------
    celery.Celery

    Raises
    ------
    ConfigurationError
        If the broker is not named, something that all hosts need lies on this one's disk, or the executor cannot work.

    """
    refuse_child_processes()
    os.environ[HOSTS_VARIABLE] = MANY  # for the runs that this worker starts
    require_shared_state()
    untyped: Any = apps.make_app
    made: Celery = untyped(
        app_args={
            "broker": broker_url(),
            "backend": result_url(),
            "include": [_DEFINITIONS],  # once, in the parent: each run is a fork of it
            "config_source": run_settings(),
        }
    )
    make_run_task: Any = tasks.create_execute_job_task
    make_run_task(made, base=RunTask, typing=False)
    make_step_task: Any = tasks.create_task
    make_step_task(made, ignore_result=False, **{name.removeprefix("task_"): STEP_SETTINGS[name] for name in _OF_STEPS})
    return made


app = build_app()
