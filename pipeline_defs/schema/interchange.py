"""What the generic files hold: columns, their meaning, and what the sidecar beside them is called.

The generic exports write these files and the manual CSV source reads them back; the two know each other only through
this module. How a file is written or parsed does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from pipeline_defs.schema.batches import CONTRACT_SCHEMA
from pipeline_defs.schema.columns import PRICE, TIMESTAMP
from pipeline_defs.schema.exports import (
    ACTION_SCHEMA,
    BAR_SCHEMA,
    GREEKS_SCHEMA,
    INSTRUMENT_SCHEMA,
    SETTLEMENT_SCHEMA,
    TERM_PERIOD_SCHEMA,
    TICK_SCHEMA,
)
from pipeline_defs.schema.tables import OBSERVATION_COLUMNS

SIDECAR_NAME: Final = "schema.json"
SIDECAR_KIND: Final = "market-data-pipeline files"
SIDECAR_VERSION: Final = 1
"""Raised when a reader of an older version would misread the files."""

BARS, TICKS, INSTRUMENTS, TERM_PERIODS = "bars", "ticks", "instruments", "term_periods"
SESSIONS, SETTLEMENTS, ACTIONS = "sessions", "settlements", "actions"
GREEKS = "option_greeks"

OWN_TERMS: Final[dict[str, pl.DataType]] = {
    name: INSTRUMENT_SCHEMA[name]
    for name in (
        *("symbol", "kind", "underlying", "expiry", "strike", "option_type", "series", "venue", "currency"),
        "base_currency",
    )
}
"""What names a contract, written with each of its rows, as it was on the row's trade date."""

BAR_COLUMNS: Final[dict[str, pl.DataType]] = {
    "timestamp": TIMESTAMP,
    "instrument_id": pl.Int32(),
    **OWN_TERMS,
    "bar_seconds": pl.Int32(),
    **{name: dtype for name, dtype in BAR_SCHEMA.items() if name not in {"instrument_id", "timestamp"}},
}
"""Columns of a file of bars; in a market that trades fractions `volume` is a decimal."""

TICK_COLUMNS: Final[dict[str, pl.DataType]] = {
    "timestamp": TIMESTAMP,
    "instrument_id": pl.Int32(),
    **OWN_TERMS,
    "bar_seconds": pl.Int32(),
    **{name: dtype for name, dtype in TICK_SCHEMA.items() if name not in {"instrument_id", "timestamp"}},
}
"""Columns of a file of ticks, for which `bar_seconds` is 0."""

SMALL_FILES: Final[dict[str, dict[str, pl.DataType]]] = {
    INSTRUMENTS: {
        name: dtype
        for name, dtype in INSTRUMENT_SCHEMA.items()
        if name not in {"first_timestamp", "last_timestamp", "row_count"}
    },
    TERM_PERIODS: TERM_PERIOD_SCHEMA,
    SESSIONS: {"session_date": pl.Date(), "open": TIMESTAMP, "close": TIMESTAMP},
    SETTLEMENTS: SETTLEMENT_SCHEMA,
    ACTIONS: ACTION_SCHEMA,
    GREEKS: GREEKS_SCHEMA,
}
"""Files beside bars and ticks, by content; all but the Greeks are of a few rows."""

ROW_KEYS: Final[dict[str, tuple[str, ...]]] = {
    BARS: ("instrument_id", "timestamp"),
    TICKS: ("instrument_id", "timestamp", "sequence"),
    INSTRUMENTS: ("instrument_id",),
    TERM_PERIODS: ("instrument_id", "valid_from"),
    SESSIONS: ("session_date",),
    SETTLEMENTS: ("instrument_id", "session_date"),
    ACTIONS: ("instrument_id", "ex_date", "kind"),
    GREEKS: ("instrument_id", "timestamp"),
}
"""What the rows of a file are sorted by, and unique by."""

