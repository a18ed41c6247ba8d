"""One instrument's bars in one piece: what the table holds, always, and quickly when nothing changed."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.segments import read_bars, segment_schema
from pipeline_tests.warehouse.deliveries import TRADE_DATE, Delivery, make_batch, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

    Load = Callable[..., LoadReport]
    Ask = Callable[..., list[tuple[Any, ...]]]

A, B = "NIFTY28FEB1910000CE", "NIFTY28FEB1910050CE"
NEXT_DAY, NEXT_MONTH = TRADE_DATE + dt.timedelta(days=1), dt.date(2019, 2, 4)
YEAR = dt.date(2019, 1, 1), dt.date(2019, 12, 31)


def day(trade_date: dt.date, *prices: str, symbol: str = A, **more: Any) -> Any:
    rows = [(symbol, minute, price) for minute, price in enumerate(prices, 1)]
    return make_batch(Delivery(rows, contracts={symbol: option(symbol)}), trade_date=trade_date, **more)


@pytest.fixture
def read(warehouse: Warehouse, ask: Ask) -> Callable[..., pl.DataFrame]:
    """Read by symbol, and hold what came against the table."""

    def run(*symbols: str, days: tuple[dt.date, dt.date] = YEAR) -> pl.DataFrame:
        ids = [ask("SELECT instrument_id FROM instrument_aliases WHERE symbol = %s", one)[0][0] for one in symbols]
        frame = read_bars(warehouse, "options_ticks", "nse_csv", ids, days)
        zone = "Asia/Kolkata"
        there = ask(
            "SELECT instrument_id, timestamp, close, volume FROM options_ticks WHERE instrument_id = ANY (%s)"
            " AND (timestamp AT TIME ZONE %s)::date BETWEEN %s AND %s ORDER BY 1, 2",
            ids, zone, *days,
        )  # fmt: skip
        assert frame.select("instrument_id", "timestamp", "close", "volume").rows() == there
        assert frame.schema == pl.Schema(segment_schema("options_ticks"))
        return frame

    return run


def kept(ask: Ask) -> list[tuple[Any, ...]]:
    return ask("SELECT month::text, rows FROM bar_segments WHERE rows > 0 ORDER BY instrument_id, month")


def test_what_is_read_is_what_the_table_holds_first_and_again(load: Load, read: Any, ask: Ask) -> None:
    load(day(TRADE_DATE, "1.05", "1.10"))
    load(day(NEXT_MONTH, "2.35"))
    first = read(A)

    assert kept(ask) == [("2019-01-01", 2), ("2019-02-01", 1)]
    assert read(A).equals(first)
    assert read(A, days=(NEXT_DAY, NEXT_MONTH)).height == 1


def test_kept_months_are_what_is_read_as_long_as_no_load_changed_them(load: Load, read: Any, ask: Ask) -> None:
    load(day(TRADE_DATE, "1.05"))
    load(day(NEXT_MONTH, "2.35"))
    read(A)
    before = ask("SELECT month, known_at FROM bar_segments ORDER BY 1")
    load(day(TRADE_DATE, "1.05"))  # the same again changes nothing
    read(A)
    assert ask("SELECT month, known_at FROM bar_segments ORDER BY 1") == before

    load(day(NEXT_MONTH, "2.40"))
    assert read(A)["close"].to_list()[-1].as_tuple().digits[:2] == (2, 4)
    after: dict[dt.date, dt.datetime] = dict(ask("SELECT month, known_at FROM bar_segments"))
    assert [month for month, known_at in before if after[month] != known_at] == [dt.date(2019, 2, 1)]


def test_more_days_corrections_and_vanished_rows_are_seen_at_once(load: Load, read: Any) -> None:
    load(day(TRADE_DATE, "1.05", "1.10"))
    assert read(A).height == 2
    load(day(NEXT_DAY, "1.20"))
    assert read(A).height == 3
    load(day(TRADE_DATE, "1.05"))
    assert read(A).height == 2


def test_several_instruments_are_read_together_and_one_that_never_traded_is_empty(load: Load, read: Any) -> None:
    load(day(TRADE_DATE, "1.05"))
    load(day(NEXT_DAY, "7.05", symbol=B))

    assert read(A, B).height == 2
    assert read(B, A).height == 2


def test_a_month_that_retention_deleted_is_not_given(load: Load, read: Any, warehouse: Warehouse) -> None:
    load(day(TRADE_DATE, "1.05"))
    load(day(NEXT_MONTH, "2.35"))
    read(A)
    with warehouse.connect() as connection:
        connection.execute("DELETE FROM options_ticks WHERE timestamp < '2019-02-01'")
        connection.execute(
            "INSERT INTO dropped_observations (table_name, dropped_before) VALUES ('options_ticks', %s)",
            [dt.datetime(2019, 1, 31, 18, 30, tzinfo=dt.UTC)],
        )

    assert read(A).height == 1


def test_a_piece_that_was_made_of_an_older_state_never_replaces_a_newer_one(
    load: Load, read: Any, ask: Ask, warehouse: Warehouse
) -> None:
    load(day(TRADE_DATE, "1.05"))
    read(A)
    ((known_at, content),) = ask("SELECT known_at, content FROM bar_segments WHERE rows > 0")
    load(day(TRADE_DATE, "1.05", "1.10"))
    with warehouse.connect() as connection:  # a slow reader writes down what it saw before the load
        connection.execute("UPDATE bar_segments SET known_at = %s, content = %s WHERE rows > 0", [known_at, content])

    assert read(A).height == 2


def test_ticks_and_unknown_tables_are_refused(warehouse: Warehouse) -> None:
    with pytest.raises(WarehouseError, match="no bars of 0 s in 'options_ticks'"):
        read_bars(warehouse, "options_ticks", "nse_csv", [1], YEAR, bar_seconds=0)
    with pytest.raises(WarehouseError, match="no bars of 60 s in 'loads'"):
        read_bars(warehouse, "loads", "nse_csv", [1], YEAR)
