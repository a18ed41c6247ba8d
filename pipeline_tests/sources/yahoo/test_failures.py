"""What goes wrong with Yahoo, and what a user reads then."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from pipeline_defs.errors import ConfigurationError, PipelineError, SchemaDriftError, SourceError
from pipeline_defs.sources.yahoo.client import YahooClient
from pipeline_tests.sources.yahoo.conftest import INDIA, QUICK, daily, minute_bars, request, with_rows
from pipeline_tests.sources.yahoo.server import Failure, Instrument, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_tests.sources.yahoo.conftest import Ask
    from pipeline_tests.sources.yahoo.server import YahooServer

DAY = daily("2023-10-05", "2023-10-05")
WHERE = "yahoo GS equity_daily 2023-10-05"
TITLE = "<html><head><title>Yahoo - Will be right back</title></head><body></body></html>"


def rows_of(ask: Ask, **universe: Any) -> int:
    return sum(batch.observations.height for batch in ask(**universe).fetch(DAY))


def told(ask: Ask, kind: type[PipelineError] = SourceError, **universe: Any) -> str:
    """Give the message of a fetch that fails."""
    with pytest.raises(kind) as caught:
        list(ask(**universe).fetch(DAY))
    assert type(caught.value) is kind or kind is SourceError
    assert caught.value.next_step
    return str(caught.value)


def change(server: YahooServer, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the chart of every reply about GS."""
    server.instruments["GS"].edit = edit


def test_too_many_requests_are_tried_again_after_as_long_as_yahoo_says(ask: Ask, server: YahooServer) -> None:
    server.fail_next(429, {"Retry-After": "0.3"}, times=2)
    began = time.monotonic()
    assert rows_of(ask) == 1
    assert 0.6 <= time.monotonic() - began < 30
    assert len(server.history) == 3


def test_too_many_requests_for_good_end_with_how_often_it_was_tried_and_what_helps(
    ask: Ask, server: YahooServer
) -> None:
    server.fail_next(429, times=9)
    message = told(ask)
    assert message.startswith(
        f"{WHERE}: Yahoo had too many requests of this address (429); gave up after 3 tries / 0 s"
    )
    assert "Next: nothing was stored; wait some minutes, and run fewer backfills of Yahoo at once" in message
    assert len(server.history) == 3


def test_a_server_in_trouble_is_tried_again(ask: Ask, server: YahooServer) -> None:
    server.failures.append(Failure("status", 503, body=TITLE))
    assert rows_of(ask) == 1


def test_a_server_in_trouble_for_good_is_named_with_what_it_said(ask: Ask, server: YahooServer) -> None:
    server.failures.extend([Failure("status", 502, body=TITLE)] * 3)
    assert "Yahoo's server is in trouble (502: Yahoo - Will be right back); gave up after 3 tries" in told(ask)


def test_a_web_page_in_place_of_data_is_no_empty_answer(ask: Ask, server: YahooServer) -> None:
    server.failures.extend([Failure("body", body=TITLE)] * 3)
    assert "Yahoo sent a web page in place of data: Yahoo - Will be right back; gave up after 3 tries" in told(ask)


def test_damaged_json_is_asked_for_again_and_not_taken_from_the_clients_memory(ask: Ask, server: YahooServer) -> None:
    server.failures.append(Failure("body", body='{"chart":{"result":[{"meta":'))
    assert rows_of(ask) == 1
    assert len(server.history) == 2


def test_damaged_json_for_good_is_shown_by_its_end(ask: Ask, server: YahooServer) -> None:
    server.failures.extend([Failure("body", body='{"chart": {"result": [{')] * 3)
    assert 'the reply is no whole JSON: 23 characters, ending in \'hart": {"result": [{\'; gave up after' in told(ask)


def test_a_reply_cut_short_is_asked_for_again(ask: Ask, server: YahooServer) -> None:
    server.failures.append(Failure("cut", body='{"chart":{"result":[{"meta":'))
    assert rows_of(ask) == 1


