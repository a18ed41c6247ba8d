"""The words that all grammars share: underlyings, months, strikes, and how to say what was expected.

What is particular to one grammar belongs in its own module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from pipeline_defs.errors import MarketRuleError, TickerError
from pipeline_defs.markets.expiries import is_symbol, nth_monthly_expiry
from pipeline_defs.markets.tickers.contract import Contract, OptionType

if TYPE_CHECKING:
    import datetime as dt

MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MONTH: Final = f"(?:{'|'.join(MONTHS)})"
STRIKE: Final = r"(?:0|[1-9]\d{0,6})(?:\.\d{1,8})?"
"""1 to 7 digits without a leading zero, then decimals; at most 8 of these, which is what a price column holds."""

UNDERLYING: Final = "[A-Z0-9&-]+"

DIGIT_ENDED: Final = ("IBN18", "NETWORK18", "NFTYMCAP50", "NIFTYMID50", "NIFTYNXT50", "SENSEX50", "SX50")
"""Underlyings whose last character is a digit, for grammars in which the expiry begins with digits and the strike
follows it without a letter between: nothing else may end in a digit there."""

NO_UNDERLYINGS: Final = frozenset(name.rstrip("0123456789") for name in DIGIT_ENDED) - {"SENSEX"}
"""What remains of these without their digits and is no underlying itself, so that it needs no second reading."""

BSE_UNDERLYINGS: Final = frozenset({"BANKEX", "SENSEX", "SENSEX50", "SX50"})
"""Indices whose derivatives trade on the BSE, for names that do not say where."""

RANKS: Final = {"I": 1, "II": 2, "III": 3}

_LISTED_DAYS: Final = 3_653
"""Ten years: no exchange lists a contract that far ahead (India's longest run five)."""
_EXPIRY_STUB: Final = re.compile(rf"\d\d(?:{MONTH}|[OND])\Z")
_SHOWN_CHARACTERS: Final = 8

Shape = Sequence[tuple[re.Pattern[str], str]]
"""The parts of a name from its end to its start: a pattern that ends where the part ends, and its description."""

Reader = Callable[[str], list[Contract]]
"""Reads a name in every way it can be read; TickerError when there is no way."""


class Words:
    """Builds contracts from the parts of names, for one trade date; looks each distinct part up once.

    Parameters
    ----------
    grammar : str
        Name of the grammar, for messages.
    trade_date : datetime.date
        Day on which the names were used: what expired before it is no reading.

    """

    def __init__(self, grammar: str, trade_date: dt.date) -> None:
        self.grammar = grammar
        self.trade_date = trade_date
        self._strikes: dict[str, Decimal] = {}
        self._underlyings: set[str] = set()

    def option(
        self, ticker: str, underlying: str, expiry: dt.date, strike: str, *, option_type: str, venue: str
    ) -> Contract:
        """Build an option.

        Raises
        ------
        TickerError
            If the underlying is none, the contract expired before the trade date, or the strike is not positive (> 0).

        """
        self._check(ticker, underlying, expiry)
        price = self._strikes.get(strike)
        if price is None:
            price = self._strikes[strike] = self._positive(ticker, strike)
        return Contract(ticker, "OPT", underlying, expiry, price, cast("OptionType", option_type), None, None, venue)

    def future(self, ticker: str, underlying: str, expiry: dt.date, venue: str) -> Contract:
        """Build a future.

        Raises
        ------
        TickerError
            If the underlying is none, or the contract expired before the trade date.

        """
        self._check(ticker, underlying, expiry)
        return Contract(ticker, "FUT", underlying, expiry, None, None, None, None, venue)

    def rolling(self, ticker: str, underlying: str, numeral: str, venue: str) -> Contract:
        """Build a rolling future and resolve the contract it meant on the trade date.

        Raises
        ------
        TickerError
            If the underlying is none, or no expiry rule covers it.

        """
        rank = RANKS[numeral]
        try:
            expiry = nth_monthly_expiry(underlying, self.trade_date, rank)
        except MarketRuleError as error:
            raise self.error(ticker, error.what, error.next_step) from error
        self._check(ticker, underlying, expiry)
        return Contract(ticker, "CONT", underlying, expiry, None, None, rank, None, venue)

    def credible(self, readings: list[Contract]) -> list[Contract]:
        """Drop readings that expire a decade ahead where another does not; keep all otherwise."""
        if len(readings) == 1:
            return readings
        near = [
            contract
            for contract in readings
            if contract.expiry is not None and (contract.expiry - self.trade_date).days <= _LISTED_DAYS
        ]
        return near or readings

    def error(self, ticker: str, what: str, next_step: str | None = None) -> TickerError:
        """Say what is wrong with a name."""
        return TickerError(what, where=f"ticker {ticker!r}", next_step=next_step)

    def misfit(self, ticker: str, text: str, shapes: Sequence[Shape]) -> TickerError:
        """Say which part of a name was expected where, by the shape that explains most of it.

        Parameters
        ----------
        ticker : str
            The whole name.
        text : str
            Its start, up to where the shapes end.
        shapes : sequence of Shape
            Ways to write a name in the grammar.

        Returns
        -------
        TickerError

        """
        end, expected = min((_unexplained(text, shape) for shape in shapes), key=lambda found: found[0])
        seen = text[max(0, end - _SHOWN_CHARACTERS) : end]
        place = f"up to position {end}, where it reads {seen!r}" if seen else "at position 1"
        return self.error(
            ticker,
            f"no {self.grammar} name: expected {expected} {place}",
            "check the name, or declare the grammar it is written in",
        )

    def _check(self, ticker: str, underlying: str, expiry: dt.date) -> None:
        if underlying not in self._underlyings:
            if not is_symbol(underlying) or _EXPIRY_STUB.search(underlying):
                raise self.error(ticker, f"no {self.grammar} name: {underlying!r} at position 1 is no underlying")
            self._underlyings.add(underlying)
        if expiry < self.trade_date:
            raise self.error(
                ticker,
                f"read as {self.grammar}, expires on {expiry}, before the trade date {self.trade_date}",
                "check the trade date, or declare the grammar it is written in",
            )

    def _positive(self, ticker: str, strike: str) -> Decimal:
        price = Decimal(strike)
        if not price:
            raise self.error(ticker, f"the strike {strike} is not positive (> 0)")
        return Decimal(int(price)) if price == int(price) else price.normalize()


def venue_of(underlying: str) -> str:
    """Name the exchange whose derivatives carry an underlying's bare symbol."""
    return "BSE" if underlying in BSE_UNDERLYINGS else "NSE"


def shape(*parts: tuple[str, str]) -> Shape:
    """Describe a way to write a name, last part first: (pattern, description) each."""
    return [(re.compile(rf"(?:{pattern})\Z"), expected) for pattern, expected in parts]


def _unexplained(text: str, parts: Shape) -> tuple[int, str]:
    """Find how much of a text remains before the first part that is missing, and what that part is."""
    end = len(text)
    for pattern, expected in parts:
        match = pattern.search(text, 0, end)
        if match is None:
            return end, expected
        end = match.start()
    return end, "an underlying of capitals, digits, & and -"
