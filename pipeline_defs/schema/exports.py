"""What the warehouse hands to an exporter, and what an exporter hands back.

Exporters know these types and nothing of SQL; the warehouse knows nothing of engines.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

from pipeline_defs.schema.columns import MARKET_ZONE, PRICE, SIZE, TIMESTAMP

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

INSTRUMENT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "kind": pl.String(),
    "symbol": pl.String(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "strike": PRICE,
    "option_type": pl.String(),
    "rank": pl.Int16(),
    "series": pl.String(),
    "isin": pl.String(),
    "lot_size": pl.Int64(),
    "tick_size": PRICE,
    "venue": pl.String(),
    "currency": pl.String(),
    "base_currency": pl.String(),
    "expiry_close": TIMESTAMP,
    "first_timestamp": TIMESTAMP,
    "last_timestamp": TIMESTAMP,
    "row_count": pl.Int64(),
}
"""One row per instrument that has bars in the slice; `expiry_close` is the close of its last session.

A rolling future (CONT) is resolved before export: its bars come under the real contract it meant. `base_currency` is
set for a pair (kind PAIR) alone: ``BTC`` of BTC/USDT, whose `currency` is ``USDT`` and whose `underlying` is
``BTCUSDT``.
"""

TERM_PERIOD_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "valid_from": pl.Date(),
    "valid_to": pl.Date(),
    "symbol": pl.String(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "strike": PRICE,
    "lot_size": pl.Int64(),
    "tick_size": PRICE,
    "multiplier": PRICE,
}
"""One row per instrument and period of equal terms, by trade date: `valid_from` inclusive, `valid_to` exclusive.

Null is open. The periods of an instrument reach from its first to its last bar in the slice, without gaps.
"""

BAR_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "timestamp": TIMESTAMP,
    "open": PRICE,
    "high": PRICE,
    "low": PRICE,
    "close": PRICE,
    "volume": pl.Int64(),
    "open_interest": pl.Int64(),
}
"""Bars with a close stamp; sorted by (instrument_id, timestamp), unique by it, no nulls in prices.

`volume` and `open_interest` are 0 / null when the source gave none. `MarketSlice.bar_schema` has the type of `volume`:
`SIZE` where the market trades fractions.
"""

TICK_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "timestamp": TIMESTAMP,
    "sequence": pl.Int32(),
    "price": PRICE,
    "size": pl.Int64(),
    "open_interest": pl.Int64(),
    "bid_price": PRICE,
    "bid_size": pl.Int64(),
    "ask_price": PRICE,
    "ask_size": pl.Int64(),
}
"""Ticks sorted by (instrument_id, timestamp, sequence); several may share an instant, `sequence` keeps their order.

`price` and `size` are the last trade (size 0 when the tick tells of none); a side of the quote that the source did not
give is null. In a slice with fractional sizes, `size`, `bid_size` and `ask_size` are `SIZE`.
"""

SETTLEMENT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "session_date": pl.Date(),
    "settlement_price": PRICE,
    "underlying_price": PRICE,
}
"""The exchange's own settlement of contracts that expire in the slice, one row each, where a source gave it.

`settlement_price` is what a unit of the contract is worth at its expiry; for an option that is its intrinsic value at
`underlying_price`, the exchange's final settlement price of the underlying (null when only the value is known).
"""

ACTION_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "ex_date": pl.Date(),
    "kind": pl.String(),
    "value": PRICE,
}
"""Corporate actions of shares: `kind` ``split`` (new shares for an old one) or ``dividend`` (currency a share)."""

READBACK_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "bar_seconds": pl.Int32(),
    "rows": pl.Int64(),
    "first_timestamp": TIMESTAMP,
    "last_timestamp": TIMESTAMP,
    "close_sum": pl.Decimal(38, 8),
    "volume_sum": pl.Decimal(38, 8),
}
"""What reading an export back gave, a row for each instrument and resolution; stamps are those of the bars' close.

