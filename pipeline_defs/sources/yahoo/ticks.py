"""Messages of Yahoo's stream to rows: protobuf in base64 in JSON, prices in floats of 32 bits."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.sources.asking.exact import prices_of, shortest_texts
from pipeline_defs.sources.asking.questions import answer_rows

if TYPE_CHECKING:
    from collections.abc import Sequence


def decode(message: str | bytes) -> Any:  # noqa: ANN401 -- the client's generated class has no types
    """Read one message.

    Parameters
    ----------
    message : str or bytes
        As it came.

    Returns
    -------
    PricingData or None
        None for one that cannot be read, or tells no price and time of a symbol.

    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415 -- only a stream needs it
    from yfinance.pricing_pb2 import PricingData  # noqa: PLC0415

    pricing = PricingData()
    try:
        pricing.ParseFromString(base64.b64decode(json.loads(message)["message"], validate=True))
    except (ValueError, TypeError, KeyError, binascii.Error, DecodeError):
        return None
    return pricing if pricing.id and pricing.time > 0 and pricing.price else None


def tick_rows(messages: Sequence[Any]) -> pl.DataFrame:
    """Make rows of messages of one instrument.

    Parameters
    ----------
    messages : sequence of PricingData
        In the order in which they came.

    Returns
    -------
    polars.DataFrame
        `pipeline_defs.sources.asking.questions.ANSWER_SCHEMA`. All sizes are left out: those of the quotes may be
        shares or round lots, and the size of the last trade has been seen to be the volume of the day.

    """
    price = _prices([message.price for message in messages])
    rows = answer_rows(
        {
            "timestamp": pl.from_epoch(pl.Series([message.time for message in messages]), time_unit="ms")
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone("UTC")
            .cast(TIMESTAMP),
            **dict.fromkeys(("open", "high", "low", "close"), price),
            "bid_price": _prices([message.bid or None for message in messages]),
            "ask_price": _prices([message.ask or None for message in messages]),
        }
    )
    return rows.with_columns(
        reason=pl.when(pl.col("close").is_null()).then(pl.lit("bad_price")),
        text=pl.when(pl.col("close").is_null()).then(pl.Series([str(message.price) for message in messages])),
    )


def _prices(values: list[float | None]) -> pl.Series:
    return prices_of(shortest_texts(pl.Series(values, dtype=pl.Float64), narrow=True))
