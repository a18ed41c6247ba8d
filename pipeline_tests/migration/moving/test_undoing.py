"""After a roll-back the database is as it was; what others came to need stays, and is said."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.migration.legacy import LegacyQuality
from pipeline_defs.migration.undoing import roll_back
from pipeline_defs.warehouse.named_bundles import BundleMember, add_to_bundle, list_bundles
from pipeline_tests.migration.moving.made import MONDAY, Made, days, minutes

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.migration.moving import Outcome
    from pipeline_defs.warehouse.connection import Warehouse

    type Move = Callable[..., list[Outcome]]
    type Ask = Callable[..., list[tuple[Any, ...]]]
    type Checksums = Callable[..., dict[str, str]]

LEDGER: Final = ("migrated_stores", "migrated_bundles")
CLOCK: Final = ("knowledge_clock",)
"""What only ever grows."""

WEEK = days(MONDAY, 5)


def shares(name: str, *symbols: str, **more: Any) -> Made:
    return Made(name, [(symbol, day, "5.5") for symbol in symbols for day in WEEK], **more)


def full(name: str = "full") -> Made:
    """A bundle with something of everything that a migration writes."""
    saturday = dt.date(2023, 1, 7)
    quality = LegacyQuality(
        10,
        dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
        passed=False,
        row_count=5,
        start=WEEK[0],
        end=WEEK[4],
        missing_days=(),
        missing_days_count=0,
        outlier_count=0,
        ohlcv_violations=1,
    )
    made = shares(name, "TCS", "INFY", quality=(quality,), refused=[(3, "bad_price", "x")])
    made.rows += [("TCS", saturday, "9"), ("INFY", WEEK[0], "7")]
    made.actions = [("TCS", WEEK[2], "split", "2"), ("INFY", WEEK[3], "dividend", "0.5")]
    return made


def test_a_roll_back_leaves_every_table_as_it_was(move: Move, warehouse: Warehouse, checksums: Checksums) -> None:
    move(shares("before", "TCS", "WIPRO"))
    before = checksums(*LEDGER, *CLOCK)
    stamps = minutes(dt.datetime(2023, 1, 2, 3, 45, tzinfo=dt.UTC), 375)
    made = [full(), Made("minutes", [("NIFTY", stamp, "18000") for stamp in stamps], kind="SPOT")]
    move(*made)
    assert checksums(*LEDGER, *CLOCK) != before

    undone = roll_back(warehouse, names=["full", "minutes"])

    assert [(one.name, one.rows, one.instruments, one.kept) for one in undone] == [
        ("minutes", 375, 1, ()),
        ("full", 9, 1, ()),
    ]
    assert checksums(*LEDGER, *CLOCK) == before


def test_what_was_rolled_back_can_be_moved_in_again(move: Move, warehouse: Warehouse, ask: Ask) -> None:
    made = full()
    move(made)
    roll_back(warehouse)
    assert ask("SELECT state, rows_stored FROM migrated_bundles") == [("rolled_back", None)]

    (outcome,) = move(made)

    assert (outcome.entry.state, outcome.entry.rows_stored, outcome.was_done) == ("done", 9, False)
    assert ask("SELECT count(*) FROM legacy_quality") == [(1,)]


def test_a_second_roll_back_finds_nothing(move: Move, warehouse: Warehouse) -> None:
    move(full())
    roll_back(warehouse)

    assert roll_back(warehouse) == []


def test_an_instrument_that_another_source_came_to_need_is_kept_and_named(
    move: Move, warehouse: Warehouse, ask: Ask
) -> None:
    move(shares("first", "TCS", "INFY"))
    move(shares("second", "TCS"))

    (undone,) = roll_back(warehouse, names=["first"])

    assert undone.instruments == 1
    assert len(undone.kept) == 1
    assert undone.kept[0].startswith("TCS (")
    assert "source rustybt/nse/second" in undone.kept[0]
    assert ask("SELECT symbol FROM instrument_terms") == [("TCS",)]
    assert ask("SELECT DISTINCT source FROM equity_daily") == [("rustybt/nse/second",)]

    (last,) = roll_back(warehouse, names=["second"])

    assert (last.instruments, last.kept) == (1, ())
    assert ask("SELECT count(*) FROM instruments") == [(0,)]


def test_instruments_that_were_there_before_stay_though_nothing_else_needs_them(
    move: Move, warehouse: Warehouse, ask: Ask
) -> None:
    move(shares("first", "TCS"))
    with warehouse.connect() as connection:
        connection.execute("UPDATE migrated_bundles SET instruments_before = 1000")

    (undone,) = roll_back(warehouse)

    assert undone.instruments == 0
    assert ask("SELECT symbol FROM instrument_terms") == [("TCS",)]


def test_a_named_bundle_with_series_of_others_keeps_those(move: Move, warehouse: Warehouse) -> None:
    move(shares("mine", "TCS"))
    with warehouse.connect() as connection:
        add_to_bundle(connection, "second", [BundleMember("TCS", 1, "yahoo", "equity_daily", 86_400)])
    move(shares("second", "INFY"))
    roll_back(warehouse, names=["second"])

    left = {one.name: [(member.symbol, member.source) for member in one.members] for one in list_bundles(warehouse)}
    assert left == {"mine": [("TCS", "rustybt/nse/mine")], "second": [("TCS", "yahoo")]}


def test_catalogs_that_were_made_of_it_are_named(move: Move, warehouse: Warehouse) -> None:
    move(shares("first", "TCS"))
    with warehouse.connect() as connection:
        connection.execute(
            "INSERT INTO catalogs (format, underlying, start_date, end_date, path, catalog_hash, engine, rows,"
            " load_ids, verification)"
            " SELECT 'lean', 'TCS', '2023-01-01', '2023-01-31', 'p', 'h', 'e', 5, array_agg(load_id), '{}' FROM loads"
        )

    (undone,) = roll_back(warehouse)

    assert undone.catalogs == ("lean TCS 2023-01-01..2023-01-31",)


def test_a_bundle_that_never_was_is_refused_and_nothing_taken_out(move: Move, warehouse: Warehouse, ask: Ask) -> None:
    move(shares("first", "TCS"))

    with pytest.raises(ConfigurationError, match=r"no bundle nse50 was moved in from rustybt; there are first"):
        roll_back(warehouse, names=["first", "nse50"])
    assert ask("SELECT count(*) FROM equity_daily") == [(5,)]
