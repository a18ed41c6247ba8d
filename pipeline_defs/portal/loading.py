"""Blocks out of the warehouse: of each contract-day all of one source, and bars made of finer ones where it must be.

A contract-day is taken at the longest stored resolution that gives the wanted bars, and there from the first source of
the declared order that has it; sources are never mixed within one. Everything is read in one snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pipeline_defs.portal.blocks import BLOCK_SCHEMA, Block, Span, cut, sized, spans_between
from pipeline_defs.portal.calendars import closes_of, sessions_frame
from pipeline_defs.portal.wanted import made_of
from pipeline_defs.schema.columns import SIZE, TIMESTAMP
from pipeline_defs.schema.exports import BAR_SCHEMA
from pipeline_defs.schema.tables import DAY, TICK, table_for
from pipeline_defs.warehouse.days import day_bounds
from pipeline_defs.warehouse.resampling import resample
from pipeline_defs.warehouse.segments import keep_months, read_months, segment_schema

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    import psycopg

    from pipeline_defs.portal.calendars import SessionCalendar
    from pipeline_defs.portal.instruments import Instrument
    from pipeline_defs.portal.store import Series, Snapshot

_ROWS: Final = """
SELECT o.instrument_id, o."timestamp", o.open, o.high, o.low, o.close, o.volume, o.open_interest
FROM {observations} AS o
WHERE o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.bar_seconds = %(bar_seconds)s
  AND o.source = %(source)s AND o.open IS NOT NULL AND o.instrument_id = ANY (%(ids)s)
