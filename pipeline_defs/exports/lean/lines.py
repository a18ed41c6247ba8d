"""One line of a data file: text to values and back, for every security type, resolution and tick type.

The reference of the format, one line at a time; whole columns are written by `columns` and read by `reading`, and tests
hold both against this module. Times are as in the file: LEAN stamps a bar with its start.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pipeline_defs.exports.lean.entries import plain_text
from pipeline_defs.exports.lean.kinds import SCALE, LeanFormatError, Resolution, SecurityType, TickType
from pipeline_defs.exports.lean.paths import parse_date

TIME_FORMAT: Final = "%Y%m%d %H:%M"
"""Of hour and daily data, as `datetime.strftime` takes it."""

MILLISECONDS_OF_DAY: Final = 86_400_000

NUMBER: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
"""A decimal number in plain notation."""

WHOLE: Final = r"-?(?:0|[1-9][0-9]*)"


@dataclass(frozen=True, slots=True)
class Prices:
    """Four prices of a bar, in currency."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True)
class TradeBar:
    """A bar of trades; `time` is its start: milliseconds since midnight, or date and time (hour, daily)."""

    time: Decimal | dt.datetime
    prices: Prices
    volume: Decimal


@dataclass(frozen=True, slots=True)
class QuoteBar:
    """A bar of quotes; a side that nobody quoted is None, with size 0."""

    time: Decimal | dt.datetime
    bid: Prices | None
    bid_size: Decimal
    ask: Prices | None
    ask_size: Decimal


@dataclass(frozen=True, slots=True)
class OpenInterest:
    """Contracts open at an instant."""

    time: Decimal | dt.datetime
    value: Decimal


@dataclass(frozen=True, slots=True)
class TradeTick:
    """A trade. `exchange` and `condition` are None for security types whose lines have no place for them."""

    time: Decimal
    price: Decimal
    size: Decimal
    exchange: str | None
    condition: str | None
    suspicious: bool


@dataclass(frozen=True, slots=True)
class QuoteTick:
    """A quote. `bid_size`, `ask_size` and `suspicious` are None for forex and cfd, which have only prices."""

    time: Decimal
    bid: Decimal
    bid_size: Decimal | None
    ask: Decimal
    ask_size: Decimal | None
    exchange: str | None
    condition: str | None
    suspicious: bool | None


type Line = TradeBar | QuoteBar | OpenInterest | TradeTick | QuoteTick


def format_line(line: Line, security: SecurityType, resolution: Resolution) -> str:
    """Write a line.

    Parameters
    ----------
    line : Line
        Values in currency.
    security : SecurityType
        Decides on the scale.
    resolution : Resolution
        Decides on the form of the time.

    Returns
    -------
    str
        Without the end of the line.

    Raises
    ------
    LeanFormatError
        If the security type is scaled and a price has more than four decimals: LEAN would cut them off.

    """
    time = _time_text(line.time, resolution)
    match line:
        case TradeBar():
            return ",".join([time, *_prices(line.prices, security), plain_text(line.volume)])
        case QuoteBar():
            sides = (*_prices(line.bid, security), plain_text(line.bid_size), *_prices(line.ask, security))
            return ",".join([time, *sides, plain_text(line.ask_size)])
        case OpenInterest():
            return f"{time},{plain_text(line.value)}"
        case TradeTick():
            return ",".join([time, _price(line.price, security), plain_text(line.size), *_tail(line, security)])
        case QuoteTick():
            bid, ask = _price(line.bid, security), _price(line.ask, security)
            if line.bid_size is None or line.ask_size is None:
                return f"{time},{bid},{ask}"
            sizes = plain_text(line.bid_size), plain_text(line.ask_size)
            return ",".join([time, bid, sizes[0], ask, sizes[1], *_tail(line, security)])


def parse_line(text: str, security: SecurityType, resolution: Resolution, tick_type: TickType) -> Line:
    """Read a line.

    Parameters
    ----------
    text : str
        Without the end of the line.
    security, resolution, tick_type
        Of the file.

    Returns
    -------
    Line
        Values in currency.

    Raises
    ------
    LeanFormatError
        If the line does not have the form that LEAN reads: too few or too many fields, a number that is none, a
        fraction in a scaled price, one half of a quote, or a time outside the day.

    """
    if re.fullmatch(line_pattern(security, resolution, tick_type), text, re.ASCII) is None:
        raise LeanFormatError(f"is not a line of {resolution} {tick_type} data of type {security}", where=repr(text))
    fields = text.split(",")
    time = _parse_time(fields[0], resolution)
    if tick_type is TickType.OPEN_INTEREST:
        return OpenInterest(time, Decimal(fields[1]))
    unit = SCALE if security.is_scaled else 1
    if resolution is Resolution.TICK:
        return _parse_tick(fields, time, unit, security, tick_type)
    if tick_type is TickType.QUOTE:
        bid, ask = _parse_prices(fields[1:5], unit), _parse_prices(fields[6:10], unit)
        return QuoteBar(time, bid, Decimal(fields[5]), ask, Decimal(fields[10]))
    prices = _parse_prices(fields[1:5], unit)
    if prices is None:  # the pattern asks for them
        raise AssertionError(text)
    return TradeBar(time, prices, Decimal(fields[5]))


