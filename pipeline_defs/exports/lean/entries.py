"""What the entries of a zip are called: names to their parts and back.

An entry names its contract, since one zip holds all contracts of an underlying. Pure text; whether an entry lies in the
zip where LEAN looks for it is `belongs`.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pipeline_defs.exports.lean.kinds import (
    SCALE,
    LeanFormatError,
    OptionRight,
    OptionStyle,
    Resolution,
    SecurityType,
    TickType,
)
from pipeline_defs.exports.lean.paths import TICKER, DataFile

PERPETUAL: Final = "perp"
"""Stands for the contract month of a future that never expires."""

_DATE: Final = r"(?P<date>[0-9]{8})"
_RESOLUTION: Final = r"(?P<resolution>tick|second|minute)"
_TICK_TYPE: Final = r"(?P<tick_type>trade|quote|openinterest)"
_NAME: Final = rf"(?P<ticker>{TICKER})"
_OPTION: Final = (
    r"(?P<style>american|european)_(?P<right>call|put)_"
    r"(?P<strike>[1-9][0-9]*|(?:0|[1-9][0-9]*)\.[0-9]*[1-9])_(?P<expiry>[0-9]{8})"
)
_FUTURE: Final = rf"(?P<month>[0-9]{{6}}|{PERPETUAL})(?:_(?P<expiry>[0-9]{{8}}))?"


@dataclass(frozen=True, slots=True)
class Contract:
    """What an entry's name says of its contract.

    Parameters
    ----------
    right : OptionRight or None
        Of an option.
    strike : Decimal or None
        Of an option, in currency.
    expiry : datetime.date or None
        Of an option; of a future only where the name says it (LEAN's own files of crypto futures of some ages do).
    month : str or None
        Of a future: ``yyyyMM``, or `PERPETUAL`.

    """

    right: OptionRight | None = None
    strike: Decimal | None = None
    expiry: dt.date | None = None
    month: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """The parts of an entry's name.

    Parameters
    ----------
    security : SecurityType
        Of the zip it lies in.
    is_coarse : bool
        Whether it is one of hour or daily data, whose names hold neither date nor resolution.
    ticker : str
        Lower case.
    date : datetime.date or None
        Of tick, second and minute data.
    resolution : Resolution or None
        Of tick, second and minute data.
    tick_type : TickType or None
        None where the name does not say: hour and daily data without contracts.
    style : OptionStyle or None
        Of options.
    contract : Contract
        Empty when there are no contracts.

    """

    security: SecurityType
    is_coarse: bool
    ticker: str
    date: dt.date | None = None
    resolution: Resolution | None = None
    tick_type: TickType | None = None
    style: OptionStyle | None = None
    contract: Contract = Contract()

    @property
    def name(self) -> str:
        """The entry's name."""
        contract = self.contract
        if self.security is SecurityType.EQUITY and self.resolution is Resolution.TICK:
            # The one place where LEAN capitalises, and turns the two around.
            return f"{self.date:%Y%m%d}_{self.ticker}_{_capital(self.tick_type)}_{_capital(self.resolution)}.csv"
        words = [] if self.is_coarse else [f"{self.date:%Y%m%d}"]
        words.append(self.ticker)
        words += [] if self.is_coarse else [str(self.resolution)]
        words += [] if self.tick_type is None else [self.tick_type.value]
        if self.security.is_option:
            strike = scaled_text(contract.strike or Decimal(0))
            words += [str(self.style), str(contract.right), strike, f"{contract.expiry:%Y%m%d}"]
        elif self.security.is_future:
            words.append(str(contract.month))
            words += [] if contract.expiry is None else [f"{contract.expiry:%Y%m%d}"]
        return "_".join(words) + ".csv"


def entry_of(file: DataFile, contract: Contract | None = None) -> Entry:
    """Say what LEAN would look for in a zip.

    Parameters
    ----------
    file : DataFile
        The zip.
    contract : Contract or None, default None
        Which of its contracts; None for security types without contracts.

    Returns
    -------
    Entry

    """
    coarse = file.resolution.is_coarse
    has_contracts = file.security.is_option or file.security.is_future
    return Entry(
        security=file.security,
        is_coarse=coarse,
        ticker=file.ticker,
        date=file.date,
        resolution=None if coarse else file.resolution,
        tick_type=None if coarse and not has_contracts else file.tick_type,
        style=file.style,
        contract=contract or Contract(),
    )


def parse_entry(name: str, security: SecurityType, resolution: Resolution) -> Entry:
    """Take an entry's name apart.

    Parameters
    ----------
    name : str
        E.g. ``20250801_nifty_minute_trade_european_call_245000000_20250814.csv``.
    security : SecurityType
        Of the zip it lies in.
    resolution : Resolution
        Of the zip it lies in.

    Returns
    -------
    Entry
        Whose `name` is the one given.

    Raises
    ------
    LeanFormatError
        If it is not a name that LEAN would form for the type and resolution.

    """
    found = re.fullmatch(_pattern(security, resolution), name, re.ASCII)
    if found is None:
        raise LeanFormatError(
            f"is not the name of an entry of {resolution} data of type {security}",
            where=name,
            next_step="see the layout in docs/exports/lean.md",
        )
    parts = {key: value for key, value in found.groupdict().items() if value is not None}
    coarse = resolution.is_coarse
    try:
        entry = Entry(
            security=security,
            is_coarse=coarse,
            ticker=parts["ticker"],
            date=_date(parts.get("date")),
            resolution=None if coarse else Resolution(parts["resolution"].lower()),
            tick_type=TickType(parts["tick_type"].lower()) if "tick_type" in parts else None,
            style=OptionStyle(parts["style"]) if "style" in parts else None,
            contract=Contract(
                right=OptionRight(parts["right"]) if "right" in parts else None,
                strike=Decimal(parts["strike"]) / SCALE if "strike" in parts else None,
                expiry=_date(parts.get("expiry")),
                month=parts.get("month"),
            ),
        )
    except ValueError as error:
        raise LeanFormatError(f"holds no date where one belongs: {error}", where=name) from None
    month = entry.contract.month
    if month not in {None, PERPETUAL} and not 1 <= int(str(month)[4:]) <= 12:  # noqa: PLR2004 -- months of a year
        raise LeanFormatError(f"holds no contract month yyyyMM: {month}", where=name)
    return entry


def belongs(entry: Entry, file: DataFile) -> str | None:
    """Say why LEAN would not find an entry in a zip.

    Parameters
    ----------
    entry : Entry
        What lies there.
    file : DataFile
        The zip.

    Returns
    -------
    str or None
        None when it is where LEAN looks for it.

    """
    expected = entry_of(file, entry.contract).name
    return None if entry.name == expected else f"LEAN would look for {expected}"


def scaled_text(price: Decimal) -> str:
    """Write a price in parts of 1 / `SCALE`, as LEAN does: without trailing zeros, never in scientific notation.

    Parameters
    ----------
    price : Decimal
        In currency.

    Returns
    -------
    str

    """
    return plain_text(price * SCALE)


def plain_text(number: Decimal) -> str:
    """Write a decimal as its shortest exact text.

    Parameters
    ----------
    number : Decimal
        Any finite one.

    Returns
    -------
    str
        E.g. ``64.75``; ``0`` for zero of either sign.

    """
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"-0", ""} else text


def _pattern(security: SecurityType, resolution: Resolution) -> str:
    contract = _OPTION if security.is_option else _FUTURE if security.is_future else None
    if security is SecurityType.EQUITY and resolution is Resolution.TICK:
        return rf"{_DATE}_{_NAME}_(?P<tick_type>Trade|Quote)_(?P<resolution>Tick)\.csv"
    if resolution.is_coarse:
        return rf"{_NAME}\.csv" if contract is None else rf"{_NAME}_{_TICK_TYPE}_{contract}\.csv"
    name = rf"{_DATE}_{_NAME}_{_RESOLUTION}_{_TICK_TYPE}"
    return rf"{name}\.csv" if contract is None else rf"{name}_{contract}\.csv"


def _date(text: str | None) -> dt.date | None:
    return None if text is None else dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))


def _capital(word: TickType | Resolution | None) -> str:
    return {"trade": "Trade", "quote": "Quote", "tick": "Tick"}[str(word)]