ORDER BY o.instrument_id, o."timestamp", o.sequence
"""

_MEANT: Final = """
SELECT c.instrument_id, c.trade_date, c.contract_id FROM {continuous_contracts} AS c
WHERE c.contract_id = ANY (%(ids)s) AND c.trade_date BETWEEN %(first)s AND %(last)s
"""

_SIZED_BARS: Final = {**BAR_SCHEMA, "volume": SIZE, "open_interest": SIZE}


@dataclass(frozen=True, slots=True)
class Supplied:
    """An instrument and what there is of it.

    Parameters
    ----------
    instrument : Instrument
        Which.
    series : tuple of Series
        What loads have delivered, of all its rows of `instruments`, and of rolling futures that meant it.

    """

    instrument: Instrument
    series: tuple[Series, ...]

    @property
    def first_date(self) -> dt.date | None:
        """The first trade date of which anything was delivered."""
        return min((one.first_date for one in self.series), default=None)

    @property
    def last_date(self) -> dt.date | None:
        """The last one."""
        return max((one.last_date for one in self.series), default=None)


@dataclass
class Loader:
    """Makes blocks of one calendar and length.

    Parameters
    ----------
    calendar : SessionCalendar
        Whose sessions bars are made by, and whose days are trade dates.
    seconds : int
        Length of the bars.
    order : callable
        Gives the sources of a table at an instrument's market, the first one first.
    wants : callable
        Tells whether a table may be read.
    is_split_adjusted : callable
        Tells whether bars of a length come adjusted for splits from a source.

    """

    calendar: SessionCalendar
    seconds: int
    order: Callable[[str, Instrument], Sequence[str]]
    wants: Callable[[str], bool]
    is_split_adjusted: Callable[[str, int], bool]
    kept: list[tuple[dict[str, Any], dict[tuple[int, dt.date], pl.DataFrame], dt.datetime | None]] = field(
        default_factory=list
    )
    """Months that were put together meanwhile, for `keep`."""

    def load(self, snapshot: Snapshot, wanted: Sequence[Supplied], span: Span) -> list[Block]:
        """Read the blocks of instruments over a span.

        Parameters
        ----------
        snapshot : Snapshot
            Open.
        wanted : sequence of Supplied
            What is read at once; all, or none of them, are traded in parts of a unit.
        span : Span
            Trade dates.

        Returns
        -------
        list of Block
            One for each, in order; empty where there is nothing.

        """
        numbered = dict(enumerate(wanted))
        meant = self._meant(snapshot, wanted, span)
        taken = _Taken(self._days(span))
        for stored in made_of(self.seconds):
            for months, table, source, ids in self._steps(numbered, taken, stored, span):
                rows = self._rows(snapshot, table, source, stored, ids=ids, months=months)
                made = self._made(rows, numbered, meant, stored, months)
                adjusted = self.is_split_adjusted(source, stored)
                taken.add(made.with_columns(source=pl.lit(source), is_split_adjusted=pl.lit(value=adjusted)))
        return cut(sized(taken.bars(), has_parts=wanted[0].instrument.has_parts), len(wanted))

    def keep(self, connection: psycopg.Connection) -> None:
        """Keep the months that were put together, so that the next portal finds them."""
        for what, made, known_at in self.kept:
            keep_months(connection, what, made, known_at)
        self.kept.clear()

    def _days(self, span: Span) -> pl.DataFrame:
        return sessions_frame(self.calendar, span.first, span.last)

    def _meant(self, snapshot: Snapshot, wanted: Sequence[Supplied], span: Span) -> pl.DataFrame:
        """List on which days a rolling future meant one of the contracts that are wanted."""
        schema = {"instrument_id": pl.Int32(), "trade_date": pl.Date(), "contract_id": pl.Int32()}
        ids = [one for each in wanted if each.instrument.kind == "FUT" for one in each.instrument.instrument_ids]
        if not ids:
            return pl.DataFrame(schema=schema)
        return snapshot.frame(_MEANT, schema, ids=ids, first=span.first, last=span.last)

    def _steps(
        self, numbered: dict[int, Supplied], taken: _Taken, stored: int, span: Span
    ) -> list[tuple[Span, str, str, list[int]]]:
        """List what to read of one resolution: a span, a table, a source, and rows of `instruments`.

        Days that a longer resolution has are not read again; those that a better source has are, since only reading
        tells.
        """
        steps: dict[tuple[Span, int, str, str], set[int]] = {}
        for part in [span] if stored >= DAY else spans_between(span.first, span.last, stored, None):
            months = Span((max(part.first, span.first), min(part.last, span.last)))
            for number, one in numbered.items():
                for series in one.series:
                    if series.bar_seconds != stored or not self.wants(series.dataset):
                        continue
                    if series.dataset != table_for(one.instrument.kind, stored):
                        continue
                    order = self.order(series.dataset, one.instrument)
                    first, last = max(months.first, series.first_date), min(months.last, series.last_date)
                    if series.source in order and first <= last and not taken.has_all(number, first, last):
                        rank = order.index(series.source)
                        steps.setdefault((months, rank, series.dataset, series.source), set()).add(series.instrument_id)
        return [(months, table, source, sorted(ids)) for (months, _, table, source), ids in sorted(steps.items())]

    def _rows(
        self, snapshot: Snapshot, table: str, source: str, stored: int, *, ids: list[int], months: Span
    ) -> pl.DataFrame:
        zone = self.calendar.zone
        what: dict[str, Any] = {"dataset": table, "source": source, "bar_seconds": stored, "zone": zone}
        is_month = TICK < stored < DAY and spans_between(*months, stored, None) == [months]
        if is_month and snapshot.known_at is None:
            frames, made, known_at = read_months(snapshot.connection, what, ids, [months.first])
            if made:
                self.kept.append((what, made, known_at))
            return pl.concat([frames[one, months.first] for one in ids])
        start, end = day_bounds(*months, zone, of_closes=stored > TICK)
        bound = {"start": start, "end": end, "bar_seconds": stored, "source": source, "ids": ids}
        return snapshot.frame(_ROWS, segment_schema(table), table, **bound)

    def _made(
        self, rows: pl.DataFrame, numbered: dict[int, Supplied], meant: pl.DataFrame, stored: int, months: Span
    ) -> pl.DataFrame:
        """Make bars of the wanted length, under the number of what is wanted, with the trade date of each."""
        own = [
            (one_id, number, place)
            for number, one in numbered.items()
            for place, one_id in enumerate(one.instrument.instrument_ids)
        ]
        numbers = pl.DataFrame(
            own, schema={"instrument_id": pl.Int32, "number": pl.Int32, "place": pl.Int32}, orient="row"
        )
        dated = rows.with_columns(trade_date=self._trade_date(is_close=stored > TICK))
        placed = dated.join(numbers, on="instrument_id", how="inner", maintain_order="left")
        if meant.height:
            aliases = meant.join(numbers, left_on="contract_id", right_on="instrument_id").with_columns(place=1_000)
            rolling = dated.join(
                aliases.drop("contract_id"), on=["instrument_id", "trade_date"], how="inner", maintain_order="left"
            )
            placed = pl.concat([placed, rolling.select(placed.columns)])
        if len(numbers) > len(numbered) or meant.height:
            # Of a day that several rows of `instruments` tell of, the first one's.
            placed = placed.filter(pl.col("place") == pl.col("place").min().over("number", "trade_date"))
        named = placed.with_columns(instrument_id="number").select(
            pl.col(name).cast(dtype) for name, dtype in _SIZED_BARS.items()
        )
        if stored >= DAY:
            return self._of_sessions(named, months)
        ordered = named.sort("instrument_id", "timestamp", maintain_order=True)
        sessions = self._days(months)
        if stored == self.seconds and self._is_in_place(ordered["timestamp"], months):
            made = ordered.with_columns(pl.col("volume").fill_null(0))
        elif stored == TICK:
            made = resample(ordered, sessions, from_seconds=TICK, to_seconds=self.seconds)
        else:
            made = self._put_together(ordered, sessions, stored)
        return made.with_columns(trade_date=self._trade_date(is_close=True))

    def _put_together(self, bars: pl.DataFrame, sessions: pl.DataFrame, stored: int) -> pl.DataFrame:
        """Put bars into the first bucket that ends no earlier than they do: none is told before it was complete.

        Bars that began before their session, or ended after it, are left out.
        """
        if sessions.is_empty() or bars.is_empty():
            return bars.clear()
        opens, ends = (sessions[name].to_physical().to_numpy() for name in ("open", "close"))
        closes = closes_of(self.calendar, sessions["session_date"].to_list(), self.seconds)
        stamps = bars["timestamp"].to_physical().to_numpy()
        session = np.minimum(np.searchsorted(ends, stamps), len(ends) - 1)
        is_within = (stamps <= ends[session]) & (
            stamps >= np.minimum(opens[session] + stored * 1_000_000, ends[session])
        )
        bucket = closes[np.minimum(np.searchsorted(closes, stamps), len(closes) - 1)]
        placed = bars.with_columns(timestamp=pl.Series(bucket).cast(TIMESTAMP)).filter(pl.Series(is_within))
        aggregated = placed.group_by("instrument_id", "timestamp", maintain_order=True).agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
            pl.col("open_interest").last(),
        )
        return aggregated.select(bars.columns).cast(bars.schema)

    def _is_in_place(self, stamps: pl.Series, months: Span) -> bool:
        """Tell whether every bar ends where a bucket does: then there is nothing to put together or to leave out."""
        closes = closes_of(self.calendar, self._days(months)["session_date"].to_list(), self.seconds)
        if not len(closes):
            return stamps.is_empty()
        there = stamps.to_physical().to_numpy()
        return bool((closes[np.minimum(np.searchsorted(closes, there), len(closes) - 1)] == there).all())

    def _of_sessions(self, named: pl.DataFrame, months: Span) -> pl.DataFrame:
        """Stamp a session's one bar with the close of the session, or later if it was complete only later."""
        dated = named.with_columns(pl.col("volume").fill_null(0), trade_date=self._trade_date(is_close=True))
        closes = self._days(months).select(trade_date="session_date", session_close="close")
        return (
            dated.join(closes, on="trade_date", how="inner")
            .with_columns(timestamp=pl.max_horizontal("timestamp", "session_close").cast(TIMESTAMP))
            .drop("session_close")
            .unique(["instrument_id", "trade_date"], keep="last", maintain_order=True)
        )

    def _trade_date(self, *, is_close: bool) -> pl.Expr:
        shift = pl.duration(microseconds=1 if is_close else 0)
        return (pl.col("timestamp") - shift).dt.convert_time_zone(self.calendar.zone).dt.date()