def line_pattern(security: SecurityType, resolution: Resolution, tick_type: TickType) -> str:
    """Give the grammar of a line as a regular expression without look-around or groups.

    Parameters
    ----------
    security, resolution, tick_type
        Of the file.

    Returns
    -------
    str
        To be matched against the whole line.

    """
    time = r"[0-9]{8} (?:[01][0-9]|2[0-3]):[0-5][0-9]" if resolution.is_coarse else r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
    price = WHOLE if security.is_scaled else NUMBER
    if tick_type is TickType.OPEN_INTEREST:
        return rf"{time},{NUMBER}"
    if resolution is Resolution.TICK:
        return _tick_pattern(time, price, security, tick_type)
    prices = ",".join([price] * 4)
    if tick_type is TickType.TRADE:
        return rf"{time},{prices},{NUMBER}"
    side = rf"(?:{prices},{NUMBER}|,,,,0)"
    return rf"{time},{side},{side}"


def _tick_pattern(time: str, price: str, security: SecurityType, tick_type: TickType) -> str:
    if security.is_quoted_only:
        return rf"{time},{price},{price}"
    tail = "[01]" if security in {SecurityType.CRYPTO, SecurityType.CRYPTO_FUTURE} else r"[^,]*,[^,]*,[01]"
    if tick_type is TickType.TRADE:
        return rf"{time},{price},{NUMBER},{tail}"
    if security is not SecurityType.EQUITY:
        tail = tail.removeprefix("[^,]*,")
    return rf"{time},{price},{NUMBER},{price},{NUMBER},{tail}"


def _parse_tick(
    fields: list[str], time: Decimal | dt.datetime, unit: int, security: SecurityType, kind: TickType
) -> Line:
    if isinstance(time, dt.datetime):
        raise LeanFormatError("a tick has no date of its own", where=",".join(fields))
    if kind is TickType.TRADE:
        exchange, condition = (fields[3], fields[4]) if len(fields) > 4 else (None, None)  # noqa: PLR2004
        return TradeTick(time, Decimal(fields[1]) / unit, Decimal(fields[2]), exchange, condition, fields[-1] == "1")
    if security.is_quoted_only:
        return QuoteTick(time, Decimal(fields[1]) / unit, None, Decimal(fields[2]) / unit, None, None, None, None)
    more = fields[5:-1]
    return QuoteTick(
        time,
        Decimal(fields[1]) / unit,
        Decimal(fields[2]),
        Decimal(fields[3]) / unit,
        Decimal(fields[4]),
        more[0] if more else None,
        more[1] if len(more) > 1 else None,
        fields[-1] == "1",
    )


def _parse_prices(fields: list[str], unit: int) -> Prices | None:
    if not any(fields):
        return None
    return Prices(*(Decimal(field) / unit for field in fields))


def _parse_time(text: str, resolution: Resolution) -> Decimal | dt.datetime:
    if not resolution.is_coarse:
        time = Decimal(text)
        if time >= MILLISECONDS_OF_DAY:
            raise LeanFormatError(f"the time {text} lies after the day's {MILLISECONDS_OF_DAY} milliseconds")
        return time
    return dt.datetime.combine(parse_date(text[:8], text), dt.time(int(text[9:11]), int(text[12:])))


def _time_text(time: Decimal | dt.datetime, resolution: Resolution) -> str:
    if isinstance(time, dt.datetime) != resolution.is_coarse:
        raise LeanFormatError(f"the time was {time!r}, expected the kind that {resolution} data have")
    return f"{time:{TIME_FORMAT}}" if isinstance(time, dt.datetime) else plain_text(time)


def _prices(prices: Prices | None, security: SecurityType) -> list[str]:
    if prices is None:
        return [""] * 4
    return [_price(price, security) for price in (prices.open, prices.high, prices.low, prices.close)]


def _price(price: Decimal, security: SecurityType) -> str:
    if not security.is_scaled:
        return plain_text(price)
    scaled = price * SCALE
    if scaled != scaled.to_integral_value():
        raise LeanFormatError(f"the price {price} has more than the four decimals that files of {security} hold")
    return plain_text(scaled)


def _tail(tick: TradeTick | QuoteTick, security: SecurityType) -> list[str]:
    flag = "1" if tick.suspicious else "0"
    if security in {SecurityType.CRYPTO, SecurityType.CRYPTO_FUTURE}:
        return [flag]
    exchange, condition = tick.exchange or "", tick.condition or ""
    if isinstance(tick, QuoteTick) and security is not SecurityType.EQUITY:
        return [exchange, flag]
    return [exchange, condition, flag]