def test_a_connection_that_breaks_off_each_time_is_named(ask: Ask, server: YahooServer) -> None:
    server.failures.extend([Failure("drop")] * 3)
    message = told(ask)
    assert f"{WHERE}: the connection to Yahoo failed, or broke off before the reply was whole (" in message
    assert "gave up after 3 tries" in message


def test_a_server_that_does_not_answer_is_left_after_the_time_of_one_try(ask: Ask, server: YahooServer) -> None:
    server.failures.extend([Failure("hang", seconds=1.0)] * 2)
    patience = replace(QUICK, tries=2, try_seconds=0.25)
    began = time.monotonic()
    with pytest.raises(SourceError, match=r"Yahoo did not answer within 0\.25 s; gave up after 2 tries"):
        list(ask(patience=patience).fetch(DAY))
    assert time.monotonic() - began < 30


def test_a_crumb_that_is_refused_is_got_afresh_once(ask: Ask, server: YahooServer) -> None:
    source = ask()
    assert with_rows(list(source.fetch(DAY)))
    server.failures.extend([Failure("status", 401, body="<html><title>Unauthorized</title></html>")] * 2)
    assert with_rows(list(source.fetch(DAY)))


def test_a_client_that_is_refused_with_a_fresh_crumb_as_well_is_told_to_go_elsewhere(
    ask: Ask, server: YahooServer
) -> None:
    error = {"code": "Unauthorized", "description": "Invalid Crumb"}
    body = json.dumps({"finance": {"result": None, "error": error}})
    server.failures.extend([Failure("status", 401, body=body)] * 8)
    message = told(ask)
    assert message == (
        f"{WHERE}: Yahoo refused its own cookie or crumb (401 Unauthorized: Invalid Crumb), and fresh ones as well\n"
        "Next: Yahoo keeps some networks out, data centres among them: try later or from another one"
    )
    # Two tries; the client itself tries each twice, with cookies got in two ways.
    assert len(server.history) == 4


def test_an_unknown_symbol_is_not_tried_again_and_near_ones_are_named(ask: Ask, server: YahooServer) -> None:
    server.near = ["RELIANCE.NS", "RELIANCE.BO", "XYZ"]
    message = told(ask, equities=["RELIANCE"])
    assert message == (
        "yahoo RELIANCE equity_daily 2023-10-05: Yahoo does not know 'RELIANCE':"
        " No data found, symbol may be delisted\n"
        "Next: did you mean RELIANCE.NS, RELIANCE.BO? correct the universe file;"
        " shares of the NSE end in .NS, of the BSE in .BO, indices begin with ^"
    )
    assert len(server.history) == 1


def test_an_unknown_symbol_is_named_once_also_when_the_search_fails(
    ask: Ask, server: YahooServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.search_failures.extend([Failure("status", 503)] * 2)
    assert "Yahoo does not know 'NOPE': No data found" in told(ask, equities=["NOPE"])
    assert caplog.text == ""


def test_a_missing_close_is_named_with_the_columns_that_came(ask: Ask, server: YahooServer) -> None:
    def rename(chart: dict[str, Any]) -> None:
        (quote,) = chart["indicators"]["quote"]
        if quote:
            quote["closing"] = quote.pop("close")

    change(server, rename)
    message = told(ask, SchemaDriftError)
    assert message.startswith(
        f"{WHERE}: column 'close' is missing in the bars, got 'open', 'high', 'low', 'volume', 'closing'"
    )
    assert len(server.history) == 1


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda chart: chart.pop("meta"), "key 'meta' is missing in the chart, got"),
        (lambda chart: chart.pop("timestamp"), "key 'timestamp' is missing in the chart, got"),
        (lambda chart: chart["indicators"].pop("quote"), "key 'quote' is missing in indicators, got none"),
        (lambda chart: chart.update(timestamp={}), "key 'timestamp' in the chart is a dict, expected a list"),
        (
            lambda chart: chart["meta"].update(exchangeTimezoneName="Mars/Olympus"),
            "'exchangeTimezoneName' is 'Mars/Olympus', expected the name of a zone",
        ),
        (lambda chart: chart.update(events={"splits": {"1": {"date": 1}}}), "a corporate action of GS cannot be read"),
        (
            lambda chart: chart.update(events={"splits": {"1": {"date": 1, "numerator": 2, "denominator": 0}}}),
            "a corporate action of GS cannot be read (ValueError: a ratio of 2:0)",
        ),
        (
            lambda chart: chart.update(events={"dividends": {"1": {"date": 1, "amount": float("inf")}}}),
            "a corporate action of GS cannot be read (InvalidOperation",
        ),
    ],
)
def test_any_other_drift_of_a_chart_is_named(
    ask: Ask, server: YahooServer, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    change(server, edit)
    assert message in told(ask, SchemaDriftError)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[]", "the reply is a JSON list, expected an object"),
        ('{"quoteSummary": {}}', "key 'chart' is missing in the reply, got 'quoteSummary'"),
    ],
)
def test_a_reply_of_another_shape_is_named(ask: Ask, server: YahooServer, body: str, message: str) -> None:
    server.failures.append(Failure("body", body=body))
    assert message in told(ask, SchemaDriftError)