class _Taken:
    """Bars taken so far, and the days that they give."""

    def __init__(self, sessions: pl.DataFrame) -> None:
        self._sessions: list[dt.date] = sessions["session_date"].to_list()
        self._parts: list[pl.DataFrame] = []
        self._days: dict[int, set[dt.date]] = {}

    def has_all(self, number: int, first: dt.date, last: dt.date) -> bool:
        """Tell whether every session of some trade dates is there."""
        there = self._days.get(number)
        if there is None:
            return False
        return all(day in there for day in self._sessions if first <= day <= last)

    def add(self, bars: pl.DataFrame) -> None:
        """Take the days that nothing was taken of."""
        if bars.is_empty():
            return
        days = bars.select("instrument_id", "trade_date").unique()
        known = [(number, day) for number, of in self._days.items() for day in of]
        if known:
            schema = {"instrument_id": pl.Int32, "trade_date": pl.Date}
            days = days.join(pl.DataFrame(known, schema=schema, orient="row"), on=list(schema), how="anti")
            bars = bars.join(days, on=list(schema), how="semi", maintain_order="left")
        for number, day in days.iter_rows():
            self._days.setdefault(number, set()).add(day)
        self._parts.append(bars)

    def bars(self) -> pl.DataFrame:
        """Give everything, by number and time."""
        if not self._parts:
            return pl.DataFrame(schema={"instrument_id": pl.Int32, **BLOCK_SCHEMA})
        return pl.concat(self._parts).sort("instrument_id", "timestamp")
