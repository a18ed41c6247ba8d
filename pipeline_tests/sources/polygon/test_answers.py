"""What the rows of an answer are: exact numbers, stamps of the close, and nothing dropped."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import PipelineError
from pipeline_defs.markets.market import market
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.asking.questions import Dataset
from pipeline_defs.sources.polygon.bars import bar_rows
from pipeline_tests.sources.polygon.offline import DAY, EXPECTED, FIRST, LAST, OPTION, bar, stamp, start
from pipeline_tests.sources.polygon.questions import question
from pipeline_tests.sources.polygon.server import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.sources.asking.questions import Answer
    from pipeline_defs.sources.polygon.adapter import PolygonSource
    from pipeline_tests.sources.polygon.server import PolygonServer

RECORDED = Path(__file__).parent / "recorded"
NOTHING = '{"status":"OK","results":[]}'
GOOD = ("182.16", "182.43", "182", "182.4")


def test_an_import_of_a_day_gives_the_rows_written_by_hand(source: Callable[..., PolygonSource]) -> None:
    batches = list(source().fetch(ImportRequest(DAY, DAY)))
    for table, expected in EXPECTED.items():
        (batch,) = (batch for batch in batches if batch.table == table)
        columns = ("symbol", "timestamp", "open", "high", "low", "close", "volume")
        rows = batch.observations.join(batch.contracts, on="contract_key").select(columns).rows()
        assert sorted(rows) == sorted(expected)
    (spot,) = (batch for batch in batches if batch.table == "spot_prices")
    assert spot.rejects["reason"].to_list() == ["extended_hours", "extended_hours"]


def test_a_month_is_one_request_an_instrument_and_every_session_has_rows(
    source: Callable[..., PolygonSource], server: PolygonServer
) -> None:
    batches = list(source().fetch(ImportRequest(FIRST, LAST)))
    filled = {(batch.table, batch.trade_date) for batch in batches if batch.observations.height}
    assert len(filled) == 3 * 21
    assert {batch.empty_reason for batch in batches if not batch.observations.height} == {
        "weekend",
        "holiday Martin Luther King Jr. Day",
    }
    assert len(server.history()) == 5  # the share twice, the index, a call and a put


def test_a_minute_is_stamped_with_its_end_and_numbers_keep_their_digits(ask: Callable[..., Answer]) -> None:
    rows = ask().rows
    assert rows["timestamp"].to_list()[1] == dt.datetime(2024, 1, 16, 14, 31, tzinfo=dt.UTC)
    assert rows["low"].to_list()[1] == Decimal("182.0301")
    assert rows["volume"].to_list() == [1500, 2312345, 1500000, 90]
    assert rows["reason"].null_count() == rows.height


def test_bars_are_asked_for_unadjusted_ascending_and_by_instants_that_no_zone_can_shift(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    assert ask().note == "unadjusted"
    (asked,) = server.asked
    begin, end = stamp(5), stamp(5, 0, DAY + dt.timedelta(days=1)) - 1
    assert asked == f"/v2/aggs/ticker/AAPL/range/1/minute/{begin}/{end}?adjusted=false&sort=asc&limit=50000"


def test_a_daily_bar_is_stamped_with_the_close_of_its_session_also_on_a_short_day(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    friday = dt.date(2023, 11, 24)
    server.bars["AAPL", 1, "day"] = [
        bar(stamp(5, 0, friday), GOOD, "5"),
        bar(stamp(5), GOOD, "5"),
        bar(stamp(4, 0, dt.date(2024, 7, 5)), GOOD, "5"),
        bar(stamp(5, 0, dt.date(2024, 1, 13)), GOOD, "5"),
        bar(stamp(6), GOOD, "5"),
    ]
    server.bars["AAPL", 1, "day"] = [row.replace('"t":', '"t": ') for row in server.bars["AAPL", 1, "day"]]
    rows = [_daily(ask, server, row) for row in server.bars["AAPL", 1, "day"]]
    assert [row["timestamp"] for row in rows] == [
        dt.datetime(2023, 11, 24, 18, 0, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 16, 21, 0, tzinfo=dt.UTC),
        dt.datetime(2024, 7, 5, 20, 0, tzinfo=dt.UTC),
        dt.datetime(2024, 1, 14, 5, 0, tzinfo=dt.UTC),
        None,
    ]
    assert [row["reason"] for row in rows] == [None, None, None, None, "bad_time"]


def _daily(ask: Callable[..., Answer], server: PolygonServer, row: str) -> dict[str, object]:
    # The server filters by the range; here only the reading of the stamp is looked at.
    server.fail(None, Fault(body=NOTHING), Fault(body=NOTHING))
    server.right = lambda *_: (200, server.page([row], "", {}, '"ticker":"AAPL","adjusted":false,'))  # type: ignore[method-assign]
    return ask("equity_daily").rows.row(0, named=True)


def test_the_recorded_daily_bars_of_2005_are_read_digit_for_digit(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    recorded = (RECORDED / "aggs_AAPL_1day_2005-04-01_2005-04-04.json").read_text(encoding="utf-8")
    server.right = lambda *_: (200, recorded.replace('"adjusted": true', '"adjusted": false'))  # type: ignore[method-assign]
    server.fail(None, Fault(body=NOTHING), Fault(body=NOTHING))
    rows = ask("equity_daily").rows
    assert rows.select("timestamp", "open", "high", "low", "close", "volume").rows() == [
        (
            dt.datetime(2005, 4, 1, 21, tzinfo=dt.UTC),
            *map(Decimal, ("1.5032", "1.5064", "1.4489", "1.4604", "642646396")),
        ),
        (
            dt.datetime(2005, 4, 4, 20, tzinfo=dt.UTC),
            *map(Decimal, ("1.4639", "1.4754", "1.4343", "1.4675", "578172308")),
        ),
    ]


def test_an_index_has_no_volume_and_that_is_unknown_not_zero(ask: Callable[..., Answer]) -> None:
    assert ask(name="I:SPX").rows["volume"].to_list() == [None]


def test_fractions_and_exponents_of_a_volume_are_kept_exactly(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    volumes = ["100.25", "1.23456789e+08", "6.4E7", "0.000001", "12.50000000000", "null"]
    server.bars["AAPL", 1, "minute"] = [bar(stamp(15, minute), GOOD, volume) for minute, volume in enumerate(volumes)]
    found = ask().rows["volume"].to_list()
    assert found == [*map(Decimal, ("100.25", "123456789", "64000000", "0.000001", "12.5")), None]


def test_a_row_whose_numbers_cannot_be_read_is_refused_and_the_others_go_on(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    server.bars["AAPL", 1, "minute"] = [
        bar(stamp(15), GOOD, "5"),
        bar(stamp(15, 1), ("182", "NaN", "182", "182"), "5"),
        bar(stamp(15, 2), ("182", "182", "182", "null"), "5"),
        bar(stamp(15, 3), ("182.123456789", "182", "182", "182"), "5"),
        bar(stamp(15, 4), GOOD, '"many"'),
        bar(stamp(15, 5), GOOD, "1e99"),
        bar(stamp(15, 6), GOOD, "5").replace('"t":', '"t":-').replace("-1", "-9"),
        '{"v":5,"o":1,"h":1,"l":1,"c":1}',
        '{"v":5,"o":1,"h":1,"c":1,"t":' + str(stamp(15, 7)) + "}",
    ]
    rows = ask().rows
    assert rows["reason"].to_list() == [
        None,
        "bad_price",
        "bad_price",
        "bad_price",
        "bad_quantity",
        "bad_quantity",
        "bad_time",
        "bad_time",
        "bad_price",
    ]
    assert rows["text"][0] is None
    assert rows["text"][3] == (f'{{"t":"{stamp(15, 3)}","o":"182.123456789","h":"182","l":"182","c":"182","v":"5"}}')


def test_an_option_without_trades_is_an_empty_answer_and_no_further_request(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    assert ask("options_ticks", name=OPTION.replace("C", "P")).rows.is_empty()
    assert len(server.asked) == 1


def test_a_known_share_without_bars_is_an_empty_answer_after_one_look_at_its_details(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    rows = ask(name="MSFT").rows
    assert rows.is_empty()
    assert server.asked[1] == "/v3/reference/tickers/MSFT?ticker=MSFT&date=2024-01-16"


def test_details_of_a_share_are_asked_for_once(source: Callable[..., PolygonSource], server: PolygonServer) -> None:
    asking = source()
    for _ in range(2):
        assert asking.ask(question(asking, name="MSFT")).rows.is_empty()
    assert len(server.asked) == 3


def test_a_plan_that_delays_data_is_noted(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.status = "DELAYED"
    answer = ask()
    assert answer.note == "unadjusted; the plan delays data (status DELAYED)"
    assert answer.rows.height == 4


def test_pages_are_put_together_and_each_takes_a_turn(ask: Callable[..., Answer], server: PolygonServer) -> None:
    whole = ask().rows
    server.page_size = 1
    server.asked.clear()
    assert ask().rows.equals(whole)
    assert len(server.asked) == 4
    assert server.asked[1].startswith("/v2/aggs/ticker/AAPL/range/1/minute/")


@pytest.mark.parametrize(
    ("seconds", "span"), [(1, "1/second"), (300, "5/minute"), (3600, "1/hour"), (14_400, "4/hour"), (86_400, "1/day")]
)
def test_other_lengths_of_bars_are_asked_for_as_the_vendor_names_them(
    ask: Callable[..., Answer], server: PolygonServer, seconds: int, span: str
) -> None:
    ask(dataset=Dataset("spot_prices", seconds, 31, ("EQ",)))
    assert f"/range/{span}/" in server.asked[0]


def test_ticks_cannot_be_asked_for(ask: Callable[..., Answer]) -> None:
    with pytest.raises(PipelineError, match="bars of 0 s cannot be had from Polygon"):
        ask(dataset=Dataset("spot_prices", 0, 31, ("EQ",)))


def test_what_is_offered_to_the_shared_tests_holds_what_it_says() -> None:
    with start() as offline:
        assert offline.requests() == []
        assert set(offline.expected) == {"spot_prices", "equity_daily", "options_ticks"}
        assert pl.Series([row[0] for rows in offline.expected.values() for row in rows]).is_not_null().all()


def test_a_volume_of_contracts_becomes_one_of_shares(source: Callable[..., PolygonSource]) -> None:
    (batch,) = source().fetch(ImportRequest(DAY, DAY, tables=frozenset({"options_ticks"})))
    assert batch.observations["volume"].to_list() == [1200]
    assert batch.contracts["lot_size"].to_list() == [100]


def test_a_volume_that_is_too_large_in_shares_is_refused() -> None:
    row = {"t": str(stamp(15)), **dict.fromkeys("ohlc", "1"), "v": "1" + "0" * 17}
    rows = bar_rows([row, {**row, "v": "9" * 19}], 60, market("US"), "test", has_volume=True, units=100)
    assert rows["reason"].to_list() == [None, "bad_quantity"]


@given(st.integers(0, 10**17), st.integers(0, 12), st.sampled_from("fe"))
def test_a_volume_is_every_digit_that_the_vendor_wrote_or_the_row_is_refused(
    digits: int, places: int, form: str
) -> None:
    volume = Decimal(digits).scaleb(-places)
    row = {"t": str(stamp(15)), **dict.fromkeys("ohlc", "1"), "v": format(volume, form)}

    rows = bar_rows([row], 60, market("US"), "test", has_volume=True)

    fits = volume == volume.quantize(Decimal("1e-8"))
    assert rows.select("volume", "reason").row(0) == ((volume, None) if fits else (None, "bad_quantity"))


@given(st.decimals(min_value=0, max_value=10**10, places=8), st.integers(min_value=-3, max_value=3))
def test_an_exact_volume_beside_a_whole_one_is_taken_where_both_are_the_same_share_count(
    exact: Decimal, off: int
) -> None:
    whole = int(exact) + off
    row = {"t": str(stamp(15)), **dict.fromkeys("ohlc", "1"), "v": str(whole), "dv": f"{exact:f}"}

    rows = bar_rows([row], 60, market("US"), "test", has_volume=True)

    agrees = abs(exact - whole) < 1
    assert rows.select("volume", "reason").row(0) == ((exact, None) if agrees else (None, "bad_quantity"))
