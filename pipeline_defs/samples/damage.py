"""The catalogue of damaged rows, as seen in vendors' files: how each kind changes a line.

A damage takes the fields of one good row and gives the line that stands there instead. Where it
is planted and how lines are counted is the business of ``dirt``.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.samples.layouts import INDIA

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.samples.hours import Hours

_UTC_OFFSET: Final = dt.timedelta(hours=5, minutes=30)
_FIELDS_LEFT: Final = 4
_SURPLUS_DIGITS: Final = "0000003"
"""Behind two decimals these make nine, one more than any price may have."""


@dataclass(frozen=True, slots=True)
class RowPlace:
    """The row to damage.

    Parameters
    ----------
    fields : dict
        Field name to text, in file order.
    hours : Hours
        The session.
    price : str
        Field that holds the last price.
    header : str
        First line of the file.

    """

    fields: dict[str, str]
    hours: Hours
    price: str
    header: str

    def line(self, **changed: str) -> str:
        """Give the row as text with some fields changed."""
        return ",".join((self.fields | changed).values())

    def at_clock(self, instant: dt.datetime) -> str:
        """Give the row with another time of day, keeping the seconds it is stamped with."""
        return self.line(time=f"{instant.astimezone(INDIA):%H:%M}{self.fields['time'][5:]}")


@dataclass(frozen=True, slots=True)
class Damage:
    """One kind of damage.

    Parameters
    ----------
    defect : str
        Its name in the truth.
    change : Callable
        Gives the damaged line.
    placement : str, default "replace"
        ``replace``: stands where the row was. ``insert``: stands behind it, the row itself stays good.
        ``conflict``: stands behind it, and the row itself is no longer to be believed.
    needs : polars.Expr, optional
        Rows that can be damaged so; default is all.

    """

    defect: str
    change: Callable[[RowPlace], str]
    placement: str = "replace"
    needs: pl.Expr | None = None


def _bad_year(row: RowPlace) -> str:
    return row.line(date=f"{row.fields['date']}6")


def _with_price(text: Callable[[str], str]) -> Callable[[RowPlace], str]:
    return lambda row: row.line(**{row.price: text(row.fields[row.price])})


def _surplus_decimals(price: str) -> str:
    whole, _, decimals = price.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}{_SURPLUS_DIGITS}"


def _dated(date_format: str, days_before: int = 0) -> Callable[[RowPlace], str]:
    def change(row: RowPlace) -> str:
        return row.line(date=f"{row.hours.trade_date - dt.timedelta(days=days_before):{date_format}}")

    return change


def _cut(row: RowPlace) -> str:
    # Ends within the first price: too few fields, and the last of them is wrong.
    return ",".join(list(row.fields.values())[:_FIELDS_LEFT])[:-1]


def _with_utc_clock(row: RowPlace) -> str:
    clock = dt.datetime.combine(row.hours.trade_date, dt.time.fromisoformat(row.fields["time"]), INDIA)
    return row.at_clock(clock - _UTC_OFFSET)


def _expired(row: RowPlace) -> str:
    last_week = row.hours.trade_date - dt.timedelta(days=7)
    return row.line(ticker=f"NIFTY{last_week:%d%b%y}24500CE.NFO".upper())


BAD_YEAR: Final = Damage("bad_year", _bad_year)
CUT_ROW: Final = Damage("cut_row", _cut)
TOO_MANY_FIELDS: Final = Damage("too_many_fields", lambda row: f"{row.line()},0,0")
REPEATED_HEADER: Final = Damage("repeated_header", lambda row: row.header, placement="insert")
BLANK_LINE: Final = Damage("blank_line", lambda _: "", placement="insert")
ZERO_PRICE: Final = Damage("zero_price", _with_price(lambda _: "0"))
NEGATIVE_PRICE: Final = Damage("negative_price", _with_price(lambda price: f"-{price}"))
MISSING_PRICE: Final = Damage("missing_price", _with_price(lambda _: ""))
NON_NUMERIC_PRICE: Final = Damage("non_numeric_price", _with_price(lambda _: "#N/A"))
NAN_PRICE: Final = Damage("nan_price", _with_price(lambda _: "NaN"))
SURPLUS_DECIMALS: Final = Damage("surplus_decimals", _with_price(_surplus_decimals))
HIGH_BELOW_LOW: Final = Damage(
    "high_below_low",
    lambda row: row.line(high=row.fields["low"], low=row.fields["high"]),
    needs=pl.col("high") != pl.col("low"),
)
CLOSE_ABOVE_HIGH: Final = Damage("close_above_high", lambda row: row.line(close=str(Decimal(row.fields["high"]) + 1)))
NEGATIVE_VOLUME: Final = Damage("negative_volume", lambda row: row.line(volume=f"-{row.fields['volume']}"))
WITHIN_MINUTE: Final = Damage("time_within_minute", lambda row: row.line(time=f"{row.fields['time'][:6]}30"))
OTHER_DAY: Final = Damage("other_day_row", _dated("%d/%m/%Y", days_before=1))
IMPOSSIBLE_TIME: Final = Damage("impossible_time", lambda row: row.line(time="25:00:59"))
ISO_DATE: Final = Damage("iso_date", _dated("%Y-%m-%d"))
DASH_DATE: Final = Damage("dash_date", _dated("%d-%m-%Y"))
PRE_OPEN: Final = Damage("pre_open", lambda row: row.at_clock(row.hours.derivative_open - dt.timedelta(minutes=8)))
POST_CLOSE: Final = Damage(
    "post_close", lambda row: row.at_clock(row.hours.derivative_close + dt.timedelta(minutes=30))
)
GARBAGE_TICKER: Final = Damage("garbage_ticker", lambda row: row.line(ticker="@@#REF!.NFO"))
EXPIRED_CONTRACT: Final = Damage("expired_contract", _expired)
EXACT_DUPLICATE: Final = Damage("exact_duplicate", lambda row: row.line(), placement="insert")
CONFLICTING_DUPLICATE: Final = Damage(
    "conflicting_duplicate",
    # The close moves to the low, so that nothing but the contradiction gives the row away.
    lambda row: row.line(close=row.fields["low"]),
    placement="conflict",
    needs=pl.col("close") != pl.col("low"),
)


def utc_stamped(hours: Hours) -> Damage:
    """Plant a row whose clock shows UTC, taken from hours whose UTC clock lies before the open."""
    latest = (hours.derivative_open + _UTC_OFFSET).astimezone(INDIA)
    return Damage("utc_stamped", _with_utc_clock, needs=pl.col("time") < f"{latest:%H:%M:%S}")
