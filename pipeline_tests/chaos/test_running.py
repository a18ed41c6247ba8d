"""A few seeds that together have every fault of a chaos run, each held against the world without faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from pipeline_tests.chaos.planning import CHAOS_FAULTS, make_plan

if TYPE_CHECKING:
    from pipeline_tests.chaos.running import Engine

SEEDS: Final = (227, 50, 266, 8)
"""Together they have every kind of fault; `test_the_seeds_have_every_fault` says if they no longer do."""


def test_a_seed_gives_the_same_schedule_each_time() -> None:
    assert make_plan(7).lines() == make_plan(7).lines()
    assert make_plan(7).lines() != make_plan(8).lines()


def test_the_seeds_have_every_fault() -> None:
    assert set().union(*(make_plan(seed).faults for seed in SEEDS)) == set(CHAOS_FAULTS)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_must_hold_holds(engine: Engine, seed: int) -> None:
    outcome = engine.run(seed)

    assert outcome.violations == [], outcome.tell()
    assert outcome.looks > 0
