"""Splits and dividends of a share.

Prices are stored as they were traded, so a backtest over a split needs to be told of it.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.sources.polygon.adapter import PolygonSource
from pipeline_defs.sources.polygon.numbers import check_keys, plain
from pipeline_defs.sources.polygon.pages import all_pages, results_of
from pipeline_defs.sources.polygon.tickers import checked_ticker

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from massive import RESTClient

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
    asked = PolygonSource() if source is None else source
    ticker = checked_ticker(symbol)

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

    rows = [
        *_splits(_listed(asked, splits, f"splits of {ticker}"), f"splits of {ticker}"),
        *_dividends(_listed(asked, dividends, f"dividends of {ticker}"), f"dividends of {ticker}"),
    ]
    if source is None:
        asked.close()
    frame = pl.DataFrame(rows, schema=ACTIONS_SCHEMA, orient="row")
    strange = frame.filter((pl.col("symbol") != ticker) | ~pl.col("ex_date").is_between(start, end))
    if strange.height:
        raise SchemaDriftError(
            f"Polygon: asked for {ticker} {start}..{end}, got {strange.height} others, such as {strange.row(0)[:3]}"
        )
    return frame.sort("ex_date", pl.col("kind") == "dividend", maintain_order=True)


def _listed(source: PolygonSource, first: Callable[[RESTClient], object], what: str) -> list[dict[str, Any]]:
    connection = source.connection
    pages = source.call(lambda: all_pages(connection, first, what, source.call.turn), f"{source.name} {what}")
    return [row for number, page in enumerate(pages, start=1) for row in results_of(page, number, what)]


def _splits(rows: list[dict[str, Any]], what: str) -> list[tuple[object, ...]]:
    check_keys(rows, _SPLIT_NEEDED, _SPLIT_KNOWN, what)
    found: list[tuple[object, ...]] = []
    for row in rows:
        new, old = _number(row, "split_to", what), _number(row, "split_from", what)
        ratio = (new / old).quantize(_EIGHT, ROUND_HALF_EVEN)
        kind = row.get("adjustment_type")
        found.append((row["ticker"], _date(row, "execution_date", what), "split", ratio, None, new, old, kind))
    return found


def _dividends(rows: list[dict[str, Any]], what: str) -> list[tuple[object, ...]]:
    check_keys(rows, _DIVIDEND_NEEDED, _DIVIDEND_KNOWN, what)
    return [
        (
            row["ticker"],
            _date(row, "ex_dividend_date", what),
            "dividend",
            _number(row, "cash_amount", what),
            row.get("currency"),
            None,
            None,
            row.get("dividend_type") or row.get("distribution_type"),
        )
        for row in rows
    ]


def _number(row: dict[str, Any], key: str, what: str) -> Decimal:
    """Read a positive number that the warehouse can hold."""
    text = row.get(key)
    value = plain(pl.Series([text if isinstance(text, str) else ""])).item()
    try:
        number = Decimal(value)
        exact = number.quantize(_EIGHT)
    except ArithmeticError:
        raise _unreadable(row, key, what) from None
    if not number.is_finite() or number <= 0 or exact != number:
        raise _unreadable(row, key, what)
    return number


def _date(row: dict[str, Any], key: str, what: str) -> dt.date:
    day = pl.Series([str(row.get(key))]).str.to_date("%Y-%m-%d", strict=False).item()
    if day is None:
        raise _unreadable(row, key, what)
    return day  # type: ignore[no-any-return] # a series of dates gives dates


def _unreadable(row: dict[str, Any], key: str, what: str) -> SchemaDriftError:
    return SchemaDriftError(
        f"Polygon {what}: {key} {row.get(key)!r} cannot be read",
        next_step="nothing was given; report it with this message",
    )
