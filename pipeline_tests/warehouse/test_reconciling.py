"""What two sources say of the same bars, compared in SQL, against a plain account of the same rules."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.reconciliation import comparing
from pipeline_defs.reconciliation.comparing import BHAVCOPY, Reconciliation, reconcile_day
from pipeline_defs.reconciliation.reading import (
    count_verdicts,
    find_look_alikes,
    stored_reconciliations,
    worst_by_field,
    worst_disagreements,
)
from pipeline_defs.reconciliation.tolerances import FIELDS, Tolerance
from pipeline_defs.schema.tables import DAY, MINUTE, TICK
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_tests.warehouse.deliveries import SESSION_OPEN, TRADE_DATE, Delivery, make_batch, option, pair

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]
type Row = dict[str, Any]
type Rows = dict[tuple[int, int], Row]

A, B, C = "NIFTY31JAN1910000CE", "NIFTY31JAN1910050CE", "NIFTY31JAN1910100CE"
CLOSE = dt.datetime(2019, 1, 1, 10, 0, tzinfo=dt.UTC)
TICK_SIZE: Final = Decimal("0.05")

INSERT: Final = """
INSERT INTO options_ticks ("timestamp", instrument_id, bar_seconds, sequence, source, open, high, low, close, volume,
                           open_interest, load_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 1)
