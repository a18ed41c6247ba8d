"""What each of TWS's messages means: one number may mean several things."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.interactive_brokers.errors import (
    NothingThere,
    UnknownContractError,
    history_farm,
    verdict,
)

SERVICE = "Historical Market Data Service error message:"


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (100, "Max rate of messages per second has been exceeded", TryAgainError),
        (162, f"{SERVICE}HMDS query returned no data: ACME@SMART Trades", NothingThere),
        (162, f"{SERVICE}Historical data request pacing violation", TryAgainError),
        (162, f"{SERVICE}No market data permissions for NYSE STK", SourceError),
        (162, f"{SERVICE}Time length exceed max.", SourceError),
        (162, "API historical data query cancelled: 3", SourceError),
        (200, "No security definition has been found for the request", UnknownContractError),
        (321, "Error validating request.-'bT' : cause - bad", SourceError),
        (
            322,
            "Error processing request.-'bT' : cause - Only 50 simultaneous API requests",
            TryAgainError,
        ),
        (326, "Unable to connect as the client id is already in use.", SourceError),
        (354, "Requested market data is not subscribed.", SourceError),
        (366, "No historical data query found for ticker id:3", TryAgainError),
        (420, "Invalid Real-time Query:Historical data request pacing violation", TryAgainError),
        (420, "Invalid Real-time Query:No market data permissions for ISLAND STK", SourceError),
        (502, "Couldn't connect to TWS.", SourceError),
        (504, "Not connected", SourceError),
        (1100, "Connectivity between IB and Trader Workstation has been lost.", TryAgainError),
        (1300, "TWS socket port has been reset", TryAgainError),
        (2103, "Market data farm connection is broken:usfarm", TryAgainError),
        (2105, "HMDS data farm connection is broken:ushmds", TryAgainError),
        (2110, "Connectivity between TWS and server is broken.", TryAgainError),
        (10090, "Part of requested market data is not subscribed.", SourceError),
    ],
)
def test_a_message_ends_a_request_in_one_way(code: int, text: str, kind: type) -> None:
    assert type(verdict(code, text)) is kind


@pytest.mark.parametrize("code", [1101, 1102, 2104, 2106, 2107, 2108, 2119, 2158, 2152, 2174, 10167])
def test_a_message_that_is_no_trouble_ends_nothing(code: int) -> None:
    assert verdict(code, "Requested market data is not subscribed. Displaying delayed market data.") is None


def test_not_connected_says_how_to_start_tws() -> None:
    read = str(verdict(504, "Not connected"))
    assert "not connected to TWS (504: Not connected)" in read
    assert "start TWS or IB Gateway and log in" in read


def test_a_client_id_in_use_says_which_variable_to_set() -> None:
    assert "set IB_CLIENT_ID to a number that is free" in str(verdict(326, "Unable to connect"))


def test_waits_are_multiples_of_the_callers_patience() -> None:
    for code, text, seconds in ((162, "pacing violation", 60.0), (366, "No query found", 15.0), (100, "Max rate", 2.0)):
        for unit in (1.0, 0.01):
            meant = verdict(code, text, first_wait_seconds=unit)
            assert isinstance(meant, TryAgainError)
            assert meant.wait_seconds == pytest.approx(seconds * unit)


def test_a_farm_is_known_by_its_name() -> None:
    assert history_farm(2105, "HMDS data farm connection is broken:ushmds") == ("ushmds", True)
    assert history_farm(2107, "HMDS data farm connection is inactive but should be available upon demand.ushmds:x") == (
        "x",
        False,
    )
    assert history_farm(2104, "Market data farm connection is OK:usfarm") is None


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 20_000), st.text(max_size=60))
def test_emptiness_is_only_what_tws_says_in_words(code: int, text: str) -> None:
    meant = verdict(code, text)
    if isinstance(meant, NothingThere):
        assert "no data" in text.lower() or "no historical data available" in text.lower()
