"""The frames in which old bars, refused lines and corporate actions leave the readers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP

DAILY_SECONDS: Final = 86_400
MINUTE_SECONDS: Final = 60

AMOUNT: Final = pl.Decimal(38, 8)
"""Prices and volumes as read. Wider than the warehouse's price: what does not fit there is refused by the import."""

_VALUES: Final[dict[str, pl.DataType]] = {
    "open": AMOUNT,
    "high": AMOUNT,
    "low": AMOUNT,
    "close": AMOUNT,
    "volume": AMOUNT,
    "file_index": pl.UInt32(),
    "line": pl.UInt32(),
}

DAILY_SCHEMA: Final[dict[str, pl.DataType]] = {"symbol": pl.String(), "date": pl.Date(), **_VALUES}
"""One row per daily bar as stored. `date` is the session; `file_index` counts in `BundlePlan.files`; `line` is the
1-based line of a CSV file, or row of a Parquet file or bcolz table."""

MINUTE_SCHEMA: Final[dict[str, pl.DataType]] = {"symbol": pl.String(), "timestamp": TIMESTAMP, **_VALUES}
"""One row per minute bar as stored. `timestamp` is the stamp the old system wrote, which is not shifted here."""

REFUSED_SCHEMA: Final[dict[str, pl.DataType]] = {
    "file_index": pl.UInt32(),
    "line": pl.UInt32(),
    "reason": pl.String(),
    "text": pl.String(),
}
"""One row per line that is no bar at all: no symbol, no date, a price that is missing or cannot be read.

Same columns as `pipeline_defs.schema.batches.REJECT_SCHEMA`. A bar that can be read and is wrong (a high below the low,
a day without session) is no matter of the reader: it is among the rows, and the import judges it as any other.
"""

ACTION_SCHEMA: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "ex_date": pl.Date(),
    "kind": pl.String(),
    "value": AMOUNT,
}
"""Corporate actions: `kind` ``split`` (new shares for an old one) or ``dividend`` (currency a share)."""


@dataclass(frozen=True, slots=True)
class SeriesChunk:
    """Part of a series of a bundle, bounded in size.

    Parameters
    ----------
    rows : polars.DataFrame
        `DAILY_SCHEMA` or `MINUTE_SCHEMA`; any order, and unjudged: duplicates are among them.
    refused : polars.DataFrame
        `REFUSED_SCHEMA`.

    """

    rows: pl.DataFrame
    refused: pl.DataFrame
