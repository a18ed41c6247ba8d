"""Statements about terms: re-dating, renaming, merging, late knowledge, and what is refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.contract_master.loading import apply_terms
from pipeline_defs.warehouse.contract_master.terms import terms_at
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_tests.warehouse.contract_master.statements import (
    NAMES,
    NEW_EXPIRY,
    OLD_EXPIRY,
    REDATED_ON,
    call,
    share,
    state,
)
from pipeline_tests.warehouse.deliveries import Delivery, make_batch, option

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]

BEFORE, AFTER = dt.date(2025, 8, 28), dt.date(2025, 9, 2)
REDATING = state((REDATED_ON, call(new_expiry=NEW_EXPIRY)))

PERIODS = """
SELECT expiry, nullif(valid_from, '-infinity'), nullif(valid_to, 'infinity')
FROM instrument_terms WHERE instrument_id = %s ORDER BY valid_from
"""


def delivered(on: dt.date, expiry: dt.date, file: str = "day.csv", **terms: Any) -> Any:
    contract = option(f"C{expiry}", strike=24_500, expiry=expiry, **terms)
    return make_batch(
        Delivery([(f"C{expiry}", 1, "80.05")], file=file, contracts={f"C{expiry}": contract}), trade_date=on
    )


def noon(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(6, 30), dt.UTC)


def test_a_contract_told_to_be_re_dated_keeps_its_id(warehouse: Warehouse, load: Load, ask: Ask) -> None:
    load(delivered(BEFORE, OLD_EXPIRY))
    report = apply_terms(warehouse, REDATING)
    load(delivered(AFTER, NEW_EXPIRY))

    assert (report.new, report.changed, report.closed, report.merged, report.refused) == (0, 1, 1, 0, {})
    ((instrument_id,),) = ask("SELECT DISTINCT instrument_id FROM options_ticks")
    assert ask(PERIODS, instrument_id) == [(OLD_EXPIRY, None, REDATED_ON), (NEW_EXPIRY, REDATED_ON, None)]


def test_re_dating_told_before_any_import_gives_the_same_terms(warehouse: Warehouse, load: Load, ask: Ask) -> None:
    report = apply_terms(warehouse, REDATING)
    load(delivered(AFTER, NEW_EXPIRY))
    load(delivered(BEFORE, OLD_EXPIRY))

    assert report.new == 1
    ((instrument_id,),) = ask("SELECT DISTINCT instrument_id FROM options_ticks")
    assert ask(PERIODS, instrument_id) == [(OLD_EXPIRY, None, REDATED_ON), (NEW_EXPIRY, REDATED_ON, None)]


def test_re_dating_told_late_merges_the_two_that_imports_had_made(warehouse: Warehouse, load: Load, ask: Ask) -> None:
    load(delivered(BEFORE, OLD_EXPIRY))
    load(delivered(AFTER, NEW_EXPIRY, lot_size=65))
    ((first,), (second,)) = ask("SELECT instrument_id FROM options_ticks ORDER BY timestamp")
    report = apply_terms(warehouse, REDATING)

    assert report.merged == 1
    assert ask("SELECT duplicate_id, instrument_id FROM instrument_merges_as_of('infinity')") == [(second, first)]
    assert ask("SELECT duplicate_id FROM instrument_merges_as_of('2020-01-01')") == []
    assert terms_at(warehouse, second, noon(AFTER)).instrument_id == first
    # What was seen of the duplicate is known of the instrument.
    assert terms_at(warehouse, first, noon(AFTER)).lot_size == 65
    # The rows stay what they were, and with the next import of the day they come under the instrument itself.
    assert ask("SELECT count(*) FROM options_ticks WHERE instrument_id = %s", second) == [(1,)]
    report_again = load(delivered(AFTER, NEW_EXPIRY, lot_size=65))
    assert (report_again.stored, report_again.retired) == (1, 1)
    assert ask("SELECT DISTINCT instrument_id FROM options_ticks") == [(first,)]


def test_rolled_futures_follow_a_merge(warehouse: Warehouse, load: Load, ask: Ask) -> None:
    future = {**option("F", expiry=OLD_EXPIRY), "kind": "FUT", "strike": None, "option_type": None}
    rolling = {**future, "kind": "CONT", "rank": 1, "symbol": "NIFTY-I", "expiry": NEW_EXPIRY}
    for day, symbol, terms in ((BEFORE, "F", future), (AFTER, "NIFTY-I", rolling)):
        load(
            make_batch(
                Delivery([(symbol, 1, "24500")], contracts={symbol: terms}), table="futures_ticks", trade_date=day
            )
        )
    told = {name: future[name] for name in NAMES if name in future}
    apply_terms(warehouse, state((REDATED_ON, told | {"new_expiry": NEW_EXPIRY, "currency": "INR"})))

    ((kept,),) = ask("SELECT instrument_id FROM instrument_terms WHERE kind = 'FUT' AND valid_to = %s", REDATED_ON)
    assert ask("SELECT contract_id FROM continuous_contracts") == [(kept,)]


def test_two_contracts_that_one_source_delivered_on_one_day_are_never_merged(
    warehouse: Warehouse, load: Load, ask: Ask
) -> None:
    load(delivered(BEFORE, OLD_EXPIRY))
    load(delivered(BEFORE, NEW_EXPIRY, file="other.csv"))
    before = ask("SELECT t::text FROM instrument_terms AS t ORDER BY instrument_id")
    report = apply_terms(warehouse, REDATING)

    assert report.refused == {2: "C2025-09-30 cannot be the same contract: one source delivered both on 2025-08-28"}
    assert (report.read, report.changed, report.merged) == (1, 0, 0)
    assert ask("SELECT t::text FROM instrument_terms AS t ORDER BY instrument_id") == before


def test_a_name_given_to_another_contract_is_free_on_the_dates_before(
    warehouse: Warehouse, load: Load, ask: Ask
) -> None:
    apply_terms(warehouse, REDATING)
    load(delivered(BEFORE, NEW_EXPIRY))
    load(delivered(AFTER, NEW_EXPIRY))

    assert ask("SELECT count(DISTINCT instrument_id) FROM options_ticks") == [(2,)]
    assert ask(
        "SELECT valid_to FROM instrument_terms JOIN options_ticks USING (instrument_id)"
        " WHERE expiry = %s AND valid_from = '-infinity'",
        NEW_EXPIRY,
    ) == [(REDATED_ON,)]


def test_the_exchange_number_tells_a_re_dated_contract_without_a_list(warehouse: Warehouse, ask: Ask) -> None:
    august = state((BEFORE, call(token="NSE-FO:1", lot_size=75)), source="kite", precedence=20)  # noqa: S106
    september = state((AFTER, call(expiry=NEW_EXPIRY, token="NSE-FO:1", lot_size=65)), source="kite", precedence=20)  # noqa: S106
    for delivery in (september, august):
        apply_terms(warehouse, delivery)

    assert ask("SELECT count(*) FROM instruments") == [(1,)]
    assert ask("SELECT expiry, lot_size FROM instrument_terms ORDER BY valid_from") == [
        (OLD_EXPIRY, 75),
        (NEW_EXPIRY, 65),
    ]


def test_an_exchange_number_used_again_is_another_contract(warehouse: Warehouse, ask: Ask) -> None:
    for day, expiry in (
        (dt.date(2025, 9, 24), OLD_EXPIRY),
        (dt.date(2025, 9, 29), dt.date(2025, 10, 2)),
        (dt.date(2025, 10, 20), dt.date(2025, 10, 28)),
    ):
        terms = call(expiry=expiry, token="NSE-FO:1")  # noqa: S106
        apply_terms(warehouse, state((day, terms), source="kite", precedence=20))

    assert ask("SELECT count(*) FROM instruments") == [(3,)]


def test_a_dump_of_the_same_content_writes_no_term_and_is_recorded(warehouse: Warehouse, ask: Ask) -> None:
    dump = state((BEFORE, call(lot_size=75)), (BEFORE, share("ZOMATO")), source="kite", precedence=20)
    first = apply_terms(warehouse, dump)
    versions = ask("SELECT instrument_id, xmin::text FROM instrument_terms ORDER BY 1")
    second = apply_terms(warehouse, dump)

    assert (first.new, second.new, second.changed, second.unchanged) == (2, 0, 0, 2)
    assert ask("SELECT instrument_id, xmin::text FROM instrument_terms ORDER BY 1") == versions
    assert ask(
        "SELECT source, rows_read, rows_new, rows_unchanged, first_date FROM terms_loads ORDER BY 1, 3 DESC"
    ) == [
        ("kite", 2, 2, 0, BEFORE),
        ("kite", 2, 0, 2, BEFORE),
    ]


def test_a_renamed_share_keeps_its_id_and_each_name_counts_in_its_time(warehouse: Warehouse) -> None:
    renamed = dt.date(2025, 3, 24)
    apply_terms(
        warehouse, state((renamed, share("ZOMATO", new_underlying="ETERNAL", symbol="ETERNAL", isin="INE758T01015")))
    )
    before, after = noon(renamed - dt.timedelta(days=1)), noon(renamed)

    assert terms_at(warehouse, "ZOMATO", before).instrument_id == terms_at(warehouse, "ETERNAL", after).instrument_id
    with pytest.raises(WarehouseError, match="no instrument is known as ZOMATO"):
        terms_at(warehouse, "ZOMATO", after)


def test_late_knowledge_about_the_past_splits_terms(warehouse: Warehouse, ask: Ask) -> None:
    for day, lot in ((dt.date(2025, 6, 2), 75), (dt.date(2025, 8, 1), 65)):
        apply_terms(warehouse, state((day, call(lot_size=lot)), source="udiff", precedence=10))
    report = apply_terms(warehouse, state((dt.date(2025, 7, 1), call(lot_size=70))))

    assert (report.changed, report.closed) == (1, 1)
    assert ask("SELECT lot_size, nullif(valid_from, '-infinity') FROM instrument_terms ORDER BY valid_from") == [
        (75, None),
        (70, dt.date(2025, 7, 1)),
        (65, dt.date(2025, 8, 1)),
    ]


def test_earlier_versions_of_terms_stay_known(warehouse: Warehouse, ask: Ask) -> None:
    apply_terms(warehouse, state((BEFORE, call(lot_size=75)), source="udiff", precedence=10))
    ((known,),) = ask("SELECT committed_at FROM terms_loads")
    apply_terms(warehouse, state((BEFORE, call(lot_size=65)), source="udiff", precedence=10))

    assert ask("SELECT lot_size FROM instrument_terms") == [(65,)]
    assert ask("SELECT lot_size FROM instrument_terms_as_of(%s)", known) == [(75,)]


def test_ones_own_word_beats_the_exchange_and_the_exchange_a_broker_on_one_date(warehouse: Warehouse, ask: Ask) -> None:
    for source, precedence, lot in (("own list", 0, 70), ("kite", 20, 60), ("udiff", 10, 50)):
        apply_terms(
            warehouse, state((BEFORE, call(lot_size=lot, tick_size=None)), source=source, precedence=precedence)
        )

    assert ask("SELECT lot_size FROM instrument_terms WHERE valid_to = 'infinity'") == [(70,)]


def test_what_ones_own_list_says_from_a_date_on_is_not_taken_for_the_time_before(
    warehouse: Warehouse, ask: Ask
) -> None:
    apply_terms(warehouse, state((BEFORE, call(lot_size=75, multiplier=Decimal(10)))))

    assert ask("SELECT lot_size, multiplier FROM instrument_terms ORDER BY valid_from") == [(None, 1), (75, 10)]


def test_a_second_line_about_a_contract_and_date_is_refused_and_listed(warehouse: Warehouse, ask: Ask) -> None:
    delivery = state((BEFORE, call(lot_size=75)), (BEFORE, call(lot_size=65)), refused=[(4, "the strike is missing")])
    report = apply_terms(warehouse, delivery)

    assert report.refused == {3: "line 2 speaks of the same contract and date", 4: "the strike is missing"}
    assert ask("SELECT line FROM terms_refusals WHERE terms_load_id = %s ORDER BY 1", report.terms_load_id) == [
        (3,),
        (4,),
    ]


def test_statements_that_cannot_all_be_true_store_nothing(warehouse: Warehouse, ask: Ask) -> None:
    other = call(expiry=NEW_EXPIRY, lot_size=65)
    apply_terms(warehouse, state((REDATED_ON - dt.timedelta(days=9), call(expiry=dt.date(2025, 9, 23), lot_size=1))))
    apply_terms(
        warehouse, state((REDATED_ON + dt.timedelta(days=9), call(expiry=dt.date(2025, 9, 23), new_expiry=NEW_EXPIRY)))
    )
    loads = ask("SELECT count(*) FROM terms_loads")
    with pytest.raises(WarehouseError, match="would be the same contract"):
        apply_terms(warehouse, state((REDATED_ON, call(new_expiry=NEW_EXPIRY)), (AFTER, other)))

    assert ask("SELECT count(*) FROM terms_loads") == loads
    assert ask("SELECT count(*) FROM instruments") == [(1,)]
