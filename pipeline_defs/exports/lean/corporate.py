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


def factor_text(actions: pl.DataFrame, closes: dict[dt.date, Decimal], where: str) -> str:
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
    str
        Rows ``date,price factor,split factor,reference price``: up to and with the session before an action, prices are
        multiplied by the factors; ascending, ending with the trivial row of `FAR_FUTURE`.

    Raises
    ------
    ExportError
        If a kind of action is unknown, a value is not positive, or a dividend is not less than the price before it.

    """
    price_factor, split_factor = Decimal(1), Decimal(1)
    rows = [f"{FAR_FUTURE:%Y%m%d},1,1,0"]
    by_day: dict[dt.date, list[str]] = {}
    for action in actions.sort("ex_date", "kind", descending=True).iter_rows(named=True):
        before = [day for day in closes if day < action["ex_date"]]
        if not before:
            # Nothing of this export lies before it, so there is nothing to adjust.
            continue
        day = max(before)
        close, value = closes[day], action["value"]
        if (
            action["kind"] not in {"split", "dividend"}
            or value <= 0
            or (action["kind"] == "dividend" and value >= close)
        ):
            raise ExportError(
                f"the action of {action['ex_date']} is a {action['kind']} of {value} after a close of {close}; "
                "expected a split or a dividend, positive, and a dividend below the price",
                where=where,
                next_step="correct the corporate action",
            )
        if action["kind"] == "split":
            split_factor /= value
        else:
            price_factor *= (close - value) / close
        by_day[day] = [
            _rounded(price_factor, _PRICE_FACTOR_PLACES),
            _rounded(split_factor, _SPLIT_FACTOR_PLACES),
            plain_text(close),
        ]
    rows += [",".join([f"{day:%Y%m%d}", *values]) for day, values in sorted(by_day.items(), reverse=True)]
    earliest = rows[-1].split(",")
    if len(rows) > 1:
        rows.append(",".join([f"{FIRST_DAY:%Y%m%d}", earliest[1], earliest[2], "0"]))
    else:
        rows.append(f"{FIRST_DAY:%Y%m%d},1,1,0")
    return "\n".join(reversed(rows)) + "\n"


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
    rows = _rows(text, rf"\d{{8}},{TICKER}(?:,[A-Z])?", where)
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
    _rows(text, rf"\d{{8}},{NUMBER},{NUMBER}(?:,{NUMBER})?", where)


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
