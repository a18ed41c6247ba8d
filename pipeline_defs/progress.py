"""How long work tells how far it is: a value for whoever wants to know. What is shown of it is not decided here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """Where a piece of work has come to.

    Parameters
    ----------
    doing : str
        What is being done now.
    done : int
        How much is behind.
    total : int or None
        How much there is; None while nobody can know.

    """

    doing: str
    done: int
    total: int | None


type OnProgress = Callable[[Step], None]


def ignore(step: Step) -> None:
    """Tell nobody."""
    del step
