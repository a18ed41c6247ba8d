"""Lots that day files show: effective-dated, whatever the order in which the days come."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_tests.warehouse.deliveries import Delivery, StubSource, make_batch, option

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]

FIRST = dt.date(2025, 6, 2)
_UNDERLYINGS = itertools.count()


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


def batch(on: dt.date, lot: int | None, underlying: str = "NIFTY", **terms: Any) -> Any:
    contract = option("a", underlying=underlying, expiry=dt.date(2025, 12, 30), lot_size=lot, **terms)
    return make_batch(Delivery([("a", 1, "1.5")], contracts={"a": contract}), bar_seconds=86_400, trade_date=on)


LOTS = """
SELECT lot_size, nullif(valid_from, '-infinity'), nullif(valid_to, 'infinity')
FROM instrument_terms WHERE underlying = %s ORDER BY valid_from
"""


def test_a_lot_that_changes_opens_new_terms_on_the_day_it_was_first_seen(load: Load, ask: Ask) -> None:
    for number, lot in enumerate([75, 75, 65, 65]):
        load(batch(day(number), lot))

    assert ask(LOTS, "NIFTY") == [(75, None, day(2)), (65, day(2), None)]
    assert ask("SELECT count(DISTINCT instrument_id) FROM options_ticks") == [(1,)]


def test_a_day_imported_late_moves_the_change_to_where_it_was(load: Load, ask: Ask) -> None:
    load(batch(day(0), 75))
    load(batch(day(9), 65))
    load(batch(day(4), 65))

    assert ask(LOTS, "NIFTY") == [(75, None, day(4)), (65, day(4), None)]


def test_a_day_without_lots_says_nothing(load: Load, ask: Ask) -> None:
    load(batch(day(0), 75))
    load(batch(day(1), None))

    assert ask(LOTS, "NIFTY") == [(75, None, None)]


def test_a_file_imported_again_writes_no_term_and_no_evidence(load: Load, ask: Ask) -> None:
    load(batch(day(0), 75))
    load(batch(day(1), 65))
    state = "SELECT array_agg(x::text) FROM (SELECT xmin, ctid FROM {0} ORDER BY ctid) AS x"
    before = [ask(state.format(table)) for table in ("instrument_terms", "term_evidence")]
    load(batch(day(1), 65))
    load(batch(day(0), 75))

    assert [ask(state.format(table)) for table in ("instrument_terms", "term_evidence")] == before


def test_a_corrected_file_withdraws_what_it_said_before(load: Load, ask: Ask) -> None:
    for number, lot in enumerate([75, 750, 75]):
        load(batch(day(number), lot))
    load(batch(day(1), 75))

    assert ask(LOTS, "NIFTY") == [(75, None, None)]
    assert ask("SELECT DISTINCT value FROM term_evidence WHERE field = 'lot_size'") == [("75",)]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lots=st.lists(st.sampled_from([25, 50, 75]), min_size=1, max_size=5).flatmap(
        lambda lots: st.tuples(st.just(lots), st.permutations(range(len(lots))), st.integers(0, len(lots) - 1))
    )
)
def test_days_in_any_order_give_the_same_terms(
    warehouse: Warehouse, ask: Ask, lots: tuple[list[int], list[int], int]
) -> None:
    seen, order, again = lots
    underlying = f"U{next(_UNDERLYINGS)}X"
    batches = [batch(day(number), seen[number], underlying) for number in [*order, again]]
    list(import_source(warehouse, StubSource(*batches), ImportRequest()))
    changes = [n for n in range(len(seen)) if n == 0 or seen[n] != seen[n - 1]]
    bounds = [None, *(day(n) for n in changes[1:]), None]

    assert ask(LOTS, underlying) == [(seen[n], bounds[place], bounds[place + 1]) for place, n in enumerate(changes)]