Every format fills it from what its reader (the engine itself, where it runs here) returned, never from what was to be
written: equal tables are what the certificate of parity attests.
"""


ROUNDED_SCHEMA: Final[dict[str, pl.DataType]] = {"volume_rounded_off": pl.Decimal(38, 8)}
"""What a format that counts whole units has beside `READBACK_SCHEMA` where parts are traded: how much was taken from
the volumes before they were written. With it, sums of all formats are equal again."""


class BarReader(Protocol):
    """Reads the bars of a slice in bounded pieces."""

    def __call__(self, instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        """Yield `BAR_SCHEMA` frames; each instrument lies wholly in one frame."""
        ...


class TickReader(Protocol):
    """Reads the ticks of a slice in bounded pieces."""

    def __call__(self, instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        """Yield `TICK_SCHEMA` frames; each instrument lies wholly in one frame."""
        ...


@dataclass(frozen=True, slots=True)
class TickSlice:
    """The ticks that a slice has beside its bars.

    Parameters
    ----------
    instruments : polars.DataFrame
        `INSTRUMENT_SCHEMA`: those that have ticks, with counts and bounds of their ticks.
    read : TickReader
        Gives the ticks.

    """

    instruments: pl.DataFrame
    read: TickReader


@dataclass(frozen=True, slots=True)
class MarketSlice:
    """One underlying over a range of trade dates, ready to be exported.

    Parameters
    ----------
    underlying : str
        E.g. ``NIFTY``.
    start_date, end_date : datetime.date
        First and last trade date, inclusive.
    bar_seconds : int
        Resolution of the bars.
    sessions : polars.DataFrame
        `session_date` (Date), `open` and `close` (UTC instants), one row per session of the range.
    instruments : polars.DataFrame
        `INSTRUMENT_SCHEMA`: the index or share itself, futures, options.
    read_bars : BarReader
        Gives the bars.
    load_ids : tuple of int
        Loads the slice draws on, ascending; recorded in the manifest.
    known_at : datetime.datetime
        Knowledge time of what was read: as of it the same slice can be read again. Never part of an export's bytes, of
        which it says nothing.
    term_periods : polars.DataFrame or None, default None
        `TERM_PERIOD_SCHEMA`: the terms valid at each bar. `instruments` holds those of the last bar; None says that
        they held for all bars.
    timezone : str, default "Asia/Kolkata"
        Zone of the trade dates and of exchange time, an IANA name; ``UTC`` for markets that never close, whose sessions
        are the UTC days.
    fractional : bool, default False
        Whether volumes and sizes are `SIZE` in place of Int64.
    resolutions : tuple of MarketSlice, default ()
        The same market at further bar lengths, ascending, each with its own `instruments` and `read_bars`; derived from
        this slice's bars, in buckets that start at the open of each session.
    ticks : TickSlice or None, default None
        Ticks to export beside the bars; None when they are not wanted or there are none.
    settlements : polars.DataFrame or None, default None
        `SETTLEMENT_SCHEMA`; None when no official settlement is known.
    actions : polars.DataFrame or None, default None
        `ACTION_SCHEMA`; None when none are known.

    """

    underlying: str
    start_date: dt.date
    end_date: dt.date
    bar_seconds: int
    sessions: pl.DataFrame
    instruments: pl.DataFrame
    read_bars: BarReader
    load_ids: tuple[int, ...]
    known_at: dt.datetime
    term_periods: pl.DataFrame | None = None
    timezone: str = MARKET_ZONE
    fractional: bool = False
    resolutions: tuple[MarketSlice, ...] = ()
    ticks: TickSlice | None = None
    settlements: pl.DataFrame | None = None
    actions: pl.DataFrame | None = None

    @property
    def bar_schema(self) -> dict[str, pl.DataType]:
        """`BAR_SCHEMA` with the type that volumes have in this market."""
        return {**BAR_SCHEMA, "volume": SIZE} if self.fractional else BAR_SCHEMA

    @property
    def tick_schema(self) -> dict[str, pl.DataType]:
        """`TICK_SCHEMA` with the type that sizes have in this market."""
        sizes = dict.fromkeys(("size", "bid_size", "ask_size"), SIZE) if self.fractional else {}
        return {**TICK_SCHEMA, **sizes}

    @property
    def every_resolution(self) -> tuple[MarketSlice, ...]:
        """Give this slice and those of its further bar lengths, the finest first."""
        return (self, *self.resolutions)


@dataclass(frozen=True, slots=True)
class BuiltExport:
    """What `Exporter.build` wrote, before it is verified.

    Parameters
    ----------
    root : Path
        Staging directory.
    counts : dict
        Rows by kind of file, e.g. ``{"bars": 750000, "instruments": 2000}``.
    instruments : polars.DataFrame
        One row per exported instrument and resolution: `instrument_id`, `engine_id` (the name in the engine),
        `bar_seconds`, `rows`, `first_timestamp`, `last_timestamp`, `close_sum` (Decimal), `volume_sum`; what
        verification must find again.
    engine : str
        Engine and version, e.g. ``nautilus_trader 1.231.0``.
    details : dict
        Format-specific facts for the manifest (precision, schema fingerprint, stamp convention).

    """

    root: Path
    counts: dict[str, int]
    instruments: pl.DataFrame
    engine: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verification:
    """What the engine itself read back.

    Parameters
    ----------
    passed : bool
        Whether every expectation held.
    engine : str
        Engine and version that read the export.
    checks : dict
        Check name to what was found.
    failures : tuple of str
        One readable line per failed expectation, expected against found.
    readback : polars.DataFrame or None, default None
        `READBACK_SCHEMA`, as the format's reader returned it; None when nothing could be read.

    """

    passed: bool
    engine: str
    checks: dict[str, Any]
    failures: tuple[str, ...]
    readback: pl.DataFrame | None = field(default=None, compare=False)
