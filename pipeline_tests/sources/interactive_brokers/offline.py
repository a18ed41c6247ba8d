"""What the tests that all sources share are given of this one."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipeline_tests.sources.interactive_brokers.tws import DROP, Failure, Tws, running
from pipeline_tests.sources.offline import Offline, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

TRADE_DATE = dt.date(2026, 10, 14)
RANGE = (dt.date(2026, 10, 5), dt.date(2026, 10, 16))
"""Ten sessions of five instruments: more would not fit into IB's 60 requests in ten minutes."""

UNIVERSE: dict[str, Any] = {
    "equities": ["ACME"],
    "indices": [{"symbol": "WIDX", "venue": "CBOE"}],
    "futures": [{"underlying": "WIDX", "venue": "CME"}],
    "options": [
        {"underlying": "ACME", "expiries": [dt.date(2026, 12, 18)], "strikes": [150, 155], "option_types": ["CE"]}
    ],
}

TOO_FAST = Failure(100, "Max rate of messages per second has been exceeded:max=50 rec=51 (1)", for_all=True)
NOT_SUBSCRIBED = Failure(354, "Requested market data is not subscribed.")
AS_STATUS = {401: NOT_SUBSCRIBED, 403: NOT_SUBSCRIBED, 429: TOO_FAST}
"""What TWS says where a server of HTTP would answer with a status; every other one is a lost connection."""

MINUTES = [
    dt.datetime(2026, 10, 14, 13, 31, tzinfo=dt.UTC),
    dt.datetime(2026, 10, 14, 13, 32, tzinfo=dt.UTC),
    dt.datetime(2026, 10, 14, 20, 0, tzinfo=dt.UTC),
]
"""The session of that day opened at 13:30 and closed at 20:00 UTC; a bar is stamped with its close."""


def _flat(symbol: str, stamps: list[dt.datetime], price: str, volume: str | None) -> list[Row]:
    value = Decimal(price)
    return [
        (symbol, stamp, value, value, value, value, None if volume is None else Decimal(volume)) for stamp in stamps
    ]


EXPECTED: dict[str, list[Row]] = {
    "spot_prices": [
        ("ACME", MINUTES[0], Decimal("219.01"), Decimal("219.2"), Decimal("218.9"), Decimal("219.11"), Decimal(1200)),
        ("ACME", MINUTES[1], Decimal("219.11"), Decimal("219.11"), Decimal("218.34"), Decimal("218.34"), Decimal(40)),
        ("ACME", MINUTES[2], Decimal("221.5"), Decimal("221.505"), Decimal("221.36"), Decimal("221.39"), None),
        *_flat("WIDX", MINUTES, "5000.5", None),
    ],
    # A contract of the future is 50 units, one of the options 100.
    "futures_ticks": _flat("WXZ6", MINUTES, "5010.25", "350"),
    "options_ticks": [
        *_flat("ACME  261218C00150000", MINUTES, "71.4", "300"),
        *_flat("ACME  261218C00155000", MINUTES, "66.15", "300"),
    ],
    "equity_daily": _flat("ACME", [MINUTES[2]], "219.01", "1200"),
}

ACME_MINUTES = [
    (1791984600, "219.01", "219.20", "218.90", "219.11", "1200", "219.05", "31"),
    (1791984660, "219.11", "219.11", "218.34", "218.34", "40.0", "218.7", "3"),
    (1792007940, "221.5", "221.505", "221.36", "221.39", "-1", "221.4", "0"),
]
"""What TWS tells of that day: begins of bars, in seconds since 1970."""


def scripted() -> Tws:
    """The server with that day's bars."""
    tws = Tws()
    tws.world.bars[101, "1 min", TRADE_DATE] = [(str(begin), *rest) for begin, *rest in ACME_MINUTES]  # type: ignore[misc]
    return tws


@contextmanager
def start() -> Iterator[Offline]:
    """Run a TWS, and say what an import from it gives."""
    with running(scripted()) as tws:

        def fail_next(status: int, headers: dict[str, str], times: int) -> None:
            del headers
            tws.on_history.extend([AS_STATUS.get(status, DROP)] * times)

        yield Offline(
            environment={"PIPELINE_INTERACTIVE_BROKERS_ENDPOINT": tws.endpoint},
            universe=UNIVERSE,
            trade_date=TRADE_DATE,
            expected=EXPECTED,
            requests=lambda: tws.history_requests,
            range=(dt.date(2026, 10, 12), RANGE[1]),  # more would take turns of the rate limit for long
            fail_next=fail_next,
        )
