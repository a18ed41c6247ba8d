"""What a user reads when something goes wrong, one failure a test."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import ConfigurationError, PipelineError, SchemaDriftError, SourceError
from pipeline_defs.sources.asking.calling import Patience, TryAgainError
from pipeline_defs.sources.polygon.adapter import PolygonSource
from pipeline_defs.sources.polygon.connection import Connection
from pipeline_tests.sources.polygon.offline import bar, stamp
from pipeline_tests.sources.polygon.questions import QUICK, question
from pipeline_tests.sources.polygon.server import KEY, Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.sources.asking.questions import Answer
    from pipeline_tests.sources.polygon.server import PolygonServer

GOOD = ("182.16", "182.43", "182", "182.4")
ONCE = Patience(tries=1, total_seconds=5, try_seconds=0.3, first_wait_seconds=0.01)


def refused(ask: Callable[..., Answer], kind: type[PipelineError] = SourceError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        ask(**options)
    assert KEY not in str(caught.value)
    return str(caught.value)


# Keys, plans, names. -------------------------------------------------------------------------------------------------


def test_a_missing_key_is_named(ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYGON_API_KEY")
    assert "POLYGON_API_KEY: Polygon's API key is missing" in refused(ask, ConfigurationError)


def test_a_wrong_key_is_not_tried_again(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.keys.clear()
    message = refused(ask, ConfigurationError)
    assert "Polygon refused the API key (401 Unknown API Key). Check POLYGON_API_KEY." in message
    assert len(server.asked) == 1


def test_a_key_with_a_line_break_is_refused_before_it_could_stand_in_a_clients_complaint(
    ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", f"{KEY}\n")
    message = refused(ask, ConfigurationError)
    assert "the API key holds a blank, a line break or a letter outside ASCII" in message


def test_what_the_plan_does_not_include_is_not_tried_again(ask: Callable[..., Answer], server: PolygonServer) -> None:
    said = '{"status":"NOT_AUTHORIZED","request_id":"r","message":"Your plan doesn\'t include this data timeframe."}'
    server.fail(Fault(403, body=said))
    message = refused(ask)
    assert (
        "polygon AAPL spot_prices 2024-01-16: the plan of this Polygon key does not include it"
        " (403 NOT_AUTHORIZED: Your plan doesn't include this data timeframe.)"
    ) in message
    assert len(server.asked) == 1


def test_a_plan_refusal_that_calls_itself_a_success_is_seen(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(200, body='{"status":"NOT_AUTHORIZED","message":"Not entitled."}'))
    assert "does not include it (403 NOT_AUTHORIZED: Not entitled.)" in refused(ask)


def test_an_unknown_ticker_is_refused_with_names_near_it(ask: Callable[..., Answer]) -> None:
    message = refused(ask, name="AAPPL")
    assert "Polygon does not know the ticker AAPPL on 2024-01-16; near it: AAPL, AAP" in message


def test_an_unknown_index_is_refused_with_names_near_it(ask: Callable[..., Answer]) -> None:
    assert "does not know the ticker I:SPY on 2024-01-16; near it: I:SPX" in refused(ask, name="I:SPY")


def test_an_unknown_ticker_is_named_also_when_near_names_cannot_be_had(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    server.fail(None, None, Fault(500))
    message = refused(ask, name="AAPPL")
    assert "Polygon does not know the ticker AAPPL on 2024-01-16\n" in message


def test_details_of_something_else_are_no_confirmation(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.details["MSFT"] = '{"ticker":"AAPL"}'
    assert "Polygon's details of MSFT are not about it; nothing stored; gave up after 3 tries" in refused(
        ask, name="MSFT"
    )


def test_a_request_that_is_refused_for_good_shows_what_the_vendor_said(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    server.fail(Fault(400, body='{"status":"ERROR","error":"Could not parse the time parameter"}'))
    assert "Polygon refused the request (400 Could not parse the time parameter)" in refused(ask)


# Too many requests, a server in trouble, lost connections. -----------------------------------------------------------


def test_too_many_requests_wait_as_long_as_the_vendor_says(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(429, {"Retry-After": "0"}, '{"status":"ERROR","error":"exceeded"}'))
    assert ask().rows.height == 4
    assert len(server.asked) == 2


def test_a_wait_longer_than_the_patience_ends_at_once(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(429, {"Retry-After": "60"}, '{"status":"ERROR","error":"You exceeded the requests per minute"}'))
    message = refused(ask)
    assert "Polygon: too many requests (429 You exceeded the requests per minute); gave up after 1 try / 0 s" in message
    assert "Next: set POLYGON_REQUESTS_PER_MINUTE to what the plan of the key allows" in message


def test_too_many_requests_too_often_are_given_up(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(*[Fault(429, {"Retry-After": "0"}, "")] * 3)
    assert "Polygon: too many requests (429); gave up after 3 tries" in refused(ask)


@pytest.mark.parametrize("status", [408, 499, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(ask: Callable[..., Answer], server: PolygonServer, status: int) -> None:
    server.fail(Fault(status, body="<html>Bad Gateway</html>"))
    assert ask().rows.height == 4


def test_a_server_that_stays_in_trouble_is_given_up(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(502, body=b"\xff<html>"), Fault(502, body="[]"), Fault(502, body=""))
    assert "Polygon: the server is in trouble (502); gave up after 3 tries" in refused(ask)


def test_a_reply_that_is_cut_off_is_asked_for_again(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(cut=30))
    assert ask().rows.height == 4


def test_replies_that_are_always_cut_off_are_given_up(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(*[Fault(cut=30)] * 3)
    message = refused(ask)
    assert "the connection to Polygon was lost in the middle of a reply" in message
    assert "gave up after 3 tries" in message


def test_a_silent_server_is_given_up_after_its_time(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(pause=1))
    message = refused(ask, fields={"patience": ONCE})
    assert "Polygon did not answer within 0.3 s; gave up after 1 try" in message


def test_a_reply_that_trickles_is_given_up_after_its_time(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(pause=0.05, trickle=True))
    message = refused(ask, fields={"patience": ONCE})
    assert "Polygon's reply was not complete after 0.3 s" in message


def test_a_server_that_is_not_there_is_named_so(ask: Callable[..., Answer]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        message = refused(ask, fields={"endpoint": endpoint, "patience": ONCE})
    assert "Polygon cannot be reached" in message


def test_a_reply_that_cannot_be_unpacked_is_given_up(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(headers={"Content-Encoding": "gzip"}, body="no gzip"))
    assert "Polygon's reply cannot be unpacked" in refused(ask, fields={"patience": ONCE})


def test_a_certificate_nobody_trusts_is_not_tried_again(ask: Callable[..., Answer], server: PolygonServer) -> None:
    endpoint = server.url.replace("http:", "https:")
    message = refused(ask, PipelineError, fields={"endpoint": endpoint, "patience": ONCE})
    assert "Polygon's certificate was not accepted" in message


def test_a_redirect_is_not_followed_with_the_key(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(302, {"Location": f"{server.url}/elsewhere"}))
    assert "Polygon refused the request (302)" in refused(ask)
    assert len(server.asked) == 1


@pytest.mark.parametrize("endpoint", ["api.massive.com", "ftp://x", "http://", "http://a b"])
def test_an_endpoint_that_is_no_address_is_named(ask: Callable[..., Answer], endpoint: str) -> None:
    message = refused(ask, ConfigurationError, fields={"endpoint": endpoint})
    assert f"PIPELINE_POLYGON_ENDPOINT: {endpoint.rstrip('/')!r} is no address" in message


def test_an_address_that_cannot_be_read_is_named(ask: Callable[..., Answer]) -> None:
    message = refused(ask, ConfigurationError, fields={"endpoint": "http://127.0.0.1:99999999"})
    assert "PIPELINE_POLYGON_ENDPOINT: the address cannot be read" in message


# Replies that are damaged, partial or about something else. ----------------------------------------------------------


def test_a_damaged_second_page_discards_the_first_and_all_is_asked_again(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    server.page_size = 2
    server.fail(None, Fault(body='{"status":"OK","results":[{'))
    assert ask().rows.height == 4
    assert [("cursor" in one) for one in server.asked] == [False, True, False, True]


def test_a_page_that_stays_damaged_leaves_nothing_stored(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.page_size = 2
    server.fail(*[None, Fault(body="<html>oops</html>")] * 3)
    message = refused(ask)
    assert (
        "Polygon page 2 of AAPL 2024-01-16 unreadable: 17 bytes, which begin with '<html>oops</html>'; nothing stored;"
        " gave up after 3 tries"
    ) in message


def test_an_empty_body_is_no_empty_answer(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(*[Fault(body="")] * 3)
    assert "Polygon page 1 of AAPL 2024-01-16 unreadable: an empty reply" in refused(ask)


def test_a_page_that_counts_more_bars_than_it_has_is_not_whole(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    server.fail(*[Fault(body=_page(bar(stamp(15), GOOD, "1"), counted=2))] * 3)
    assert "Polygon page 1 of AAPL 2024-01-16 is not whole: 1 bars, but it counts 2; nothing stored" in refused(ask)


def test_a_page_without_results_that_counts_some_is_no_empty_answer(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    server.fail(*[Fault(body=_page(counted=2).replace(',"results":[]', ""))] * 3)
    assert "is not whole: 0 bars, but it counts 2" in refused(ask)


def test_a_page_that_looked_at_bars_and_gives_none_contradicts_itself(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    server.fail(*[Fault(body=_page(counted=0).replace('"queryCount":0', '"queryCount":5'))] * 3)
    assert "contradicts itself: 0 bars of 5 that it looked at" in refused(ask)


def test_bars_that_go_back_in_time_are_not_taken(ask: Callable[..., Answer], server: PolygonServer) -> None:
    rows = [bar(stamp(15, minute), GOOD, "1") for minute in (1, 0)]
    server.fail(*[Fault(body=_page(*rows))] * 3)
    assert "Polygon page 1 of AAPL 2024-01-16 goes back in time, or repeats the page before" in refused(ask)


def test_a_page_that_is_delivered_twice_is_not_taken(ask: Callable[..., Answer], server: PolygonServer) -> None:
    first = _page(bar(stamp(15), GOOD, "1"), follow="/v2/aggs/x?cursor=1")
    server.fail(*[Fault(body=first), Fault(body=_page(bar(stamp(15), GOOD, "1")))] * 3)
    assert "Polygon page 2 of AAPL 2024-01-16 goes back in time, or repeats the page before" in refused(ask)


def test_a_page_that_names_itself_as_the_next_one_ends(ask: Callable[..., Answer], server: PolygonServer) -> None:
    page = _page(counted=0, follow="/v2/aggs/x?cursor=1")
    server.fail(*[Fault(body=page)] * 9)
    message = refused(ask)
    assert "Polygon page 2 of AAPL 2024-01-16 names a page again that was read already; nothing stored" in message
    assert len(server.asked) == 2


def test_pages_without_end_end(
    ask: Callable[..., Answer], server: PolygonServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline_defs.sources.polygon.adapter._MOST_PAGES", 3)
    server.page_size = 1
    assert "Polygon gave 3 pages of AAPL 2024-01-16 and has more; nothing stored" in refused(ask)


def test_a_next_page_is_asked_for_at_the_same_place_wherever_its_address_points(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    server.page_size = 3
    assert ask().rows.height == 4
    assert len(server.asked) == 2  # although the address names api.example.com


@pytest.mark.parametrize("address", ["not an address", "https://[", "/elsewhere?cursor=1"])
def test_a_next_page_that_is_no_address_of_the_api_is_refused(
    ask: Callable[..., Answer], server: PolygonServer, address: str
) -> None:
    server.fail(Fault(body=_page(counted=0).replace('"status"', f'"next_url":"{address}","status"')))
    assert "Polygon page 1 of AAPL 2024-01-16: 'next_url' is no address of the API" in refused(ask, SchemaDriftError)


def test_a_status_that_is_neither_ok_nor_delayed_is_tried_again(
    ask: Callable[..., Answer], server: PolygonServer
) -> None:
    server.fail(*[Fault(body='{"status":"ERROR","error":"internal"}')] * 3)
    message = refused(ask)
    assert (
        "page 1 of AAPL 2024-01-16 has status 'ERROR', expected 'OK' or 'DELAYED': internal; nothing stored" in message
    )


def test_adjusted_prices_are_refused(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(body=_page(bar(stamp(15), GOOD, "1")).replace("false", "true")))
    assert "Polygon page 1 of AAPL 2024-01-16: asked for adjusted False, got True" in refused(ask)


def test_bars_of_another_ticker_are_refused(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(body=_page(bar(stamp(15), GOOD, "1")).replace("AAPL", "MSFT")))
    assert "Polygon page 1 of AAPL 2024-01-16: asked for ticker AAPL, got MSFT" in refused(ask)


# Another shape. ------------------------------------------------------------------------------------------------------


def test_a_renamed_column_is_named_with_what_was_expected(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(body=_page(bar(stamp(15), GOOD, "1").replace('"c"', '"closing"'))))
    message = refused(ask, SchemaDriftError)
    assert (
        "Polygon AAPL 2024-01-16: missing 'c' and unknown 'closing'; got closing, h, l, n, o, t, v, vw,"
        " expected c, h, l, o, t, v"
    ) in message


def test_a_share_without_any_volume_is_another_shape(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(body=_page(bar(stamp(15), GOOD, None))))
    assert "Polygon AAPL 2024-01-16: missing 'v'" in refused(ask, SchemaDriftError)


@pytest.mark.parametrize("row", ["7", '"words"', "[1]"])
def test_rows_that_are_no_objects_are_another_shape(
    ask: Callable[..., Answer], server: PolygonServer, row: str
) -> None:
    server.fail(Fault(body=_page(row)))
    assert "Polygon AAPL 2024-01-16: expected objects, got [" in refused(ask, SchemaDriftError)


def test_a_price_that_is_an_object_is_another_shape(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(body=_page(bar(stamp(15), ("1", '{"x":1}', "1", "1"), "1"))))
    assert "expected rows of numbers and words, got" in refused(ask, SchemaDriftError)


@pytest.mark.parametrize("key", ["resultsCount", "queryCount"])
def test_a_page_without_its_counts_is_another_shape(
    ask: Callable[..., Answer], server: PolygonServer, key: str
) -> None:
    server.fail(Fault(body=_page(bar(stamp(15), GOOD, "1")).replace(key, "counted")))
    assert f"Polygon page 1 of AAPL 2024-01-16: no number '{key}'" in refused(ask, SchemaDriftError)


def test_a_page_without_a_status_is_another_shape(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(body="{}"))
    assert "Polygon page 1 of AAPL 2024-01-16: no 'status'" in refused(ask, SchemaDriftError)


def test_results_that_are_no_list_are_another_shape(ask: Callable[..., Answer], server: PolygonServer) -> None:
    server.fail(Fault(body='{"status":"OK","resultsCount":1,"queryCount":1,"results":{"t":1}}'))
    assert "Polygon page 1 of AAPL 2024-01-16: 'results' is no list" in refused(ask, SchemaDriftError)


# Settings, secrets. --------------------------------------------------------------------------------------------------


def test_the_free_plan_is_the_rate_limit_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYGON_REQUESTS_PER_MINUTE", raising=False)
    assert [(one.requests, one.seconds) for one in PolygonSource().limits] == [(5, 60.0)]
    monkeypatch.setenv("POLYGON_REQUESTS_PER_MINUTE", "1000")
    assert [(one.requests, one.seconds) for one in PolygonSource().limits] == [(1000, 60.0)]


@pytest.mark.parametrize("text", ["many", "0", "-5", "1.5"])
def test_a_rate_limit_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("POLYGON_REQUESTS_PER_MINUTE", text)
    with pytest.raises(ConfigurationError, match=rf"POLYGON_REQUESTS_PER_MINUTE: '{text}' is no number of requests"):
        PolygonSource()


def test_the_key_is_neither_in_a_message_nor_in_a_log(
    ask: Callable[..., Answer], server: PolygonServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.fail(Fault(400, body=f'{{"status":"ERROR","error":"bad key {KEY}"}}'))
    assert "bad key ***" in refused(ask)
    assert KEY not in caplog.text
    assert KEY not in repr(PolygonSource())


def test_importing_the_adapter_does_not_import_the_client() -> None:
    code = (
        "import sys, pipeline_defs.sources.polygon.adapter; print('massive' in sys.modules, 'urllib3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_reply_that_did_not_pass_through_the_watched_pool_is_a_defect(
    monkeypatch: pytest.MonkeyPatch, server: PolygonServer
) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", KEY)
    connection = Connection(server.url, 1)
    with pytest.raises(AssertionError, match="did not pass through its pool"):
        connection.get(lambda _: None)


def test_errors_of_the_adapter_say_whether_asking_again_helps(
    source: Callable[..., PolygonSource], server: PolygonServer
) -> None:
    asking = source(patience=QUICK)
    server.fail(Fault(503, {"Retry-After": "3"}))
    with pytest.raises(TryAgainError) as caught:
        asking.ask(question(asking))
    assert caught.value.wait_seconds == 3


def _page(*rows: str, counted: int | None = None, follow: str | None = None) -> str:
    number = len(rows) if counted is None else counted
    after = f',"next_url":"https://api.example.com{follow}"' if follow else ""
    return (
        f'{{"ticker":"AAPL","queryCount":{number},"resultsCount":{number},"adjusted":false,"status":"OK",'
        f'"results":[{",".join(rows)}]{after}}}'
    )
