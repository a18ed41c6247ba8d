"""Repeated backtests through the real import: hits, misses and questions in vain, counted against the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.cache_simulation import Simulation

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pipeline_defs.warehouse.connection import Warehouse


def test_more_than_four_of_five_are_hits_and_less_than_one_in_twenty_is_asked_in_vain(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    counts = Simulation(warehouse, seed=56, sessions=10).run(12)

    assert counts.hits + counts.right_misses + counts.false_invalidations == counts.wanted
    assert counts.hit_rate > 0.8
    assert 0 < counts.false_rate < 0.05  # a revision that changed nothing is among the events
    assert counts.stale_hits == 0
    assert set(counts.events) == {
        "a session more",
        "a symbol more",
        "a symbol less",
        "a process killed",
        "a revision",
        "a revision that changed nothing",
    }
