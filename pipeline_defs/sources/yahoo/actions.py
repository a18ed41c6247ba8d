"""Splits and dividends of a chart. Yahoo adjusts every earlier bar for a split: a new one makes stored bars stale."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.schema.columns import PRICE
from pipeline_defs.sources.asking.exact import shortest_texts
from pipeline_defs.sources.asking.questions import Action
from pipeline_defs.sources.yahoo.checking import zone_of
from pipeline_defs.sources.yahoo.drift import drift

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

SOURCE_ACTION_SCHEMA: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "ex_date": pl.Date(),
    "kind": pl.String(),
    "value": PRICE,
    "text": pl.String(),
}
"""Corporate actions as Yahoo tells them: `pipeline_defs.schema.exports.ACTION_SCHEMA` by the source's own symbol.

`kind` is ``split`` (`value`: new shares for an old one) or ``dividend`` (`value`: currency a share, a fund's capital
gains among them). `text` is exact where `value` is not: ``3:1``, ``0.24 USD``; a ratio such as 1:3 has no last decimal,
and Yahoo's own division has been done to dividends before a split: both are rounded to eight decimals.
"""

SPLIT: Final = "split"
DIVIDEND: Final = "dividend"

_EXACT: Final = Decimal(1).scaleb(-8)
_MOST: Final = Decimal(10**12)


@dataclass(frozen=True, slots=True)
class Split:
    """One split.

    Parameters
    ----------
    symbol : str
        Yahoo's.
    ex_date : datetime.date
        First day that trades after it.
    ratio : str
        New to old shares: ``2:1``.

    """

    symbol: str
    ex_date: dt.date
    ratio: str

    def __str__(self) -> str:
        """Show it as people are told of it."""
        return (
            f"{self.symbol} SPLIT {self.ratio} on {self.ex_date}: earlier bars were adjusted by Yahoo;"
            f" re-fetch from the first stored day to {self.ex_date - dt.timedelta(days=1)}"
        )


def actions_of(chart: dict[str, Any] | None, symbol: str) -> pl.DataFrame:
    """Read the corporate actions of a chart.

    Parameters
    ----------
    chart : dict or None
        As `pipeline_defs.sources.yahoo.replies.chart_of` gives it.
    symbol : str
        Whose.

    Returns
    -------
    polars.DataFrame
        `SOURCE_ACTION_SCHEMA`, by date and kind.

    Raises
    ------
    SchemaDriftError
        If one of them cannot be read.

    """
    events = (chart or {}).get("events") or {}
    rows: list[tuple[str, dt.date, str, Decimal, str]] = []
    if chart is not None and events:
        zone, currency = zone_of(chart["meta"]), str(chart["meta"].get("currency") or "")
        try:
            rows += [(symbol, _day(one, zone), SPLIT, *_ratio(one)) for one in _listed(events, "splits")]
            for name, remark in (("dividends", ""), ("capitalGains", " capital gain")):
                rows += [
                    (symbol, _day(one, zone), DIVIDEND, *_amount(one, currency, remark))
                    for one in _listed(events, name)
                ]
        except (KeyError, TypeError, ValueError, OverflowError, OSError, ArithmeticError, AttributeError) as error:
            told = f"{type(error).__name__}: {error}"
            raise drift(f"a corporate action of {symbol} cannot be read ({told})") from None
    return pl.DataFrame(rows, schema=SOURCE_ACTION_SCHEMA, orient="row").sort("ex_date", "kind", "text")


def splits_of(actions: pl.DataFrame) -> list[Split]:
    """Pick the splits of corporate actions.

    Parameters
    ----------
    actions : polars.DataFrame
        `SOURCE_ACTION_SCHEMA`.

    Returns
    -------
    list of Split
        By date.

    """
    chosen = actions.filter(pl.col("kind") == SPLIT).sort("ex_date", "text").select("symbol", "ex_date", "text")
    return [Split(*row) for row in chosen.rows()]


def told_of(actions: pl.DataFrame) -> tuple[Action, ...]:
    """Give corporate actions as answers tell them: one of a kind and day.

    Parameters
    ----------
    actions : polars.DataFrame
        `SOURCE_ACTION_SCHEMA`, of one symbol.

    Returns
    -------
    tuple of Action
        By date and kind. Dividends of one day are added, splits of one day multiplied; a dividend of nothing is none.

    """
    found: dict[tuple[dt.date, str], Decimal] = {}
    for day, kind, value in actions.filter(pl.col("value") > 0).select("ex_date", "kind", "value").rows():
        before = found.get((day, kind))
        joined = value if before is None else before * value if kind == SPLIT else before + value
        found[day, kind] = _rounded(joined)
    return tuple(Action(day, kind, value) for (day, kind), value in sorted(found.items()))


def _listed(events: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return list((events.get(name) or {}).values())


def _day(event: dict[str, Any], zone: ZoneInfo) -> dt.date:
    return dt.datetime.fromtimestamp(event["date"], zone).date()


def _ratio(event: dict[str, Any]) -> tuple[Decimal, str]:
    new, old = _decimal(event["numerator"]), _decimal(event["denominator"])
    if new <= 0 or old <= 0:
        raise ValueError(f"a ratio of {new}:{old}")
    return _kept(new / old), f"{new}:{old}"


def _amount(event: dict[str, Any], currency: str, remark: str) -> tuple[Decimal, str]:
    amount = _decimal(event["amount"])
    return _kept(amount), f"{amount} {event.get('currency') or currency}{remark}"


def _decimal(number: Any) -> Decimal:  # noqa: ANN401 -- whatever JSON gave
    text = shortest_texts(pl.Series([float(number)]), narrow=True)[0]
    if text is None:
        raise InvalidOperation(f"{number!r} is no number")
    return Decimal(text)


def _kept(value: Decimal) -> Decimal:
    if abs(value) >= _MOST:
        raise ValueError(f"{value} is more than is kept")
    return _rounded(value)


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_EXACT, ROUND_HALF_EVEN)
