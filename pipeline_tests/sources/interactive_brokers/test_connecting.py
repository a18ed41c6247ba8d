"""Connecting: no TWS, a closed door, client ids in use, restarts; and what a user reads of it."""

from __future__ import annotations

import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_tests.sources.interactive_brokers import layouts
from pipeline_tests.sources.interactive_brokers.conftest import SHARE, SHORT, ask, message
from pipeline_tests.sources.interactive_brokers.tws import DROP, HANG, running

if TYPE_CHECKING:
    from pipeline_tests.sources.interactive_brokers.conftest import MakeSource
    from pipeline_tests.sources.interactive_brokers.tws import Tws


def test_no_tws_at_the_address_says_how_to_start_one(make_source: MakeSource) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    read = message(lambda: ask(make_source(universe=SHARE, endpoint=f"127.0.0.1:{port}")))
    assert f"no TWS at 127.0.0.1:{port}: " in read
    assert "start TWS or IB Gateway and log in, tick 'Enable ActiveX and Socket Clients' in its API settings" in read


def test_a_tws_that_restarts_is_waited_for(make_source: MakeSource, tws: Tws) -> None:
    source = make_source(universe=SHARE, patience={"tries": 6, "first_wait_seconds": 0.01})
    ask(source)
    source.close()
    source.endpoint = "127.0.0.1:1"  # nobody listens for a while

    def come_back() -> None:
        source.endpoint = tws.endpoint

    timer = threading.Timer(0.2, come_back)
    timer.start()
    assert ask(source).rows.height == 3
    timer.join()


def test_a_client_id_in_use_is_replaced_by_the_next(
    make_source: MakeSource, tws: Tws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IB_CLIENT_ID", "7")
    tws.taken_ids.update({7, 8})
    assert ask(make_source(universe=SHARE, patience={"try_seconds": 10.0})).rows.height == 3
    assert [fields[2] for fields in tws.of_kind(71)] == ["7", "8", "9"]


def test_client_ids_that_are_all_in_use_are_said(
    make_source: MakeSource, tws: Tws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IB_CLIENT_ID", "7")
    tws.taken_ids.update(range(7, 15))
    read = message(lambda: ask(make_source(universe=SHARE)))
    assert "the client ids 7 to 14 are all in use (326)" in read
    assert "set IB_CLIENT_ID to the first of some free numbers" in read


@pytest.mark.parametrize("text", ["0", "-1", "seven", "99999999999"])
def test_a_client_id_that_is_none_is_refused(
    make_source: MakeSource, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("IB_CLIENT_ID", text)
    read = message(lambda: ask(make_source(universe=SHARE)), ConfigurationError)
    assert f"'{text}' is no client id, expected a number from 1 to" in read


@pytest.mark.parametrize("text", ["localhost", ":7497", "localhost:tws", "localhost:70000", "localhost:0"])
def test_an_address_that_is_none_is_refused(make_source: MakeSource, text: str) -> None:
    read = message(lambda: ask(make_source(universe=SHARE, endpoint=text)), ConfigurationError)
    assert f"'{text}' is no address, expected host:port such as 127.0.0.1:7497" in read


def test_a_door_that_closes_at_once_says_how_to_open_it(make_source: MakeSource, tws: Tws) -> None:
    tws.on_connect.append(DROP)
    read = message(lambda: ask(make_source(universe=SHARE, patience={"try_seconds": 10.0})))
    assert "it ended the connection at once" in read
    assert "start TWS or IB Gateway" in read


def test_a_tws_that_is_cut_off_while_connecting_is_tried_again(make_source: MakeSource, tws: Tws) -> None:
    tws.at_start.append(layouts.error(-1, 1100, "Connectivity between IB and Trader Workstation has been lost."))
    read = message(lambda: ask(make_source(universe=SHARE)))
    assert "lost the connection to TWS" in read
    assert "gave up after 3 tries" in read


def test_a_tws_that_is_too_old_is_said(make_source: MakeSource, tws: Tws) -> None:
    tws.version = 150
    read = message(lambda: ask(make_source(universe=SHARE, patience={"try_seconds": 10.0})))
    assert "TWS/gateway version must be >= 972" in read


def test_a_tws_that_accepts_but_says_nothing_hints_at_its_dialog(make_source: MakeSource, tws: Tws) -> None:
    tws.on_connect.extend([HANG] * 3)
    read = message(lambda: ask(make_source(universe=SHARE, patience=SHORT)))
    assert "did not complete the connection within 0.15 s; gave up after 3 tries" in read
    assert "a dialog may ask whether to accept the connection" in read


def test_a_farm_that_is_down_while_connecting_does_not_hinder_it(make_source: MakeSource, tws: Tws) -> None:
    tws.at_start.append(layouts.error(-1, 2103, "Market data farm connection is broken:eufarm"))
    tws.at_start.append(layouts.error(-1, 321, "Error validating request: The API interface is in Read-Only mode."))
    assert ask(make_source(universe=SHARE)).rows.height == 3


def test_a_client_that_decodes_otherwise_is_refused(make_source: MakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    from ib_async.decoder import Decoder  # noqa: PLC0415 -- only this test looks inside the client

    original = Decoder.__init__

    def emptied(self: Any, *rest: Any) -> None:
        original(self, *rest)
        self.handlers = {}

    monkeypatch.setattr(Decoder, "__init__", emptied)
    read = message(lambda: ask(make_source(universe=SHARE)))
    assert "this version of ib_async decodes messages in another way" in read


def test_the_client_logs_nothing_to_the_terminal_by_itself(make_source: MakeSource) -> None:
    ask(make_source(universe=SHARE))
    assert any(isinstance(one, logging.NullHandler) for one in logging.getLogger("ib_async").handlers)


def test_a_server_stops_when_its_test_ends() -> None:
    with running() as tws:
        port = tws.port
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1)
