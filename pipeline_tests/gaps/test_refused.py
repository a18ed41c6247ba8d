"""Refused lines to instrument and minute, in the words of every source that keeps them."""

from __future__ import annotations

import datetime as dt

import pytest

from pipeline_defs.gaps.refused import read_refused
from pipeline_defs.warehouse.partitions import Partition

DAY = dt.date(2025, 8, 1)
TEN_PAST_NINE = dt.datetime(2025, 8, 1, 4, 40, tzinfo=dt.UTC)
"""10:10 in India: begin of the minute that every line below is about."""

VENDOR_LINES = {
    "understood, then refused": "2025-08-01 04:41:00.000000,1,2,3,4,5",
    "milliseconds of the start": f"{int(TEN_PAST_NINE.timestamp() * 1000)},1,2,x,4,5",
    "the start among JSON": f'{{"v":"1","t":"{int(TEN_PAST_NINE.timestamp() * 1000)}","c":"x"}}',
    "ISO with an offset": '["2025-08-01T10:10:00+0530", 1, 2, "x", 4, 5]',
    "ISO in UTC": "2025-08-01T04:40:00Z,1,2,x,4,5",
}


def partition(source: str, table: str = "spot_prices", bar_seconds: int = 60) -> Partition:
    return Partition(table, source, bar_seconds, DAY)


@pytest.mark.parametrize("text", VENDOR_LINES.values(), ids=VENDOR_LINES)
def test_an_answer_names_its_instrument_and_the_line_its_minute(text: str) -> None:
    row = (7, "zerodha NIFTY 50 spot_prices 2025-08-01", None, "zerodha 1", "api", 3, "bad_price", text)
    ((symbol, inside, load_id, reason),) = read_refused([row], partition("zerodha")).rows()

    assert (symbol, load_id, reason) == ("NIFTY 50", 7, "bad_price")
    assert TEN_PAST_NINE <= inside < TEN_PAST_NINE + dt.timedelta(minutes=1)


def test_a_tick_stands_where_it_was() -> None:
    row = (7, "yahoo AAPL spot_prices 2025-08-01", None, "yahoo 1", "api", 3, "bad_price", "2025-08-01 04:40:00.5,,")
    ((_, inside, _, _),) = read_refused([row], partition("yahoo", bar_seconds=0)).rows()

    assert inside == TEN_PAST_NINE + dt.timedelta(milliseconds=500)


@pytest.mark.parametrize(
    ("layout", "path", "text", "symbol", "second"),
    [
        ("gdfl-minute", "a.csv", "NIFTY-I.NFO,01/08/2025,10:10:59,1,2,x,4,5,6", "NIFTY-I.NFO", 59),
        ("gdfl-tick", "a.csv", "NIFTY-I.NFO,01/08/2025,10:10:07,x,2,3,4,5,6,7", "NIFTY-I.NFO", 7),
        ("truedata-tick", "d/NIFTY25AUGFUT.csv", "20250801,10:10:07,x,1,2,3,4,5,6", "NIFTY25AUGFUT", 7),
    ],
)
def test_a_vendors_line_is_read_by_its_layout(layout: str, path: str, text: str, symbol: str, second: int) -> None:
    row = (7, path, None, layout, "file", 12, "bad_price", text)

    assert read_refused([row], partition("nse_csv")).rows() == [
        (symbol, TEN_PAST_NINE + dt.timedelta(seconds=second), 7, "bad_price")
    ]


def test_a_refused_file_of_one_instrument_is_all_of_its_minutes() -> None:
    row = (7, "day.zip", "x/NIFTY25AUGFUT.csv", "truedata-tick", "file", 0, "other_product", "minutes among ticks")

    assert read_refused([row], partition("nse_csv")).rows() == [("NIFTY25AUGFUT", None, 7, "other_product")]


@pytest.mark.parametrize(
    ("layout", "source_type", "text"),
    [
        ("gdfl-minute", "file", "NIFTY-I.NFO,yesterday,10:10:59,1"),
        ("gdfl-minute", "file", "NIFTY-I.NFO"),
        ("udiff", "file", "2025-08-01,2025-08-01,FO"),
        ("a layout of one's own", "file", "x"),
        ("ccxt 1", "api", "no stamp"),
        ("ccxt 1", "api", ",1,2"),
    ],
)
def test_a_line_that_tells_no_minute_explains_no_gap(layout: str, source_type: str, text: str) -> None:
    row = (7, "ccxt BTC/USDT spot_prices 2025-08-01", None, layout, source_type, 2, "bad_time", text)

    assert read_refused([row], partition("ccxt")).is_empty()
