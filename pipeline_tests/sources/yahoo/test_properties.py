"""What holds for any reply: every row is accounted for, prices are exact, and no errors but ours come out."""

from __future__ import annotations

import datetime as dt
import json
import struct
from contextlib import suppress
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import PipelineError, SchemaDriftError
from pipeline_defs.markets.market import market
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.sources.asking.questions import ANSWER_SCHEMA, Dataset, Listed, Question, Window
from pipeline_defs.sources.yahoo.actions import SOURCE_ACTION_SCHEMA, actions_of
from pipeline_defs.sources.yahoo.bars import rows_of
from pipeline_defs.sources.yahoo.client import Reply
from pipeline_defs.sources.yahoo.naming import underlying_of
from pipeline_defs.sources.yahoo.replies import chart_of
from pipeline_defs.sources.yahoo.ticks import decode
from pipeline_tests.sources.yahoo.server import Instrument

DAY = dt.date(2023, 10, 5)
NEW_YORK = ZoneInfo("America/New_York")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
CELLS = st.none() | st.floats() | st.integers() | st.text(max_size=4)


def question(bar_seconds: int, kind: str = "EQ") -> Question:
    us, window = market("US"), Window(DAY, DAY)
    table = "equity_daily" if bar_seconds == 86_400 else "spot_prices"
    listed = Listed("GS", {"kind": kind, "symbol": "GS", "underlying": "GS"})
    return Question("yahoo", "1", Dataset(table, bar_seconds, 7, ("EQ",)), listed, window, *us.bounds(DAY))


@given(
    rows=st.lists(st.tuples(st.integers(-(10**18), 10**18) | st.none(), *[CELLS] * 5), max_size=8), daily=st.booleans()
)
def test_every_bar_of_a_chart_is_one_row_and_an_unreadable_one_has_a_reason(
    rows: list[tuple[Any, ...]], *, daily: bool
) -> None:
    interval = "1d" if daily else "1m"
    known = Instrument(bars={interval: [(0, *row[1:]) for row in rows]})
    document = known.chart("GS", interval, 0, 1)
    (result,) = document["chart"]["result"]
    if rows:
        result["timestamp"] = [row[0] for row in rows]
    chart = chart_of(Reply(200, json.dumps(document)), "GS")
    given_rows = rows_of(chart, question(86_400 if daily else 60), market("US"))
    assert given_rows.schema == pl.Schema(ANSWER_SCHEMA)
    assert given_rows.height == len(rows)
    good = given_rows.filter(pl.col("reason").is_null())
    assert good.select(pl.col("timestamp", "open", "high", "low", "close").is_null().any()).sum_horizontal().item() == 0
    assert given_rows["reason"].is_not_null().equals(given_rows["text"].is_not_null())


@given(cents=st.integers(1, 9_999_999))
def test_a_price_of_at_most_seven_digits_survives_yahoos_floats(cents: int) -> None:
    price = Decimal(cents) / 100
    (narrow,) = struct.unpack("f", struct.pack("f", float(price)))
    start = int(dt.datetime(2023, 10, 5, 9, 30, tzinfo=NEW_YORK).timestamp())
    bars = {"1m": [(start, narrow, narrow, narrow, narrow, 1)]}
    chart = chart_of(Reply(200, json.dumps(Instrument(bars=bars).chart("GS", "1m", 0, 1 << 40))), "GS")
    row = rows_of(chart, question(60), market("US")).row(0, named=True)
    assert row["close"] == price
    assert row["timestamp"] == dt.datetime(2023, 10, 5, 13, 31, tzinfo=dt.UTC)


@given(body=ANYTHING, status=st.sampled_from([200, 400, 401, 404, 422, 429, 500, 503]))
def test_any_reply_gives_a_chart_or_one_of_our_errors(body: Any, status: int) -> None:
    for document in (body, {"chart": body}, {"chart": {"error": None, "result": [body]}}, {"chart": {"error": body}}):
        with suppress(PipelineError):
            chart_of(Reply(status, json.dumps(document)), "GS")


@given(text=st.text(max_size=40))
def test_any_text_gives_one_of_our_errors(text: str) -> None:
    with suppress(PipelineError):
        chart_of(Reply(200, text), "GS")


@given(events=ANYTHING, name=st.sampled_from(["splits", "dividends", "capitalGains"]))
def test_any_corporate_action_is_read_or_one_of_our_errors(events: Any, name: str) -> None:
    chart = {"meta": {"exchangeTimezoneName": "America/New_York"}, "events": {name: events}}
    with suppress(SchemaDriftError):
        assert actions_of(chart, "GS").schema == pl.Schema(SOURCE_ACTION_SCHEMA)


@given(new=st.integers(1, 1000), old=st.integers(1, 1000), day=st.dates(dt.date(2001, 1, 1), dt.date(2030, 1, 1)))
def test_a_split_is_as_exact_as_eight_decimals_are(new: int, old: int, day: dt.date) -> None:
    at = int(dt.datetime.combine(day, dt.time(9, 30), NEW_YORK).timestamp())
    known = Instrument(splits=[(at, float(new), float(old))])
    (result,) = known.chart("GS", "1d", 0, 1 << 40)["chart"]["result"]
    (row,) = actions_of(result, "GS").rows()
    assert row[1:3] == (day, "split")
    assert abs(row[3] - Decimal(new) / old) <= Decimal("0.000000005")
    assert row[4] == f"{new}:{old}"
    assert actions_of(result, "GS").schema["value"] == PRICE


@given(message=st.text(max_size=30) | st.binary(max_size=30))
def test_no_message_of_the_stream_breaks_the_reader(message: str | bytes) -> None:
    assert decode(message) is None


def test_names_in_the_warehouse_are_those_of_other_sources() -> None:
    names = {
        "RELIANCE.NS": "RELIANCE",
        "M&M.NS": "M&M",
        "BAJAJ-AUTO.NS": "BAJAJ-AUTO",
        "TCS.BO": "TCS",
        "^NSEBANK": "BANKNIFTY",
        "^CNXIT": "CNXIT",
        "BRK-B": "BRK.B",
        "AAPL": "AAPL",
    }
    assert {symbol: underlying_of(symbol) for symbol in names} == names
