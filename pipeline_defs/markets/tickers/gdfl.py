"""The vendor's day-first names: the expiry is written out in full, the venue is a suffix.

====================================  ==========================================
``NIFTY28AUG2524500CE.NFO``           option: day, month, year, strike
``NIFTY28AUG25FUT.NFO``               future; also ``NIFTYFUT28AUG25``
``NIFTY-I.NFO``                       rolling future, ``-I`` to ``-III``
``OPTIDX_NIFTY_17APR2025_PE_23700``   long form; ``IO_SENSEX_…`` on the BSE
``NIFTY 50.NSE_IDX``                  index
``RELIANCE.NSE``, ``RELCAPITAL.BE.NSE``  cash, with its series when that is not EQ
====================================  ==========================================

The suffixes ``.NFO`` and ``.BFO`` may be missing; the others may not.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Final

from pipeline_defs.markets.tickers.contract import Contract
from pipeline_defs.markets.tickers.index_names import underlying_of_index
from pipeline_defs.markets.tickers.lexicon import MONTH, MONTHS, STRIKE, UNDERLYING, Words, shape, venue_of

if TYPE_CHECKING:
    from pipeline_defs.errors import TickerError

SUFFIXES: Final = (".NFO", ".BFO", ".NSE_IDX", ".BSE_IDX", ".NSE")

_VENUE: Final = r"(?:\.(NFO|BFO))?"
_OPTION: Final = re.compile(rf"({UNDERLYING})(\d\d{MONTH}\d\d)({STRIKE})(CE|PE){_VENUE}", re.ASCII)
_FUTURE: Final = re.compile(rf"({UNDERLYING})(?:(\d\d{MONTH}\d\d)FUT|FUT(\d\d{MONTH}\d\d)){_VENUE}", re.ASCII)
_ROLLING: Final = re.compile(rf"({UNDERLYING})-(I{{1,3}}){_VENUE}", re.ASCII)
_LONG_OPTION: Final = re.compile(
    rf"(OPTIDX|OPTSTK|IO|SO)_({UNDERLYING})_(\d\d{MONTH}\d{{4}})_(CE|PE)_({STRIKE}){_VENUE}", re.ASCII
)
_LONG_FUTURE: Final = re.compile(
    rf"(FUTIDX|FUTSTK|IF|SF)_({UNDERLYING})_(\d\d{MONTH}\d{{4}})_XX_0(?:\.0+)?{_VENUE}", re.ASCII
)
_INDEX: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9 &%().+-]*)\.(NSE|BSE)_IDX", re.ASCII)
_CASH: Final = re.compile(rf"({UNDERLYING})(?:\.([A-Z0-9]{{1,2}}))?\.NSE", re.ASCII)

_LONG_DATE_LENGTH: Final = len("17APR2025")
_DATE_PARTS: Final = (
    (MONTH, "a month JAN to DEC"),
    (r"\d\d", "a two-digit day"),
    (rf"\A{UNDERLYING}", "an underlying of capitals, digits, & and -"),
)
_SHAPES: Final = (
    shape(
        ("CE|PE", "CE, PE or FUT"), (rf"\d\d{STRIKE}", "a two-digit year and a strike of 1 to 7 digits"), *_DATE_PARTS
    ),
    shape(("FUT", "CE, PE or FUT"), (r"\d\d", "a two-digit year"), *_DATE_PARTS),
)


class GdflReader:
    """Reads day-first names as used on one trade date.

    Parameters
    ----------
    trade_date : datetime.date
        Day on which the names were used.

    """

    def __init__(self, trade_date: dt.date) -> None:
        self._words = Words("gdfl", trade_date)
        self._dates: dict[str, dt.date] = {}

    def __call__(self, ticker: str) -> list[Contract]:
        """Read one name.

        Parameters
        ----------
        ticker : str
            The name, with its suffix.

        Returns
        -------
        list of Contract
            Exactly one: the grammar has no two readings.

        Raises
        ------
        TickerError
            If the name does not follow the grammar, or expired before the trade date.

        """
        match = _OPTION.fullmatch(ticker)
        if match is None:
            return [self._read_other(ticker)]
        underlying, expiry, strike, option_type, suffix = match.groups()
        venue = _venue(suffix, underlying)
        date = self._date(ticker, expiry)
        return [self._words.option(ticker, underlying, date, strike, option_type=option_type, venue=venue)]

    def _read_other(self, ticker: str) -> Contract:
        words = self._words
        if match := _FUTURE.fullmatch(ticker):
            underlying, before, after, suffix = match.groups()
            return words.future(ticker, underlying, self._date(ticker, before or after), _venue(suffix, underlying))
        if match := _ROLLING.fullmatch(ticker):
            underlying, numeral, suffix = match.groups()
            return words.rolling(ticker, underlying, numeral, _venue(suffix, underlying))
        if match := _CASH.fullmatch(ticker):
            symbol, series = match.groups()
            return Contract(ticker, "EQ", symbol, None, None, None, None, series or "EQ", "NSE")
        if match := _INDEX.fullmatch(ticker):
            name, venue = match.groups()
            return Contract(ticker, "SPOT", underlying_of_index(name), None, None, None, None, None, venue)
        if match := _LONG_OPTION.fullmatch(ticker):
            product, underlying, expiry, option_type, strike, _ = match.groups()
            date, venue = self._date(ticker, expiry), _venue_of_product(product)
            return words.option(ticker, underlying, date, strike, option_type=option_type, venue=venue)
        if match := _LONG_FUTURE.fullmatch(ticker):
            product, underlying, expiry, _ = match.groups()
            return words.future(ticker, underlying, self._date(ticker, expiry), _venue_of_product(product))
        raise self._misfit(ticker)

    def _date(self, ticker: str, text: str) -> dt.date:
        date = self._dates.get(text)
        if date is None:
            try:
                year = int(text[5:]) if len(text) == _LONG_DATE_LENGTH else 2000 + int(text[5:])
                date = dt.date(year, MONTHS.index(text[2:5]) + 1, int(text[:2]))
            except ValueError as error:
                raise self._words.error(ticker, f"no gdfl name: {text} is no date") from error
            self._dates[text] = date
        return date

    def _misfit(self, ticker: str) -> TickerError:
        for suffix, expected in (
            (".NSE_IDX", "the name of an index"),
            (".BSE_IDX", "the name of an index"),
            (".NSE", "a symbol, or a symbol, a dot and a series of two characters"),
        ):
            if ticker.endswith(suffix):
                return self._words.error(ticker, f"no gdfl name: expected {expected} before {suffix}")
        if "_" in ticker:
            return self._words.error(
                ticker,
                "no gdfl name: expected the long form OPTIDX_<underlying>_<DDMMMYYYY>_<CE|PE>_<strike>"
                " or FUTIDX_<underlying>_<DDMMMYYYY>_XX_0",
            )
        return self._words.misfit(ticker, ticker.removesuffix(".NFO").removesuffix(".BFO"), _SHAPES)


def _venue(suffix: str | None, underlying: str) -> str:
    if suffix is None:
        return venue_of(underlying)
    return "NSE" if suffix == "NFO" else "BSE"


def _venue_of_product(product: str) -> str:
    return "BSE" if len(product) == len("IO") else "NSE"
