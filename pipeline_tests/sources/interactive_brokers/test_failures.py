"""What a user reads when TWS refuses, stays silent, breaks off or sends rubbish: never an empty success."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_tests.sources.interactive_brokers import layouts
from pipeline_tests.sources.interactive_brokers.conftest import SHARE, SHORT, ask, message
from pipeline_tests.sources.interactive_brokers.offline import TOO_FAST, TRADE_DATE
from pipeline_tests.sources.interactive_brokers.tws import (
    CANCEL_HISTORY,
    DROP,
    DROP_MID_FRAME,
    HANG,
    HISTORY,
    Failure,
)

if TYPE_CHECKING:
    from pipeline_tests.sources.interactive_brokers.conftest import MakeSource
    from pipeline_tests.sources.interactive_brokers.tws import Tws

PACING = Failure(162, "Historical Market Data Service error message:Historical data request pacing violation")
NO_DATA = Failure(162, "Historical Market Data Service error message:HMDS query returned no data: ACME@SMART Trades")


# Nothing there. --------------------------------------------------------------------------------------------------


def test_no_data_is_an_empty_answer_because_tws_says_so(make_source: MakeSource, tws: Tws) -> None:
    tws.on_history.append(NO_DATA)
    answer = ask(make_source(universe=SHARE))
    assert answer.rows.is_empty()
    assert answer.note == "HMDS query returned no data: ACME@SMART Trades"
    assert len(tws.of_kind(HISTORY)) == 1


def test_a_reply_of_no_bars_is_an_empty_answer(make_source: MakeSource, tws: Tws) -> None:
    tws.world.bars[101, "1 min", TRADE_DATE] = []
    assert ask(make_source(universe=SHARE)).rows.is_empty()


def test_no_data_of_a_share_on_a_session_is_an_error_of_the_import(make_source: MakeSource, tws: Tws) -> None:
    tws.on_history.append(NO_DATA)
    request = ImportRequest(TRADE_DATE, TRADE_DATE, tables=frozenset({"spot_prices"}))
    read = message(lambda: list(make_source(universe=SHARE).fetch(request)))
    assert "interactive_brokers spot_prices 2026-10-14: 0 bars on a trading day" in read


def test_nothing_is_not_believed_while_a_data_farm_is_down(make_source: MakeSource, tws: Tws) -> None:
    source = make_source(universe=SHARE)
    ask(source)
    tws.on_history.extend([Failure(2105, "HMDS data farm connection is broken:ushmds", for_all=True)] * 3)
    assert "a data farm of IB is down (2105: HMDS data farm connection is broken:ushmds)" in message(
        lambda: ask(source)
    )
    tws.on_history.extend([NO_DATA] * 3)
    read = message(lambda: ask(source))
    assert "TWS says it has nothing, but a data farm of IB is down (HMDS data farm connection is broken:ushmds)" in read
    tws.on_history.extend([Failure(2106, "HMDS data farm connection is OK:ushmds", for_all=True, then_answer=True)])
    assert ask(source).rows.height == 3
    tws.on_history.append(NO_DATA)
    assert ask(source).rows.is_empty()


# Refusals for good. ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (162, "Historical Market Data Service error message:No market data permissions for ISLAND STK"),
        (354, "Requested market data is not subscribed."),
        (10090, "Part of requested market data is not subscribed. Subscription-independent ticks are still active."),
        (10187, "Failed to request historical ticks:No market data permissions for NYSE STK"),
    ],
)
def test_a_missing_subscription_is_named_and_not_tried_again(
    make_source: MakeSource, tws: Tws, code: int, text: str
) -> None:
    tws.on_history.append(Failure(code, text))
    read = message(lambda: ask(make_source(universe=SHARE)))
    subject = {162: "for ISLAND STK ", 10187: "for NYSE STK "}.get(code, "")
    assert f"market data subscription {subject}is missing ({code}: " in read
    assert "subscribe in IB's Client Portal" in read
    assert len(tws.of_kind(HISTORY)) == 1


def test_an_unknown_symbol_is_refused_with_names_like_it(make_source: MakeSource) -> None:
    read = message(lambda: ask(make_source(universe={"equities": ["ACMEE"]})))
    assert "TWS knows no contract ACMEE STK SMART USD (200); TWS knows: ACME (STK NASDAQ USD)" in read
    assert "check symbol, venue and currency in the universe" in read


def test_an_unknown_symbol_is_refused_even_if_no_names_can_be_had(make_source: MakeSource, tws: Tws) -> None:
    tws.on_details.append(Failure(200, "No security definition has been found for the request"))
    tws.on_details.append(Failure(321, "Error validating request"))
    assert "TWS knows no contract ACME STK SMART USD (200)\n" in message(lambda: ask(make_source(universe=SHARE)))


def test_a_contract_that_vanished_before_its_history_is_refused(make_source: MakeSource, tws: Tws) -> None:
    tws.on_history.append(Failure(200, "No security definition has been found for the request"))
    read = message(lambda: ask(make_source(universe=SHARE)))
    assert "interactive_brokers ACME spot_prices 2026-10-14: TWS knows no such contract (200: No security" in read


def test_a_request_that_tws_finds_invalid_fails_at_once_not_after_the_timeout(
    make_source: MakeSource, tws: Tws
) -> None:
    tws.on_history.append(Failure(321, "Error validating request.-'bW' : cause - Invalid duration"))
    started = time.monotonic()
    read = message(lambda: ask(make_source(universe=SHARE, patience={"try_seconds": 60.0})))
    assert "TWS refused the request (321: Error validating request.-'bW' : cause - Invalid duration)" in read
    assert time.monotonic() - started < 40


def test_a_login_elsewhere_is_said(make_source: MakeSource, tws: Tws) -> None:
    text = "Historical Market Data Service error message:Trading TWS session is connected from a different IP address"
    tws.on_history.append(Failure(162, text))
    assert "this IB user is logged in elsewhere (162: Trading TWS session" in message(
        lambda: ask(make_source(universe=SHARE))
    )


def test_a_warning_does_not_end_a_request(make_source: MakeSource, tws: Tws) -> None:
    for code in (2174, 10167):
        tws.on_history.append(Failure(code, "Warning", then_answer=True))
        assert ask(make_source(universe=SHARE)).rows.height == 3


# Failures that pass. ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        PACING,
        DROP,
        DROP_MID_FRAME,
        Failure(1100, "Connectivity between IB and Trader Workstation has been lost.", for_all=True),
        Failure(366, "No historical data query found for ticker id:3"),
        TOO_FAST,
        Failure(2105, "HMDS data farm connection is broken:ushmds", for_all=True),
        Failure(2103, "Market data farm connection is broken:usfarm", for_all=True),
    ],
    ids=lambda failure: f"{failure.code or failure.drops}",
)
def test_what_passes_is_tried_again_and_the_day_is_whole(make_source: MakeSource, tws: Tws, failure: Failure) -> None:
    tws.on_history.append(failure)
    assert ask(make_source(universe=SHARE)).rows.height == 3
    assert len(tws.of_kind(HISTORY)) == 2


def test_too_many_requests_are_said_with_tries_and_seconds(make_source: MakeSource, tws: Tws) -> None:
    tws.on_history.extend([PACING] * 3)
    read = message(lambda: ask(make_source(universe=SHARE)))
    assert "TWS counts too many requests (162: Historical data request pacing violation); gave up after 3 tries" in read
    assert "go on in ten minutes" in read


def test_silence_is_a_failure_never_an_empty_day(make_source: MakeSource, tws: Tws) -> None:
    tws.on_history.extend([HANG] * 3)
    read = message(lambda: ask(make_source(universe=SHARE, patience=SHORT)))
    assert "interactive_brokers ACME spot_prices 2026-10-14: TWS did not answer within 0.15 s; gave up after 3" in read
    assert "is a dialog waiting for somebody?" in read
    deadline = time.monotonic() + 2
    while len(tws.of_kind(CANCEL_HISTORY)) < 3 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(tws.of_kind(CANCEL_HISTORY)) == 3  # TWS is told that nobody waits
    assert tws.connections == 3  # a connection that was silent is not used again


def test_silence_after_a_general_message_repeats_the_message(make_source: MakeSource, tws: Tws) -> None:
    tws.on_history.append(Failure(320, "Server error when reading an API client request", for_all=True))
    read = message(lambda: ask(make_source(universe=SHARE, patience={**SHORT, "tries": 1})))
    assert "TWS did not answer within 0.15 s; it said: 320: Server error when reading" in read


def test_a_connection_lost_within_a_frame_is_replaced_and_said_when_it_does_not_come_back(
    make_source: MakeSource, tws: Tws
) -> None:
    tws.on_history.extend([DROP_MID_FRAME] * 3)
    read = message(lambda: ask(make_source(universe=SHARE)))
    assert "lost the connection to TWS: Socket disconnect; gave up after 3 tries" in read
    assert tws.connections == 3


def test_tws_cut_off_from_ib_is_said(make_source: MakeSource, tws: Tws) -> None:
    lost = Failure(1100, "Connectivity between IB and Trader Workstation has been lost.", for_all=True)
    tws.on_history.extend([lost] * 3)
    assert "TWS is cut off from IB (1100: Connectivity between" in message(lambda: ask(make_source(universe=SHARE)))


def test_restored_connectivity_asks_for_nothing_of_the_account(make_source: MakeSource, tws: Tws) -> None:
    restored = Failure(1102, "Connectivity restored - data maintained", for_all=True, then_answer=True)
    tws.on_history.append(restored)
    source = make_source(universe=SHARE)
    assert ask(source).rows.height == 3
    assert ask(source).rows.height == 3
    assert {fields[0] for fields in tws.requests} == {"71", "9", "20"}


# Rubbish. --------------------------------------------------------------------------------------------------------


def test_one_number_that_is_none_costs_one_row(make_source: MakeSource, tws: Tws) -> None:
    good = (str(int(make_source().market.open(TRADE_DATE).timestamp())), "1", "1", "1", "1", "5", "1", "1")
    begin = int(good[0])
    tws.world.bars[101, "1 min", TRADE_DATE] = [
        good,
        (str(begin + 60), "1", "n/a", "1", "1", "5", "1", "1"),
        ("yesterday", "1", "1", "1", "1", "5", "1", "1"),
        (str(begin + 120), "1", "1", "1", "1", "many", "1", "1"),
        (str(begin + 180), "1", "1", "1", "1.7976931348623157E308", "5", "1", "1"),
    ]
    rows = ask(make_source(universe=SHARE)).rows
    assert rows["reason"].to_list() == [None, "bad_price", "bad_time", "bad_quantity", "bad_price"]
    assert rows["text"][1] == f"{begin + 60},1,n/a,1,1,5,1,1"
    assert rows["text"][0] is None


def test_bars_with_another_number_of_fields_are_schema_drift(make_source: MakeSource, tws: Tws) -> None:
    tws.on_history.append(Failure(damage=lambda body: body + b"0\0"))
    read = message(lambda: ask(make_source(universe=SHARE)), SchemaDriftError)
    assert "a reply of 3 bars has 25 fields, expected 8 of each: date, open, high, low, close, volume" in read
    assert "nothing was stored" in read


def test_a_reply_without_a_number_of_rows_is_schema_drift(make_source: MakeSource, tws: Tws) -> None:
    def without_count(body: bytes) -> bytes:
        fields = body.split(b"\0")
        return b"\0".join([*fields[:4], b"three", *fields[5:]])

    tws.on_history.append(Failure(damage=without_count))
    read = message(lambda: ask(make_source(universe=SHARE)), SchemaDriftError)
    assert "a reply's number of rows is 'three', expected a number" in read


def test_a_message_without_its_request_fails_the_requests_that_wait(make_source: MakeSource, tws: Tws) -> None:
    def nobodys(body: bytes) -> bytes:
        fields = body.split(b"\0")
        return b"\0".join([fields[0], b"x", *fields[2:]])

    tws.on_history.append(Failure(damage=nobodys))
    read = message(lambda: ask(make_source(universe=SHARE)), SchemaDriftError)
    assert "a message of kind 17 with 29 fields cannot be read" in read


def test_details_that_the_client_cannot_read_are_schema_drift_not_silence(make_source: MakeSource, tws: Tws) -> None:
    def short(body: bytes) -> bytes:
        return b"\0".join(body.split(b"\0")[:12]) + b"\0"

    tws.on_details.append(Failure(damage=short))
    read = message(lambda: ask(make_source(universe=SHARE, patience={"try_seconds": 10.0})), SchemaDriftError)
    assert "interactive_brokers contract ACME STK SMART USD: a message of kind 10 with 12 fields cannot be read" in read


def test_an_answer_to_a_request_that_nobody_waits_for_is_passed_over(make_source: MakeSource, tws: Tws) -> None:
    late = layouts.historical_data(99, [])
    tws.at_start.append(late + layouts.error(99, 162, "API historical data query cancelled: 99"))
    assert ask(make_source(universe=SHARE)).rows.height == 3


def test_a_live_bar_after_the_answer_changes_nothing(make_source: MakeSource, tws: Tws) -> None:
    update = layouts.historical_data_update(2, ("1791984600", "9", "9", "9", "9", "9", "9", "9"))[4:]
    tws.on_history.append(Failure(damage=lambda body: body + struct.pack(">I", len(update)) + update))
    source = make_source(universe=SHARE)
    # The damaged frame has a frame inside: its count of fields is wrong, and that is said.
    assert "fields, expected 8 of each" in message(lambda: ask(source), SchemaDriftError)
