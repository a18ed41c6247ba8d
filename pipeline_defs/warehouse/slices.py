"""Read one underlying over a range of trade dates, for an exporter.

Everything is read in one snapshot: what is imported meanwhile is seen wholly or not at all. The same reads answer what
was known at an earlier instant. Continuous futures come out under the contract they meant, unless the contract itself
was delivered for that day. Of which source each contract-day is, `choosing` says.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.markets.market import market
from pipeline_defs.schema.choices import SourceChoice
from pipeline_defs.schema.exports import MarketSlice, TickSlice
from pipeline_defs.schema.tables import DAY, MINUTE, TICK
from pipeline_defs.settings import load_settings
from pipeline_defs.warehouse.actions import read_actions
from pipeline_defs.warehouse.calendars import SESSION_SCHEMA, market_of_underlying, sessions_of
from pipeline_defs.warehouse.choosing import choose_sources, keep_to, taken_days
from pipeline_defs.warehouse.exported_greeks import open_greeks
from pipeline_defs.warehouse.observations import Observations
from pipeline_defs.warehouse.precedence import Precedence, load_precedence, stored_sources
from pipeline_defs.warehouse.resampling import resample
from pipeline_defs.warehouse.selections import (
    Selection,
    read_coverage,
    read_instruments,
    read_load_ids,
)
from pipeline_defs.warehouse.settlements import read_settlements
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse


_SESSIONS: Final = """
SELECT session_date, open, close FROM {sessions} AS s
WHERE market = 'NSE' AND segment = 'FO' AND session_date BETWEEN %(start_date)s AND %(end_date)s
ORDER BY session_date
"""


@contextmanager
def open_market_slice(
    warehouse: Warehouse,
    underlying: str,
    start_date: dt.date,
    end_date: dt.date,
    *,
    bar_seconds: int = MINUTE,
    source: str | None = None,
    precedence: Precedence | None = None,
    known_at: dt.datetime | None = None,
    resolutions: Sequence[int] = (),
    with_ticks: bool = False,
    bars_from_ticks: bool = False,
    with_greeks: bool = False,
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
        Whose observations; default those that the precedence says, contract-day by contract-day.
    precedence : Precedence, optional
        The order of sources; default the declared one, see `pipeline_defs.warehouse.precedence`.
    known_at : datetime.datetime, optional
        Read what was known at this instant, corrections since left out; default what is known now.
    resolutions : sequence of int, default ()
        Further bar lengths in seconds, made of the bars; longer than `bar_seconds`, at most a day.
    with_ticks : bool, default False
        Give the ticks, too, where there are any.
    bars_from_ticks : bool, default False
        Make the bars of `bar_seconds` out of ticks, whatever bars are stored.
    with_greeks : bool, default False
        Give the Greeks of the options' bars, too.

    Yields
    ------
    MarketSlice
        Usable inside the block only: its reads share one connection and one snapshot.

    Raises
    ------
    ExportError
        If the warehouse holds no bar of the selection, a resolution cannot be made of the bars, `known_at` has no
        zone, or Greeks are wanted that are not there for every option bar.
    ConfigurationError
        If the declared precedence is not understood.

    """
    import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

    if known_at is not None and known_at.tzinfo is None:
        raise ExportError(
            f"the instant {known_at} has no time zone",
            next_step="write it with its offset, e.g. 2025-08-14T18:00+05:30",
        )
    _check_resolutions(bar_seconds, resolutions)
    declared = None if source is not None else precedence or load_precedence(load_settings().home)
    with warehouse.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        # Tables that were filled moments ago have no statistics yet: a nested loop over them would take minutes.
        connection.execute("SET LOCAL enable_nestloop = off")
        stored_seconds = TICK if bars_from_ticks else bar_seconds
        order = None if declared is None else declared.expanded(stored_sources(connection))
        sources = (str(source),) if order is None else order.sources()
        wanted = Selection(
            underlying, start_date, end_date, stored_seconds, sources, known_at, market("ANY"), fractional=False
        )
        selection = _where_it_trades(connection, wanted)
        everything = read_coverage(connection, selection)
        stored = Observations(connection, selection, choose_sources(connection, selection, everything, order))
        if stored.coverage.is_empty():
            raise _nothing(selection)
        sessions = _read_sessions(connection, selection)
        instruments, term_periods = read_instruments(connection, selection, stored.coverage)
        load_ids = read_load_ids(connection, selection, stored.coverage)
        ticks = _ticks(connection, stored, order) if with_ticks else None
        if ticks is not None:
            load_ids |= read_load_ids(connection, ticks.selection, ticks.coverage)
        taken = tuple(one for one in sources if one in set(stored.coverage["source"]))
        settlements = None if selection.is_pair else read_settlements(connection, selection, order)
        if settlements is not None:
            load_ids |= settlements.load_ids_beside(taken)
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
            ticks=None if ticks is None else _tick_slice(ticks),
            settlements=None if settlements is None else settlements.prices,
            actions=None if selection.is_pair else read_actions(connection, selection, taken),
            choice=SourceChoice(
                asked_for=source,
                precedence=None if declared is None else declared.to_json(),
                digest=None if declared is None else declared.digest,
                bars=taken_days(stored.coverage),
                ticks=None if ticks is None else taken_days(ticks.coverage),
                settlements=() if settlements is None else settlements.sources,
            ),
            read_greeks=open_greeks(connection, selection, stored.coverage) if with_greeks else None,
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


def _where_it_trades(connection: psycopg.Connection, wanted: Selection) -> Selection:
    """Say whose days a slice has; where sources tell of several markets, those of the first that has anything."""
    for sources in (wanted.sources, *((source,) for source in wanted.sources)):
        trades_at, fractional = market_of_underlying(connection, wanted.underlying, sources)
        selection = replace(wanted, market=trades_at, fractional=fractional)
        if trades_at is market("ANY"):
            continue
        if sources == wanted.sources or not read_coverage(connection, replace(selection, sources=sources)).is_empty():
            return selection
    return wanted


def _nothing(wanted: Selection) -> ExportError:
    what = "ticks" if wanted.bar_seconds == TICK else f"{wanted.bar_seconds}-second bars"
    as_known = "" if wanted.known_at is None else f" as known at {wanted.known_at.isoformat()}"
    return ExportError(
        f"no {what} of {wanted.underlying} from {wanted.start_date} to {wanted.end_date} in the warehouse{as_known}",
        where=f"source {', '.join(wanted.sources)}",
        next_step="import the days first, or check the name with 'pipeline doctor'",
    )


def _read_sessions(connection: psycopg.Connection, selection: Selection) -> pl.DataFrame:
    if not selection.has_own_sessions:
        return copy_out(connection, selection.statement(_SESSIONS), SESSION_SCHEMA, selection.parameters())
    return sessions_of(selection.market, selection.start_date, selection.end_date)


def _ticks(connection: psycopg.Connection, bars: Observations, precedence: Precedence | None) -> Observations | None:
    """Find the ticks; of a contract-day whose bars are taken, those of the same source and no others."""
    selection = replace(bars.selection, bar_seconds=TICK)
    coverage = keep_to(read_coverage(connection, selection), bars.coverage)
    chosen = choose_sources(connection, selection, coverage, precedence)
    return None if chosen.is_empty() else Observations(connection, selection, chosen)


def _tick_slice(ticks: Observations) -> TickSlice:
    instruments, _ = read_instruments(ticks.connection, ticks.selection, ticks.coverage)
    return TickSlice(instruments, ticks.ticks)


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
            read_greeks=None,
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