MEANINGS: Final[dict[str, str]] = {
    **{column.name: column.meaning for column in OBSERVATION_COLUMNS if column.name not in {"source", "load_id"}},
    "instrument_id": "Number of the instrument; joins the files of one export and means nothing elsewhere.",
    "symbol": "Ticker as the source wrote it.",
    "kind": "OPT, FUT, EQ (share), SPOT (index) or PAIR (currencies).",
    "underlying": "What the contract is on; of an index, share or pair its own name.",
    "expiry": "Last trading day, by the exchange's calendar; empty for what does not expire.",
    "strike": "Strike in units of the currency; options only.",
    "option_type": "CE (call) or PE (put).",
    "rank": "1 is the nearest of the rolling futures; empty otherwise.",
    "series": "Series of a share on its exchange, e.g. EQ.",
    "isin": "International securities identification number.",
    "lot_size": "Units in a lot; empty when not known.",
    "tick_size": "Smallest step of the price; empty when not known.",
    "multiplier": "Money per unit and point.",
    "venue": "Exchange.",
    "currency": "Currency of the prices.",
    "base_currency": "Currency that is traded, of a pair.",
    "expiry_close": "Close of the contract's last session, UTC.",
    "valid_from": "First trade date of the terms, inclusive.",
    "valid_to": "Trade date from which they no longer hold, exclusive.",
    "session_date": "Trade date, by the exchange's calendar.",
    "underlying_price": "The exchange's final settlement of the underlying.",
    "ex_date": "First trade date without the right.",
    "value": "New shares for an old one (split), or currency a share (dividend).",
    "price": "Price of the last trade.",
    "size": "Units of the last trade; 0 when the tick tells of none.",
    f"{INSTRUMENTS}.symbol": "Ticker of the last row.",
    f"{SESSIONS}.open": "First instant of trading, UTC.",
    f"{SESSIONS}.close": "Last instant of trading, UTC.",
    f"{SETTLEMENTS}.settlement_price": "What a unit of the contract is worth at its expiry.",
    f"{ACTIONS}.kind": "split or dividend.",
    f"{GREEKS}.timestamp": "Close of the option's bar, UTC.",
    f"{GREEKS}.underlying_price": "Last price of the underlying known by then; empty where the forward is by parity.",
    "forward": "Worth of the underlying at expiry that the model took.",
    "implied_volatility": "A year, as a fraction.",
    "delta": "By the forward, or by the spot where the forward was made of it.",
    "gamma": "The same, twice.",
    "vega": "Per 1.00 of volatility.",
    "theta": "Per year of 365 days.",
    "rho": "Per 1.00 of interest rate.",
}
"""Meaning of each column; ``content.column`` where it means something else in one file."""

CONTRACT_FIELDS: Final = tuple(name for name in dict.fromkeys((*CONTRACT_SCHEMA, *OWN_TERMS)) if name != "contract_key")
"""What can be said of a contract, in a file or once for all its rows."""


@dataclass(frozen=True, slots=True)
class DescribedColumn:
    """One column as the sidecar describes it.

    Parameters
    ----------
    name : str
        In the file.
    type : str
        E.g. ``decimal(20, 8)``.
    meaning : str
        What it says, with its unit.

    """

    name: str
    type: str
    meaning: str


def describe(content: str, schema: dict[str, pl.DataType]) -> tuple[DescribedColumn, ...]:
    """Describe the columns of a file.

    Parameters
    ----------
    content : str
        What the file holds, e.g. `BARS`.
    schema : dict
        Its columns.

    Returns
    -------
    tuple of DescribedColumn

    """
    return tuple(
        DescribedColumn(name, type_name(dtype), MEANINGS.get(f"{content}.{name}") or MEANINGS[name])
        for name, dtype in schema.items()
    )


def type_name(dtype: pl.DataType) -> str:
    """Name a type as the sidecar does.

    Parameters
    ----------
    dtype : polars.DataType
        One of those used in the files.

    Returns
    -------
    str
        ``timestamp(us, UTC)``, ``date``, ``decimal(20, 8)``, ``int16``, ``int32``, ``int64``, ``float64`` or
        ``string``.

    """
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return "timestamp(us, UTC)"
    return str(dtype).lower()


def file_stem(content: str, bar_seconds: int | None) -> str:
    """Name a file without its ending.

    Parameters
    ----------
    content : str
        What the file holds.
    bar_seconds : int or None
        Resolution of bars; None for any other content.

    Returns
    -------
    str
        E.g. ``bars_1m``, ``bars_1h``, ``bars_1d``, ``bars_15s``, ``ticks``, ``instruments``.

    """
    if content != BARS or bar_seconds is None:
        return content
    for seconds, letter in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if bar_seconds % seconds == 0:
            return f"{content}_{bar_seconds // seconds}{letter}"
    return f"{content}_{bar_seconds}s"


SETTLED_BAR: Final = {"settlement_price": PRICE}
"""Column that a file of stored daily bars has besides `BAR_COLUMNS` when the exchange's settlements are known."""
