"""What a portal has read: blocks, what there is of each instrument, its actions, and the calendars of all.

Whatever is asked for is read together with what was asked for before: one statement for all symbols of a strategy.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from pipeline_defs.markets.market import market
from pipeline_defs.portal.adjusting import Action, Adjuster, Close, read_actions
from pipeline_defs.portal.blocks import Block, Blocks, Span, keys_of, spans_between, together
from pipeline_defs.portal.calendars import Grid, Instants, SessionCalendar, calendar_for, instant_of, microseconds
from pipeline_defs.portal.loading import Loader, Supplied
from pipeline_defs.portal.rules import gives_split_adjusted
from pipeline_defs.portal.wanted import finest
from pipeline_defs.schema.tables import DAY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.portal.instruments import Instrument
    from pipeline_defs.portal.rules import Rules
    from pipeline_defs.portal.store import Changes, Series, Snapshot, Store

_MOST_SPANS: Final = 10_000
_ABOUT: Final = dt.timedelta(days=10)
"""Longer than any market was closed: bars that ended before so long are no longer those of the present."""

_MOST_AHEAD: Final = 256
"""Instruments that are read although only others were asked about."""

_INSTANT: Final = dt.timedelta(microseconds=1)


class Found(NamedTuple):
    """One bar within its block."""

    block: Block
    at: int

    @property
    def stamp(self) -> int:
        """When it was complete, in microseconds since 1970."""
        return int(self.block.stamps[self.at])

    def columns(self) -> dict[str, pl.Series]:
        """Give its values."""
        return {name: self.block.slice(name, self.at, self.at + 1) for name in self.block.sheet.columns}


class Bars:
    """Bars of any instruments, read when they are first asked for.

    Parameters
    ----------
    store : Store
        Where from.
    rules : Rules
        What may be read.
    most_bytes : int
        How much is kept between two questions.

    """

    def __init__(self, store: Store, rules: Rules, most_bytes: int) -> None:
        self._store = store
        self._rules = rules
        self._blocks = Blocks(most_bytes)
        self._supplied: dict[Instrument, Supplied] = {}
        self._actions: dict[Instrument, list[Action]] = {}
        self._calendars: dict[Instrument, SessionCalendar] = {}
        self._grids: dict[tuple[int, int], Grid] = {}
        self._seen: dict[Instrument, None] = {}
        self._spans: dict[tuple[dt.date, dt.date, int, dt.date | None], list[Span]] = {}

    @property
    def size_bytes(self) -> int:
        """How much is kept."""
        return self._blocks.size_bytes

    # Calendars. --------------------------------------------------------------------------------------------------

    def calendar(self, instrument: Instrument) -> SessionCalendar:
        """Give the calendar that an instrument follows."""
        found = self._calendars.get(instrument)
        if found is None:
            found = self._rules.calendar or calendar_for(instrument.kind, market(instrument.market))
            self._calendars[instrument] = found
        return found

    def grid(self, instrument: Instrument, seconds: int) -> Grid:
        """Give the buckets that an instrument's bars fall into."""
        return self._grid(self.calendar(instrument), seconds)

    def first_day(self, calendar: SessionCalendar, seconds: int, count: int, now: dt.datetime) -> dt.date:
        """Give the trade date in which the last complete buckets of a calendar begin."""
        closes = self._grid(calendar, seconds).window(microseconds(now), count)
        first = now if not len(closes) else instant_of(closes[0]) - _INSTANT
        return first.astimezone(ZoneInfo(calendar.zone)).date()

    def _grid(self, calendar: SessionCalendar, seconds: int) -> Grid:
        key = id(calendar), seconds
        if key not in self._grids:
            self._grids[key] = Grid(calendar, seconds)
        return self._grids[key]

    def day(self, instrument: Instrument, stamp: int, *, is_close: bool = True) -> dt.date:
        """Give the trade date of an instant; the close of a bar at midnight belongs to the day that ends."""
        instant = instant_of(stamp) - (_INSTANT if is_close else dt.timedelta())
        return instant.astimezone(ZoneInfo(self.calendar(instrument).zone)).date()

    def finest(self, instrument: Instrument, day: dt.date) -> int:
        """Give the length of the shortest bars that there are of an instrument about a day; later ones do not count."""
        begun = [one for one in self.supply(instrument).series if one.first_date <= day]
        about = [one for one in begun if day - _ABOUT <= one.last_date]
        return finest({one.bar_seconds for one in about or begun})

    def note(self, instruments: Sequence[Instrument]) -> None:
        """Remember what was named: it is read together, when anything of it is."""
        if not all(one in self._seen for one in instruments):
            self._seen |= dict.fromkeys(instruments)

    # Bars. -------------------------------------------------------------------------------------------------------

    def between(
        self, instruments: Sequence[Instrument], seconds: int, names: Sequence[str], first: int, now: int
    ) -> list[tuple[Instants, dict[str, pl.Series]]]:
        """Give the bars of instruments that were complete from one instant to another, both inclusive.

        Parameters
        ----------
        instruments : sequence of Instrument
            All of one calendar.
        seconds : int
            Length of the bars.
        names : sequence of str
            Columns that are wanted.
        first, now : int
            Microseconds since 1970.

        Returns
        -------
        list of tuple
            Stamps and columns of each.

        """
        found: list[tuple[Instants, dict[str, pl.Series]]] = []
        for blocks in zip(*self._blocks_between(instruments, seconds, first, now), strict=True):
            pieces = []
            for block in blocks:
                begin, end = block.stamps.searchsorted((first, now + 1)).tolist()
                if begin < end:
                    pieces.append((block, begin, end))
            found.append(together(pieces or [(blocks[0], 0, 0)], names))
        return found

    def tidy(
        self, instruments: Sequence[Instrument], seconds: int, names: Sequence[str], first: int, now: int
    ) -> pl.DataFrame | None:
        """Give the same under each other, by instrument as named, then time, with ``symbol``: found by one search.

        Returns
        -------
        polars.DataFrame or None
            None where bars of one span were not read together.

        """
        parts: list[pl.DataFrame] = []
        owners: list[Instants] = []
        for blocks in self._blocks_between(instruments, seconds, first, now):
            sheet = blocks[0].sheet
            if any(one.sheet is not sheet for one in blocks):
                return None
            numbers = np.fromiter((one.number for one in blocks), np.int64, len(blocks))
            begins = sheet.keys.searchsorted(keys_of(numbers, first))
            counts = sheet.keys.searchsorted(keys_of(numbers, now + 1)) - begins
            owner = np.repeat(np.arange(len(blocks)), counts)
            places = np.arange(len(owner)) + np.repeat(begins - (np.cumsum(counts) - counts), counts)
            parts.append(pl.DataFrame([sheet.columns[name].gather(places) for name in ("timestamp", *names)]))
            owners.append(owner)
        owner, frame = np.concatenate(owners), pl.concat(parts)
        if len(parts) > 1:
            order = np.argsort(owner, kind="stable")
            owner, frame = owner[order], frame[order]
        symbols = pl.Series("symbol", [one.symbol for one in instruments], pl.String())
        return frame.insert_column(1, symbols.gather(owner))

    def _blocks_between(
        self, instruments: Sequence[Instrument], seconds: int, first: int, now: int
    ) -> list[list[Block]]:
        """Give the blocks of a window, span by span, each in the order of the instruments."""
        spans = self._spans_of(instruments[0], seconds, first, now)
        self._ensure(instruments, seconds, spans, ahead=True)
        found = []
        for span in spans:
            blocks = [self._blocks.get((one, seconds, span)) for one in instruments]
            found.append([one for one in blocks if one is not None])
        return found

    def last(self, instrument: Instrument, seconds: int, now: int) -> Found | None:
        """Give the last bar that was complete at an instant, however long ago; None if there is none."""
        supply = self.supply(instrument)
        if supply.first_date is None or supply.last_date is None:
            return None
        day = self.day(instrument, now, is_close=False)
        last = min(day, supply.last_date)
        ahead = True
        while last >= supply.first_date:
            (span,) = self._memo(last, last, seconds, self._today(instrument, now))
            self._ensure([instrument], seconds, [span], ahead=ahead)
            block = self._blocks.get((instrument, seconds, span))
            if block is not None:
                at = int(np.searchsorted(block.stamps, now, side="right")) - 1
                if at >= 0:
                    return Found(block, at)
            last, ahead = span.first - dt.timedelta(days=1), False
        return None

    def supply(self, instrument: Instrument) -> Supplied:
        """Give what there is of an instrument."""
        self._know([instrument])
        return self._supplied[instrument]

    def adjuster(self, instrument: Instrument, *, with_dividends: bool) -> Adjuster:
        """Give what adjusts an instrument's bars."""

        def close_before(stamp: int) -> Close | None:
            found = self.last(instrument, DAY, stamp - 1)
            if found is None:
                return None
            return Close(found.block.value("close", found.at), found.block.value("is_split_adjusted", found.at))

        zone = self.calendar(instrument).zone
        return Adjuster(self.actions(instrument), zone, with_dividends, gives_split_adjusted, close_before)

    def actions(self, instrument: Instrument) -> list[Action]:
        """Give the corporate actions of an instrument; of what is no share there are none."""
        if instrument.kind != "EQ":
            return []
        if instrument not in self._actions:
            order = self._rules.order("equity_daily", instrument)
            ids = instrument.instrument_ids
            self._actions[instrument] = self._store.read(lambda snapshot: read_actions(snapshot, ids, order), "actions")
        return self._actions[instrument]

    # What is kept. -----------------------------------------------------------------------------------------------

    def heed(self, changes: Changes) -> None:
        """Drop what loads have changed, and note what they brought."""
        self._blocks.forget({day for _, day in changes.days})
        brought: dict[int, list[Series]] = {}
        for one in changes.series:
            brought.setdefault(one.instrument_id, []).append(one)
        for instrument, supplied in self._supplied.items():
            own = {*instrument.instrument_ids, *(one.instrument_id for one in supplied.series)}
            new = [one for each in own for one in brought.get(each, [])]
            if new:
                self._supplied[instrument] = _supplied(instrument, [*supplied.series, *new])
        self._actions.clear()

    def forget(self) -> None:
        """Drop everything that was read."""
        self._blocks.forget()
        self._supplied.clear()
        self._actions.clear()

    def shrink(self) -> None:
        """Keep no more than may be kept, after a question was answered."""
        self._blocks.shrink()

    def _know(self, instruments: Sequence[Instrument]) -> None:
        unknown = [one for one in instruments if one not in self._supplied]
        if not unknown:
            return
        ids = {each for one in unknown for each in one.instrument_ids}

        def ask(snapshot: Snapshot) -> tuple[list[Series], dict[int, set[int]]]:
            futures = [each for one in unknown if one.kind == "FUT" for each in one.instrument_ids]
            rolling: dict[int, set[int]] = {}
            if futures:
                for alias, contract in snapshot.tuples(_ROLLING, ids=futures):
                    rolling.setdefault(contract, set()).add(alias)
            return snapshot.supply(ids.union(*rolling.values())), rolling

        series, rolling = self._store.read(ask, "what there is")
        for one in unknown:
            own = set(one.instrument_ids).union(*(rolling.get(each, set()) for each in one.instrument_ids))
            self._supplied[one] = _supplied(one, [each for each in series if each.instrument_id in own])

    def _ensure(self, instruments: Sequence[Instrument], seconds: int, spans: list[Span], *, ahead: bool) -> None:
        """Read what is missing, and with it what else was named before, if there is room."""
        for span in spans:
            missing = [one for one in instruments if not self._blocks.has((one, seconds, span))]
            if not missing:
                continue
            if ahead and self._blocks.has_room:
                calendar = self.calendar(missing[0])
                named = [one for one in reversed(self._seen) if self.calendar(one) is calendar][:_MOST_AHEAD]
                wanted = dict.fromkeys([*missing, *named])
                missing = [one for one in wanted if not self._blocks.has((one, seconds, span))]
            self._read(missing, seconds, span)

    def _read(self, missing: list[Instrument], seconds: int, span: Span) -> None:
        self._know(missing)
        loader = Loader(self.calendar(missing[0]), seconds, self._rules.order, self._rules.wants, gives_split_adjusted)
        groups = [of for of in ([one for one in missing if one.has_parts is parts] for parts in (False, True)) if of]

        def load(snapshot: Snapshot) -> list[list[Block]]:
            loader.kept.clear()
            return [loader.load(snapshot, [self._supplied[one] for one in group], span) for group in groups]

        for group, blocks in zip(groups, self._store.read(load, f"bars of {span.first} to {span.last}"), strict=True):
            self._blocks.put({(one, seconds, span): block for one, block in zip(group, blocks, strict=True)})
        if loader.kept:
            self._store.write(loader.keep)

    def _spans_of(self, instrument: Instrument, seconds: int, first: int, now: int) -> list[Span]:
        begin, end = self.day(instrument, first), self.day(instrument, now, is_close=False)
        return self._memo(begin, max(begin, end), seconds, self._today(instrument, now))

    def _today(self, instrument: Instrument, now: int) -> dt.date | None:
        return self.day(instrument, now, is_close=False) if self._rules.is_live else None

    def _memo(self, first: dt.date, last: dt.date, seconds: int, today: dt.date | None) -> list[Span]:
        key = first, last, seconds, today
        if key not in self._spans:
            if len(self._spans) > _MOST_SPANS:
                self._spans.clear()
            self._spans[key] = spans_between(first, last, seconds, today)
        return self._spans[key]


_ROLLING: Final = """
SELECT DISTINCT c.instrument_id, c.contract_id FROM {continuous_contracts} AS c WHERE c.contract_id = ANY (%(ids)s)
"""


def _supplied(instrument: Instrument, series: list[Series]) -> Supplied:
    if instrument.only is not None:
        series = [one for one in series if (one.source, one.dataset, one.bar_seconds) in instrument.only]
    return Supplied(instrument, tuple(series))
