"""Random contracts, and how each grammar writes them: the other direction of the parsers, for round trips."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from pipeline_defs.markets.tickers.lexicon import DIGIT_ENDED, MONTHS, NO_UNDERLYINGS

if TYPE_CHECKING:
    from pipeline_defs.markets.tickers.contract import OptionType

STUB = re.compile(rf"\d\d(?:{'|'.join(MONTHS)}|[OND])\Z")
OTHER_RULES = {"DJIA", "FTSE100", "INDIAVIX", "S&P500"}

TRADE_DATES = st.dates(dt.date(2010, 1, 1), dt.date(2027, 6, 30))
OPTION_TYPES: st.SearchStrategy[OptionType] = st.sampled_from(["CE", "PE"])
REAL = ("NIFTY", "BANKNIFTY", "M&M", "BAJAJ-AUTO", "360ONE", "3MINDIA", "NIFTYNXT50", "SENSEX50", "NETWORK18")


def is_underlying(text: str) -> bool:
    return text[0] not in "&-" and re.search("[A-Z]", text) is not None and STUB.search(text) is None


UNDERLYINGS = st.one_of(
    st.sampled_from(REAL),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789&-", min_size=1, max_size=12).filter(is_underlying),
).filter(lambda text: text not in OTHER_RULES)

DECLARED_UNDERLYINGS = st.one_of(
    st.sampled_from(DIGIT_ENDED),
    UNDERLYINGS.filter(lambda text: not text[-1].isdigit() and text not in NO_UNDERLYINGS),
)
"""For grammars in which only declared underlyings end in a digit."""

STRIKES = st.one_of(
    st.integers(1, 9_999_999).map(Decimal),
    st.builds(lambda whole, cents: Decimal(f"{whole}.{cents:02d}"), st.integers(0, 999_999), st.integers(1, 99)),
)


def written(strike: Decimal) -> str:
    """A strike as it stands in a name: without trailing zeros."""
    return f"{strike:f}".rstrip("0").rstrip(".") if "." in f"{strike:f}" else f"{strike:f}"


def day_first(day: dt.date) -> str:
    return f"{day.day:02d}{MONTHS[day.month - 1]}{day:%y}"


def weekly_code(day: dt.date) -> str:
    return f"{day:%y}{'123456789OND'[day.month - 1]}{day:%d}"


@st.composite
def dates(draw: st.DrawFn) -> tuple[dt.date, dt.date]:
    """A trade date, and an expiry on it or up to five years later."""
    trade_date = draw(TRADE_DATES)
    return trade_date, trade_date + dt.timedelta(days=draw(st.integers(0, 1_825)))
