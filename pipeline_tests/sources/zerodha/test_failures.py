"""Each way in which Kite can fail, and the message that a user reads."""

from __future__ import annotations

import datetime as dt
import json
import re
import socket
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError, SchemaDriftError, SourceError
from pipeline_defs.sources.asking.calling import Patience
from pipeline_defs.sources.zerodha.session import SessionExpiredError
from pipeline_tests.sources.zerodha.offline import TRADE_DATE
from pipeline_tests.sources.zerodha.server import DUMP, KEY, TOKEN, Reply, error, success

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.sources.zerodha.adapter import ZerodhaSource
    from pipeline_tests.sources.zerodha.server import KiteServer

type Make = Callable[..., ZerodhaSource]
type Fetch = Callable[..., dict[tuple[str, dt.date], ImportBatch]]

INDEX = {"indices": ["NIFTY 50"]}
WHERE = "zerodha NIFTY 50 spot_prices 2025-08-20: "
LATER = "\nNext: nothing was stored; run the partition again later"
JSON = {"Content-Type": "application/json"}


def refusal(fetch: Fetch, of: ZerodhaSource) -> str:
    with pytest.raises(SourceError) as caught:
        fetch(of)
    assert caught.value.__cause__ is None
    return re.sub(r"/ \d+ s", "/ N s", str(caught.value))


def test_a_session_that_kite_refuses_asks_for_a_login_and_nothing_further_is_asked(
    source: Make, fetch: Fetch, kite: KiteServer
) -> None:
    fetch(source(**INDEX), first=dt.date(2025, 8, 19))
    kite.accepted = "another-login"
    kite.paths.clear()
    of = source(indices=["NIFTY 50"], equities=["RELIANCE"])
    with pytest.raises(SessionExpiredError) as caught:
        fetch(of)
    assert str(caught.value) == (
        "zerodha RELIANCE equity_daily 2025-08-20: Kite session expired (tokens end at 06:00 IST, or with the next"
        " login); ZERODHA_ACCESS_TOKEN is not valid: Kite refused the session (403 Incorrect `api_key` or"
        " `access_token`.)\n"
        "Next: log in at https://kite.zerodha.com/connect/login ('pipeline kite-login' prints the whole address)"
        " and run 'pipeline kite-login --request-token …'; unset ZERODHA_ACCESS_TOKEN, or set it to the new token"
    )
    assert len(kite.history) == 1


def test_a_session_refused_once_is_not_tried_with_the_next_question(source: Make, kite: KiteServer) -> None:
    of = source(**INDEX)
    kite.accepted = "another-login"
    for _ in range(3):
        with pytest.raises(SessionExpiredError):
            of._ask_dump()
    assert len(kite.paths) == 1


