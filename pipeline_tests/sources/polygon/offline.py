"""What the tests of all sources need to know of Polygon's: a filled server, and what an import from it must give."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline_tests.sources.offline import Offline, Row
from pipeline_tests.sources.polygon.server import KEY, Fault, PolygonServer, running

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = dt.date(2024, 1, 16)
FIRST, LAST = dt.date(2024, 1, 2), dt.date(2024, 1, 31)
_HOLIDAY = dt.date(2024, 1, 15)
OPTION = "O:AAPL240216C00185000"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_CONTRACTS = "/v3/reference/options/contracts"

UNIVERSE: dict[str, object] = {
    "equities": ["AAPL"],
    "indices": ["I:SPX"],
    "options": [{"underlying": "AAPL", "expiries": ["2024-02-16"], "strikes": [185, 185]}],
}


def stamp(hour: int, minute: int = 0, day: dt.date = DAY) -> int:
    """Give an instant of UTC in milliseconds."""
    return (dt.datetime.combine(day, dt.time(hour, minute), dt.UTC) - _EPOCH) // dt.timedelta(milliseconds=1)


def bar(t: int, ohlc: tuple[str, str, str, str], volume: str | None) -> str:
    """Write a bar as the vendor does, its numbers as they are given."""
    o, h, low, c = ohlc
    traded = "" if volume is None else f'"v":{volume},"vw":{o},"n":7,'
    return f'{{{traded}"o":{o},"c":{c},"h":{h},"l":{low},"t":{t}}}'


def contract(root: str, expiry: dt.date, side: str, strike: int, underlying: str | None = None) -> str:
    """Write a contract as the vendor does."""
    kind = "call" if side == "C" else "put"
    return (
        f'{{"cfi":"OCASPS","contract_type":"{kind}","exercise_style":"american","expiration_date":"{expiry}",'
        f'"primary_exchange":"BATO","shares_per_contract":100,"strike_price":{strike},'
        f'"ticker":"O:{root}{expiry:%y%m%d}{side}{strike * 1000:08d}","underlying_ticker":"{underlying or root}"}}'
    )


def fill(server: PolygonServer) -> None:
    """Give the server a month; by hand for `DAY`, a bar or two for the other sessions."""
    days = [FIRST + dt.timedelta(days=offset) for offset in range((LAST - FIRST).days + 1)]
    minutes, spx, daily, option = [], [], [], []
    for day in days:
        if day.weekday() > 4 or day == _HOLIDAY:
            continue
        if day == DAY:
            minutes += _MINUTES
            spx += _SPX
            daily += _DAILY
            option += _OPTION
            continue
        cents = f"{day.day:02d}"
        minutes.append(bar(stamp(14, 30, day), ("180.5", f"181.{cents}", "180", "180.75"), "1000"))
        spx.append(bar(stamp(14, 30, day), ("4700", f"4701.{cents}", "4699", "4700.5"), None))
        daily.append(bar(stamp(5, 0, day), ("180.5", f"185.{cents}", "180", "184"), "50000000"))
        option.append(bar(stamp(15, 0, day), ("4", f"4.{cents}", "4", "4"), "3"))
    server.bars |= {
        ("AAPL", 1, "minute"): minutes,
        ("I:SPX", 1, "minute"): spx,
        ("AAPL", 1, "day"): daily,
        (OPTION, 1, "minute"): option,
    }
    server.details |= {name: f'{{"ticker":"{name}"}}' for name in ("AAPL", "AAP", "AA", "I:SPX", "MSFT")}
    expiries = [dt.date(2024, 1, 19), dt.date(2024, 2, 16), dt.date(2024, 3, 15)]
    server.listings[_CONTRACTS] = [
        contract("AAPL", expiry, side, strike) for expiry in expiries for side in "CP" for strike in (180, 185, 190)
    ]
    server.listings |= {"/v3/reference/splits": [], "/v3/reference/dividends": []}


# Before the open, two minutes of the session, and one after the close: the last one is New York's 17:00.
_MINUTES = [
    bar(stamp(14, 0), ("181.9", "182", "181.9", "182"), "1500"),
    bar(stamp(14, 30), ("182.16", "182.43", "182.0301", "182.4"), "2312345"),
    bar(stamp(20, 59), ("183.6", "183.7", "183.55", "183.63"), "1.5e+06"),
    bar(stamp(22, 0), ("183.6", "183.6", "183.5", "183.5"), "90"),
]
_SPX = [bar(stamp(14, 30), ("4772.35", "4774.2", "4770.01", "4773"), None)]
_DAILY = [bar(stamp(5), ("182.16", "184.26", "180.934", "183.63"), "65603041.0")]
_OPTION = [bar(stamp(14, 30), ("4.05", "4.1", "4", "4.1"), "12")]


def _row(symbol: str, hour: int, minute: int, ohlc: tuple[str, str, str, str], volume: str | None) -> Row:
    instant = dt.datetime.combine(DAY, dt.time(hour, minute), dt.UTC)
    o, h, low, c = map(Decimal, ohlc)
    return symbol, instant, o, h, low, c, None if volume is None else Decimal(volume)


EXPECTED: dict[str, list[Row]] = {
    "spot_prices": [
        _row("AAPL", 14, 31, ("182.16", "182.43", "182.0301", "182.4"), "2312345"),
        _row("AAPL", 21, 0, ("183.6", "183.7", "183.55", "183.63"), "1500000"),
        _row("I:SPX", 14, 31, ("4772.35", "4774.2", "4770.01", "4773"), None),
    ],
    "equity_daily": [_row("AAPL", 21, 0, ("182.16", "184.26", "180.934", "183.63"), "65603041")],
    "options_ticks": [_row(OPTION, 14, 31, ("4.05", "4.1", "4", "4.1"), "1200")],
}


@contextmanager
def start() -> Iterator[Offline]:
    """Run a filled server."""
    with running() as server:
        fill(server)

        def fail_next(status: int, headers: dict[str, str], times: int) -> None:
            body = f'{{"status":"ERROR","request_id":"r9","error":"planted {status}"}}'
            server.fail(*[Fault(status, headers, body, only_history=True)] * times)

        yield Offline(
            environment={
                "PIPELINE_POLYGON_ENDPOINT": server.url,
                "POLYGON_API_KEY": KEY,
                "POLYGON_REQUESTS_PER_MINUTE": "6000",
            },
            universe=UNIVERSE,
            trade_date=DAY,
            expected=EXPECTED,
            requests=server.history,
            secrets=[KEY],
            range=(FIRST, LAST),
            fail_next=fail_next,
        )
