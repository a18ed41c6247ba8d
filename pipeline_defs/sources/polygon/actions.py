"""Splits and dividends of a share.

Prices are stored as they were traded, so a backtest over a split needs to be told of it.
"""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.sources.asking.questions import Action
from pipeline_defs.sources.polygon.numbers import check_keys, plain
from pipeline_defs.sources.polygon.pages import all_pages, results_of
from pipeline_defs.sources.polygon.tickers import checked_ticker

if TYPE_CHECKING:
    from collections.abc import Callable

    from massive import RESTClient

    from pipeline_defs.sources.polygon.adapter import PolygonSource
    from pipeline_defs.sources.polygon.connection import Connection

ACTIONS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "ex_date": pl.Date(),
    "kind": pl.String(),
    "value": PRICE,
    "currency": pl.String(),
    "new_shares": PRICE,
    "old_shares": PRICE,
    "detail": pl.String(),
}
"""`kind`, `ex_date` and `value` are those of `pipeline_defs.schema.exports.ACTION_SCHEMA`; the share's symbol stands in
place of an instrument id.

`value` of a ``split`` is new shares for an old one, rounded to eight decimals where it does not end (4 for 3);
`new_shares` and `old_shares` are exact. Of a ``dividend`` it is `currency` a share, and `detail` the vendor's type: CD
ordinary, SC special, LT and ST gains, long and short.
"""

_PAGE: Final = 1000
_EIGHT: Final = Decimal("0.00000001")
_MOST: Final = Decimal(10**12)
_SPLIT_NEEDED: Final = {"ticker", "execution_date", "split_from", "split_to"}
_SPLIT_KNOWN: Final = _SPLIT_NEEDED | {"id", "adjustment_type", "historical_adjustment_factor"}
_DIVIDEND_NEEDED: Final = {"ticker", "ex_dividend_date", "cash_amount"}
_DIVIDEND_KNOWN: Final = _DIVIDEND_NEEDED | {
    "id",
    "currency",
    "declaration_date",
    "dividend_type",
    "distribution_type",
    "frequency",
    "pay_date",
    "record_date",
    "historical_adjustment_factor",
    "split_adjusted_cash_amount",
}


def actions(symbol: str, start: dt.date, end: dt.date, source: PolygonSource | None = None) -> pl.DataFrame:
    """Ask for the splits and cash dividends of a share.

    Parameters
    ----------
    symbol : str
        Ticker.
    start, end : datetime.date
        First and last ex-date, both inclusive.
    source : PolygonSource, optional
        Whose key, endpoint and rate limit are used; default one made of the environment. It needs no universe.

    Returns
    -------
    polars.DataFrame
        `ACTIONS_SCHEMA`, ordered by ex-date, splits first.

    Raises
    ------
    SourceError
        If they cannot be had, or one cannot be read: nothing is given then.

    """
    from pipeline_defs.sources.polygon.adapter import PolygonSource as Source  # noqa: PLC0415 -- it imports this one

    asked = Source() if source is None else source
    ticker = checked_ticker(symbol)
    try:
        connection, turn = asked.connection, asked.call.turn
        where = f"{asked.name} actions of {ticker}"
        return asked.call(lambda: ask_actions(connection, ticker, start, end, turn), where)
    finally:
        if source is None:
            asked.close()


def ask_actions(
    connection: Connection, ticker: str, start: dt.date, end: dt.date, turn: Callable[[], None]
) -> pl.DataFrame:
    """Ask as `actions` does, once; the first request has had its turn.

    Parameters
    ----------
    connection : Connection
        Does the requests.
    ticker, start, end
        As in `actions`.
    turn : callable
        Waits for a turn under the rate limit.

    Returns
    -------
    polars.DataFrame
        `ACTIONS_SCHEMA`.

    """

    def splits(client: RESTClient) -> object:
        return client.list_splits(
            ticker=ticker,
            execution_date_gte=str(start),
            execution_date_lte=str(end),
            limit=_PAGE,
            sort="execution_date",
            order="asc",
            raw=True,
        )

    def dividends(client: RESTClient) -> object:
        return client.list_dividends(
            ticker=ticker,
            ex_dividend_date_gte=str(start),
            ex_dividend_date_lte=str(end),
            limit=_PAGE,
            sort="ex_dividend_date",
            order="asc",
            raw=True,
        )

    what = f"splits of {ticker}"
    rows = _splits(_listed(connection, splits, what, turn), what)
    turn()
    what = f"dividends of {ticker}"
    rows += _dividends(_listed(connection, dividends, what, turn), what)
    frame = pl.DataFrame(rows, schema=ACTIONS_SCHEMA, orient="row")
    strange = frame.filter((pl.col("symbol") != ticker) | ~pl.col("ex_date").is_between(start, end))
    if strange.height:
        raise SchemaDriftError(
            f"Polygon: asked for {ticker} {start}..{end}, got {strange.height} others, such as {strange.row(0)[:3]}"
        )
    return frame.sort("ex_date", pl.col("kind") == "dividend", maintain_order=True)


