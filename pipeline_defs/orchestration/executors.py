"""Who executes the steps of a run: this process, processes of their own, or workers on other machines.

A switch, ``PIPELINE_EXECUTOR``. What only one of them needs is imported when it is chosen.
"""

from __future__ import annotations

import os
from typing import Any, Final

import dagster as dg

from pipeline_defs.errors import ConfigurationError, UnknownNameError

VARIABLE: Final = "PIPELINE_EXECUTOR"
IN_PROCESS: Final = "in_process"
MULTIPROCESS: Final = "multiprocess"
CELERY: Final = "celery"
_LOCAL: Final = {IN_PROCESS: dg.in_process_executor, MULTIPROCESS: dg.multiprocess_executor}


def executor_name() -> str:
    """Read which executor is chosen.

    Returns
    -------
    str
        ``in_process`` (a step is short against the start of a process, and runs are processes already),
        ``multiprocess``, or ``celery``.

    Raises
    ------
    UnknownNameError
        If ``PIPELINE_EXECUTOR`` names none of them.

    """
    name = os.environ.get(VARIABLE) or IN_PROCESS
    if name not in {*_LOCAL, CELERY}:
        raise UnknownNameError(f"executor ({VARIABLE})", name, [*_LOCAL, CELERY])
    return name


def refuse_child_processes() -> None:
    """Refuse an executor that starts processes, where runs are executed by processes that may start none.

    Raises
    ------
    ConfigurationError
        If ``PIPELINE_EXECUTOR`` is ``multiprocess``: every run of this worker would fail.

    """
    if executor_name() == MULTIPROCESS:
        raise ConfigurationError(
            f"is {MULTIPROCESS}, and a worker's processes may start no processes for the steps of a run",
            where=VARIABLE,
            next_step=f"unset it on this worker, or set it to {IN_PROCESS}; more runs at once are more places (-c)",
        )


def choose_executor() -> dg.ExecutorDefinition:
    """Give the executor of every job of the definitions.

    Returns
    -------
    dagster.ExecutorDefinition

    Raises
    ------
    UnknownNameError
        If ``PIPELINE_EXECUTOR`` names none.

    """
    name = executor_name()
    return _LOCAL[name] if name in _LOCAL else _celery()


def _celery() -> dg.ExecutorDefinition:
    from dagster_celery import celery_executor  # noqa: PLC0415 -- two seconds of imports that few need

    def resolve(_config: Any) -> dict[str, Any]:  # noqa: ANN401 -- Dagster passes what was configured: nothing
        # Only when a run begins: a broker's password has no business in the definitions.
        from pipeline_defs.orchestration.workers.broker import STEP_SETTINGS, broker_url, result_url  # noqa: PLC0415

        return {"broker": broker_url(), "backend": result_url(), "config_source": STEP_SETTINGS}

    return celery_executor.configured(resolve, name=CELERY, config_schema={})
