"""Checks of an installation, run side by side within a time limit: none can keep the others from answering.

A check is a function that gives what it saw, or raises `UnhealthyError`; an error of the product, with its next step,
serves as well. Nothing here knows what is checked.
"""

from __future__ import annotations

import enum
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    type Check = Callable[[], str]

DEFAULT_LIMIT_SECONDS: Final = 20.0


class State(enum.StrEnum):
    """How a check ended."""

    WELL = "ok"
    WARNING = "warning"
    """To be looked at in working hours; a probe does not fail by it."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It cannot be seen from here; the outcome says why."""


class UnhealthyError(PipelineError):
    """Something is wrong with the installation.

    Parameters
    ----------
    what : str
        What was found and what was expected.
    next_step : str
        What a person does about it.
    state : State, default FAILED
        How grave it is.

    """

    def __init__(self, what: str, *, next_step: str, state: State = State.FAILED) -> None:
        super().__init__(what, next_step=next_step)
        self.state = state


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found.

    Parameters
    ----------
    name : str
        Of the check.
    state : State
        How it ended.
    what : str
        What it saw.
    next_step : str or None
        What to do; None if all is well.
    seconds : float
        How long it took.

    """

    name: str
    state: State
    what: str
    next_step: str | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Give a JSON-ready form."""
        return {
            "check": self.name,
            "state": self.state.value,
            "what": self.what,
            "next_step": self.next_step,
            "seconds": round(self.seconds, 3),
        }


def run_checks(checks: Mapping[str, Check], *, limit_seconds: float = DEFAULT_LIMIT_SECONDS) -> list[Outcome]:
    """Run checks at once, and give up on those that do not answer in time.

    Parameters
    ----------
    checks : mapping of str to callable
        By name; each gives what it saw.
    limit_seconds : float, default 20
        For all together. A check that does not answer is left to its thread, which does not keep the process alive.

    Returns
    -------
    list of Outcome
        In the order of `checks`.

    """
    outcomes: dict[str, Outcome] = {}

    def run(name: str, check: Check) -> None:
        outcomes[name] = _run(name, check)

    threads = [threading.Thread(target=run, args=entry, daemon=True) for entry in checks.items()]
    deadline = time.monotonic() + limit_seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [outcomes.get(name) or _silent(name, limit_seconds) for name in checks]


def is_well(outcomes: list[Outcome]) -> bool:
    """Tell whether nothing failed; a warning is no failure."""
    return all(outcome.state is not State.FAILED for outcome in outcomes)


def _run(name: str, check: Check) -> Outcome:
    begun = time.monotonic()
    try:
        state, what, next_step = State.WELL, check(), None
    except UnhealthyError as error:
        state, what, next_step = error.state, error.what, error.next_step
    except PipelineError as error:
        place = "" if error.where is None else f"{error.where}: "
        state, what, next_step = State.FAILED, place + error.what, error.next_step or f"see what {name} needs"
    except Exception as error:  # noqa: BLE001 -- a check that breaks is a finding, not the end of the others
        state = State.FAILED
        what = f"the check itself failed: {type(error).__name__}: {' '.join(str(error).split())}"
        next_step = "look at the logs of the process; if it happens again, report it"
    return Outcome(name, state, what, next_step, time.monotonic() - begun)


def _silent(name: str, limit_seconds: float) -> Outcome:
    return Outcome(
        name,
        State.FAILED,
        f"no answer within {limit_seconds:g} s",
        "look whether what it asks is overloaded or cut off; --limit gives it more time",
        limit_seconds,
    )
