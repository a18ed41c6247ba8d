"""What a vendor's file name says by itself: the trade date, and what an empty or headerless file would hold.

A name is believed only where it follows a vendor's pattern below; a ticker in a file name may well
contain eight digits that are no date. Which columns a file has is decided by its header (`layouts`).
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Product:
    """One family of delivery names.

    Parameters
    ----------
    pattern : re.Pattern
        Matches the whole name from its start, upper-cased; its one group is the date.
    date_format : str
        How the date is written, for `datetime.strptime`.
    layout : str
        Name of the layout such files usually have: what an empty one would have had, and the only
        layout a headerless file may have.
    folder_layouts : tuple of (str, str), default ()
        Folders of the delivery, upper-cased, whose files have another layout.

    """

    pattern: re.Pattern[str]
    date_format: str
    layout: str
    folder_layouts: tuple[tuple[str, str], ...] = ()


def _product(pattern: str, date_format: str, layout: str, *folder_layouts: tuple[str, str]) -> Product:
    return Product(re.compile(pattern), date_format, layout, folder_layouts)


_EIGHT_DIGITS: Final = r"(?<!\d)\d{8}(?!\d)"

PRODUCTS: Final = (
    _product(rf"GFDL(?:NFO|BFO)(?=\w*_TICK).*?({_EIGHT_DIGITS})", "%d%m%Y", "gdfl-tick"),
    _product(rf"(?:GFDL(?:CM|BM)|BSE_INDICES)(?=\w*_TICK).*?({_EIGHT_DIGITS})", "%d%m%Y", "gdfl-cash-tick"),
    _product(rf"GFDL(?:NFO|BFO).*?({_EIGHT_DIGITS})", "%d%m%Y", "gdfl-minute"),
    _product(rf"(?:GFDL(?:CM|BM)|BSE_INDICES).*?({_EIGHT_DIGITS})", "%d%m%Y", "gdfl-cash-minute"),
    _product(r"(?:NSE|BSE)_IDX_TICK_(\d{8})(?!\d)", "%Y%m%d", "truedata-index-tick"),
    _product(r"(?:NSE|BSE)_OPT_TICK_(\d{8})(?!\d)", "%Y%m%d", "truedata-tick"),
    _product(
        r"(?:NSE|BSE)_FUT_TICK_(\d{8})(?!\d)",
        "%Y%m%d",
        "truedata-tick",
        ("CONTRACT FUTURES", "truedata-contract-tick"),
    ),
    _product(r"BHAVCOPY_(?:NSE|BSE)_FO_\d_\d_\d_(\d{8})(?!\d)", "%Y%m%d", "udiff"),
    _product(r"BHAVCOPY_(?:NSE|BSE)_CM_\d_\d_\d_(\d{8})(?!\d)", "%Y%m%d", "udiff-cash"),
    _product(r"FO(\d{2}[A-Z]{3}\d{4})BHAV", "%d%b%Y", "fo-bhavcopy"),
    _product(r"CM(\d{2}[A-Z]{3}\d{4})BHAV", "%d%b%Y", "cash-bhavcopy"),
    _product(r"SEC_BHAVDATA_FULL_(\d{8})(?!\d)", "%d%m%Y", "cash-bhavdata-full"),
)
"""Tried in order. GDFL dates are day first, TrueData and UDiFF year first, old bhavcopies name the month."""


@dataclass(frozen=True, slots=True)
class NameFacts:
    """What the names on the way to a file say.

    Parameters
    ----------
    layout : str or None
        What the file should have, by the innermost name that follows a vendor's pattern.
    trade_date : datetime.date or None
        From that name; None when it holds no valid date, or more than one.

    """

    layout: str | None
    trade_date: dt.date | None


def read_names(parts: Iterable[str]) -> NameFacts:
    """Find the innermost vendor's name and its date.

    Parameters
    ----------
    parts : iterable of str
        Names on the way, innermost first: the file, its folders, its archives.

    Returns
    -------
    NameFacts

    """
    inside: list[str] = []
    for part in parts:
        product, trade_date = _read_name(part)
        if product is not None:
            layouts = [layout for folder, layout in product.folder_layouts if folder in inside]
            return NameFacts(layouts[0] if layouts else product.layout, trade_date)
        inside.append(part.upper())
    return NameFacts(None, None)


@functools.lru_cache(maxsize=4096)
def _read_name(part: str) -> tuple[Product | None, dt.date | None]:
    """Read one name; folders and archives repeat for each of their members."""
    name = part.upper()
    for product in PRODUCTS:
        if match := product.pattern.match(name):
            has_several = len(re.findall(_EIGHT_DIGITS, name)) > 1
            return product, None if has_several else _date(match[1], product.date_format)
    return None, None


def _date(text: str, date_format: str) -> dt.date | None:
    try:
        return dt.datetime.strptime(text, date_format).date()  # noqa: DTZ007 -- a date has no zone
    except ValueError:
        return None
