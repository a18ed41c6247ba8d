"""Whether a chart speaks of what was asked for: Yahoo answers some questions with something near it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.sources.yahoo.drift import drift
from pipeline_defs.sources.yahoo.reach import reach_of

if TYPE_CHECKING:
    from pipeline_defs.markets.market import Market
    from pipeline_defs.sources.asking.questions import Question

_SAME_INTERVAL: Final = {"60m": "1h"}
_SECTIONS: Final = {"EQUITY": "equities", "ETF": "equities", "MUTUALFUND": "equities", "INDEX": "indices"}
"""Yahoo's types to sections of the universe."""
_NEAR: Final = dt.timedelta(hours=2)
"""Zones that differ by no more have the same trade dates: Chicago's indices are days of New York."""


def zone_of(meta: dict[str, Any]) -> ZoneInfo:
    """Read the zone of a chart's exchange.

    Raises
    ------
    SchemaDriftError
        If there is none.

    """
    try:
        return ZoneInfo(meta["exchangeTimezoneName"])
    except (KeyError, TypeError, ValueError, OSError):
        named = meta.get("exchangeTimezoneName")
        raise drift(f"'exchangeTimezoneName' is {named!r}, expected the name of a zone") from None


def check_meta(meta: dict[str, Any], question: Question, market: Market) -> None:
    """Compare what Yahoo says of a chart with what was asked.

    Parameters
    ----------
    meta : dict
        Of the chart.
    question : Question
        What was asked.
    market : Market
        Whose days are meant.

    Raises
    ------
    SourceError
        If it is a chart of another symbol, or of bars of another length.
    ConfigurationError
        If the universe says something else of the instrument: its market, kind or currency.

    """
    symbol, terms = question.listed.vendor_id, question.listed.terms
    answered = str(meta.get("symbol"))
    if answered.upper() != symbol.upper():
        raise SourceError(
            f"Yahoo answered with {answered!r} when asked for {symbol!r}",
            next_step="name the symbol in the universe as Yahoo writes it now",
        )
    interval, granularity = reach_of(question.dataset).interval, str(meta.get("dataGranularity"))
    if _SAME_INTERVAL.get(granularity, granularity) != interval:
        raise SourceError(
            f"Yahoo answered with bars of {granularity!r} when asked for {interval!r}; nothing was stored",
            next_step="ask for fewer days, or for another length",
        )
    apart = abs(_offset(zone_of(meta), question.start) - _offset(ZoneInfo(market.zone), question.start))
    if apart > _NEAR:
        raise ConfigurationError(
            f"{symbol} trades in {meta['exchangeTimezoneName']}, but the market {market.name} is in {market.zone}",
            next_step="name its market in the yahoo section of the universe file; one market, one file",
        )
    _check_kind(str(meta.get("instrumentType")), question)
    currency = meta.get("currency")
    if currency and terms.get("currency") and currency != terms["currency"]:
        raise ConfigurationError(
            f"{symbol} is quoted in {currency}, the universe says {terms['currency']}",
            next_step=f"write 'currency: {currency.upper()}' beside the symbol, if that is meant"
            if currency.isupper()
            else "leave it out: prices in a hundredth of a currency are not converted here",
        )


def _check_kind(vendor_kind: str, question: Question) -> None:
    section = _SECTIONS.get(vendor_kind)
    if section is None:
        raise ConfigurationError(
            f"Yahoo says that {question.listed.symbol} is of type {vendor_kind}; taken are {', '.join(_SECTIONS)}",
            next_step="leave it out of the yahoo section; pairs of currencies come from the source ccxt",
        )
    named = "indices" if question.listed.kind == "SPOT" else "equities"
    if section != named:
        raise ConfigurationError(
            f"Yahoo says that {question.listed.symbol} is of type {vendor_kind}, the universe names it under {named}",
            next_step=f"name it under {section}",
        )


def _offset(zone: ZoneInfo, instant: dt.datetime) -> dt.timedelta:
    return instant.astimezone(zone).utcoffset() or dt.timedelta()
