"""Names with the expiry as six digits, as TrueData writes them in file names.

================================  ==================================
``BANKBARODA250626256.65CE``      option: YYMMDD, strike
``NIFTY250626FUT``                future
``NIFTY-I``                       rolling future, ``-I`` to ``-III``
``NIFTY 50``, ``SENSEX``          index, under its own name
================================  ==================================

Where an underlying ends is decided as in the exchange's weekly names. A bare name is an index only if the table of
index names has it or it contains a space, which no contract's name does: a misspelt contract is never an index.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from pipeline_defs.errors import TickerError
from pipeline_defs.markets.tickers.contract import Contract
from pipeline_defs.markets.tickers.index_names import index_names, underlying_of_index
from pipeline_defs.markets.tickers.lexicon import (
    DIGIT_ENDED,
    NO_UNDERLYINGS,
    STRIKE,
    UNDERLYING,
    Words,
    shape,
    venue_of,
)

_OPTION: Final = re.compile(rf"([A-Z0-9&-]*[A-Z&-])(\d{{6}})({STRIKE})(CE|PE)", re.ASCII)
_DIGIT_ENDED_OPTION: Final = re.compile(rf"({'|'.join(DIGIT_ENDED)})(\d{{6}})({STRIKE})(CE|PE)", re.ASCII)
_FUTURE: Final = re.compile(rf"({UNDERLYING})(\d{{6}})FUT", re.ASCII)
_ROLLING: Final = re.compile(rf"({UNDERLYING})-(I{{1,3}})", re.ASCII)
_INDEX: Final = re.compile(r"[A-Z0-9][A-Z0-9&:%().,/+-]*(?: [A-Z0-9&:%().,/+-]+)+", re.ASCII)

_UNDERLYING_PART: Final = (rf"\A{UNDERLYING}", "an underlying of capitals, digits, & and -")
_SHAPES: Final = (
    shape(
        ("CE|PE", "CE, PE, FUT or an index name"),
        (rf"\d{{6}}{STRIKE}", "an expiry YYMMDD and a strike of 1 to 7 digits"),
        _UNDERLYING_PART,
    ),
    shape(("FUT", "CE, PE, FUT or an index name"), (r"\d{6}", "an expiry YYMMDD"), _UNDERLYING_PART),
)


class TrueDataReader:
    """Reads names with a six-digit expiry as used on one trade date.

    Parameters
    ----------
    trade_date : datetime.date
        Day on which the names were used.

    """

    def __init__(self, trade_date: dt.date) -> None:
        self._words = Words("truedata", trade_date)
        self._dates: dict[str, dt.date] = {}

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
        readings: list[Contract] = []
        refusals: list[TickerError] = []
        for pattern in (_OPTION, _DIGIT_ENDED_OPTION):
            match = pattern.fullmatch(ticker)
            if match is None or match[1] in NO_UNDERLYINGS:
                continue
            underlying, date, strike, option_type = match.groups()
            try:
                expiry = self._date(ticker, date)
                readings.append(
                    self._words.option(
                        ticker, underlying, expiry, strike, option_type=option_type, venue=venue_of(underlying)
                    )
                )
            except TickerError as refusal:
                refusals.append(refusal)
        if readings:
            return self._words.credible(readings)
        if refusals:
            raise refusals[-1]
        return [self._read_other(ticker)]

    def _read_other(self, ticker: str) -> Contract:
        if match := _FUTURE.fullmatch(ticker):
            underlying, date = match.groups()
            return self._words.future(ticker, underlying, self._date(ticker, date), venue_of(underlying))
        if match := _ROLLING.fullmatch(ticker):
            underlying, numeral = match.groups()
            return self._words.rolling(ticker, underlying, numeral, venue_of(underlying))
        if ticker in index_names() or ticker in index_names().values() or _INDEX.fullmatch(ticker):
            underlying = underlying_of_index(ticker)
            return Contract(ticker, "SPOT", underlying, None, None, None, None, None, venue_of(underlying))
        raise self._words.misfit(ticker, ticker, _SHAPES)

    def _date(self, ticker: str, text: str) -> dt.date:
        date = self._dates.get(text)
        if date is None:
            try:
                date = dt.date(2000 + int(text[:2]), int(text[2:4]), int(text[4:]))
            except ValueError as error:
                raise self._words.error(ticker, f"no truedata name: {text} is no date YYMMDD") from error
            self._dates[text] = date
        return date
