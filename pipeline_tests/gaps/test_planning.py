"""The fewest requests: neighbouring sessions together, single instruments apart, a whole day once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.gaps.ledger import Gap
from pipeline_defs.gaps.planning import plan_refills
from pipeline_defs.gaps.supply import Supplies
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.yahoo.adapter import YahooSource

if TYPE_CHECKING:
    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse

FRIDAY, MONDAY, TUESDAY, THURSDAY = (dt.date(2025, 8, day) for day in (22, 25, 26, 28))


@pytest.fixture
def ids(warehouse: Warehouse) -> dict[str, int]:
    """Two shares that Yahoo calls by name, and one it does not."""
    found = {}
    with warehouse.connect() as connection:
        for symbol in ("AAPL", "MSFT", "nameless"):
            ((found[symbol],),) = connection.execute(
                "INSERT INTO instruments (kind, venue) VALUES ('EQ', 'US') RETURNING instrument_id"
            ).fetchall()
            if symbol != "nameless":
                connection.execute("INSERT INTO instrument_aliases VALUES ('yahoo', %s, %s)", [symbol, found[symbol]])
    return found


def gap(day: dt.date, instrument: int | None = None, table: str = "equity_daily") -> Gap:
    start = dt.datetime.combine(day, dt.time(14), dt.UTC)
    return Gap(
        table, "yahoo", day, 86_400, instrument, None, None, 1, start, start + dt.timedelta(hours=6), 1,
        "source_missing", fillable=True, detail="", load_id=None,
    )  # fmt: skip


def plan(warehouse: Warehouse, settings: Settings, *gaps: Gap) -> list[str]:
    universe = SourceUniverse.model_validate({"equities": ["AAPL", "MSFT"]})
    supplies = Supplies(settings, make_source=lambda _: YahooSource(universe=universe))
    return [str(refill) for refill in plan_refills(warehouse, gaps, supplies)]


def test_neighbouring_sessions_are_one_request_over_the_weekend_and_a_held_session_is_not_asked(
    warehouse: Warehouse, settings: Settings, ids: dict[str, int]
) -> None:
    gaps = [gap(day, ids["AAPL"]) for day in (FRIDAY, MONDAY, TUESDAY, THURSDAY)]

    assert plan(warehouse, settings, *gaps) == [
        "yahoo equity_daily 2025-08-22 to 2025-08-26: AAPL",
        "yahoo equity_daily 2025-08-28: AAPL",
    ]


def test_instruments_that_lack_the_same_days_are_asked_for_together(
    warehouse: Warehouse, settings: Settings, ids: dict[str, int]
) -> None:
    gaps = [gap(FRIDAY, ids["AAPL"]), gap(FRIDAY, ids["MSFT"]), gap(MONDAY, ids["MSFT"])]

    assert plan(warehouse, settings, *gaps) == [
        "yahoo equity_daily 2025-08-22: AAPL",
        "yahoo equity_daily 2025-08-22 to 2025-08-25: MSFT",
    ]
    assert plan(warehouse, settings, gaps[0], gaps[1]) == ["yahoo equity_daily 2025-08-22: AAPL, MSFT"]


def test_a_day_that_everybody_lacks_is_asked_for_once_and_whole(
    warehouse: Warehouse, settings: Settings, ids: dict[str, int]
) -> None:
    gaps = [gap(FRIDAY), gap(FRIDAY, ids["AAPL"]), gap(MONDAY, ids["AAPL"])]

    assert plan(warehouse, settings, *gaps) == [
        "yahoo equity_daily 2025-08-22: all instruments",
        "yahoo equity_daily 2025-08-25: AAPL",
    ]


def test_an_instrument_without_a_name_at_the_source_is_asked_for_with_all(
    warehouse: Warehouse, settings: Settings, ids: dict[str, int]
) -> None:
    assert plan(warehouse, settings, gap(FRIDAY, ids["nameless"])) == ["yahoo equity_daily 2025-08-22: all instruments"]


def test_nothing_to_fill_is_nothing_to_ask(warehouse: Warehouse, settings: Settings) -> None:
    assert plan(warehouse, settings) == []
