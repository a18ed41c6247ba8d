"""Both times: what was known when, what changed since, and by which load."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.history import CHANGES_SCHEMA, CORRECTIONS_SCHEMA, changes_between, corrections
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_tests.warehouse.deliveries import SESSION_OPEN, TRADE_DATE, Delivery, make_batch

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]

A, B = "NIFTY31JAN1910000CE", "NIFTY31JAN1910050CE"
MINUTE = SESSION_OPEN + dt.timedelta(minutes=1)


@pytest.fixture
def stages(load: Load, ask: Ask) -> list[dt.datetime]:
    """Three loads of one day: A at 1.5 and B at 2.5; A corrected to 1.6 and B gone; A as at first and B back."""
    known = []
    for rows in ([(A, 1, "1.5"), (B, 1, "2.5")], [(A, 1, "1.6")], [(A, 1, "1.5"), (B, 1, "2.5")]):
        load(make_batch(Delivery(rows)))
        known += [ask("SELECT instant FROM knowledge_clock")[0][0]]
    return known


def closes(ask: Ask, known_at: dt.datetime) -> list[Decimal]:
    return [close for (close,) in ask("SELECT close FROM options_ticks_as_of(%s) ORDER BY close", known_at)]


def test_as_of_gives_what_was_known_at_each_time(stages: list[dt.datetime], ask: Ask) -> None:
    first, second, third = stages
    moment = dt.timedelta(microseconds=1)

    assert closes(ask, first - moment) == []
    assert closes(ask, first) == closes(ask, second - moment) == [Decimal("1.5"), Decimal("2.5")]
    assert closes(ask, second) == closes(ask, third - moment) == [Decimal("1.6")]
    assert closes(ask, third) == closes(ask, third + dt.timedelta(days=9)) == [Decimal("1.5"), Decimal("2.5")]


def test_corrections_say_what_changed_when_by_which_load_from_what_to_what(
    warehouse: Warehouse, stages: list[dt.datetime]
) -> None:
    report = corrections(warehouse)

    assert dict(report.schema) == CORRECTIONS_SCHEMA
    closing = [row for row in report.iter_rows(named=True) if row["field"] == "close"]
    assert [
        (row["symbol"], row["change"], row["old"], row["new"], row["load_id"], row["superseded_by"], row["changed_at"])
        for row in closing
    ] == [
        (A, "corrected", "1.50", "1.60", 1, 2, stages[1]),
        (B, "retired", "2.50", None, 1, 2, stages[1]),
        (A, "corrected", "1.60", "1.50", 2, 3, stages[2]),
    ]
    assert {row["timestamp"] for row in closing} == {MINUTE}


@pytest.mark.usefixtures("stages")
def test_only_changed_values_are_reported(warehouse: Warehouse) -> None:
    report = corrections(warehouse)

    changed = report.filter(report["change"] == "corrected")
    assert set(changed["field"]) == {"open", "high", "low", "close"}
    retired = report.filter(report["change"] == "retired")
    assert set(retired["field"]) == {"open", "high", "low", "close", "volume", "open_interest"}


def test_corrections_can_be_asked_by_dataset_date_and_time(warehouse: Warehouse, stages: list[dt.datetime]) -> None:
    assert corrections(warehouse, dataset="futures_ticks").is_empty()
    assert corrections(warehouse, trade_date=TRADE_DATE + dt.timedelta(days=1)).is_empty()
    assert set(corrections(warehouse, dataset="options_ticks", trade_date=TRADE_DATE)["superseded_by"]) == {2, 3}
    assert set(corrections(warehouse, since=stages[2])["superseded_by"]) == {3}
    assert set(corrections(warehouse, until=stages[2])["superseded_by"]) == {2}


def test_two_knowledge_times_are_compared_value_by_value(warehouse: Warehouse, stages: list[dt.datetime]) -> None:
    def compare(before: int, after: int) -> list[tuple[Any, ...]]:
        changes = changes_between(
            warehouse, "options_ticks", stages[before], stages[after], start_date=TRADE_DATE, end_date=TRADE_DATE
        )
        assert dict(changes.schema) == CHANGES_SCHEMA
        return changes.filter(changes["field"] == "close").select("symbol", "change", "old", "new").rows()

    assert compare(0, 1) == [(A, "changed", "1.50", "1.60"), (B, "removed", "2.50", None)]
    assert compare(1, 2) == [(A, "changed", "1.60", "1.50"), (B, "added", None, "2.50")]
    assert compare(1, 0) == [(A, "changed", "1.60", "1.50"), (B, "added", None, "2.50")]
    assert compare(0, 2) == [], "what was corrected back to what it was does not differ"


def test_other_days_are_left_out_of_a_comparison(warehouse: Warehouse, stages: list[dt.datetime]) -> None:
    later = TRADE_DATE + dt.timedelta(days=1)

    changes = changes_between(warehouse, "options_ticks", stages[0], stages[1], start_date=later, end_date=later)

    assert changes.is_empty()


def test_a_dataset_that_does_not_exist_is_refused(warehouse: Warehouse) -> None:
    now = dt.datetime.now(dt.UTC)
    with pytest.raises(WarehouseError, match="no dataset 'loads'"):
        corrections(warehouse, dataset="loads")
    with pytest.raises(WarehouseError, match="no dataset 'x; DROP'"):
        changes_between(warehouse, "x; DROP", now, now, start_date=TRADE_DATE, end_date=TRADE_DATE)


def test_stamps_are_in_the_order_of_commits(stages: list[dt.datetime], ask: Ask) -> None:
    assert stages == sorted(set(stages))
    assert ask("SELECT committed_at FROM loads ORDER BY load_id") == [(stamp,) for stamp in stages]


def test_terms_rolled_contracts_and_sessions_keep_their_versions(warehouse: Warehouse, load: Load, ask: Ask) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))
    before = ask("SELECT instant FROM knowledge_clock")[0][0]
    with warehouse.connect() as connection:
        connection.execute("UPDATE instrument_terms SET lot_size = 50")
        connection.execute("DELETE FROM sessions WHERE session_date = %s", [TRADE_DATE])

    assert ask("SELECT lot_size FROM instrument_terms_as_of(%s)", before) == [(None,)]
    assert ask("SELECT lot_size FROM instrument_terms_as_of(now())") == [(50,)]
    (held,) = ask("SELECT count(*) FROM sessions_as_of(%s) WHERE session_date = %s", before, TRADE_DATE)[0]
    assert held > 0
    assert ask("SELECT count(*) FROM sessions_as_of(now()) WHERE session_date = %s", TRADE_DATE) == [(0,)]


def test_what_was_written_and_changed_in_one_transaction_was_never_known(warehouse: Warehouse, ask: Ask) -> None:
    with warehouse.connect() as connection:
        connection.execute("INSERT INTO instruments (kind, venue) VALUES ('EQ', 'NSE')")
        connection.execute(
            "INSERT INTO instrument_terms (instrument_id, kind, venue, symbol, underlying, currency)"
            " VALUES (1, 'EQ', 'NSE', 'X', 'X', 'INR')"
        )
        connection.execute("UPDATE instrument_terms SET lot_size = 50")

    assert ask("SELECT count(*) FROM instrument_terms_history") == [(0,)]


@pytest.mark.needs_real_backend("two transactions overlap")
def test_a_stamp_waits_for_the_commit_of_the_stamp_before_it(warehouse: Warehouse) -> None:
    with warehouse.connect() as first, warehouse.connect() as second:
        first.execute("SELECT stamp_knowledge()")
        second.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.execute("SELECT stamp_knowledge()")
        first.commit()
        second.rollback()
        assert second.execute("SELECT stamp_knowledge() = stamp_knowledge()").fetchall() == [(True,)]
