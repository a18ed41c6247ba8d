"""Map and factor files of shares: what a share was called, and what its old prices are multiplied by.

Without them LEAN takes a share for one that never split, never paid and never changed its name. One partition knows the
corporate actions of its own days alone, so the factors say what happened within it; `merging` chains those of several.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.entries import plain_text
from pipeline_defs.exports.lean.kinds import LeanFormatError
from pipeline_defs.exports.lean.lines import NUMBER
from pipeline_defs.exports.lean.paths import TICKER, parse_date

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

FAR_FUTURE: Final = dt.date(2050, 12, 31)
"""How LEAN says that a row holds until further notice."""

FIRST_DAY: Final = dt.date(1990, 1, 1)
"""Before the Indian exchanges traded electronically: how far back a trivial file speaks."""

_PRICE_FACTOR_PLACES: Final = Decimal("0.0000001")
_SPLIT_FACTOR_PLACES: Final = Decimal("0.00000001")


def map_text(ticker: str) -> str:
    """Write the map file of a share that always had its name.

    Parameters
    ----------
    ticker : str
        Lower case.

    Returns
    -------
    str

    """
    return f"{FIRST_DAY:%Y%m%d},{ticker}\n{FAR_FUTURE:%Y%m%d},{ticker}\n"


def factor_text(actions: pl.DataFrame, closes: dict[dt.date, Decimal], where: str) -> tuple[str, list[str]]:
    """Write the factor file of a share.

    Parameters
    ----------
    actions : polars.DataFrame
        `ACTION_SCHEMA`, of this share.
    closes : dict
        Close of each session; the price before an action is taken from here.
    where : str
        For messages.

    Returns
    -------
    tuple of str and list of str
        Rows ``date,price factor,split factor,reference price``: up to and with the session before an action, prices
        are multiplied by the factors; ascending, ending with the trivial row of `FAR_FUTURE`. And notes on dividends
        that are left out, since the price before them is not in the export.

    Raises
    ------
    ExportError
        If a kind of action is unknown, a value is not positive, or a dividend is not less than the price before it.

    """
    price_factor, split_factor = Decimal(1), Decimal(1)
    rows: dict[dt.date, tuple[Decimal, Decimal, Decimal]] = {}
    notes: list[str] = []
    for action in actions.sort("ex_date", "kind", descending=True).iter_rows(named=True):
        day = max((day for day in closes if day < action["ex_date"]), default=None)
        close, value, kind = (Decimal(0) if day is None else closes[day]), action["value"], action["kind"]
        told = f"the {kind} of {value} on {action['ex_date']}"
        if kind not in {"split", "dividend"} or value <= 0 or (kind == "dividend" and day and value >= close):
            raise ExportError(
                f"{told} follows a close of {close}; expected a split or a dividend, positive, and a dividend below "
                "the price",
                where=where,
                next_step="correct the corporate action",
            )
        if kind == "split":
            split_factor /= value
        elif day is None:
            notes.append(f"{where}: {told} is left out, the price before it is not in the export")
            continue
        else:
            price_factor *= (close - value) / close
        # A split needs no price; the day before it stands for the session before it.
        rows[day or action["ex_date"] - dt.timedelta(days=1)] = (price_factor, split_factor, close)
    return _factor_rows(rows), notes


def chain_factors(texts: Sequence[str], where: str) -> str:
    """Chain the factor files of one share, each of which knows the actions of its own days.

    Parameters
    ----------
    texts : sequence of str
        In the order of time.
    where : str
        For messages.

    Returns
    -------
    str
        One file: the factors of each are multiplied by all that happens in later ones.

    Raises
    ------
    LeanFormatError
        If one is not a factor file.
    ExportError
        If two of them tell of one day.

    """
    chained: dict[dt.date, tuple[Decimal, Decimal, Decimal]] = {}
    price_factor, split_factor = Decimal(1), Decimal(1)
    for text in reversed(texts):
        rows = _factors(text, where)
        for row in rows:
            day = parse_date(row[0], where)
            price, split, reference = (Decimal(value) for value in row[1:4])
            if FIRST_DAY < day < FAR_FUTURE:
                if day in chained:
                    raise ExportError(f"two exports tell of an action after {day}", where=where)
                chained[day] = (price * price_factor, split * split_factor, reference)
        price_factor, split_factor = price_factor * Decimal(rows[0][1]), split_factor * Decimal(rows[0][2])
    return _factor_rows(chained)


def _factor_rows(rows: dict[dt.date, tuple[Decimal, Decimal, Decimal]]) -> str:
    days = sorted(rows)
    first = rows[days[0]] if days else (Decimal(1), Decimal(1), Decimal(0))
    whole = {FIRST_DAY: (first[0], first[1], Decimal(0)), **{day: rows[day] for day in days}}
    whole[FAR_FUTURE] = (Decimal(1), Decimal(1), Decimal(0))
    return "".join(
        f"{day:%Y%m%d},{_rounded(price, _PRICE_FACTOR_PLACES)},{_rounded(split, _SPLIT_FACTOR_PLACES)},"
        f"{plain_text(reference)}\n"
        for day, (price, split, reference) in whole.items()
    )


def check_map(text: str, ticker: str, where: str) -> None:
    """Check a map file.

    Parameters
    ----------
    text : str
        Of the file.
    ticker : str
        The share's; the last row must name it.
    where : str
        For messages.

    Raises
    ------
    LeanFormatError
        If a row is not ``date,ticker[,exchange]``, dates do not ascend, or the last row names another ticker.

    """
    rows = _rows(text, rf"[0-9]{{8}},{TICKER}(?:,[A-Z])?", where)
    if rows[-1][1] != ticker:
        raise LeanFormatError(f"the last row names {rows[-1][1]}, expected {ticker}", where=where)


def check_factors(text: str, where: str) -> None:
    """Check a factor file.

    Parameters
    ----------
    text : str
        Of the file.
    where : str
        For messages.

    Raises
    ------
    LeanFormatError
        If a row is not ``date,price factor,split factor[,reference price]``, or dates do not ascend.

    """
    _factors(text, where)


def _factors(text: str, where: str) -> Sequence[list[str]]:
    return _rows(text, rf"[0-9]{{8}},{NUMBER},{NUMBER}(?:,{NUMBER})?", where)


def _rows(text: str, pattern: str, where: str) -> Sequence[list[str]]:
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not re.fullmatch(pattern, line, re.ASCII):
            raise LeanFormatError(f"line {number} has not the form of such a file: {line!r}", where=where)
    rows = [line.split(",") for line in lines]
    dates = [parse_date(row[0], where) for row in rows]
    if not rows or dates != sorted(dates):
        raise LeanFormatError("holds no rows, or their dates do not ascend", where=where)
    return rows


def _rounded(factor: Decimal, places: Decimal) -> str:
    return plain_text(factor.quantize(places))
