"""What the TWS of the tests knows: a few contracts, and history for every session. All numbers are our own.

The shapes are those of IB's replies: prices and volumes as decimals in text, bars stamped with their begin.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from pipeline_defs.markets.market import market

NEW_YORK = ZoneInfo("America/New_York")

type Bar = tuple[str, str, str, str, str, str, str, str]
"""Date, open, high, low, close, volume, average, count."""


@dataclass(frozen=True)
class Security:
    number: int
    symbol: str
    security_type: str
    exchange: str = "SMART"
    primary: str = "NASDAQ"
    currency: str = "USD"
    local_symbol: str = ""
    trading_class: str = ""
    last_trade: str = ""
    expires: str = ""
    strike: str = ""
    right: str = ""
    multiplier: str = ""
    min_tick: str = "0.01"
    min_size: str = "1"
    isin: str = ""
    volume: str = "100"


@dataclass(frozen=True)
class OptionOffer:
    exchange: str
    underlying: int
    trading_class: str
    multiplier: str
    expirations: tuple[str, ...]
    strikes: tuple[str, ...]


ACME = Security(101, "ACME", "STK", local_symbol="ACME", trading_class="NMS", isin="US0000000001", volume="1200")
INDEX = Security(
    201, "WIDX", "IND", exchange="CBOE", primary="", local_symbol="WIDX", trading_class="WIDX", min_tick="0.05",
    volume="0",
)  # fmt: skip
FUTURES = tuple(
    Security(
        300 + number, "WIDX", "FUT", exchange="CME", primary="", local_symbol=f"WX{letter}6", trading_class="WIDX",
        last_trade=day, expires=day, multiplier="50", min_tick="0.25", volume="7",
    )
    for number, (letter, day) in enumerate((("U", "20260918"), ("Z", "20261218"), ("H", "20270319")))
)  # fmt: skip
OPTIONS = tuple(
    Security(
        400 + number, "ACME", "OPT", exchange="SMART", primary="", local_symbol=f"ACME  261218{right}{strike:0>5}000",
        trading_class="ACME", last_trade="20261218", expires="20261218", strike=f"{strike}.0", right=right,
        multiplier="100", volume="3",
    )
    for number, (right, strike) in enumerate((("C", 150), ("P", 150), ("C", 155), ("P", 155)))
)  # fmt: skip
OFFERS = (
    OptionOffer("SMART", 101, "ACME", "100", ("20261218", "20261224"), ("150.0", "155.0")),
    OptionOffer("CBOE", 101, "ACME", "100", ("20261218",), ("150.0",)),
)

SECURITIES = (ACME, INDEX, *FUTURES, *OPTIONS)

OPENS = {101: "219.01", 201: "5000.5", 301: "5010.25", 400: "71.4", 402: "66.15"}
"""What a session's first bar opens at; the rest is made of it."""


def minute_bars(security: Security, day: dt.date) -> list[Bar]:
    """Three bars of a session: its first two minutes and its last."""
    opens, closes = market("US").open(day), market("US").close(day)
    begins = (opens, opens + dt.timedelta(minutes=1), closes - dt.timedelta(minutes=1))
    price = OPENS.get(security.number, "10.0")
    return [(str(int(begin.timestamp())), price, price, price, price, security.volume, price, "2") for begin in begins]


def daily_bar(security: Security, day: dt.date) -> Bar:
    price = OPENS.get(security.number, "10.0")
    return f"{day:%Y%m%d}", price, price, price, price, security.volume, price, "2"


def session_days(last: dt.datetime, count: int) -> list[dt.date]:
    """The last sessions up to an instant: IB's "days" of daily bars are sessions."""
    day = last.astimezone(NEW_YORK).date()
    days: list[dt.date] = []
    while len(days) < count:
        if market("US").closed_reason(day) is None:
            days.append(day)
        day -= dt.timedelta(days=1)
    return days[::-1]


@dataclass
class World:
    """What is known; tests change their own copy.

    Parameters
    ----------
    bars : dict
        (contract number, bar size, day) to bars that are told in place of the usual ones.
    ticks : dict
        (contract number, TRADES or BID_ASK) to ticks: first field the second, then as in the protocol.

    """

    securities: list[Security] = field(default_factory=lambda: list(SECURITIES))
    offers: list[OptionOffer] = field(default_factory=lambda: list(OFFERS))
    bars: dict[tuple[int, str, dt.date], list[Bar]] = field(default_factory=dict)
    ticks: dict[tuple[int, str], list[tuple[str, ...]]] = field(default_factory=dict)

    def matching(self, asked: dict[str, str]) -> list[Security]:
        """Contracts that a request means; an empty field may be anything."""
        return [one for one in self.securities if _matches(one, asked)]

    def history(self, number: int, size: str, last: dt.datetime, days: int) -> list[Bar]:
        security = next(one for one in self.securities if one.number == number)
        if size == "1 day":
            usual = {day: [daily_bar(security, day)] for day in session_days(last, days)}
        else:
            usual = {day: minute_bars(security, day) for day in session_days(last, days)}
        return [bar for day in usual for bar in self.bars.get((number, size, day), usual[day])]


def _matches(one: Security, asked: dict[str, str]) -> bool:
    if asked["conId"] not in {"", "0"}:
        return str(one.number) == asked["conId"]
    pairs = (
        (asked["symbol"], one.symbol),
        (asked["secType"], one.security_type),
        (asked["lastTradeDateOrContractMonth"], one.last_trade),
        (asked["right"], one.right),
        (asked["exchange"], one.exchange),
        (asked["primaryExchange"], one.primary),
        (asked["currency"], one.currency),
        (asked["tradingClass"], one.trading_class),
    )
    return all(wanted in {"", has} for wanted, has in pairs)
