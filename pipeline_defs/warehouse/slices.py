"""Read one underlying over a range of trade dates, for an exporter.

Everything is read in one snapshot: what is imported meanwhile is seen wholly or not at all. The same reads answer what
was known at an earlier instant. Continuous futures come out under the contract they meant, unless the contract itself
was delivered for that day.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.markets.market import market
from pipeline_defs.schema.exports import MarketSlice, TickSlice
from pipeline_defs.schema.tables import DAY, MINUTE, TICK
from pipeline_defs.warehouse.actions import read_actions
from pipeline_defs.warehouse.calendars import SESSION_SCHEMA, market_of_underlying, sessions_of
from pipeline_defs.warehouse.resampling import resample
from pipeline_defs.warehouse.selections import (
    Selection,
    bounded_parts,
    read_bars_of,
    read_coverage,
    read_instruments,
    read_load_ids,
    read_ticks_of,
)
from pipeline_defs.warehouse.settlements import read_settlements
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

PRECEDENCE: Final = (
    "nse_csv",
    "zerodha",
    "interactive_brokers",
    "polygon",
    "ccxt",
    "yahoo",
    "manual_csv",
)
"""Whose observations an export takes when none is named: the first of these that has any of the underlying."""

_SESSIONS: Final = """
SELECT session_date, open, close FROM {sessions} AS s
WHERE market = 'NSE' AND segment = 'FO' AND session_date BETWEEN %(start_date)s AND %(end_date)s
ORDER BY session_date
"""


@dataclass(frozen=True, slots=True)
class _Stored:
    """Observations of one resolution as they are stored, within a snapshot."""

    connection: psycopg.Connection
    selection: Selection
    coverage: pl.DataFrame

    def bars(self, instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        """Give them as bars, in bounded parts."""
        for part in bounded_parts(self.coverage, instrument_ids):
            yield read_bars_of(self.connection, self.selection, part)

    def ticks(self, instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        """Give them as ticks, in bounded parts."""
        for part in bounded_parts(self.coverage, instrument_ids):
            yield read_ticks_of(self.connection, self.selection, part)


@contextmanager
def open_market_slice(
    warehouse: Warehouse,
    underlying: str,
    start_date: dt.date,
    end_date: dt.date,
    *,
    bar_seconds: int = MINUTE,
    source: str | None = None,
    known_at: dt.datetime | None = None,
    resolutions: Sequence[int] = (),
    with_ticks: bool = False,
    bars_from_ticks: bool = False,
) -> Iterator[MarketSlice]:
    """Describe what the warehouse holds of an underlying, with readers for its bars and ticks.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    underlying : str
        E.g. ``NIFTY``, or ``BTCUSDT`` for a pair.
    start_date, end_date : datetime.date
        Trade dates, inclusive, in the zone of the market: of a pair, days of UTC.
    bar_seconds : int, default 60
        Resolution to export: that of the stored bars, or one to be made of ticks.
    source : str, optional
        Whose observations; default the first of `PRECEDENCE` that has any.
    known_at : datetime.datetime, optional
        Read what was known at this instant, corrections since left out; default what is known now.
    resolutions : sequence of int, default ()
        Further bar lengths in seconds, made of the bars; longer than `bar_seconds`, at most a day.
    with_ticks : bool, default False
        Give the ticks, too, where there are any.
    bars_from_ticks : bool, default False
        Make the bars of `bar_seconds` out of ticks, whatever bars are stored.

    Yields
    ------
    MarketSlice
        Usable inside the block only: its reads share one connection and one snapshot.

    Raises
    ------
    ExportError
        If the warehouse holds no bar of the selection, a resolution cannot be made of the bars, or `known_at` has no
        zone.

    """
    import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

    if known_at is not None and known_at.tzinfo is None:
        raise ExportError(
            f"the instant {known_at} has no time zone",
            next_step="write it with its offset, e.g. 2025-08-14T18:00+05:30",
        )
    _check_resolutions(bar_seconds, resolutions)
    with warehouse.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        # Tables that were filled moments ago have no statistics yet: a nested loop over them would take minutes.
        connection.execute("SET LOCAL enable_nestloop = off")
        stored_seconds = TICK if bars_from_ticks else bar_seconds
        wanted = Selection(
            underlying, start_date, end_date, stored_seconds, "", known_at, market("ANY"), fractional=False
        )
        stored = _find(connection, wanted, [source] if source is not None else PRECEDENCE)
        if stored is None:
            raise _nothing(wanted, source)
        selection = stored.selection
        sessions = _read_sessions(connection, selection)
        instruments, term_periods = read_instruments(connection, selection, stored.coverage)
        load_ids = read_load_ids(connection, selection, stored.coverage)
        ticks = None
        if with_ticks:
            ticks, of_ticks = _ticks(connection, selection)
            load_ids |= of_ticks
        opened = MarketSlice(
            underlying=underlying,
            start_date=start_date,
            end_date=end_date,
            bar_seconds=stored_seconds,
            sessions=sessions,
            instruments=instruments,
            read_bars=stored.bars,
            load_ids=tuple(sorted(load_ids)),
            known_at=known_at or _knowledge_time(connection),
            term_periods=term_periods,
            timezone=selection.zone,
            fractional=selection.fractional,
            ticks=ticks,
            settlements=None if selection.is_pair else read_settlements(connection, selection),
            actions=None if selection.is_pair else read_actions(connection, selection),
        )
        if bars_from_ticks:
            (opened,) = _derived(opened, [bar_seconds])
        yield replace(opened, resolutions=_derived(opened, resolutions))


def _check_resolutions(bar_seconds: int, resolutions: Sequence[int]) -> None:
    for seconds in resolutions:
        if seconds <= bar_seconds or seconds > DAY or seconds % max(bar_seconds, 1):
            raise ExportError(
                f"bars of {seconds} seconds cannot be made of bars of {bar_seconds} seconds",
                next_step=f"choose multiples of {bar_seconds} up to {DAY}, e.g. 300, 3600 or 86400",
            )


def _find(connection: psycopg.Connection, wanted: Selection, sources: Sequence[str]) -> _Stored | None:
    """Give what the first source has that has anything."""
    for source in sources:
        trades_at, fractional = market_of_underlying(connection, wanted.underlying, [source])
        selection = replace(wanted, source=source, market=trades_at, fractional=fractional)
        coverage = read_coverage(connection, selection)
        if not coverage.is_empty():
            return _Stored(connection, selection, coverage)
    return None


def _nothing(wanted: Selection, source: str | None) -> ExportError:
    what = "ticks" if wanted.bar_seconds == TICK else f"{wanted.bar_seconds}-second bars"
    as_known = "" if wanted.known_at is None else f" as known at {wanted.known_at.isoformat()}"
    return ExportError(
        f"no {what} of {wanted.underlying} from {wanted.start_date} to {wanted.end_date} in the warehouse{as_known}",
        where=f"source {source or ', '.join(PRECEDENCE)}",
        next_step="import the days first, or check the name with 'pipeline doctor'",
    )


def _read_sessions(connection: psycopg.Connection, selection: Selection) -> pl.DataFrame:
    if not selection.has_own_sessions:
        return copy_out(connection, selection.statement(_SESSIONS), SESSION_SCHEMA, selection.parameters())
    return sessions_of(selection.market, selection.start_date, selection.end_date)


def _ticks(connection: psycopg.Connection, selection: Selection) -> tuple[TickSlice | None, set[int]]:
    """Give the ticks of the same source, with their loads."""
    found = _find(connection, replace(selection, bar_seconds=TICK), [selection.source])
    if found is None:
        return None, set()
    instruments, _ = read_instruments(connection, found.selection, found.coverage)
    return TickSlice(instruments, found.ticks), read_load_ids(connection, found.selection, found.coverage)


def _derived(market: MarketSlice, resolutions: Sequence[int]) -> tuple[MarketSlice, ...]:
    """Give the market at further resolutions; how many bars there will be is found by making them once."""
    wanted = sorted(set(resolutions))

    def reader(seconds: int) -> _Derived:
        return _Derived(market, seconds)

    counts: dict[int, list[pl.DataFrame]] = {seconds: [] for seconds in wanted}
    if wanted:
        for bars in market.read_bars():
            for seconds in wanted:
                counts[seconds].append(_count(reader(seconds).of(bars)))
    return tuple(
        replace(
            market,
            bar_seconds=seconds,
            instruments=market.instruments.drop("row_count", "first_timestamp", "last_timestamp")
            .join(pl.concat(counts[seconds]), on="instrument_id", how="inner", maintain_order="left")
            .select(market.instruments.columns),
            read_bars=reader(seconds),
        )
        for seconds in wanted
    )


@dataclass(frozen=True, slots=True)
class _Derived:
    """Reads bars that are made of a slice's own."""

    market: MarketSlice
    seconds: int

    def __call__(self, instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        """Give them in the parts of the slice's reader."""
        for bars in self.market.read_bars(instrument_ids):
            made = self.of(bars)
            if made.height:
                yield made

    def of(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Make the bars of one part."""
        return resample(bars, self.market.sessions, from_seconds=self.market.bar_seconds, to_seconds=self.seconds)


def _count(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.group_by("instrument_id").agg(
        row_count=pl.len().cast(pl.Int64),
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
    )


def _knowledge_time(connection: psycopg.Connection) -> dt.datetime:
    """Give the stamp of the newest change that the snapshot sees."""
    (row,) = connection.execute("SELECT instant FROM knowledge_clock").fetchall()
    instant: dt.datetime = row[0]
    return instant
