"""The exchange's daily file as referee of a whole generated session, with and without a planted loss."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.reconciliation.comparing import BHAVCOPY, reconcile_day
from pipeline_defs.reconciliation.reading import count_verdicts, worst_disagreements
from pipeline_defs.reconciliation.session import Pairing, find_pairings, reconcile_session
from pipeline_defs.reconciliation.tolerances import FIELDS, Tolerance
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.tables import DAY, MINUTE, TICK
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.reconciliation.conftest import TRADE_DATE
from pipeline_tests.warehouse.deliveries import Delivery, StubSource, make_batch, pair

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

SECOND_SOURCE = """
INSERT INTO options_ticks SELECT (jsonb_populate_record(o, '{"source": "zerodha"}')).* FROM options_ticks AS o
WHERE source = 'nse_csv' AND bar_seconds = %s
"""
LEDGER = """
WITH copied AS (
    INSERT INTO loads OVERRIDING SYSTEM VALUE
    SELECT (jsonb_populate_record(l, jsonb_build_object('source', 'zerodha', 'load_id', l.load_id + 1000))).*
    FROM loads AS l WHERE dataset = 'options_ticks' AND bar_seconds = %s RETURNING load_id)
INSERT INTO load_instruments
SELECT c.load_id, i.instrument_id, i.file_index
FROM copied AS c JOIN load_instruments AS i ON i.load_id = c.load_id - 1000
"""


def ask(warehouse: Warehouse, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        cursor = connection.execute(query.encode(), values)
        return cursor.fetchall() if cursor.description else []


def exact(comparison: str, dataset: str = "options_ticks", kind: str = "OPT") -> list[Tolerance]:
    zero = Decimal(0)
    return [Tolerance(comparison, dataset, kind, field, zero, zero, zero) for field in FIELDS]


@pytest.mark.parametrize("dataset", ["options_ticks", "futures_ticks", "equity_daily"])
def test_the_vendors_minutes_agree_with_the_exchange(warehouse: Warehouse, dataset: str) -> None:
    found = reconcile_day(warehouse, dataset, TRADE_DATE, "nse_csv", BHAVCOPY)

    assert found.compared > 0
    assert (found.agreeing, found.disagreeing, found.only_left) == (found.compared, 0, 0)
    # Two securities of the cash file are traded, but no vendor delivers their minutes.
    assert found.only_right == (2 if dataset == "equity_daily" else 0)


def test_one_lost_minute_is_found_by_its_volume(warehouse: Warehouse) -> None:
    (lost,) = ask(
        warehouse,
        "DELETE FROM options_ticks AS o WHERE (instrument_id, timestamp) = (SELECT instrument_id, timestamp FROM"
        " options_ticks WHERE bar_seconds = 60 AND timestamp < '2025-08-13 06:00Z' ORDER BY volume DESC LIMIT 1)"
        " AND bar_seconds = 60 RETURNING instrument_id, volume",
    )

    found = reconcile_day(warehouse, "options_ticks", TRADE_DATE, "nse_csv", BHAVCOPY)

    listed = worst_disagreements(warehouse, [found.reconciliation_id])
    (volume,) = [one for one in listed if one.field == "volume"]
    assert {one.instrument_id for one in listed} == {lost[0]}
    assert volume.right_value - volume.left_value == lost[1]
    assert count_verdicts(warehouse, [found.reconciliation_id]) == {"agrees": found.agreeing, "disagrees": 1}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ("high = high + 1", "high"),
        ("low = low / 2", "low"),
        ("open_interest = 2 * open_interest + 1", "open_interest"),
        ("volume = volume * 2", "volume"),
    ],
)
def test_a_planted_value_is_found_in_its_field(warehouse: Warehouse, change: str, field: str) -> None:
    # The contract's highest, lowest and last minute at once: a day's value cannot escape the change.
    (instrument,) = ask(
        warehouse,
        "SELECT instrument_id FROM options_ticks WHERE bar_seconds = 60 GROUP BY 1 ORDER BY sum(volume) DESC LIMIT 1",
    )[0]
    ask(warehouse, f"UPDATE options_ticks SET {change} WHERE bar_seconds = 60 AND instrument_id = %s", instrument)

    found = reconcile_day(warehouse, "options_ticks", TRADE_DATE, "nse_csv", BHAVCOPY)

    listed = worst_disagreements(warehouse, [found.reconciliation_id])
    assert {(one.instrument_id, one.field) for one in listed} >= {(instrument, field)}
    assert found.disagreeing == 1


def test_the_exchanges_ticks_and_minutes_of_one_day_agree_exactly(warehouse: Warehouse) -> None:
    ask(warehouse, SECOND_SOURCE, TICK)
    ask(warehouse, "DELETE FROM options_ticks WHERE source = 'nse_csv' AND bar_seconds = 0")

    found = reconcile_day(warehouse, "options_ticks", TRADE_DATE, "zerodha", "nse_csv", tolerances=exact("intraday"))

    assert found.compared > 100
    assert (found.agreeing, found.only_left) == (found.compared, 0)


def test_everything_that_can_be_compared_is_found_and_compared(warehouse: Warehouse) -> None:
    assert find_pairings(warehouse, TRADE_DATE) == [
        Pairing("options_ticks", "nse_csv", BHAVCOPY, DAY),
        Pairing("futures_ticks", "nse_csv", BHAVCOPY, DAY),
        Pairing("equity_daily", "nse_csv", BHAVCOPY, DAY),
    ]
    ask(warehouse, SECOND_SOURCE, MINUTE)
    ask(warehouse, LEDGER, MINUTE)
    # A source of another market has nothing in common with these, though it holds the same table of the same day.
    coin = Delivery([("BTC/USDT", 1, "100.50")], contracts={"BTC/USDT": pair()})
    batch = make_batch(coin, table="spot_prices", timezone="UTC", trade_date=TRADE_DATE)
    assert [one.stored for one in import_source(warehouse, StubSource(batch, name="ccxt"), ImportRequest())] == [1]

    pairings = find_pairings(warehouse, TRADE_DATE)
    made = reconcile_session(warehouse, TRADE_DATE)

    assert [one for one in pairings if "zerodha" in {one.left, one.right}] == [
        Pairing("options_ticks", "nse_csv", "zerodha", MINUTE),
        Pairing("options_ticks", "nse_csv", "zerodha", DAY),
        Pairing("options_ticks", "zerodha", BHAVCOPY, DAY),
    ]
    assert [(one.dataset, one.left, one.right, one.bar_seconds) for one in made] == [
        (one.dataset, one.left, one.right, one.bar_seconds) for one in pairings
    ]
    assert not any("ccxt" in {one.left, one.right} for one in made)
    assert all(one.compared and one.agrees for one in made)
