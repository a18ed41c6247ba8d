"""How a command hears of its run while it goes on, and learns why it failed.

The run of a command is executed in the command's own process. Who launches the same job from the UI hears nothing here,
and reads the run instead.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipeline_defs.errors import PipelineError
from pipeline_defs.orchestration.assets.describing import failure
from pipeline_defs.orchestration.hiding import without_secrets_in
from pipeline_defs.progress import OnProgress, ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _unheard(told: Any) -> None:  # noqa: ANN401 -- whatever a run tells
    del told


@dataclass(slots=True)
class Listener:
    """Who waits for a run.

    Parameters
    ----------
    on_progress : callable
        Told how far it is.
    on_result : callable
        Given each result as it comes: reports of loads, a published export.
    run_id : str or None
        Of the run, once there is one.
    error : BaseException or None
        What made it fail, as it was raised.

    """

    on_progress: OnProgress = ignore
    on_result: Callable[[Any], None] = _unheard
    run_id: str | None = None
    error: BaseException | None = None


_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let the runs that are executed in the block tell a listener."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def current_listener() -> Listener:
    """Give the listener of this process's run, or one that is deaf."""
    return _LISTENER.get() or Listener()


@contextmanager
def failures_told(context: dg.OpExecutionContext) -> Iterator[Listener]:
    """Tell the listener of an error as it was raised, and the UI in Dagster's words.

    Yields
    ------
    Listener

    Raises
    ------
    dagster.Failure
        In place of a `PipelineError`; it is not retried.

    """
    listener = current_listener()
    try:
        yield listener
    except PipelineError as error:
        listener.error = error
        raise failure(error) from error
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        listener.error = KeyboardInterrupt()
        run = context.instance.get_run_by_id(context.run_id)
        # A run that was ended from the UI is being cancelled already; one that a person interrupts here is as well.
        if run is not None and run.status is dg.DagsterRunStatus.STARTED:
            context.instance.report_run_canceling(run, "interrupted at the command line")
        raise
    except Exception as error:
        shown = without_secrets_in(error)
        listener.error = error
        if shown is not error:
            raise shown from None
        raise
