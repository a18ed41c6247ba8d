"""What the warehouse hands to an exporter, and what an exporter hands back.

Exporters know these types and nothing of SQL; the warehouse knows nothing of engines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import polars as pl

from pipeline_defs.schema.columns import PRICE, TIMESTAMP

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
    "expiry_close": TIMESTAMP,
    "first_timestamp": TIMESTAMP,
    "last_timestamp": TIMESTAMP,
    "row_count": pl.Int64(),
}
"""One row per instrument that has bars in the slice; `expiry_close` is the close of its last session.

A rolling future (CONT) is resolved before export: its bars come under the real contract it meant.
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

`volume` and `open_interest` are 0 / null when the source gave none.
"""


class BarReader(Protocol):
    """Reads the bars of a slice in bounded pieces."""

    def __call__(self, instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        """Yield `BAR_SCHEMA` frames; each instrument lies wholly in one frame."""
        ...


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
        One row per exported instrument: `instrument_id`, `engine_id` (the name in the engine),
        `rows`, `first_timestamp`, `last_timestamp`, `close_sum` (Decimal), `volume_sum`; what
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

    """

    passed: bool
    engine: str
    checks: dict[str, Any]
    failures: tuple[str, ...]


class Exporter(ABC):
    """The export port: every engine format implements this and nothing else."""

    name: str
    """Format name as in ``pipeline export --format``."""

    @abstractmethod
    def build(self, market: MarketSlice, root: Path) -> BuiltExport:
        """Write the export into an empty staging directory.

        Parameters
        ----------
        market : MarketSlice
            What to export.
        root : Path
            Existing, empty directory.

        Returns
        -------
        BuiltExport

        Raises
        ------
        ExportError
            If the slice cannot be expressed in the format; the message says which instrument and why.

        """

    @abstractmethod
    def verify(self, built: BuiltExport, market: MarketSlice) -> Verification:
        """Read the export back with the engine itself, in a subprocess.

        Parameters
        ----------
        built : BuiltExport
            What `build` returned.
        market : MarketSlice
            The truth to compare with, value by value for a sample and by sums for all.

        Returns
        -------
        Verification
            A crash of the engine is a failed verification, not an exception.

        """
