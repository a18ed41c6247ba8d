"""Which comparisons somebody asks for, of all that can be made."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline_defs.reconciliation.comparing import BHAVCOPY
from pipeline_defs.reconciliation.session import Pairing, choose_pairings

FOUND = [
    Pairing("options_ticks", "nse_csv", "zerodha", 60),
    Pairing("options_ticks", "nse_csv", "zerodha", 86_400),
    Pairing("options_ticks", "zerodha", BHAVCOPY, 86_400),
    Pairing("spot_prices", "nse_csv", "yahoo", 60),
]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, FOUND),
        ({"dataset": "spot_prices"}, FOUND[3:]),
        (
            {"left": "zerodha"},
            [
                Pairing("options_ticks", "zerodha", "nse_csv", 60),
                Pairing("options_ticks", "zerodha", "nse_csv", 86_400),
                FOUND[2],
            ],
        ),
        ({"right": BHAVCOPY}, FOUND[2:3]),
        ({"left": BHAVCOPY}, []),
        ({"left": "yahoo", "right": "nse_csv"}, [Pairing("spot_prices", "yahoo", "nse_csv", 60)]),
        (
            {"left": "nse_csv", "right": "zerodha", "lengths": (300, 90, 30)},
            [Pairing("options_ticks", "nse_csv", "zerodha", 300)],
        ),
        ({"right": BHAVCOPY, "lengths": (60,)}, []),
        ({"right": BHAVCOPY, "lengths": (60, 86_400)}, FOUND[2:3]),
    ],
)
def test_what_is_asked_for_is_chosen_and_turned(asked: dict[str, Any], expected: list[Pairing]) -> None:
    assert choose_pairings(FOUND, **asked) == expected