def test_a_missing_key_names_its_variable(source: Make, fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZERODHA_API_KEY")
    with pytest.raises(ConfigurationError) as caught:
        fetch(source(**INDEX))
    assert str(caught.value) == (
        "ZERODHA_API_KEY: the API key of the Kite Connect app is missing\n"
        "Next: set ZERODHA_API_KEY, or ZERODHA_API_KEY_FILE to a file that holds it"
    )


def test_a_missing_permission_names_the_plan(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.next.append(error(403, "PermissionException", "Insufficient permission for that call."))
    assert refusal(fetch, source(**INDEX)) == (
        f"{WHERE}Kite refused for want of permission (403 Insufficient permission for that call.)\n"
        "Next: check on the developer console that the app's plan includes historical data"
    )
    assert len(kite.history) == 1


def test_too_many_requests_are_tried_again_and_then_given_up(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.fail_next(429, {}, 3)
    message = refusal(fetch, source(**INDEX))
    assert message == f"{WHERE}Kite rate limit (429 Too many requests); gave up after 3 tries / N s{LATER}"
    assert len(kite.history) == 3


def test_a_wait_that_kite_asks_for_is_kept(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.fail_next(429, {"Retry-After": "60"}, 1)
    # More than the whole patience: it gives up at once rather than ask too early.
    message = refusal(fetch, source(**INDEX))
    assert message == f"{WHERE}Kite rate limit (429 Too many requests); gave up after 1 try / N s{LATER}"


def test_a_server_in_trouble_is_asked_again(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.fail_next(503, {}, 1)
    assert fetch(source(**INDEX))["spot_prices", TRADE_DATE].observations.height == 3
    assert len(kite.history) == 2


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (
            (502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>"),
            "Kite is in trouble (HTTP 502: \"Unknown Content-Type (text/html) with response: (b'<html>Bad",
        ),
        ((500, JSON, b'{"status": "error", "message": "x"}'), "Kite is in trouble (HTTP 500)"),
        ((200, JSON, b'{"status": "success", "data": {"can'), "Kite answered with something that is no JSON"),
        ((200, {"Content-Type": "text/html"}, b"<html>Sign in</html>"), "Kite answered with something that is no JSON"),
        ((200, {}, b"{}"), "Kite's reply has no content type: something on the way has answered for it"),
        ((200, JSON | {"Content-Length": "5000"}, b'{"data"'), "the connection to Kite broke (ChunkedEncodingError)"),
    ],
    ids=["bad gateway", "error without type", "cut JSON", "a page", "no content type", "connection lost midway"],
)
def test_a_damaged_reply_is_tried_again_and_never_stored(
    source: Make, fetch: Fetch, kite: KiteServer, reply: Reply, what: str
) -> None:
    kite.next.extend([reply] * 3)
    message = refusal(fetch, source(**INDEX))
    assert message.startswith(WHERE + what)
    assert message.endswith(f"; gave up after 3 tries / N s{LATER}")


def test_a_server_that_is_silent_is_given_up(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    stalled = socket.create_server(("127.0.0.1", 0))
    of = source(patience=Patience(tries=2, total_seconds=5, try_seconds=0.2, first_wait_seconds=0.01), **INDEX)
    fetch(of, first=dt.date(2025, 8, 19))
    of.endpoint = f"http://127.0.0.1:{stalled.getsockname()[1]}"
    with stalled:
        message = refusal(fetch, of)
    assert message == f"{WHERE}Kite did not answer in time; gave up after 2 tries / N s{LATER}"
    assert len(kite.history) == 1


def test_a_server_that_is_not_there_is_given_up(source: Make, fetch: Fetch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    of = source(**INDEX)
    of.endpoint = f"http://127.0.0.1:{port}"
    assert refusal(fetch, of) == (
        "zerodha instruments: the connection to Kite broke (ConnectionError); gave up after 3 tries / N s" + LATER
    )


def test_an_endpoint_that_is_no_address_is_named(source: Make, fetch: Fetch) -> None:
    of = source(**INDEX)
    of.endpoint = "kite"
    with pytest.raises(ConfigurationError, match="PIPELINE_ZERODHA_ENDPOINT: the endpoint is no address"):
        fetch(of)


def test_a_range_that_is_too_wide_is_said_to_be(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.next.append(error(400, "InputException", "interval exceeds max limit: 60 days"))
    assert refusal(fetch, source(**INDEX)) == (f"{WHERE}Kite refused (400 interval exceeds max limit: 60 days)")
    assert len(kite.history) == 1


def test_a_token_that_kite_does_not_know_is_not_asked_twice(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.dump = DUMP.replace("256265", "999").encode()
    assert refusal(fetch, source(**INDEX)) == (
        f"{WHERE}Kite refused (400 invalid token)\n"
        "Next: it is in the dump, but Kite serves it no more: give it a last_date in the universe"
    )
    assert len(kite.history) == 1


def test_a_refusal_in_an_unknown_form_is_named_by_its_status(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.next.append((418, JSON, b'{"status": "error", "message": "x"}'))
    assert (
        refusal(fetch, source(**INDEX)) == f"{WHERE}Kite refused with HTTP 418, in a form that its client cannot read"
    )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"data": {"bars": []}}, "the reply lacks 'candles', got bars"),
        ({"data": []}, "the reply lacks 'candles', got list"),
        ({"result": {}}, "Kite's reply has another shape: its client stumbled over KeyError 'data'"),
        ([], "Kite's reply has another shape: its client stumbled over AttributeError"),
        ({"data": {"candles": {}}}, "the candles are no list of lists"),
        ({"data": {"candles": [{"close": 1}]}}, "the candles are no list of lists"),
        (
            {"data": {"candles": [["2025-08-20T09:15:00+0530", 1, 1, 1, 1]]}},
            "candles of 5 fields, expected 6: time, open, high, low, close, volume",
        ),
    ],
)
def test_a_reply_of_another_shape_names_what_is_missing(
    source: Make, fetch: Fetch, kite: KiteServer, body: object, what: str
) -> None:
    kite.next.append((200, JSON, json.dumps(body).encode()))
    with pytest.raises(SchemaDriftError) as caught:
        fetch(source(**INDEX))
    assert str(caught.value).startswith(WHERE + what)
    assert len(kite.history) == 1


def test_a_future_without_open_interest_is_another_shape(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.candles["13238786"] = [["2025-08-20T09:15:00+0530", 1, 1, 1, 1, 5]]
    of = source(futures=[{"underlying": "NIFTY", "expiries": [dt.date(2030, 12, 31)]}])
    with pytest.raises(SchemaDriftError, match="candles of 6 fields, expected 7"):
        fetch(of)


def test_no_bars_on_a_trading_day_are_an_error(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.candles["256265"] = []
    assert refusal(fetch, source(**INDEX)).startswith(
        "zerodha spot_prices 2025-08-20: 0 bars on a trading day, of 1 instruments asked for (NIFTY 50)"
    )


def test_a_row_that_cannot_be_read_is_refused_and_the_others_are_kept(
    source: Make, fetch: Fetch, kite: KiteServer
) -> None:
    kite.candles["738561"] = [
        ["2025-08-20T09:15:00+0530", 1400, 1401.5, 1399.55, 1400.35, 1000],
        ["2025-08-20T09:16:00+0530", None, 1401.5, 1399.55, 1400.35, 1000],
        ["2025-08-20T09:17:00+0530", 1400, 1401.5, 1399.55, "n/a", 1000],
        ["2025-08-20T09:18:00+0530", 1400, 1401.5, 1399.55, 1400.35, "many"],
        ["20-08-2025 09:19", 1400, 1401.5, 1399.55, 1400.35, 1000],
        ["2025-08-20T09:20:00+0530", 1400, 1401.5, 1399.55],
        ["2025-08-20T09:21:00+0530", 1400, 1401.5, 1399.55, 1400.35, None],
    ]
    batch = fetch(source(equities=["RELIANCE"]), "spot_prices")["spot_prices", TRADE_DATE]
    assert dict(batch.rejects.select("line", "reason").iter_rows()) == {
        2: "bad_price",
        3: "bad_price",
        4: "bad_quantity",
        5: "bad_time",
        6: "bad_fields",
    }
    assert batch.rejects.filter(line=3)["text"].item() == (
        '["2025-08-20T09:17:00+0530", 1400, 1401.5, 1399.55, "n/a", 1000]'
    )
    assert batch.observations["volume"].to_list() == [1000, None]


def test_a_daily_bar_of_a_day_without_a_session_is_refused(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.candles["738561"] = [
        ["2025-08-14T00:00:00+0530", 1400, 1401.5, 1399.55, 1400.35, 1000],
        ["2025-08-15T00:00:00+0530", 1400, 1401.5, 1399.55, 1400.35, 1000],
    ]
    batches = fetch(source(equities=["RELIANCE"]), "equity_daily", first=dt.date(2025, 8, 14))
    batch = batches["equity_daily", dt.date(2025, 8, 14)]
    assert batch.observations.height == 1
    assert batch.rejects["reason"].to_list() in (["outside_window"], ["not_a_session"])


def test_an_error_that_repeats_a_secret_shows_none(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.next.append(error(400, "InputException", f"bad header token {KEY}:{TOKEN}"))
    assert refusal(fetch, source(**INDEX)) == f"{WHERE}Kite refused (400 bad header token ***:***)"


def test_the_answers_to_a_backfill_that_was_killed_are_not_asked_for_again(
    source: Make, fetch: Fetch, kite: KiteServer
) -> None:
    kite.candles["738561"] = [["2025-08-20T09:15:00+0530", 1400, 1401.5, 1399.55, 1400.35, 1000]]
    kite.next.extend([success({"candles": kite.candles["738561"]}), error(400, "InputException", "invalid token")])
    with pytest.raises(SourceError, match="invalid token"):
        fetch(source(equities=["RELIANCE"], indices=["NIFTY 50"]), "spot_prices")
    assert len(kite.history) == 2
