"""Ticks: pages that end with a whole second, quotes that stood before a trade, and the limits they count for."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.sources.asking.calling import Caller
from pipeline_defs.sources.asking.questions import Window
from pipeline_defs.sources.interactive_brokers import ticks as ticks_module
from pipeline_defs.sources.interactive_brokers.adapter import InteractiveBrokersSource
from pipeline_tests.sources.interactive_brokers.conftest import question
from pipeline_tests.sources.interactive_brokers.offline import TRADE_DATE
from pipeline_tests.sources.interactive_brokers.tws import DROP, TICKS, Failure

if TYPE_CHECKING:
    import polars as pl

    from pipeline_tests.sources.interactive_brokers.conftest import MakeSource
    from pipeline_tests.sources.interactive_brokers.tws import Tws

NAMED: dict[str, Any] = {
    "options": [
        {"underlying": "ACME", "expiries": [dt.date(2026, 12, 18)], "strikes": [150, 150], "option_types": ["CE"]}
    ]
}
OPEN = int(dt.datetime(2026, 10, 14, 13, 30, tzinfo=dt.UTC).timestamp())
OPTION = 400


def trade(second: int, price: str, size: str = "1") -> tuple[str, ...]:
    return str(OPEN + second), "0", price, size, "CBOE", ""


def quote(second: int, bid: str, ask: str) -> tuple[str, ...]:
    return str(OPEN + second), "0", bid, ask, "2", "4"


def ask(make_source: MakeSource) -> pl.DataFrame:
    source = make_source(universe=NAMED)
    of = InteractiveBrokersSource.tick_datasets[0]
    (listed,) = source.list_instruments(of, Window(TRADE_DATE, TRADE_DATE))
    asked = question(source, listed, of)
    return source.call(lambda: source.ask(asked), asked.where).rows


def test_a_trade_carries_the_quote_that_stood_before_its_second(make_source: MakeSource, tws: Tws) -> None:
    tws.world.ticks[OPTION, "TRADES"] = [trade(0, "71.40"), trade(5, "71.45", "2"), trade(5, "71.5"), trade(9, "71.6")]
    tws.world.ticks[OPTION, "BID_ASK"] = [quote(1, "71.3", "71.5"), quote(5, "1", "2"), quote(7, "0.0", "71.9")]
    rows = ask(make_source)
    assert rows["timestamp"].to_list() == [dt.datetime(2026, 10, 14, 13, 30, s, tzinfo=dt.UTC) for s in (0, 5, 5, 9)]
    assert rows["close"].to_list() == [Decimal("71.4"), Decimal("71.45"), Decimal("71.5"), Decimal("71.6")]
    assert rows["open"].equals(rows["high"])
    assert rows["volume"].to_list() == [100, 200, 100, 100]
    assert rows["bid_price"].to_list() == [None, Decimal("71.3"), Decimal("71.3"), None]  # 0: nobody bids
    assert rows["ask_price"].to_list() == [None, Decimal("71.5"), Decimal("71.5"), Decimal("71.9")]
    assert rows["bid_size"].to_list() == [None, 200, 200, 200]


def test_pages_hold_the_whole_of_their_last_second_and_nothing_twice(make_source: MakeSource, tws: Tws) -> None:
    told = [trade(second, f"{70 + second}.25") for second in range(600) for _ in range(4)]
    told += [trade(700, f"{price}.5") for price in range(10, 1300)]  # one second with more than a page
    tws.world.ticks[OPTION, "TRADES"] = told
    rows = ask(make_source)
    assert rows.height == len(told)
    assert rows["close"].to_list() == [Decimal(one[2]) for one in told]
    starts = [fields[15] for fields in tws.of_kind(TICKS) if fields[18] == "TRADES"]
    assert starts[:2] == ["20261014 04:00:00 UTC", "20261014 13:34:10 UTC"]


def test_ticks_of_the_next_day_are_not_taken(make_source: MakeSource, tws: Tws) -> None:
    tws.world.ticks[OPTION, "TRADES"] = [trade(0, "71.4"), trade(86_400, "80")]
    assert ask(make_source).height == 1
    assert len(tws.of_kind(TICKS)) == 2  # the day is over with the first page of each kind


def test_a_day_without_trades_is_empty(make_source: MakeSource, tws: Tws) -> None:
    tws.world.ticks[OPTION, "BID_ASK"] = [quote(1, "71.3", "71.5")]
    assert ask(make_source).is_empty()
    tws.on_history.append(Failure(162, "Historical Market Data Service error message:HMDS query returned no data"))
    assert ask(make_source).is_empty()


def test_a_page_that_breaks_off_discards_the_day_and_asks_again(make_source: MakeSource, tws: Tws) -> None:
    tws.world.ticks[OPTION, "TRADES"] = [trade(0, "71.4"), trade(1, "71.5")]
    tws.on_history.append(DROP)
    assert ask(make_source).height == 2


def test_numbers_that_are_none_cost_their_rows(make_source: MakeSource, tws: Tws) -> None:
    told = [trade(0, "71.4"), trade(1, "much"), trade(2, "71.5", "few"), ("noon", "0", "71", "1", "", "")]
    tws.world.ticks[OPTION, "TRADES"] = told
    rows = ask(make_source)
    assert rows["reason"].to_list() == [None, "bad_price", "bad_quantity", "bad_time"]
    assert rows["text"][3] == "noon,0,71,1,,"


def test_ticks_with_another_number_of_fields_are_schema_drift(make_source: MakeSource, tws: Tws) -> None:
    tws.world.ticks[OPTION, "TRADES"] = [trade(0, "71.4")[:5]]
    with pytest.raises(
        SchemaDriftError, match="a reply of 1 ticks has 5 fields, expected 6 of each: time, mask, price"
    ):
        ask(make_source)


def test_pages_that_do_not_advance_are_refused(make_source: MakeSource, tws: Tws) -> None:
    tws.world.ticks[OPTION, "TRADES"] = [("noon", "0", "71", "1", "", "")]
    with pytest.raises(SourceError, match=r"a page of ticks from .* on ends at None"):
        ask(make_source)


def test_pages_without_end_are_refused(make_source: MakeSource, tws: Tws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticks_module, "MAX_PAGES", 1)
    tws.world.ticks[OPTION, "TRADES"] = [trade(0, "71.4"), trade(1, "71.5")]
    with pytest.raises(SourceError, match="more than 1 pages of ticks on one day"):
        ask(make_source)


def test_a_page_of_quotes_counts_twice(make_source: MakeSource, tws: Tws, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[str] = []
    monkeypatch.setattr(Caller, "turn", lambda _, group="history": turns.append(group))
    tws.world.ticks[OPTION, "TRADES"] = [trade(0, "71.4"), trade(86_400, "1")]
    tws.world.ticks[OPTION, "BID_ASK"] = [quote(0, "1", "2"), quote(86_400, "1", "2")]
    ask(make_source)
    # The question itself was one turn: the page of trades; two more for the page of quotes.
    assert turns == ["history", "history"]