def test_columns_of_unequal_length_are_no_whole_reply(ask: Ask, server: YahooServer) -> None:
    change(server, lambda chart: chart.get("timestamp", []).append(1))
    message = "the reply is not whole: column 'open' has 1 values of 2 bars; gave up after 3 tries"
    assert message in told(ask)


def test_neither_a_chart_nor_a_reason_is_asked_for_again(ask: Ask, server: YahooServer) -> None:
    server.failures.append(Failure("body", body='{"chart": {"result": null, "error": null}}'))
    assert rows_of(ask) == 1


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (
            422,
            {"code": "Unprocessable Entity", "description": "1m data not available"},
            "Yahoo refused the question (Unprocessable Entity: 1m data not available)",
        ),
        (400, "odd", "Yahoo refused the question (400: odd)"),
    ],
)
def test_a_question_that_yahoo_refuses_is_not_tried_again(
    ask: Ask, server: YahooServer, status: int, error: object, message: str
) -> None:
    server.failures.append(Failure("status", status, body=json.dumps({"chart": {"result": None, "error": error}})))
    assert message in told(ask)
    assert len(server.history) == 1


def test_an_internal_error_that_yahoo_tells_in_good_form_is_tried_again(ask: Ask, server: YahooServer) -> None:
    error = {"code": "Internal Server Error", "description": "x" * 300}
    server.failures.append(Failure("body", body=json.dumps({"chart": {"result": None, "error": error}})))
    assert rows_of(ask) == 1


def test_that_there_is_no_data_of_those_days_is_an_empty_answer(ask: Ask, server: YahooServer) -> None:
    server.instruments["GS"].bars["1m"] = minute_bars("2023-10-05", ("09:30", 310, 311, 309, 310, 100))
    server.instruments["NEW"] = server.instruments["GS"]
    text = "Data doesn't exist for startDate = 1696478400, endDate = 1696564800"
    body = json.dumps({"chart": {"result": None, "error": {"code": "Bad Request", "description": text}}})
    server.failures.append(Failure("status", 400, body=body))
    (batch,) = ask(equities=["NEW", "GS"]).fetch(request("2023-10-05", "2023-10-05", "spot_prices"))
    assert batch.contracts["symbol"].to_list() == ["GS"]
    assert [finding.detail for finding in batch.findings] == ["without: NEW"]


