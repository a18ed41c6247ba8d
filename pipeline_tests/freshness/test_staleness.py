"""The latest sessions of a source, and the one that runs, at whatever instant one looks."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pipeline_defs.sources.registry import get_source
from pipeline_defs.staleness import latest_states
from pipeline_tests.freshness.conftest import RELIANCE, Traveller, candle, ist

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse


def look(traveller: Traveller, now: str, sessions: int = 3, first: dt.date | None = None) -> dict[str, bool]:
    """Give the sessions that are fresh or stale, minutes only; a star is on the one that runs."""
    found = latest_states(
        traveller.warehouse, traveller.source(now), ist(now), tables={"spot_prices"}, sessions=sessions, first=first
    )
    return {f"{one.trade_date}{'*' if one.is_running else ''}": one.is_fresh for one in found}


def test_the_latest_sessions_are_those_that_are_due_whatever_lies_between(traveller: Traveller) -> None:
    traveller.go("2025-09-01T08:00:00", "2025-08-26")
    thursday = "2025-08-28T15:45:00"

    assert look(traveller, thursday) == {"2025-08-25": False, "2025-08-26": True, "2025-08-28": False}
    assert look(traveller, "2025-08-28T15:44:59") == {"2025-08-22": False, "2025-08-25": False, "2025-08-26": True}
    since = look(traveller, thursday, first=dt.date(2025, 8, 26))
    assert since == {"2025-08-26": True, "2025-08-28": False}
    assert traveller.kite.paths[:1] == ["/instruments"]
    assert len(traveller.kite.history) == 1


def test_a_running_session_is_looked_at_when_somebody_stores_it(traveller: Traveller) -> None:
    day = "2025-08-22"
    traveller.kite.candles[RELIANCE] = [candle(f"{day}T09:{minute}") for minute in range(15, 60)]
    assert look(traveller, f"{day}T09:30:20", 1) == {"2025-08-21": False}
    traveller.go(f"{day}T09:30:20", day)

    assert look(traveller, f"{day}T09:35:00", 1) == {"2025-08-21": False, f"{day}*": True}
    assert look(traveller, f"{day}T09:36:00", 1) == {"2025-08-21": False, f"{day}*": False}
    assert look(traveller, f"{day}T15:45:00", 1) == {day: False}
    assert look(traveller, "2025-08-23T12:00:00", 1) == {day: False}


def test_of_files_nothing_is_ever_stale(warehouse: Warehouse) -> None:
    assert latest_states(warehouse, get_source("nse_csv"), ist("2025-08-28T15:45:00")) == []