"""


def tolerances(comparison: str = "intraday", *, ticks: str = "1", relative: str = "0.01") -> list[Tolerance]:
    """Prices within some ticks, quantities within a share."""
    return [
        Tolerance(
            comparison,
            "options_ticks",
            "OPT",
            field,
            Decimal(ticks if field in FIELDS[:4] else 0),
            TICK_SIZE,
            Decimal(relative if field in FIELDS[4:] else 0),
        )
        for field in FIELDS
    ]


def bar(price: str, volume: int | None = 75, open_interest: int | None = 1500, **changes: Any) -> Row:
    prices = dict.fromkeys(("open", "high", "low", "close"), Decimal(price))
    return {**prices, "volume": volume, "open_interest": open_interest, **changes}


@dataclass
class Sides:
    """Writes rows of two sources past the import, whose own rules are under test elsewhere."""

    warehouse: Warehouse
    ids: list[int]

    def put(self, source: str, rows: Rows, bar_seconds: int = MINUTE) -> None:
        values = [
            (
                SESSION_OPEN + dt.timedelta(minutes=minute),
                self.ids[contract],
                bar_seconds,
                0,
                source,
                *(row[name] for name in FIELDS),
            )
            for (contract, minute), row in rows.items()
        ]
        with self.warehouse.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DELETE FROM options_ticks WHERE source = %s", [source])
            cursor.executemany(INSERT, values)

    def compare(self, left: str = "left", right: str = "right", **changes: Any) -> Reconciliation:
        wanted = {"bar_seconds": MINUTE, "tolerances": tolerances(), **changes}
        return reconcile_day(self.warehouse, "options_ticks", TRADE_DATE, left, right, **wanted)


@pytest.fixture
def sides(warehouse: Warehouse, load: Load, ask: Ask) -> Sides:
    """Three contracts of which nothing is stored."""
    load(make_batch(Delivery([(symbol, 1, "1.5") for symbol in (A, B, C)])), source="another")
    ids = [instrument for (instrument,) in ask("SELECT instrument_id FROM instrument_terms ORDER BY symbol")]
    with warehouse.connect() as connection:
        connection.execute("DELETE FROM options_ticks")
    return Sides(warehouse, ids)


prices = st.integers(1, 400).map(lambda ticks: ticks * TICK_SIZE)
sizes = st.none() | st.integers(0, 2_000)


@st.composite
def bars(draw: st.DrawFn) -> Row:
    low, open_, close, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    if draw(st.booleans()):
        open_, close = close, open_
    row: Row = {"open": open_, "high": high, "low": low, "close": close}
    if draw(st.integers(0, 9)) == 0:
        row |= {"open": None, "high": None, "low": None}
    return row | {"volume": draw(sizes), "open_interest": draw(sizes)}


def nudged(row: Row, field: str, steps: int) -> Row:
    """Change a value by a tick or a unit, and keep the bar one that the table takes."""
    value = row[field]
    if value is None:
        return row
    moved = max(value + steps * (TICK_SIZE if field in FIELDS[:4] else 1), TICK_SIZE if field in FIELDS[:4] else 0)
    changed = row | {field: moved}
    known = [changed[name] for name in FIELDS[:4] if changed[name] is not None]
    if changed["open"] is not None:
        changed |= {"high": max(known), "low": min(known)}
    return changed


keys = st.tuples(st.integers(0, 2), st.integers(1, 5))


@st.composite
def both_sides(draw: st.DrawFn) -> tuple[Rows, Rows]:
    left = draw(st.dictionaries(keys, bars(), max_size=8))
    right = {}
    for key, row in left.items():
        if draw(st.integers(0, 4)):
            right[key] = nudged(row, draw(st.sampled_from(FIELDS)), draw(st.integers(-30, 30)))
    return left, draw(st.dictionaries(keys, bars(), max_size=3)) | right


def expected(left: Rows, right: Rows) -> tuple[dict[str, int], dict[tuple[int, int, str], tuple[Any, Any]]]:
    """Count and list by the rules, one bar at a time."""

    def traded(row: Row) -> bool:
        return row["open"] is not None and row["volume"] != 0

    differing = {}
    for key in left.keys() & right.keys():
        for field in FIELDS:
            one, other = left[key][field], right[key][field]
            if one is None or other is None:
                continue
            allowed = TICK_SIZE if field in FIELDS[:4] else Decimal("0.01") * max(one, other)
            if abs(one - other) > allowed:
                differing[(*key, field)] = (one, other)
    bars_differing = {key[:2] for key in differing}
    counts = {
        "compared": len(left.keys() & right.keys()),
        "disagreeing": len(bars_differing),
        "only_left": sum(traded(left[key]) for key in left.keys() - right.keys()),
        "only_right": sum(traded(right[key]) for key in right.keys() - left.keys()),
        "differences": len(differing),
    }
    return counts, differing


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(both_sides())
def test_what_is_found_is_what_the_rules_say_and_turning_the_sides_mirrors_it(
    sides: Sides, rows: tuple[Rows, Rows]
) -> None:
    left, right = rows
    sides.put("left", left)
    sides.put("right", right)

    found, mirrored = sides.compare(), sides.compare("right", "left")

    counts, differing = expected(left, right)
    assert {name: getattr(found, name) for name in counts} == counts
    assert found.agreeing == found.compared - found.disagreeing
    listed = {
        (sides.ids.index(one.instrument_id), (one.timestamp - SESSION_OPEN) // dt.timedelta(minutes=1), one.field): (
            one.left_value,
            one.right_value,
        )
        for one in worst_disagreements(sides.warehouse, [found.reconciliation_id], most=1_000)
    }
    assert listed == differing
    assert (mirrored.compared, mirrored.disagreeing, mirrored.differences) == (
        found.compared,
        found.disagreeing,
        found.differences,
    )
    assert (mirrored.only_left, mirrored.only_right) == (found.only_right, found.only_left)
    own = sides.compare("left", "left")
    assert (own.disagreeing, own.only_left, own.only_right) == (0, 0, 0)


@pytest.mark.parametrize("field", FIELDS)
def test_one_planted_difference_is_the_one_that_is_found(sides: Sides, field: str) -> None:
    rows: Rows = {
        (contract, minute): bar("10.00", high=Decimal("10.50"), low=Decimal("9.50"))
        for contract in range(3)
        for minute in range(1, 30)
    }
    planted = nudged(rows[1, 7], field, -2 if field == "low" else 2 if field in FIELDS[:4] else 50)
    sides.put("left", rows)
    sides.put("right", rows | {(1, 7): planted})

    found = sides.compare()

    (one,) = worst_disagreements(sides.warehouse, [found.reconciliation_id])
    assert (found.compared, found.agreeing, found.disagreeing) == (87, 86, 1)
    assert (one.instrument_id, one.field, one.symbol) == (sides.ids[1], field, B)
    assert (one.left_value, one.right_value) == (rows[1, 7][field], planted[field])
    assert one.timestamp == SESSION_OPEN + dt.timedelta(minutes=7)
    assert not found.agrees
    assert found.agreeing_share == 86 / 87
    assert worst_by_field(sides.warehouse, [found.reconciliation_id]) == {field: (1, float(one.share))}
    assert count_verdicts(sides.warehouse, [found.reconciliation_id]) == {"agrees": 2, "disagrees": 1}


def test_ticks_are_counted_in_the_contracts_own_tick_size(sides: Sides) -> None:
    sides.put("left", {(0, 1): bar("10.00"), (1, 1): bar("10.00")})
    sides.put("right", {(0, 1): bar("10.20"), (1, 1): bar("10.20")})
    with sides.warehouse.connect() as connection:
        connection.execute("UPDATE instrument_terms SET tick_size = 0.25 WHERE symbol = %s", [A])

    found = sides.compare()

    listed = worst_disagreements(sides.warehouse, [found.reconciliation_id])
    assert {(one.instrument_id, one.tolerance) for one in listed} == {(sides.ids[1], TICK_SIZE)}


@pytest.mark.parametrize(("left", "right"), [(10_000, 10_101), (10_101, 10_000)])
def test_a_share_is_of_the_larger_value(sides: Sides, left: int, right: int) -> None:
    sides.put("left", {(0, 1): bar("10.00", left), (1, 1): bar("10.00", left)})
    sides.put("right", {(0, 1): bar("10.00", right), (1, 1): bar("10.00", right + (right > left) - (right < left))})

    found = sides.compare()

    (one,) = worst_disagreements(sides.warehouse, [found.reconciliation_id])
    assert (one.instrument_id, one.field) == (sides.ids[1], "volume")


def test_a_field_without_a_tolerance_is_not_compared(sides: Sides) -> None:
    sides.put("left", {(0, 1): bar("10.00", volume=1)})
    sides.put("right", {(0, 1): bar("10.00", volume=1_000)})

    assert sides.compare().disagreeing == 1
    assert sides.compare(tolerances=[one for one in tolerances() if one.field != "volume"]).disagreeing == 0


def test_a_finer_source_is_brought_to_the_coarser_ones_bars_from_the_sessions_open(sides: Sides) -> None:
    minutes: Rows = {
        (0, 1): bar("10.00", volume=10, open_interest=1),
        (0, 60): bar("12.00", volume=20, open_interest=2),
        (0, 61): bar("8.00", volume=40, open_interest=3),
        (0, 375): bar("9.00", volume=5, open_interest=4),
    }
    hours: Rows = {
        (0, 60): bar("12.00", 30, 2, open=Decimal(10), low=Decimal(10)),
        (0, 120): bar("8.00", 40, 3),
        (0, 375): bar("9.00", 5, 4),
    }
    day: Rows = {(0, 375): bar("9.00", 75, 4, open=Decimal(10), high=Decimal(12), low=Decimal(8))}
    sides.put("minutes", minutes)
    sides.put("hours", hours, 3_600)
    sides.put("day", day, DAY)
    exact = {"tolerances": tolerances(ticks="0", relative="0") + tolerances("daily", ticks="0", relative="0")}

    hourly = sides.compare("minutes", "hours", bar_seconds=3_600, **exact)
    daily = [
        sides.compare(left, right, bar_seconds=DAY, **exact)
        for left, right in (("minutes", "day"), ("hours", "day"), ("minutes", "hours"))
    ]

    assert (hourly.compared, hourly.agreeing, hourly.only_left + hourly.only_right) == (3, 3, 0)
    assert [(one.compared, one.agreeing) for one in daily] == [(1, 1)] * 3


def test_a_stored_day_speaks_for_a_source_that_has_its_minutes_too(sides: Sides) -> None:
    sides.put("left", {(0, 1): bar("3.00", 10)})
    sides.put("both", {(0, 375): bar("10.00", 500)}, DAY)
    with sides.warehouse.connect() as connection:
        connection.execute("UPDATE options_ticks SET source = 'both' WHERE source = 'left'")
    sides.put("right", {(0, 375): bar("10.00", 500)}, DAY)

    assert sides.compare("both", bar_seconds=DAY, tolerances=tolerances("daily")).agrees


def test_between_two_last_trades_there_is_no_average(sides: Sides) -> None:
    last_half_hour: Rows = {(0, 350): bar("10.00"), (0, 375): bar("20.00")}
    sides.put("minutes", last_half_hour)
    sides.put("others", {**last_half_hour, (0, 375): bar("15.00", high=Decimal(20))})
    sides.put("official", {(0, 375): bar("15.00", 150, open=Decimal(10), low=Decimal(10), high=Decimal(20))}, DAY)
    closes = [one for one in tolerances("daily") if one.field == "close"]

    assert not sides.compare("minutes", "others", bar_seconds=DAY, tolerances=closes).agrees
    assert sides.compare("minutes", "official", bar_seconds=DAY, tolerances=closes).agrees
    assert sides.compare("official", "minutes", bar_seconds=DAY, tolerances=closes).agrees


def test_ticks_agree_with_the_minutes_that_they_make(sides: Sides, load: Load) -> None:
    ticks = [(A, 3, price) for price in ("10.00", "12.00", "9.00", "11.00")]
    load(make_batch(Delivery(ticks), bar_seconds=TICK, sequences=[0, 1, 2, 3]), source="ticks")
    made = bar("11.00", 300, open=Decimal(10), high=Decimal(12), low=Decimal(9))
    sides.put("bars", {(0, 4): made})

    found = sides.compare("ticks", "bars", tolerances=tolerances(ticks="0", relative="0"))

    assert (found.compared, found.agreeing, found.only_left, found.only_right) == (1, 1, 0, 0)


def test_a_volume_of_which_a_part_is_unknown_is_unknown(sides: Sides) -> None:
    sides.put("left", {(0, 1): bar("10.00", volume=10), (0, 2): bar("10.00", volume=None)})
    sides.put("right", {(0, 375): bar("10.00", volume=999)}, DAY)

    assert sides.compare(bar_seconds=DAY, tolerances=tolerances("daily")).agrees


def test_outside_the_session_nothing_is_compared(sides: Sides) -> None:
    sides.put("left", {(0, 0): bar("10.00"), (0, 376): bar("10.00"), (0, 375): bar("10.00")})
    sides.put("right", {(0, 375): bar("10.00")})

    found = sides.compare()

    assert (found.compared, found.only_left) == (1, 0)


def test_days_without_a_session_have_nothing_to_compare(sides: Sides) -> None:
    found = reconcile_day(sides.warehouse, "options_ticks", dt.date(2019, 1, 26), "left", "right")

    assert (found.compared, found.only_left, found.only_right, found.agreeing_share) == (0, 0, 0, None)
    assert found.agrees


@pytest.mark.parametrize(
    ("official", "agrees"), [("11.00", True), ("12.05", True), ("12.10", False), ("10.00", True), ("9.90", False)]
)
def test_the_exchanges_close_may_be_any_average_of_the_last_half_hour(
    sides: Sides, official: str, *, agrees: bool
) -> None:
    sides.put("vendor", {(0, 345): bar("50.00"), (0, 346): bar("10.00"), (0, 375): bar("12.00")})
    day = bar(official, 225, open=Decimal(50), high=Decimal(50), low=min(Decimal(10), Decimal(official)))
    sides.put("nse_csv", {(0, 375): day}, DAY)

    found = sides.compare("vendor", BHAVCOPY, tolerances=[t for t in tolerances("bhavcopy") if t.field == "close"])

    assert found.agrees is agrees
    for one in worst_disagreements(sides.warehouse, [found.reconciliation_id]):
        assert (one.field, one.right_value) == ("close", Decimal(official))
        assert one.left_value == (12 if Decimal(official) > 12 else 10)


def test_without_a_trade_in_the_last_half_hour_the_exchanges_close_is_the_last_trade(sides: Sides) -> None:
    sides.put("vendor", {(0, 1): bar("10.00"), (0, 2): bar("20.00")})
    sides.put("nse_csv", {(0, 375): bar("15.00", 150, open=Decimal(10), high=Decimal(20), low=Decimal(10))}, DAY)

    found = sides.compare("vendor", BHAVCOPY, tolerances=tolerances("bhavcopy"))

    (one,) = worst_disagreements(sides.warehouse, [found.reconciliation_id])
    assert (one.field, one.left_value, one.right_value) == ("close", Decimal(20), Decimal(15))


def test_the_referee_judges_finer_data_only_also_those_of_its_own_source(sides: Sides) -> None:
    day = bar("10.00", 150)
    sides.put("nse_csv", {(0, 375): day, (1, 375): bar("10.00", 0, open=None, high=None, low=None)}, DAY)
    sides.put("daily_only", {(0, 375): day}, DAY)
    with sides.warehouse.connect() as connection:
        for minute in (374, 375):
            stamp = SESSION_OPEN + dt.timedelta(minutes=minute)
            connection.execute(INSERT, (stamp, sides.ids[0], 60, 0, "nse_csv", *bar("10.00").values()))

    own = sides.compare("nse_csv", BHAVCOPY, tolerances=tolerances("bhavcopy"))
    other = sides.compare("daily_only", BHAVCOPY, tolerances=tolerances("bhavcopy"))

    assert (own.compared, own.agreeing, own.only_right, own.bar_seconds) == (1, 1, 0, DAY)
    assert (other.compared, other.only_left, other.only_right) == (0, 0, 1)


def test_a_comparison_takes_the_place_of_the_last_and_readers_are_told_only_of_the_newest(
    sides: Sides, ask: Ask
) -> None:
    sides.put("left", {(0, 1): bar("10.00")})
    sides.put("right", {(0, 1): bar("11.00")})
    first = sides.compare()
    sides.put("right", {(0, 1): bar("10.00"), (1, 1): bar("3.00")})
    second = sides.compare()

    assert (first.disagreeing, second.disagreeing, second.only_right) == (1, 0, 1)
    assert stored_reconciliations(sides.warehouse) == [second]
    assert stored_reconciliations(sides.warehouse, left="right") == []
    assert ask("SELECT count(*) FROM disagreements") == [(0,)]
    assert ask("SELECT verdict FROM reconciled_contracts ORDER BY instrument_id") == [("agrees",), ("only_right",)]


def test_of_a_field_that_differs_everywhere_the_worst_are_listed_and_all_are_counted(
    sides: Sides, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    monkeypatch.setattr(comparing, "MOST_LISTED", 2)
    sides.put("left", {(0, minute): bar("10.00", 1_000) for minute in range(1, 6)})
    sides.put("right", {(0, minute): bar("10.00", 1_000 + 100 * minute) for minute in range(1, 6)})

    found = sides.compare()

    assert (found.differences, found.disagreeing) == (5, 5)
    assert ask("SELECT right_value FROM disagreements ORDER BY right_value") == [(1_400,), (1_500,)]


def test_a_rolling_future_is_compared_as_the_contract_that_it_meant(warehouse: Warehouse, load: Load) -> None:
    front = {
        "kind": "CONT",
        "symbol": "NIFTY-I.NFO",
        "underlying": "NIFTY",
        "expiry": dt.date(2019, 1, 31),
        "rank": 1,
        "venue": "NSE",
        "currency": "INR",
    }
    future = {**front, "kind": "FUT", "symbol": "NIFTY31JAN19FUT", "rank": None}
    load(make_batch(Delivery([("F", 1, "1.50")], contracts={"F": front}), table="futures_ticks"), source="left")
    load(make_batch(Delivery([("X", 1, "1.50")], contracts={"X": future}), table="futures_ticks"), source="right")

    found = reconcile_day(warehouse, "futures_ticks", TRADE_DATE, "left", "right")

    assert (found.compared, found.agreeing, found.only_left, found.only_right) == (1, 1, 0, 0)


def test_the_same_name_at_two_venues_is_not_compared_but_told(warehouse: Warehouse, load: Load) -> None:
    listed = {"kind": "EQ", "symbol": "RELIANCE", "underlying": "RELIANCE", "venue": "NSE", "currency": "INR"}
    other = {**listed, "venue": "BSE"}
    load(make_batch(Delivery([("R", 1, "100.00")], contracts={"R": listed}), table="spot_prices"), source="left")
    load(make_batch(Delivery([("R", 1, "150.00")], contracts={"R": other}), table="spot_prices"), source="right")

    found = reconcile_day(warehouse, "spot_prices", TRADE_DATE, "left", "right")

    assert (found.compared, found.only_left, found.only_right) == (0, 1, 1)
    (alike,) = find_look_alikes(warehouse, [found.reconciliation_id])
    assert alike.differs == {"venue": ("NSE", "BSE")}
    assert "not compared: they are different instruments by venue NSE and BSE" in str(alike)
    assert alike.to_json()["differs"] == {"venue": ["NSE", "BSE"]}


def test_days_of_shares_are_made_of_the_shares_within_the_day(warehouse: Warehouse, load: Load) -> None:
    share = {"kind": "EQ", "symbol": "TCS", "underlying": "TCS", "venue": "NSE", "currency": "INR", "series": "EQ"}
    minutes = [("T", 1, "100.00"), ("T", 375, "100.00")]
    load(make_batch(Delivery(minutes, contracts={"T": share}), table="spot_prices"), source="vendor")
    day = make_batch(Delivery([("T", 375, "100.00")], contracts={"T": share}), table="equity_daily", bar_seconds=DAY)
    load(day, source="nse_csv")

    found = reconcile_day(warehouse, "equity_daily", TRADE_DATE, "vendor", BHAVCOPY)

    (one,) = worst_disagreements(warehouse, [found.reconciliation_id])
    assert (found.compared, one.field, one.left_value, one.right_value) == (1, "volume", Decimal(150), Decimal(75))


def test_pairs_have_days_of_utc_and_a_bar_that_closes_at_midnight_ends_one(warehouse: Warehouse, load: Load) -> None:
    minutes = [("BTC/USDT", minute, "100.50") for minute in (1, 720, 1_440)]
    wanted: dict[str, Any] = {"table": "spot_prices", "timezone": "UTC"}
    contracts = {"BTC/USDT": pair()}
    load(make_batch(Delivery(minutes, contracts=contracts), **wanted), source="left")
    day = Delivery([("BTC/USDT", 1_440, "100.50")], contracts=contracts)
    load(make_batch(day, bar_seconds=DAY, measures={"volume": Decimal(225)}, **wanted), source="right")

    found = reconcile_day(warehouse, "spot_prices", TRADE_DATE, "left", "right", bar_seconds=DAY)

    assert (found.compared, found.agreeing, found.only_left, found.only_right) == (1, 1, 0, 0)


def test_shares_in_dollars_have_the_hours_of_new_york_and_days_it_does_not_know_have_nothing(
    warehouse: Warehouse, load: Load
) -> None:
    share = {"kind": "EQ", "symbol": "AAPL", "underlying": "AAPL", "venue": "US", "currency": "USD"}
    day, early, opening = TRADE_DATE + dt.timedelta(days=1), 600, 645 + 1  # minutes from 09:15 in India to New York's
    for source in ("left", "right"):
        minutes = [("A", minute, "157.50") for minute in ((early, opening) if source == "left" else (opening,))]
        for trade_date in (TRADE_DATE, day):
            delivered = Delivery(minutes, contracts={"A": share})
            load(make_batch(delivered, table="spot_prices", trade_date=trade_date), source=source)

    found = reconcile_day(warehouse, "spot_prices", day, "left", "right")
    holiday = reconcile_day(warehouse, "spot_prices", TRADE_DATE, "left", "right")
    unknown = reconcile_day(warehouse, "spot_prices", dt.date(1960, 1, 4), "left", "right")

    assert (found.compared, found.agreeing, found.only_left) == (1, 1, 0)
    assert [(one.compared, one.only_left) for one in (holiday, unknown)] == [(0, 0), (0, 0)]


@pytest.mark.parametrize(
    ("dataset", "seconds", "told"),
    [
        ("options", 60, "no table 'options', expected one of options_ticks"),
        ("options_ticks", 0, "bars of 0 seconds cannot be compared"),
        ("options_ticks", 86_401, "bars of 86401 seconds cannot be compared"),
        ("equity_daily", 60, "equity_daily has no bars of 60 seconds"),
    ],
)
def test_what_cannot_be_compared_is_refused(warehouse: Warehouse, dataset: str, seconds: int, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        reconcile_day(warehouse, dataset, TRADE_DATE, "left", "right", bar_seconds=seconds)


@pytest.mark.needs_real_backend("two comparisons run at once")
def test_comparisons_of_the_same_queue_and_leave_one_outcome(sides: Sides, ask: Ask) -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 -- this test alone

    sides.put("left", {(0, 1): bar("10.00")})
    sides.put("right", {(0, 1): bar("11.00")})

    with ThreadPoolExecutor(4) as pool:
        made = [future.result() for future in [pool.submit(sides.compare) for _ in range(8)]]

    assert {one.disagreeing for one in made} == {1}
    assert ask("SELECT count(*) FROM reconciliations") == [(1,)]
    assert ask("SELECT count(*) FROM disagreements") == [(4,)]


def test_an_option_that_looks_alike_by_its_own_terms_is_told(warehouse: Warehouse, load: Load) -> None:
    load(make_batch(Delivery([("X", 1, "5.00")], contracts={"X": option("X")})), source="left")
    load(make_batch(Delivery([("Y", 1, "5.00")], contracts={"Y": option("Y", venue="BSE")})), source="right")

    found = reconcile_day(warehouse, "options_ticks", TRADE_DATE, "left", "right")

    assert [one.differs for one in find_look_alikes(warehouse, [found.reconciliation_id])] == [
        {"venue": ("NSE", "BSE")}
    ]