@pytest.mark.parametrize(
    ("edit", "kind", "message"),
    [
        ({"symbol": "GSX"}, SourceError, "Yahoo answered with 'GSX' when asked for 'GS'"),
        ({"dataGranularity": "1wk"}, SourceError, "Yahoo answered with bars of '1wk' when asked for '1d'"),
        (
            {"currency": "EUR"},
            ConfigurationError,
            "GS is quoted in EUR, the universe says USD\nNext: write 'currency: EUR'",
        ),
        ({"currency": "GBp"}, ConfigurationError, "hundredth of a currency are not converted here"),
        ({"instrumentType": "INDEX"}, ConfigurationError, "GS is of type INDEX, the universe names it under equities"),
        ({"instrumentType": "CURRENCY"}, ConfigurationError, "GS is of type CURRENCY; taken are EQUITY, ETF"),
        (
            {"exchangeTimezoneName": "Asia/Kolkata"},
            ConfigurationError,
            "GS trades in Asia/Kolkata, but the market US is in America/New_York",
        ),
    ],
)
def test_a_chart_of_something_else_than_was_asked_for_is_refused(
    ask: Ask, server: YahooServer, edit: dict[str, str], kind: type[PipelineError], message: str
) -> None:
    change(server, lambda chart: chart["meta"].update(edit))
    assert message in told(ask, kind)


def test_a_minute_bar_of_an_index_under_equities_is_refused_before_anything_is_stored(
    ask: Ask, server: YahooServer
) -> None:
    bars = minute_bars("2023-10-05", ("09:15", 1, 1, 1, 1, 1), zone=INDIA)
    server.instruments["^NSEI"] = Instrument("INDEX", "Asia/Kolkata", "INR", {"1m": bars})
    with pytest.raises(ConfigurationError, match="name it under indices"):
        list(ask(market="NSE", equities=["^NSEI"]).fetch(request("2023-10-05", "2023-10-05", "spot_prices")))


def test_nobody_at_the_address_is_told_so(ask: Ask) -> None:
    source = ask()
    with running() as another:
        source.endpoint = another.url
    with pytest.raises(SourceError, match="the connection to Yahoo failed"):
        list(source.fetch(DAY))


def test_a_file_of_cookies_that_is_damaged_is_named(
    ask: Ask, server: YahooServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import peewee  # noqa: PLC0415 -- yfinance takes seconds to import

    def broken(*_: object, **__: object) -> None:
        raise peewee.DatabaseError("file is not a database")

    source = ask()
    monkeypatch.setattr("yfinance.data.YfData.get", broken)
    with pytest.raises(SourceError, match=r"yfinance's file of cookies could not be used \(DatabaseError\)"):
        list(source.fetch(DAY))
    assert server.history == []


def test_without_an_address_of_ones_own_yahoos_hosts_are_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curl_cffi import requests  # noqa: PLC0415 -- it takes its time to import

    asked: list[tuple[str, float]] = []

    class Response:
        headers: ClassVar[dict[str, str]] = {}
        status_code, text, url = 200, "{}", "https://query2.finance.yahoo.com/"

    def answer(_: object, method: str, url: str, **options: Any) -> Response:
        del method
        asked.append((url, options["timeout"]))
        return Response()

    monkeypatch.setattr(requests.Session, "request", answer)
    client = YahooClient(None, 7)
    assert client.get("/v8/finance/chart/GS", {}).text == "{}"
    assert {url for url, _ in asked} == {
        "https://fc.yahoo.com",
        "https://query1.finance.yahoo.com/v1/test/getcrumb",
        "https://query2.finance.yahoo.com/v8/finance/chart/GS",
    }
    assert {seconds for _, seconds in asked} == {7}
    assert home.name == "home"


def test_each_source_has_a_session_of_its_own_and_cookies_lie_in_the_pipelines_home(
    home: Path, server: YahooServer
) -> None:
    from yfinance import cache  # noqa: PLC0415 -- it takes seconds to import

    one, two = YahooClient(server.url, 5), YahooClient(server.url, 5)
    assert one._data is not two._data
    assert one._data._session is one._session
    assert cache._CookieDBManager.get_location() == str(home / "yahoo-cache")
    cache.get_cookie_cache().store("curlCffi", {"yahoo.com": "a cookie"})
    assert (home / "yahoo-cache" / "cookies.db").exists()
    one.forget_cookies()
    assert cache.get_cookie_cache().lookup("curlCffi") is None
    one.close()
    two.close()
