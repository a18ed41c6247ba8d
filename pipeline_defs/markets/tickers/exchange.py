"""The exchange's own names, as NSE and Kite write them: year first, the day only in weekly contracts.

=========================  ===================================================================
``NIFTY25AUG24500CE``      monthly option: year, month, strike; the day comes from the rules
``NIFTY25AUGFUT``          monthly future
``NIFTY2590924100PE``      weekly option: year, month as 1-9, O, N or D, two-digit day, strike
=========================  ===================================================================

Why a name has one reading only. In a monthly name the strike is all that stands between the month's letters
and CE or PE, so every part has one place. In a weekly one with a letter for the month likewise. In a weekly one
with a digit for the month, the expiry begins after the last character that is no digit, because an underlying
ends in a digit only if it is listed in `lexicon.DIGIT_ENDED`, and never in what looks like the start of an
expiry (two digits and a month). Of the listed ones only SENSEX50 is another underlying without its digits: there both
readings are tried, one that expires a decade ahead of the other is dropped, and two that remain are refused.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import MarketRuleError, TickerError
from pipeline_defs.markets.expiries import monthly_expiry
from pipeline_defs.markets.tickers.lexicon import (
    DIGIT_ENDED,
    MONTH,
    MONTHS,
    NO_UNDERLYINGS,
    STRIKE,
    UNDERLYING,
    Words,
    shape,
    venue_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.markets.tickers.contract import Contract

_MONTHLY: Final = re.compile(rf"({UNDERLYING})(\d\d{MONTH})(?:({STRIKE})(CE|PE)|FUT)", re.ASCII)
_WEEKLY: Final = (
    re.compile(rf"([A-Z0-9&-]*[A-Z&-])(\d\d[1-9]\d\d)({STRIKE})(CE|PE)", re.ASCII),
    re.compile(rf"({UNDERLYING})(\d\d[OND]\d\d)({STRIKE})(CE|PE)", re.ASCII),
    re.compile(rf"({'|'.join(DIGIT_ENDED)})(\d\d[1-9]\d\d)({STRIKE})(CE|PE)", re.ASCII),
)
_MONTH_CODES: Final = "123456789OND"

_UNDERLYING_PART: Final = (rf"\A{UNDERLYING}", "an underlying of capitals, digits, & and -")
_SHAPES: Final = (
    shape(
        ("CE|PE", "CE, PE or FUT"),
        (STRIKE, "a strike of 1 to 7 digits"),
        (MONTH, "a month JAN to DEC, or a weekly expiry of year, 1-9, O, N or D, and day"),
        (r"\d\d", "a two-digit year"),
        _UNDERLYING_PART,
    ),
    shape(
        ("CE|PE", "CE, PE or FUT"),
        (rf"\d\d[1-9OND]\d\d{STRIKE}", "a weekly expiry and a strike of 1 to 7 digits"),
        _UNDERLYING_PART,
    ),
    shape(("FUT", "CE, PE or FUT"), (MONTH, "a month JAN to DEC"), (r"\d\d", "a two-digit year"), _UNDERLYING_PART),
)


class ExchangeReader:
    """Reads the exchange's names as used on one trade date.

    Parameters
    ----------
    trade_date : datetime.date
        Day on which the names were used.

    """

    def __init__(self, trade_date: dt.date) -> None:
        self._words = Words("exchange", trade_date)
        self._monthly: dict[tuple[str, str], dt.date] = {}
        self._weekly: dict[str, dt.date] = {}

    def __call__(self, ticker: str) -> list[Contract]:
        """Read one name.

        Parameters
        ----------
        ticker : str
            The name, without a suffix.

        Returns
        -------
        list of Contract
            One; two where SENSEX and SENSEX50 both fit.

        Raises
        ------
        TickerError
            If the name does not follow the grammar, or expired before the trade date.

        """
        match = _MONTHLY.fullmatch(ticker)
        if match is None:
            return self._read_weekly(ticker)
        underlying, year_month, strike, option_type = match.groups()
        expiry = self._monthly.get((underlying, year_month))
        if expiry is None:
            expiry = self._monthly[underlying, year_month] = self._monthly_date(ticker, underlying, year_month)
        if strike is None:
            return [self._words.future(ticker, underlying, expiry, venue_of(underlying))]
        return [
            self._words.option(ticker, underlying, expiry, strike, option_type=option_type, venue=venue_of(underlying))
        ]

    def _read_weekly(self, ticker: str) -> list[Contract]:
        readings: list[Contract] = []
        refusals: list[TickerError] = []
        for match in _weekly_matches(ticker):
            underlying, code, strike, option_type = match.groups()
            try:
                expiry = self._weekly_date(ticker, code)
                readings.append(
                    self._words.option(
                        ticker, underlying, expiry, strike, option_type=option_type, venue=venue_of(underlying)
                    )
                )
            except TickerError as refusal:
                refusals.append(refusal)
        if readings:
            return self._words.credible(readings)
        raise refusals[-1] if refusals else self._words.misfit(ticker, ticker, _SHAPES)

    def _monthly_date(self, ticker: str, underlying: str, year_month: str) -> dt.date:
        year, month = 2000 + int(year_month[:2]), MONTHS.index(year_month[2:]) + 1
        try:
            return monthly_expiry(underlying, year, month, self._words.trade_date)
        except MarketRuleError as error:
            raise self._words.error(ticker, error.what, error.next_step) from error

    def _weekly_date(self, ticker: str, code: str) -> dt.date:
        date = self._weekly.get(code)
        if date is None:
            try:
                date = dt.date(2000 + int(code[:2]), _MONTH_CODES.index(code[2]) + 1, int(code[3:]))
            except ValueError as error:
                raise self._words.error(ticker, f"no exchange name: {code} is no weekly expiry") from error
            self._weekly[code] = date
        return date


def _weekly_matches(ticker: str) -> Iterator[re.Match[str]]:
    for pattern in _WEEKLY:
        match = pattern.fullmatch(ticker)
        if match is not None and match[1] not in NO_UNDERLYINGS:
            yield match
