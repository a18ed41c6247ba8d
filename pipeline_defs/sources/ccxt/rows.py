"""Candles as the client gives them to the rows of an answer, exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.sources.asking.exact import prices_of, sizes_of
from pipeline_defs.sources.asking.questions import answer_rows

PRICES: Final = ("open", "high", "low", "close")
CANDLE_SCHEMA: Final = {"time": pl.Int64(), **dict.fromkeys((*PRICES, "volume"), pl.String())}
"""`time` is the begin of the bar in milliseconds; the others are as the exchange wrote them."""

_ENDING_ZEROS: Final = r"(\.[0-9]*?)0+$"
_MS: Final = 1000
_LATEST_MS: Final = 253_402_214_400_000
"""Milliseconds, the last day of the year 9999: later ones are no times."""


def candle_texts(candles: list[Any]) -> pl.DataFrame:
    """Put candles into a frame.

    Parameters
    ----------
    candles : list of list
        Time in milliseconds, open, high, low, close, volume: text where the exchange wrote text.

    Returns
    -------
    polars.DataFrame
        `CANDLE_SCHEMA`.

    """
    rows = [candle[: len(CANDLE_SCHEMA)] for candle in candles]
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(CANDLE_SCHEMA)
    return pl.DataFrame(
        {
            name: pl.Series(name, values, dtype=dtype, strict=False)
            if name == "time"
            # Python's text of a float is the shortest that means it.
            else pl.Series(name, [None if value is None else str(value) for value in values], dtype=dtype)
            for (name, dtype), values in zip(CANDLE_SCHEMA.items(), columns, strict=True)
        }
    )


def plain_texts(texts: pl.Series) -> pl.Series:
    """Spell decimals without exponent, and without zeros at their end.

    Parameters
    ----------
    texts : polars.Series
        String; what is no decimal stays as it is.

    Returns
    -------
    polars.Series
        String.

    """
    texts = texts.str.strip_chars()
    raised = texts.str.contains(r"^-?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]{1,2}$").fill_null(value=False)
    if raised.any():
        spelled = texts.filter(raised).map_elements(_without_exponent, return_dtype=pl.String)
        texts = texts.scatter(raised.arg_true(), spelled)
    return texts.str.replace(_ENDING_ZEROS, "$1").str.strip_suffix(".")


def bar_rows(candles: pl.DataFrame, bar_seconds: int, server_ms: int | None = None) -> pl.DataFrame:
    """Give candles as rows of an answer.

    Parameters
    ----------
    candles : polars.DataFrame
        `CANDLE_SCHEMA`.
    bar_seconds : int
        Their length: the time is shifted from begin to close.
    server_ms : int or None
        The exchange's own time: what closes later still runs, whatever the clock here says.

    Returns
    -------
    polars.DataFrame
        `pipeline_defs.sources.asking.questions.ANSWER_SCHEMA`, a row per candle.

    """
    step = bar_seconds * _MS
    prices = {name: prices_of(plain_texts(candles[name])) for name in PRICES}
    volume = sizes_of(plain_texts(candles["volume"]))
    time = candles["time"]
    time = time.set((time < 0) | (time > _LATEST_MS), None)
    never = pl.Series([False], dtype=pl.Boolean).new_from_index(0, len(time))
    marks = pl.DataFrame(
        {
            "bad_time": time.is_null(),
            # A bar of another zone's day, say, would be stored under the wrong one.
            "misaligned_bar": (time % step != 0).fill_null(value=False),
            "bad_price": pl.DataFrame(prices).select(pl.any_horizontal(pl.all().is_null())).to_series(),
            "bad_quantity": volume.is_null() & candles["volume"].is_not_null(),
            "running_bar": never if server_ms is None else (time + step > server_ms).fill_null(value=False),
        }
    )
    reason = marks.select(
        pl.coalesce(pl.when(name).then(pl.lit(name)) for name in marks.columns).alias("reason")
    ).to_series()
    shown = candles.select(pl.concat_str(pl.all().cast(pl.String).fill_null(""), separator=",")).to_series()
    return answer_rows(
        {
            "timestamp": (time + step).cast(pl.Datetime("ms", "UTC")).cast(TIMESTAMP),
            **prices,
            "volume": volume,
            "reason": reason,
            "text": shown.set(reason.is_null(), None),
        }
    )


def _without_exponent(text: str) -> str:
    return format(Decimal(text), "f")
