"""Several processes with one key stay under one limit."""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.limiting import SharedLimits
from pipeline_defs.sources.asking.questions import Limit

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = (Limit(5, 0.5),)
TURNS = 10


def _ask(folder: Path, stamps: list[float]) -> None:
    limits = SharedLimits(folder, "paper", LIMITS)
    for _ in range(TURNS):
        limits.wait("history", 30)
        stamps.append(time.time())


def test_two_processes_together_stay_under_the_limit(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        stamps = manager.list()
        processes = [context.Process(target=_ask, args=(tmp_path, stamps)) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        taken = sorted(stamps)

    assert len(taken) == 2 * TURNS
    # Six turns never fall into one span of the limit; a stamp is taken a moment after its turn.
    spans = [later - earlier for earlier, later in zip(taken, taken[5:], strict=False)]
    assert min(spans) > 0.4


def test_a_turn_that_does_not_come_in_time_is_an_error(tmp_path: Path) -> None:
    limits = SharedLimits(tmp_path, "paper", (Limit(1, 60),))
    limits.wait("history", 1)
    with pytest.raises(SourceError, match=r"left no turn within 0 s.*\n.*fewer backfills"):
        limits.wait("history", 0.2)


def test_a_group_without_a_limit_does_not_wait(tmp_path: Path) -> None:
    limits = SharedLimits(tmp_path, "paper", LIMITS)
    for _ in range(50):
        limits.wait("instruments", 0.1)
    limits.close()


def test_all_limits_of_a_group_hold_together(tmp_path: Path) -> None:
    limits = SharedLimits(tmp_path, "paper", (Limit(100, 60), Limit(2, 0.3)))
    started = time.monotonic()
    for _ in range(5):
        limits.wait("history", 10)

    assert time.monotonic() - started >= 0.5
