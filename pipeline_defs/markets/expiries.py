"""On which day a contract expires, by rules that changed over time and as they were known on a date.

A rule is a row of ``data/expiry_rules.csv``: the weekday on which an underlying's monthly or weekly contracts
expire, for which expiry days, and since when that was so for listed contracts: exchanges re-date contracts
that already trade. A contract's own date, where a file states it, always beats these rules.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets import sessions
from pipeline_defs.markets.fixed_holidays import fixed_holidays
from pipeline_defs.markets.session_tables import DRILL, MUHURAT
from pipeline_defs.markets.tables import EXPIRY_RULES, read_table

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY_OTHER: Final = "*"
"""The underlying of the rules for shares and for every index without rules of its own."""

_COLUMNS: Final = ("underlying", "cycle", "weekday", "first_date", "last_date", "known_from", "source")
_RULE_SCHEMA: Final[dict[str, pl.DataType]] = {
    "underlying": pl.String(),
    "cycle": pl.String(),
    "weekday": pl.Int16(),
    "first_date": pl.Date(),
    "last_date": pl.Date(),
    "known_from": pl.Date(),
    "source": pl.String(),
}
_SYMBOL: Final = re.compile(r"(?=[0-9&-]*[A-Z])[A-Z0-9][A-Z0-9&-]{0,19}")
_OTHER_RULES: Final = frozenset({"DJIA", "FTSE100", "INDIAVIX", "S&P500"})
"""Underlyings that had futures with expiry days of their own kind, which no weekday rule gives."""
_UNSETTLED_KINDS: Final = frozenset({MUHURAT, DRILL})
"""Sessions on which nothing expires: the exchange counts the day as a holiday."""
_CYCLES: Final = ("monthly", "weekly")
_LAST_WEEKDAY: Final = 5
_MONTHS_A_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class _Rule:
    """One line of the rule table."""

    underlying: str
    cycle: str
    weekday: int
    first_date: dt.date
    last_date: dt.date
    known_from: dt.date
    source: str


@lru_cache(maxsize=65_536)
def monthly_expiry(underlying: str, year: int, month: int, as_of: dt.date) -> dt.date:
    """Find the day on which the contracts of a month expire, as an observer of a trade date knew it.

    The last given weekday of the month; when that is a holiday, the trading day before.

    Parameters
    ----------
    underlying : str
        Symbol in derivatives, e.g. ``NIFTY``; one without rules of its own follows those of shares.
    year, month : int
        Expiry month.
    as_of : datetime.date
        Trade date of the observer: contracts that were re-dated later still have their old day.

    Returns
    -------
    datetime.date

    Raises
    ------
    MarketRuleError
        If the underlying is no plausible symbol, expires by no weekday rule, or had no contracts then, or `month` is
        not in 1 to 12.

    """
    _refuse_symbol(underlying)
    if not 1 <= month <= _MONTHS_A_YEAR:
        raise MarketRuleError(f"month {month} of {underlying} contracts is not in 1 to 12")
    nominal = _nominal_monthly(underlying, year, month, as_of)
    if nominal is None:
        raise MarketRuleError(
            f"no expiry rule covers {underlying} contracts of {year}-{month:02d} as known on {as_of}",
            next_step="check the month; add a line to pipeline_defs/markets/data/expiry_rules.csv",
        )
    return _trading_day_at_or_before(nominal)


def weekly_expiry(underlying: str, week_of: dt.date, as_of: dt.date) -> dt.date | None:
    """Find the day on which the contract of a week expires, as an observer of a trade date knew it.

    In the week of a monthly expiry that is the monthly contract's day: exchanges list no weekly beside it.

    Parameters
    ----------
    underlying : str
        Symbol in derivatives.
    week_of : datetime.date
        Any day of the week, which runs from Monday to Sunday. A holiday may move the expiry into the week before.
    as_of : datetime.date
        Trade date of the observer.

    Returns
    -------
    datetime.date or None
        None when the underlying has no weekly contracts in that week.

    Raises
    ------
    MarketRuleError
        If the underlying is no plausible symbol, or expires by no weekday rule.

    """
    _refuse_symbol(underlying)
    monday = week_of - dt.timedelta(days=week_of.weekday())
    nominal = _nominal_expiry(underlying, "weekly", as_of, lambda weekday: monday + dt.timedelta(days=weekday - 1))
    if nominal is None:
        return None
    sunday = monday + dt.timedelta(days=6)
    for month_of in (monday, sunday):
        monthly = _nominal_monthly(underlying, month_of.year, month_of.month, as_of)
        if monthly is not None and monday <= monthly <= sunday:
            nominal = monthly
    return _trading_day_at_or_before(nominal)


def nth_monthly_expiry(underlying: str, trade_date: dt.date, rank: int) -> dt.date:
    """Resolve a continuous future: the expiry that ``-I``, ``-II`` or ``-III`` meant on a trade date.

    Parameters
    ----------
    underlying : str
        Symbol in derivatives.
    trade_date : datetime.date
        Day on which the name was used.
    rank : int
        1 is the nearest monthly expiry on or after the trade date.

    Returns
    -------
    datetime.date

    Raises
    ------
    MarketRuleError
        If `rank` is not positive (> 0), or no rule covers a month on the way.

    """
    if rank < 1:
        raise MarketRuleError(f"rank {rank} of the monthly expiries of {underlying} is not positive (> 0)")
    year, month = trade_date.year, trade_date.month
    if monthly_expiry(underlying, year, month, trade_date) >= trade_date:
        rank -= 1
    years, month_index = divmod(month - 1 + rank, _MONTHS_A_YEAR)
    return monthly_expiry(underlying, year + years, month_index + 1, trade_date)


def is_symbol(text: str) -> bool:
    """Tell whether a text can be the symbol of an underlying: capitals, digits, & and -, with a letter."""
    return _SYMBOL.fullmatch(text) is not None


def rules_frame() -> pl.DataFrame:
    """Tabulate the rules.

    Returns
    -------
    polars.DataFrame
        `underlying`, `cycle`, `weekday` (ISO, Monday 1), `first_date`, `last_date` (null is open), `known_from`,
        `source`; in file order.

    """
    return pl.DataFrame(
        [
            (
                rule.underlying,
                rule.cycle,
                rule.weekday,
                rule.first_date,
                None if rule.last_date == dt.date.max else rule.last_date,
                rule.known_from,
                rule.source,
            )
            for rule in _rules()
        ],
        schema=_RULE_SCHEMA,
        orient="row",
    )


def _nominal_monthly(underlying: str, year: int, month: int, as_of: dt.date) -> dt.date | None:
    last_day = dt.date(year, month, calendar.monthrange(year, month)[1])

    def last_in_month(weekday: int) -> dt.date:
        return last_day - dt.timedelta(days=(last_day.isoweekday() - weekday) % 7)

    own = _nominal_expiry(underlying, "monthly", as_of, last_in_month)
    return own if own is not None else _nominal_expiry(EVERY_OTHER, "monthly", as_of, last_in_month)


def _nominal_expiry(underlying: str, cycle: str, as_of: dt.date, date_on: Callable[[int], dt.date]) -> dt.date | None:
    """Apply the rule that was known last; `date_on` turns its ISO weekday into the day it means."""
    for rule in _rules_of(underlying, cycle):
        nominal = date_on(rule.weekday)
        if rule.known_from <= as_of and rule.first_date <= nominal <= rule.last_date:
            return nominal
    return None


def _trading_day_at_or_before(day: dt.date) -> dt.date:
    """Shift an expiry off a holiday: a Muhurat evening is one too, a Saturday with a full session is not."""
    while not _settles_expiries(day):
        day -= dt.timedelta(days=1)
    return day


def _settles_expiries(day: dt.date) -> bool:
    if day > sessions.last_covered_date():
        return day.isoweekday() <= _LAST_WEEKDAY and day not in fixed_holidays(day.year)
    session = sessions.session_on(day)
    return session is not None and session.kind not in _UNSETTLED_KINDS


def _refuse_symbol(underlying: str) -> None:
    if not is_symbol(underlying):
        raise MarketRuleError(
            f"{underlying!r} is no symbol of an underlying, expected capitals, digits, & and - with a letter"
        )
    if underlying in _OTHER_RULES:
        raise MarketRuleError(
            f"{underlying} contracts expire by no weekday rule",
            next_step="use names or files that state the expiry day",
        )


@cache
def _rules_of(underlying: str, cycle: str) -> tuple[_Rule, ...]:
    """Rules of one underlying and cycle, the one known last first."""
    rules = [rule for rule in _rules() if (rule.underlying, rule.cycle) == (underlying, cycle)]
    return tuple(sorted(rules, key=lambda rule: rule.known_from, reverse=True))


@cache
def _rules() -> tuple[_Rule, ...]:
    return tuple(read_table(EXPIRY_RULES, _COLUMNS, _rule))


def _rule(row: dict[str, str]) -> _Rule:
    weekday = int(row["weekday"])
    if row["cycle"] not in _CYCLES or not 1 <= weekday <= _LAST_WEEKDAY:
        raise ValueError(f"cycle {row['cycle']!r} and weekday {weekday}, expected monthly or weekly and 1 to 5")
    return _Rule(
        underlying=row["underlying"],
        cycle=row["cycle"],
        weekday=weekday,
        first_date=dt.date.fromisoformat(row["first_date"]),
        last_date=dt.date.fromisoformat(row["last_date"]) if row["last_date"] else dt.date.max,
        known_from=dt.date.fromisoformat(row["known_from"]),
        source=row["source"],
    )
