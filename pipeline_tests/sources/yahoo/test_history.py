"""What is stored of charts: exact prices, closing stamps, the kinds of instruments, and each row accounted for."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.markets.market import market
from pipeline_defs.schema.batches import ImportBatch, ImportRequest
from pipeline_defs.sources.yahoo.adapter import YahooSource
from pipeline_tests.sources.asking.conftest import PaperLedger
from pipeline_tests.sources.yahoo.conftest import FIXTURES, INDIA, daily, minute_bars, request, with_rows
from pipeline_tests.sources.yahoo.offline import start
from pipeline_tests.sources.yahoo.server import Instrument, seconds

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_tests.sources.yahoo.conftest import Ask
    from pipeline_tests.sources.yahoo.server import YahooServer


def values(batch: ImportBatch) -> list[tuple[str, str, Decimal, Decimal, Decimal, Decimal, int | None]]:
    """Symbol, UTC time, open, high, low, close, volume."""
    symbols = batch.contracts["symbol"].to_list()
    chosen = batch.observations.select("contract_key", "timestamp", "open", "high", "low", "close", "volume")
    return [(symbols[key], f"{at:%m-%d %H:%M}", *rest) for key, at, *rest in chosen.rows()]


def refused(batch: ImportBatch) -> list[tuple[str, str]]:
    return list(zip(batch.rejects["reason"], batch.rejects["text"], strict=True))


def test_the_recorded_days_of_goldman_sachs_are_stored_digit_for_digit_at_the_close_of_their_sessions(
    ask: Ask, server: YahooServer
) -> None:
    batches = with_rows(list(ask().fetch(daily("2023-10-02", "2023-10-09"))))
    rows = [row for batch in batches for row in values(batch)]
    expected = [
        ("10-02 20:00", "322.03", "323.58", "317.1", "318.5", 1303800),
        ("10-03 20:00", "315.27", "315.68", "304.39", "306.12", 3118600),
        ("10-04 20:00", "304.85", "309.06", "303.48", "308.6", 1872000),
        ("10-05 20:00", "307.36", "310.55", "304.21", "310.5", 1584600),
        ("10-06 20:00", "308.11", "315.32", "307.17", "312.48", 1595100),
        ("10-09 20:00", "308.9", "313.48", "308.37", "312.61", 1094400),
    ]
    assert rows == [("GS", at, *map(Decimal, prices), volume) for at, *prices, volume in expected]
    assert len(server.history) == 1
    assert all(batch.delivery is not None and batch.timezone == "America/New_York" for batch in batches)


def test_the_question_is_for_regular_hours_without_adjustment_for_dividends_and_with_actions(
    ask: Ask, server: YahooServer
) -> None:
    list(ask().fetch(daily("2023-10-02", "2023-10-03")))
    query = parse_qs(urlsplit(server.history[0]).query)
    assert query["includePrePost"] == ["false"]
    assert query["events"] == ["div,splits,capitalGains"]
    assert query["interval"] == ["1d"]
    assert query["period1"] == [str(seconds(dt.date(2023, 10, 2), "04:00", dt.UTC))]
    assert query["period2"] == [str(seconds(dt.date(2023, 10, 4), "04:00", dt.UTC))]
    assert query["crumb"] == ["a.Crumb/1"]


def test_indian_shares_and_indices_are_named_as_other_sources_name_them(ask: Ask, server: YahooServer) -> None:
    for symbol, kind in (("M&M.NS", "EQUITY"), ("BAJAJ-AUTO.NS", "EQUITY"), ("^NSEI", "INDEX")):
        bars = minute_bars("2023-10-05", ("09:15", 19521.849609375, 19530.0, 19520.5, 19525.25, 700), zone=INDIA)
        server.instruments[symbol] = Instrument(kind, "Asia/Kolkata", "INR", {"1m": bars})
    source = ask(market="NSE", equities=["M&M.NS", "BAJAJ-AUTO.NS"], indices=["^NSEI"])
    (batch,) = source.fetch(request("2023-10-05", "2023-10-05", "spot_prices"))
    assert values(batch) == [
        (symbol, "10-05 03:46", Decimal("19521.85"), Decimal(19530), Decimal("19520.5"), Decimal("19525.25"), volume)
        for symbol, volume in (("M&M.NS", 700), ("BAJAJ-AUTO.NS", 700), ("^NSEI", None))
    ]
    terms = batch.contracts.select("kind", "underlying", "venue", "currency", "series").rows()
    assert terms == [
        ("EQ", "M&M", "NSE", "INR", "EQ"),
        ("EQ", "BAJAJ-AUTO", "NSE", "INR", "EQ"),
        ("SPOT", "NIFTY", "NSE", "INR", None),
    ]


def test_daily_bars_of_an_index_go_to_spot_prices_when_the_universe_says_so(ask: Ask, server: YahooServer) -> None:
    bars = minute_bars(
        "2023-10-05", ("09:30", 4284.52001953125, 4290.1298828125, 4281.06982421875, 4288.39013671875, 5)
    )
    server.instruments["^GSPC"] = Instrument("INDEX", bars={"1d": bars})
    source = ask(equities=["GS"], indices=["^GSPC"], bars={"spot_prices": "1d"})
    batches = list(source.fetch(request("2023-10-05", "2023-10-05", "spot_prices", "equity_daily")))
    assert {batch.table: [row[0] for row in values(batch)] for batch in batches} == {
        "equity_daily": ["GS"],
        "spot_prices": ["^GSPC"],
    }
    (spot,) = [batch for batch in batches if batch.table == "spot_prices"]
    assert spot.bar_seconds == 86_400
    assert spot.observations["volume"].to_list() == [None]


def test_an_hour_that_the_close_cuts_short_is_complete_at_the_close(ask: Ask, server: YahooServer) -> None:
    server.instruments["GS"].bars["1h"] = minute_bars("2023-10-05", ("14:30", 1, 1, 1, 1, 5), ("15:30", 2, 2, 2, 2, 6))
    source = ask(equities=["GS"], bars={"spot_prices": "1h"})
    (batch,) = source.fetch(request("2023-10-05", "2023-10-05", "spot_prices"))
    assert [row[1] for row in values(batch)] == ["10-05 19:30", "10-05 20:00"]


def test_nulls_and_what_is_no_number_are_refused_one_by_one_and_the_rest_goes_on(ask: Ask, server: YahooServer) -> None:
    server.instruments["GS"].bars["1m"] = minute_bars(
        "2023-10-05",
        ("09:30", 310.5, 310.75, 310.25, 310.5, None),
        ("09:31", None, None, None, None, None),
        ("09:32", None, 310.75, 310.25, 310.5, 100),
        ("09:33", 310.5, 310.75, 310.25, "n/a", 100),
        ("09:34", 310.5, 310.75, 310.25, 310.123456789, 100),
        ("09:35", 310.5, 310.75, 310.25, 310.5, "many"),
        ("09:36", 310.5, 309.75, 310.25, 310.5, 100),
        ("09:37", 310.5, 310.75, 310.25, 310.5, -5),
        ("09:38", 310.5, 310.75, 310.25, 310.5, 100),
        ("09:38", 310.5, 310.75, 310.25, 310.5, 100),
    )
    (batch,) = ask().fetch(request("2023-10-05", "2023-10-05", "spot_prices"))
    assert [(row[1], row[-1]) for row in values(batch)] == [("10-05 13:31", None), ("10-05 13:39", 100)]
    assert refused(batch) == [
        ("no_trade", "2023-10-05T13:31:00Z,null,null,null,null,null"),
        ("missing_price", "2023-10-05T13:32:00Z,null,310.75,310.25,310.5,100"),
        ("bad_price", "2023-10-05T13:33:00Z,310.5,310.75,310.25,n/a,100"),
        ("bad_price", "2023-10-05T13:34:00Z,310.5,310.75,310.25,310.123456789,100"),
        ("bad_quantity", "2023-10-05T13:35:00Z,310.5,310.75,310.25,310.5,many"),
        ("high_below_low", refused(batch)[5][1]),
        ("bad_quantity", refused(batch)[6][1]),
        ("duplicate", refused(batch)[7][1]),
    ]


def test_parts_of_a_us_share_are_kept_as_yahoo_wrote_them(ask: Ask, server: YahooServer) -> None:
    server.instruments["GS"].bars["1m"] = minute_bars(
        "2023-10-05",
        ("09:30", 310.5, 310.75, 310.25, 310.5, 1234567.891),
        ("09:31", 310.5, 310.75, 310.25, 310.5, 0.000125),
        ("09:32", 310.5, 310.75, 310.25, 310.5, 0.1234567891),
    )
    (batch,) = ask().fetch(request("2023-10-05", "2023-10-05", "spot_prices"))
    assert [row[-1] for row in values(batch)] == [Decimal("1234567.891"), Decimal("0.000125")]
    assert [reason for reason, _ in refused(batch)] == ["bad_quantity"]


def test_the_running_day_that_yahoo_tells_twice_counts_once_and_a_stamp_beyond_all_years_is_no_time(
    ask: Ask, server: YahooServer
) -> None:
    server.instruments["GS"].bars["1d"] = [
        (253402300800000, 1, 1, 1, 1, 1),
        *minute_bars("2023-10-05", ("09:30", 310, 311, 309, 310, 100), ("15:59", 310, 311, 309, 310.5, 120)),
    ]
    server.instruments["GS"].is_boundless = True
    (batch,) = ask().fetch(daily("2023-10-05", "2023-10-05"))
    assert [row[-2:] for row in values(batch)] == [(Decimal("310.5"), 120)]
    assert refused(batch) == [
        ("bad_time", "?,1,1,1,1,1"),
        ("superseded", "2023-10-05T13:30:00Z,310,311,309,310,100"),
    ]


def test_a_bar_after_the_end_of_the_question_is_refused_and_counted(ask: Ask, server: YahooServer) -> None:
    server.instruments["GS"].is_boundless = True
    (batch,) = ask().fetch(daily("2023-10-09", "2023-10-09"))
    assert [row[1] for row in values(batch)] == ["10-09 20:00"]
    assert {reason for reason, _ in refused(batch)} == {"outside_window"}
    assert batch.rejects.height == 5


def test_a_holiday_asks_nothing_and_is_confirmed_to_be_empty(ask: Ask, server: YahooServer) -> None:
    (batch,) = ask().fetch(request("2023-11-23", "2023-11-23", "spot_prices"))
    assert batch.empty_reason == "holiday Thanksgiving"
    assert server.history == []


def test_a_session_of_which_yahoo_has_nothing_is_an_error_not_an_empty_day(ask: Ask) -> None:
    with pytest.raises(SourceError, match=r"equity_daily 2023-10-10: 0 bars on a trading day, of 1 instruments"):
        list(ask().fetch(daily("2023-10-10", "2023-10-10")))


def test_days_before_an_instrument_traded_are_empty_answers_of_it_and_a_finding_says_so(
    ask: Ask, server: YahooServer
) -> None:
    server.instruments["NEW"] = Instrument()
    (batch,) = ask(equities=["GS", "NEW"]).fetch(daily("2023-10-05", "2023-10-05"))
    (finding,) = batch.findings
    assert (finding.passed, finding.detail) == (False, "without: NEW")
    assert batch.files.height == 2


def test_float_noise_of_a_small_share_is_no_digit_of_its_price(ask: Ask, server: YahooServer) -> None:
    recorded = pl.read_csv(FIXTURES / "AET-L-1d-100x-error.csv").filter(pl.col("Date").str.starts_with("2022-05-31"))
    told = recorded.select("Open", "High", "Low", "Close", "Volume").row(0)
    assert told[0] == 0.14550000429153442
    server.instruments["AET"] = Instrument(bars={"1d": minute_bars("2022-05-31", ("09:30", *told))})
    (batch,) = ask(equities=["AET"]).fetch(daily("2022-05-31", "2022-05-31"))
    assert values(batch) == [("AET", "05-31 20:00", *[Decimal("0.1455")] * 4, 0)]


@pytest.mark.parametrize(
    ("length", "day", "message"),
    [
        (
            "1m",
            "2023-09-12",
            r"Yahoo serves 1m bars of the last 29 days only, from 2023-09-13 on; 2023-09-12 is 30 days",
        ),
        ("5m", "2023-08-11", r"Yahoo serves 5m bars of the last 59 days only"),
        ("1h", "2021-10-01", r"Yahoo serves 1h bars of the last 729 days only"),
    ],
)
def test_bars_older_than_yahoo_serves_are_refused_with_the_first_day_that_is_served(
    ask: Ask, server: YahooServer, length: str, day: str, message: str
) -> None:
    source = ask(equities=["GS"], bars={"spot_prices": length})
    with pytest.raises(SourceError, match=message) as caught:
        list(source.fetch(request(day, day, "spot_prices")))
    assert "or take longer bars" in str(caught.value)
    assert "1d (any age)" in str(caught.value)
    assert server.history == []


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        ({"spot_prices": "30m"}, "Yahoo has no bars of 1800 s; it has 1m (29 days), 2m (59 days), 5m (59 days)"),
        ({"equity_daily": "1h"}, "equity_daily holds whole days, not 1h"),
    ],
)
def test_lengths_of_bars_that_yahoo_does_not_have_are_refused(ask: Ask, bars: dict[str, str], message: str) -> None:
    source = ask(equities=["GS"], bars=bars)
    with pytest.raises(ConfigurationError) as caught:
        list(source.fetch(request("2023-10-05", "2023-10-05", *bars)))
    assert message in str(caught.value)


def test_minutes_of_nineteen_days_are_asked_for_week_by_week(ask: Ask, server: YahooServer) -> None:
    days = ["2023-09-18", "2023-09-25", "2023-10-02", "2023-10-06"]
    server.instruments["GS"].bars["1m"] = [
        bar for day in days for bar in minute_bars(day, ("09:30", 310, 311, 309, 310, 100))
    ]
    with pytest.raises(SourceError, match="0 bars on a trading day"):
        list(ask().fetch(request("2023-09-18", "2023-10-06", "spot_prices")))
    assert len(server.history) == 3


def test_an_answer_of_days_that_are_over_is_kept_until_they_are_stored(ask: Ask, server: YahooServer) -> None:
    batches = ask().fetch(daily("2023-10-02", "2023-10-09", ledger=PaperLedger()))
    while next(batches).empty_reason is not None:
        pass
    del batches  # a run that is killed
    list(ask().fetch(daily("2023-10-02", "2023-10-09", ledger=PaperLedger())))
    assert len(server.history) == 1


def test_what_the_shared_tests_are_given_is_right(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with start() as offline:
        monkeypatch.setenv("PIPELINE_UNIVERSE", str(home.parent / "universe.yaml"))
        (home.parent / "universe.yaml").write_text(json.dumps({"yahoo": offline.universe}))
        for name, value in offline.environment.items():
            monkeypatch.setenv(name, value)
        assert offline.range is not None
        first, last = offline.range
        batches = with_rows(list(YahooSource().fetch(ImportRequest(start_date=first, end_date=last))))
        found: dict[str, list[object]] = {}
        for batch in batches:
            assert batch.rejects.is_empty()
            if batch.trade_date == offline.trade_date:
                symbols = batch.contracts["symbol"].to_list()
                chosen = batch.observations.select(
                    "contract_key", "timestamp", "open", "high", "low", "close", "volume"
                )
                found[batch.table] = [(symbols[key], *rest) for key, *rest in chosen.rows()]
        assert found == offline.expected
        weeks = {day.isocalendar()[:2] for day in market("US").sessions(first, last)}
        assert len(offline.requests()) == 1 + 2 * len(weeks), "days of one share, and each week of both instruments"
