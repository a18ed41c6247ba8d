"""What the migration makes of a warehouse that is in use, and its way back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pipeline_defs.warehouse.migrations import downgrade, upgrade
from pipeline_defs.warehouse.reports import LoadReport
from pipeline_tests.warehouse.deliveries import Delivery, make_batch, option

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse

type Load = Callable[..., LoadReport]
type Ask = Callable[..., list[tuple[Any, ...]]]

OBJECTS = """
SELECT c.relkind::text, c.relname, pg_get_indexdef(c.oid) FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 2
"""


def test_back_and_forth_keeps_lots_as_evidence_of_the_day_they_came_with(
    warehouse: Warehouse, load: Load, ask: Ask
) -> None:
    def deliver(day: int, lot: int) -> None:
        contract = option("a", lot_size=lot)
        load(make_batch(Delivery([("a", 1, "1.5")], contracts={"a": contract}), trade_date=dt.date(2019, 1, day)))

    deliver(2, 75)
    before = ask(OBJECTS)
    downgrade(warehouse, 8, accept_loss=True)
    assert ask("SELECT lot_size FROM instrument_terms") == [(75,)]
    upgrade(warehouse)
    deliver(3, 50)

    assert ask(OBJECTS) == before
    assert ask("SELECT field, trade_date, value FROM term_evidence ORDER BY trade_date") == [
        ("lot_size", dt.date(2019, 1, 2), "75"),
        ("lot_size", dt.date(2019, 1, 3), "50"),
    ]
    assert ask("SELECT lot_size, valid_to < 'infinity' FROM instrument_terms ORDER BY valid_from") == [
        (75, True),
        (50, False),
    ]
