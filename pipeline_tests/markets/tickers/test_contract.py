"""What the command line prints of a contract is exact JSON."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
from hypothesis import given

from pipeline_defs.markets.tickers.contract import Contract
from pipeline_tests.markets.tickers.contracts import STRIKES

EXPIRY = dt.date(2025, 8, 28)
OPTION = Contract("ASHOKLEY25AUG122.5CE", "OPT", "ASHOKLEY", EXPIRY, Decimal("122.5"), "CE", None, None, "NSE")
ROLLING = Contract("NIFTY-I.NFO", "CONT", "NIFTY", EXPIRY, None, None, 1, None, "NSE")


def test_an_option_with_a_half_strike_prints_an_exact_number() -> None:
    assert OPTION.to_json_line() == (
        '{"ticker": "ASHOKLEY25AUG122.5CE", "kind": "OPT", "underlying": "ASHOKLEY", "expiry": "2025-08-28",'
        ' "strike": 122.5, "option_type": "CE", "rank": null, "series": null}'
    )


def test_a_rolling_future_prints_its_rank_and_the_contract_it_meant() -> None:
    assert json.loads(ROLLING.to_json_line()) == {
        "ticker": "NIFTY-I.NFO",
        "kind": "CONT",
        "underlying": "NIFTY",
        "expiry": "2025-08-28",
        "strike": None,
        "option_type": None,
        "rank": 1,
        "series": None,
    }


@given(STRIKES)
def test_every_strike_survives_json_exactly(strike: Decimal) -> None:
    contract = Contract("X", "OPT", "X", EXPIRY, strike, "PE", None, None, "NSE")
    printed = json.loads(contract.to_json_line(), parse_float=Decimal)["strike"]
    assert printed == strike
    assert isinstance(printed, int) is (strike == strike.to_integral_value())
    assert contract.to_json()["strike"] == strike


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        (OPTION, "ASHOKLEY option expiring 2025-08-28, strike 122.5 CE"),
        (ROLLING, "NIFTY rolling future 1, on that day the one expiring 2025-08-28"),
        (
            Contract("NIFTY28AUG25FUT", "FUT", "NIFTY", EXPIRY, None, None, None, None, "NSE"),
            "NIFTY future expiring 2025-08-28",
        ),
        (Contract("NIFTY 50.NSE_IDX", "SPOT", "NIFTY", None, None, None, None, None, "NSE"), "NIFTY index"),
        (Contract("A.BE.NSE", "EQ", "A", None, None, None, None, "BE", "NSE"), "A series BE"),
    ],
)
def test_contracts_describe_themselves_in_words(contract: Contract, words: str) -> None:
    assert contract.describe() == words