def one_a_day(frame: pl.DataFrame, currency: str) -> tuple[tuple[Action, ...], str]:
    """Put actions of one kind and day together: dividends add up, splits multiply.

    Parameters
    ----------
    frame : polars.DataFrame
        `ACTIONS_SCHEMA`.
    currency : str
        Of the share's prices: dividends in another one are left out.

    Returns
    -------
    tuple of Action, and str
        What was left out, in words; empty when nothing was.

    """
    foreign = pl.col("currency").is_not_null() & (pl.col("currency").str.to_uppercase() != currency)
    left_out = frame.filter(foreign)
    found: dict[tuple[dt.date, str], Fraction] = {}
    for row in frame.filter(~foreign).iter_rows(named=True):
        key = row["ex_date"], row["kind"]
        if row["kind"] == "split":
            found[key] = found.get(key, Fraction(1)) * Fraction(row["new_shares"]) / Fraction(row["old_shares"])
        else:
            found[key] = found.get(key, Fraction(0)) + Fraction(row["value"])
    told = ", ".join(
        f"{value.normalize():f} {name} on {day}"
        for value, name, day in left_out.select("value", "currency", "ex_date").iter_rows()
    )
    note = f"left out dividends that are not in {currency}: {told}" if told else ""
    return tuple(Action(day, kind, _rounded(value)) for (day, kind), value in found.items()), note


def _listed(
    connection: Connection, first: Callable[[RESTClient], object], what: str, turn: Callable[[], None]
) -> list[dict[str, Any]]:
    pages = all_pages(connection, first, what, turn)
    return [row for number, page in enumerate(pages, start=1) for row in results_of(page, number, what)]


def _splits(rows: list[dict[str, Any]], what: str) -> list[tuple[object, ...]]:
    check_keys(rows, _SPLIT_NEEDED, _SPLIT_KNOWN, what)
    found: list[tuple[object, ...]] = []
    for row in rows:
        new, old = _number(row, "split_to", what), _number(row, "split_from", what)
        ratio = _rounded(Fraction(new) / Fraction(old))
        if not 0 < ratio < _MOST:
            raise _unreadable(row, "split_to", what)
        ticker, kind = _text(row, "ticker", what), _text(row, "adjustment_type", what)
        found.append((ticker, _date(row, "execution_date", what), "split", ratio, None, new, old, kind))
    return found


def _dividends(rows: list[dict[str, Any]], what: str) -> list[tuple[object, ...]]:
    check_keys(rows, _DIVIDEND_NEEDED, _DIVIDEND_KNOWN, what)
    return [
        (
            _text(row, "ticker", what),
            _date(row, "ex_dividend_date", what),
            "dividend",
            _number(row, "cash_amount", what),
            _text(row, "currency", what),
            None,
            None,
            _text(row, "dividend_type", what) or _text(row, "distribution_type", what),
        )
        for row in rows
    ]


def _rounded(value: Fraction) -> Decimal:
    """Give a number with eight decimals, the nearest one where it has more."""
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(_EIGHT, ROUND_HALF_EVEN)


def _number(row: dict[str, Any], key: str, what: str) -> Decimal:
    """Read a positive number that the warehouse can hold."""
    text = row.get(key)
    value = plain(pl.Series([text if isinstance(text, str) else ""])).item()
    try:
        number = Decimal(value)
        exact = number.quantize(_EIGHT)
    except ArithmeticError:
        raise _unreadable(row, key, what) from None
    # One that is too large for the column would become null there, without a word.
    if not number.is_finite() or not 0 < number < _MOST or exact != number:
        raise _unreadable(row, key, what)
    return number


def _text(row: dict[str, Any], key: str, what: str) -> str | None:
    value = row.get(key)
    if value is not None and not isinstance(value, str):
        raise _unreadable(row, key, what)
    return value


def _date(row: dict[str, Any], key: str, what: str) -> dt.date:
    text = str(row.get(key))
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise _unreadable(row, key, what) from None
    if day.isoformat() != text:  # a week's day, say, which Polygon does not write
        raise _unreadable(row, key, what)
    return day


def _unreadable(row: dict[str, Any], key: str, what: str) -> SchemaDriftError:
    return SchemaDriftError(
        f"Polygon {what}: {key} {row.get(key)!r} cannot be read",
        next_step="nothing was given; report it with this message",
    )
