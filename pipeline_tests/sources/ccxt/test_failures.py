"""Every way in which an exchange fails, and what a user reads then."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import ConfigurationError, SchemaDriftError, SourceError
from pipeline_defs.sources.asking.calling import Patience, TryAgainError
from pipeline_tests.sources.ccxt.conftest import KRAKEN_NOW, days, question_of, source_of
from pipeline_tests.sources.ccxt.server import MINUTE, MINUTES_DAY, Canned, ExchangeServer, epoch_ms

if TYPE_CHECKING:
    from pipeline_defs.sources.ccxt.adapter import CcxtSource

HTML = "<html><body>Please log in to this network</body></html>"


def fetched(source: CcxtSource, day: dt.date = MINUTES_DAY) -> int:
    """Rows of a day."""
    return sum(batch.observations.height for batch in source.fetch(days(day)))


def refusal(server: ExchangeServer, *replies: Canned | None, **changed: Any) -> SourceError:
    """What one question raises when these replies come."""
    source = source_of(server, **changed)
    question = question_of(source)
    server.next_candles = list(replies)
    with pytest.raises(SourceError) as caught:
        source.ask(question)
    return caught.value


def test_too_many_requests_are_waited_out_as_long_as_the_exchange_asks(binance: ExchangeServer) -> None:
    binance.fail_next(429, {"Retry-After": "0"}, 1)
    assert fetched(source_of(binance)) == 1440

    error = refusal(binance, Canned(429, "slow down", {"Retry-After": "7"}))

    assert isinstance(error, TryAgainError)
    assert error.wait_seconds == 7
    assert error.what == "binance's rate limit: binance 429 Too Many Requests slow down"


def test_a_wait_may_be_told_as_a_date(binance: ExchangeServer) -> None:
    later = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60), usegmt=True)

    error = refusal(binance, Canned(429, "", {"Retry-After": later}))

    assert isinstance(error, TryAgainError)
    assert error.wait_seconds is not None
    assert 50 < error.wait_seconds <= 60


def test_a_wait_that_cannot_be_read_is_no_wait(binance: ExchangeServer) -> None:
    error = refusal(binance, Canned(429, "", {"Retry-After": "soon"}))

    assert isinstance(error, TryAgainError)
    assert error.wait_seconds is None


def test_a_ban_is_not_asked_through_quickly(binance: ExchangeServer) -> None:
    error = refusal(binance, Canned(418, "banned"))

    assert isinstance(error, TryAgainError)
    assert error.wait_seconds == 120
    assert refusal(binance, Canned(418, "banned", {"Retry-After": "600"})).wait_seconds == 600  # type: ignore[attr-defined]

    binance.fail_next(418, {}, 1)
    source = source_of(binance)
    asked = len(binance.requests)
    with pytest.raises(SourceError) as caught:
        fetched(source)
    assert len(binance.requests) == asked + 1
    assert str(caught.value) == (
        "ccxt BTC/BUSD spot_prices 2022-12-13: binance bans this address for asking too often (418);"
        " gave up after 1 try / 0 s\n"
        "Next: wait until the ban is over, and run fewer imports of this exchange at once"
    )


def test_a_rate_limit_that_never_ends_is_given_up(binance: ExchangeServer) -> None:
    binance.fail_next(429, {}, 9)

    with pytest.raises(SourceError, match=r"binance's rate limit: .*; gave up after 3 tries / \d s"):
        fetched(source_of(binance))


def test_a_server_in_trouble_is_asked_again(binance: ExchangeServer) -> None:
    binance.next_candles = [Canned(502, HTML), Canned(503, "")]
    assert fetched(source_of(binance)) == 1440

    error = refusal(binance, Canned(504, ""))

    assert isinstance(error, TryAgainError)
    assert error.what.startswith("binance answered 504: binance GET")


def test_a_page_of_html_in_place_of_candles_is_asked_again_and_never_read_as_rows(binance: ExchangeServer) -> None:
    error = refusal(binance, Canned(200, HTML))

    assert isinstance(error, TryAgainError)
    assert str(error) == (
        "binance answered 200, but the reply is no whole JSON, it begins"
        f" {HTML!r}; nothing of it was used\n"
        "Next: a proxy, a login page or maintenance may answer for the exchange: open its address by hand"
    )
    binance.next_candles = [Canned(200, HTML)]
    assert fetched(source_of(binance)) == 1440


def test_an_empty_reply_is_asked_again(binance: ExchangeServer) -> None:
    error = refusal(binance, Canned(200, ""))

    assert isinstance(error, TryAgainError)
    assert "binance answered 200, but the reply is empty" in error.what


def test_a_page_of_html_in_place_of_the_markets_is_not_an_unknown_pair(binance: ExchangeServer) -> None:
    binance.next_markets = [Canned(200, HTML)] * 3

    with pytest.raises(SourceError, match=r"ccxt binance markets: binance answered 200, but the reply is no whole"):
        question_of(source_of(binance))


def test_a_list_of_markets_without_any_is_a_changed_format(binance: ExchangeServer) -> None:
    binance.next_markets = [Canned(200, '{"pairs": []}')]

    with pytest.raises(SchemaDriftError, match="binance lists no markets: its reply has keys pairs"):
        question_of(source_of(binance))


def test_a_reply_cut_short_discards_all_pages_and_is_asked_again(binance: ExchangeServer) -> None:
    body = json.dumps([[epoch_ms(MINUTES_DAY), "1", "1", "1", "1", "1"]] * 50)
    error = refusal(binance, None, Canned(200, body, cut=True))
    assert isinstance(error, TryAgainError)
    assert error.what.startswith("binance could not be asked: binance GET")

    binance.requests.clear()
    binance.next_candles = [None, Canned(200, body, cut=True)]
    assert fetched(source_of(binance)) == 1440
    assert len(binance.requests) == 4, "both pages again"


def test_json_cut_short_behind_a_proxy_that_hides_it_is_asked_again(binance: ExchangeServer) -> None:
    error = refusal(binance, Canned(200, '[[1670889600000,"17212.12","172'))

    assert isinstance(error, TryAgainError)
    assert "is no whole JSON" in error.what


def test_a_server_that_hangs_is_left_after_the_time_of_one_try(binance: ExchangeServer) -> None:
    patience = Patience(tries=2, total_seconds=5, try_seconds=0.3, first_wait_seconds=0.01)

    error = refusal(binance, Canned(hang=True), patience=patience)

    assert isinstance(error, TryAgainError)
    assert error.what.startswith("binance did not answer in time: binance GET")


def test_the_state_of_an_earlier_reply_does_not_colour_a_later_failure(binance: ExchangeServer) -> None:
    source = source_of(binance, patience=Patience(tries=1, total_seconds=5, try_seconds=0.3, first_wait_seconds=0.01))
    question = question_of(source)
    binance.next_candles = [Canned(418, "banned"), Canned(hang=True)]

    with pytest.raises(TryAgainError, match="bans this address"):
        source.ask(question)
    with pytest.raises(TryAgainError, match="did not answer in time"):
        source.ask(question)


def test_a_server_that_is_not_there_is_tried_and_named(binance: ExchangeServer) -> None:
    source = source_of(binance)
    source.endpoint = "http://127.0.0.1:9"

    with pytest.raises(SourceError, match=r"ccxt binance markets: binance could not be asked: .* gave up after 3"):
        fetched(source)


def test_an_unknown_exchange_is_refused_with_near_names(binance: ExchangeServer) -> None:
    with pytest.raises(ConfigurationError) as caught:
        question_of(source_of(binance, exchange="binnance"))

    assert str(caught.value).startswith("universe file, section ccxt: exchange 'binnance' is unknown to CCXT 4.")
    assert "near names: binance" in str(caught.value)
    assert binance.every_request == []


def test_an_unknown_pair_is_refused_with_near_names_before_candles_are_asked_for(binance: ExchangeServer) -> None:
    with pytest.raises(SourceError) as caught:
        question_of(source_of(binance, pairs=["BTC/USDS"]))

    assert str(caught.value) == (
        "ccxt BTC/USDS: is not listed at binance, which lists 3 spot pairs\n"
        "Next: correct it in the universe file; near names: BTC/USDT, BTC/BUSD"
    )
    assert binance.requests == []


def test_a_pair_that_the_exchange_itself_refuses_is_not_asked_for_again(binance: ExchangeServer) -> None:
    binance.candles.clear()
    source = source_of(binance)

    with pytest.raises(SourceError, match=r"binance does not know the pair: .*Invalid symbol"):
        fetched(source)

    assert len(binance.requests) == 1


def test_krakens_unknown_asset_pair_is_refused(kraken: ExchangeServer) -> None:
    kraken.candles.clear()
    source = source_of(kraken, exchange="kraken", pairs=["BTC/USDT"], clock=lambda: KRAKEN_NOW)

    with pytest.raises(SourceError, match=r"kraken does not know the pair: .*EQuery:Unknown asset pair"):
        fetched(source, KRAKEN_NOW.date())

    assert len(kraken.requests) == 1


@pytest.mark.parametrize("ago", [1, 3])
def test_days_that_kraken_no_longer_serves_are_an_error_and_no_gap(kraken: ExchangeServer, ago: int) -> None:
    source = source_of(kraken, exchange="kraken", pairs=["BTC/USDT"], clock=lambda: KRAKEN_NOW)
    day = KRAKEN_NOW.date() - dt.timedelta(days=ago)

    with pytest.raises(SourceError) as caught:
        source.ask(question_of(source, day))

    assert str(caught.value) == (
        "kraken serves only the newest 720 candles of 1m, from 2026-02-03 00:01Z on;"
        f" asked from {day} 00:00Z\n"
        "Next: ask for later days, or write longer bars into the universe file (bars: spot_prices: 1h)"
    )


def test_krakens_own_rate_limit_is_told_in_a_good_reply_and_waited_out(kraken: ExchangeServer) -> None:
    body = '{"error": ["EAPI:Rate limit exceeded"]}'
    changed: dict[str, Any] = {"exchange": "kraken", "pairs": ["BTC/USDT"], "bars": {"spot_prices": "1h"}}

    error = refusal(kraken, Canned(200, body), clock=lambda: KRAKEN_NOW, **changed)

    assert isinstance(error, TryAgainError)
    assert error.what.startswith("kraken's rate limit: kraken")


def test_a_missing_key_in_krakens_reply_is_a_changed_format_and_no_empty_day(kraken: ExchangeServer) -> None:
    body = json.dumps({"error": [], "result": {"candles": [], "last": 1}})
    changed: dict[str, Any] = {"exchange": "kraken", "pairs": ["BTC/USDT"], "clock": lambda: KRAKEN_NOW}
    source = source_of(kraken, **changed)
    question = question_of(source, KRAKEN_NOW.date())
    kraken.next_candles = [Canned(200, body)]

    with pytest.raises(SchemaDriftError) as caught:
        source.ask(question)

    assert caught.value.what == (
        "kraken's reply holds no candles where they should stand: expected a list of candles, got keys error, result"
    )


@pytest.mark.parametrize(
    ("body", "got"),
    [
        ('{"rows": 5}', "keys rows"),
        ('{"rows": [[1670889600000, "1", "1", "1", "1", "1"]]}', "keys rows"),
        ("[1, 2]", "a list of 2, the first of them int"),
        ('[{"time": 1670889600000}]', "a list of 1, the first of them keys time"),
    ],
)
def test_candles_of_another_shape_are_a_changed_format(binance: ExchangeServer, body: str, got: str) -> None:
    error = refusal(binance, Canned(200, body))

    assert isinstance(error, SchemaDriftError)
    assert error.what == (
        f"binance's reply holds no candles where they should stand: expected a list of candles, got {got}"
    )


def test_a_parser_of_the_client_that_stumbles_is_a_changed_format(
    binance: ExchangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of(binance)
    question = question_of(source)
    monkeypatch.setattr(source._asked().exchange, "parse_ohlcv", lambda *_: dict[str, int]()["missing"])

    with pytest.raises(SchemaDriftError, match=r"binance's reply cannot be read: KeyError 'missing'"):
        source.ask(question)


def test_a_day_without_any_candle_is_an_error_and_not_stored_as_empty(binance: ExchangeServer) -> None:
    binance.candles["BTCBUSD", MINUTE] = {}

    with pytest.raises(SourceError) as caught:
        fetched(source_of(binance))

    assert "ccxt spot_prices 2022-12-13: 0 bars on a trading day, of 1 instruments asked for (BTC/BUSD)" in str(
        caught.value
    )


def test_a_row_that_cannot_be_read_is_refused_and_the_others_go_on(binance: ExchangeServer) -> None:
    begin = epoch_ms(MINUTES_DAY)
    rows = [
        [begin, "1", "1", "1", "1", "1"],
        [begin + MINUTE, "one", "1", "1", "1", "1"],
        [begin + 2 * MINUTE, "1", "1", "1", "1", "many"],
        ["when", "1", "1", "1", "1", "1"],
        [begin + 3 * MINUTE, "1", "1", None, "1", "1"],
        [begin + 4 * MINUTE + 7, "1", "1", "1", "1", "1"],
        [begin + 5 * MINUTE, "1", "1", "1", "1", None],
    ]
    source = source_of(binance)
    question = question_of(source)
    binance.next_candles = [Canned(200, json.dumps(rows))]

    answer = source.ask(question).rows.head(7)

    assert answer.select("reason", "text").rows() == [
        ("bad_time", ",1,1,1,1,1"),
        (None, None),
        ("bad_price", f"{begin + MINUTE},one,1,1,1,1"),
        ("bad_quantity", f"{begin + 2 * MINUTE},1,1,1,1,many"),
        ("bad_price", f"{begin + 3 * MINUTE},1,1,,1,1"),
        ("misaligned_bar", f"{begin + 4 * MINUTE + 7},1,1,1,1,1"),
        (None, None),
    ]
    assert answer["volume"].to_list()[-1] is None, "unknown, not zero"


def test_the_same_candle_twice_is_left_to_the_shared_rules(binance: ExchangeServer) -> None:
    begin = epoch_ms(MINUTES_DAY)
    row = [begin, "1", "1", "1", "1", "1"]
    other = [begin + MINUTE, "1", "1", "1", "1", "1"]
    binance.next_candles = [Canned(200, json.dumps([row, row, other, [*other[:5], "2"]]))]

    (batch,) = source_of(binance).fetch(days(MINUTES_DAY))

    assert batch.rejects["reason"].to_list() == ["duplicate", "conflicting_duplicate", "conflicting_duplicate"]
    assert batch.observations.height == 1439


def test_a_refused_key_names_the_variables(binance: ExchangeServer) -> None:
    source = source_of(binance)
    question = question_of(source)
    binance.next_candles = [Canned(401, '{"code": -2014, "msg": "API-key format invalid."}')]

    with pytest.raises(ConfigurationError) as caught:
        source.ask(question)

    assert str(caught.value).startswith("binance refused the API key: ")
    assert str(caught.value).endswith("Next: check CCXT_API_KEY and CCXT_SECRET, or unset both: prices need none")


def test_one_half_of_a_key_is_a_missing_setting(binance: ExchangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCXT_API_KEY", "only-the-key")

    with pytest.raises(ConfigurationError, match="CCXT_SECRET: the secret of the exchange's API key is missing"):
        question_of(source_of(binance))


@pytest.mark.parametrize("status", [403, 451])
def test_a_country_that_is_not_served_is_not_asked_for_again(binance: ExchangeServer, status: int) -> None:
    error = refusal(binance, Canned(status, "Service unavailable from a restricted location"))

    assert not isinstance(error, TryAgainError)
    assert error.what.startswith(f"binance does not allow it ({status}): ")
    assert "choose an exchange that serves yours" in str(error)


def test_an_address_without_such_a_page_is_not_asked_again(binance: ExchangeServer) -> None:
    error = refusal(binance, Canned(404, "not here"))

    assert not isinstance(error, TryAgainError)
    assert error.what.startswith("binance answered 404: ")


def test_a_reply_that_is_wrongly_packed_is_asked_again(binance: ExchangeServer) -> None:
    error = refusal(binance, Canned(200, "[]", {"Content-Encoding": "gzip"}))

    assert isinstance(error, TryAgainError)
    assert error.what.startswith("binance could not be asked: ")


def test_what_an_exchange_cannot_do_is_refused(binance: ExchangeServer) -> None:
    error = refusal(binance, Canned(200, '{"code": -1128, "msg": "Combination of optional parameters invalid."}'))

    assert error.what.startswith("binance cannot do it: ")


def test_another_refusal_of_the_exchange_is_told_as_it_is(kraken: ExchangeServer) -> None:
    changed: dict[str, Any] = {"exchange": "kraken", "pairs": ["BTC/USDT"], "clock": lambda: KRAKEN_NOW}
    source = source_of(kraken, **changed)
    question = question_of(source, KRAKEN_NOW.date())
    kraken.next_candles = [Canned(200, '{"error": ["EGeneral:Something odd"]}')]

    with pytest.raises(SourceError, match=r"kraken refused: .*EGeneral:Something odd") as caught:
        source.ask(question)

    assert type(caught.value) is SourceError


def test_secrets_stand_in_no_message(binance: ExchangeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCXT_API_KEY", "planted-key-of-tests")
    monkeypatch.setenv("CCXT_SECRET", "planted-secret-of-tests")
    binance.next_candles = [Canned(400, '{"code": -1, "msg": "no planted-key-of-tests planted-secret-of-tests"}')]

    with pytest.raises(SourceError) as caught:
        fetched(source_of(binance))

    assert "planted" not in str(caught.value)
    assert "***" in str(caught.value)
