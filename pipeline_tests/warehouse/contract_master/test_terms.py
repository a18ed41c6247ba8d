"""What an instrument was at an instant, and the guards that keep the answer single."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.contract_master.loading import apply_terms
from pipeline_defs.warehouse.contract_master.terms import terms_at
from pipeline_tests.warehouse.contract_master.statements import OLD_EXPIRY, call, share, state

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

type Ask = Callable[..., list[tuple[Any, ...]]]

CHANGED = dt.date(2025, 7, 1)
MIDNIGHT = dt.datetime(2025, 6, 30, 18, 30, tzinfo=dt.UTC)
"""In India the first of July begins."""


@pytest.fixture
def option_id(warehouse: Warehouse, ask: Ask) -> int:
    """An option whose lot changes on the first of July."""
    for day, lot in ((dt.date(2025, 6, 2), 75), (CHANGED, 65)):
        terms = call(lot_size=lot, tick_size=Decimal("0.05"), symbol="NIFTY25SEP24500CE")
        apply_terms(warehouse, state((day, terms), source="udiff", precedence=10))
    return int(ask("SELECT DISTINCT instrument_id FROM instrument_terms")[0][0])


def test_the_trade_date_of_the_exchange_decides(warehouse: Warehouse, option_id: int, ask: Ask) -> None:
    before = MIDNIGHT - dt.timedelta(microseconds=1)

    assert terms_at(warehouse, option_id, before).lot_size == 75
    assert terms_at(warehouse, option_id, MIDNIGHT).lot_size == 65
    assert ask("SELECT lot_size FROM terms_at(%s, %s)", option_id, before) == [(75,)]
    assert ask("SELECT lot_size FROM underlying_terms_at('NIFTY', %s)", MIDNIGHT) == [(65,)]


def test_terms_say_from_when_to_when_they_hold(warehouse: Warehouse, option_id: int) -> None:
    terms = terms_at(warehouse, option_id, MIDNIGHT)

    assert (terms.valid_from, terms.valid_to) == (CHANGED, None)
    assert terms.to_json() | {"instrument_id": 0} == {
        "instrument_id": 0,
        "kind": "OPT",
        "venue": "NSE",
        "symbol": "NIFTY25SEP24500CE",
        "underlying": "NIFTY",
        "expiry": OLD_EXPIRY.isoformat(),
        "strike": "24500",
        "option_type": "CE",
        "rank": None,
        "series": None,
        "isin": None,
        "lot_size": 65,
        "tick_size": "0.05",
        "multiplier": "1",
        "currency": "INR",
        "valid_from": "2025-07-01",
        "valid_to": None,
    }


def test_an_instrument_is_found_by_a_name_that_any_source_used(warehouse: Warehouse, option_id: int) -> None:
    assert terms_at(warehouse, "NIFTY25SEP24500CE", MIDNIGHT).instrument_id == option_id


def test_a_name_that_means_several_instruments_is_not_guessed(warehouse: Warehouse) -> None:
    apply_terms(warehouse, state((CHANGED, share("IDEA")), (CHANGED, share("IDEA", series="BE"))))

    with pytest.raises(WarehouseError, match=r"IDEA means 2 instruments: \d+ \(IDEA, BE\), \d+ \(IDEA, EQ\)"):
        terms_at(warehouse, "IDEA", MIDNIGHT)


def test_an_instant_without_a_zone_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="has no zone"):
        terms_at(warehouse, 1, dt.datetime(2025, 7, 1, 12))  # noqa: DTZ001 -- that is the point


def test_overlapping_terms_of_one_instrument_are_refused_by_the_database(warehouse: Warehouse, option_id: int) -> None:
    with (
        warehouse.connect() as connection,
        pytest.raises(psycopg.errors.ExclusionViolation, match="overlap"),
    ):
        connection.execute("UPDATE instrument_terms SET valid_to = '2026-01-01' WHERE instrument_id = %s", [option_id])


def test_a_second_instrument_of_the_same_contract_is_refused_by_the_database(
    warehouse: Warehouse, option_id: int
) -> None:
    with warehouse.connect() as connection:
        (row,) = connection.execute(
            "INSERT INTO instruments (kind, venue, book) VALUES ('OPT', 'NSE', 'NIFTY') RETURNING instrument_id"
        ).fetchall()
        with pytest.raises(psycopg.errors.ExclusionViolation, match="would be the same contract"):
            connection.execute(
                "INSERT INTO instrument_terms (instrument_id, valid_from, kind, venue, symbol, underlying, expiry,"
                " strike, option_type, currency) SELECT %s, '2025-08-01', kind, venue, symbol, underlying, expiry,"
                " strike, option_type, currency FROM instrument_terms"
                " WHERE instrument_id = %s AND valid_to = 'infinity'",
                [row[0], option_id],
            )
        connection.rollback()
