"""Candles of a reply to the rows of an answer, whole columns at a time."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import MarketRuleError, SchemaDriftError
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.tables import DAY
from pipeline_defs.sources.asking.exact import prices_of, shortest_texts, sizes_of
from pipeline_defs.sources.asking.half_characters import replace_half_characters
from pipeline_defs.sources.asking.questions import answer_rows

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.markets.market import Market

_FIELDS: Final = ("time", "open", "high", "low", "close", "volume", "open_interest")
_STAMP: Final = "%Y-%m-%dT%H:%M:%S%z"
_PRICES: Final = ("open", "high", "low", "close")
_LARGEST: Final = 2**53
"""Up to here a float holds whole numbers exactly."""


def rows_of(
    candles: object, bar_seconds: int, market: Market, *, with_interest: bool, has_volume: bool
) -> pl.DataFrame:
    """Read candles.

    Parameters
    ----------
    candles : object
        What the reply holds: lists of time, open, high, low, close, volume and, if asked for, open interest.
    bar_seconds : int
        Length of the bars.
    market : Market
        Whose sessions daily bars are.
    with_interest : bool
        Whether open interest was asked for.
    has_volume : bool
        False for an index, of which Kite says zero.

    Returns
    -------
    polars.DataFrame
        `pipeline_defs.sources.asking.questions.ANSWER_SCHEMA`, one row per candle.

    Raises
    ------
    SchemaDriftError
        If these are no candles, or all of them have other fields than expected.

    """
    if not isinstance(candles, list) or not all(isinstance(candle, list) for candle in candles):
        raise SchemaDriftError("the candles are no list of lists", next_step="look whether Kite has changed its format")
    fields = _FIELDS if with_interest else _FIELDS[:-1]
    if not candles:
        return answer_rows({"timestamp": pl.Series([], dtype=TIMESTAMP)})
    uneven = _uneven(candles, fields)
    whole = [_padded(candle, len(fields)) for candle in candles] if any(uneven) else candles
    columns = dict(zip(fields, zip(*whole, strict=True), strict=True))
    texts = {name: _texts(columns[name]) for name in fields[1:]}
    prices = {name: prices_of(texts[name]) for name in _PRICES}
    sizes = {name: sizes_of(texts[name]) for name in fields[5:]}
    bad_price = _any(prices[name].is_null() for name in _PRICES)
    bad_size = _any(sizes[name].is_null() & texts[name].is_not_null() for name in sizes)
    reason = (
        pl.select(
            pl.when(pl.Series(uneven))
            .then(pl.lit("bad_fields"))
            .when(bad_price)
            .then(pl.lit("bad_price"))
            .when(bad_size)
            .then(pl.lit("bad_quantity"))
        )
        .to_series()
        .alias("reason")
    )
    stamps = _stamps(columns["time"], bar_seconds, market)
    shown = (reason.is_not_null() | stamps.is_null()).to_list()
    text = [json.dumps(candle) if show else None for candle, show in zip(candles, shown, strict=True)]
    if not has_volume:
        sizes["volume"] = pl.Series([None] * len(candles), dtype=sizes["volume"].dtype)
    return answer_rows(
        {
            "timestamp": stamps,
            **prices,
            **sizes,
            "reason": reason,
            "text": pl.Series(text, dtype=pl.String),
        }
    )


def _uneven(candles: list[list[Any]], fields: tuple[str, ...]) -> list[bool]:
    """Tell which candles have more or fewer fields than expected; if all have, Kite has changed its format."""
    lengths = list(map(len, candles))
    if len(fields) not in lengths:
        raise SchemaDriftError(
            f"candles of {', '.join(map(str, sorted(set(lengths))))} fields,"
            f" expected {len(fields)}: {', '.join(fields)}",
            next_step="look whether Kite has changed its format",
        )
    return [length != len(fields) for length in lengths]


def _padded(candle: list[Any], length: int) -> list[Any]:
    return candle if len(candle) == length else [*candle[:length], *[None] * (length - len(candle))]


def _any(masks: Any) -> pl.Series:  # noqa: ANN401 -- an iterable of series
    first, *others = masks
    for mask in others:
        first |= mask
    return pl.Series(first)


def _stamps(stamps: tuple[object, ...], bar_seconds: int, market: Market) -> pl.Series:
    """Give the instants at which bars were complete: Kite stamps their start, in India."""
    texts = pl.Series(
        [replace_half_characters(stamp) if isinstance(stamp, str) else None for stamp in stamps], dtype=pl.String
    )
    begins = texts.str.to_datetime(_STAMP, time_zone="UTC", strict=False).cast(TIMESTAMP)
    if bar_seconds < DAY:
        return begins.dt.offset_by(f"{bar_seconds}s")
    days = begins.dt.convert_time_zone(market.zone).dt.date()
    distinct = days.drop_nulls().unique()
    closes = pl.Series([_session_end(day, market) for day in distinct], dtype=TIMESTAMP)
    return days.replace_strict(distinct, closes, default=None, return_dtype=TIMESTAMP)


def _session_end(day: dt.date, market: Market) -> dt.datetime:
    """Give a session's close; a day that was none ends at midnight, and is refused by the shared rules."""
    try:
        return market.close(day)
    except MarketRuleError:
        return market.bounds(day)[1]


def _texts(values: tuple[object, ...]) -> pl.Series:
    """Spell numbers as plain decimals; columns of floats and of whole numbers, which almost all are, at once."""
    kinds = set(map(type, values))
    if kinds == {int} and min(values) >= -(2**63) and max(values) < 2**63:  # type: ignore[type-var,operator]
        return pl.Series(values, dtype=pl.Int64).cast(pl.String)
    if kinds <= {int, float} and all(abs(value) < _LARGEST for value in values if isinstance(value, int)):
        return shortest_texts(pl.Series(values, dtype=pl.Float64, strict=False)).fill_null("no number")
    return pl.Series([_spelled(value) for value in values], dtype=pl.String)


def _spelled(value: object) -> str | None:
    if value is None:
        return value
    if isinstance(value, str):
        return replace_half_characters(value)
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else "no number"
