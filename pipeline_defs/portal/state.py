"""What a portal holds, and what happens before each question: names are understood, and live mode catches up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline_defs.portal.bars import Bars
from pipeline_defs.portal.calendars import microseconds
from pipeline_defs.portal.reading_through import ReadThrough
from pipeline_defs.portal.resolving import Resolver
from pipeline_defs.portal.store import Store
from pipeline_defs.portal.ticks import TickDays
from pipeline_defs.schema.tables import DAY
from pipeline_defs.sources.asking.source import ApiSource

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from pipeline_defs.portal.finding import AssetFinder
    from pipeline_defs.portal.instruments import FindsAssets, Instrument
    from pipeline_defs.portal.resolving import Members
    from pipeline_defs.portal.rules import Rules
    from pipeline_defs.schema.batches import Source
    from pipeline_defs.warehouse.connection import Warehouse


class State:
    """What one portal holds.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    as_of : datetime.datetime or None
        Knowledge time.
    rules : Rules
        What may be read.
    most_bytes : int
        How much is kept between two questions.
    given : Source or None
        What live mode asks; None for whatever the instruments come from.
    clock : callable
        Tells the time.
    keeps : bool
        Whether anything is kept at all.

    """

    def __init__(
        self,
        warehouse: Warehouse,
        as_of: dt.datetime | None,
        rules: Rules,
        *,
        most_bytes: int,
        given: Source | None,
        clock: Callable[[], dt.datetime],
        keeps: bool,
    ) -> None:
        self.store = Store(warehouse, as_of, pins=keeps and not rules.is_live)
        self.bars = Bars(self.store, rules, most_bytes)
        self.ticks = TickDays(self.store)
        self.read_through = ReadThrough(warehouse, clock, given)
        self._rules = rules
        self._keeps = keeps
        self._resolver: Resolver | None = None

    def resolve_with(self, own: AssetFinder, finder: FindsAssets | None, members: Members | None) -> None:
        """Say how names are understood."""
        self._resolver = Resolver(own, finder, members, partial(_date_in, self.bars))

    def begin(self, assets: Any, now: dt.datetime, seconds: int = DAY, count: int = 1) -> list[Instrument]:  # noqa: ANN401 -- one or many, of several types
        """Understand the assets of a question; before that, in live mode, bring up what is stale.

        Parameters
        ----------
        assets : str, Instrument, or a sequence of them
            As asked.
        now : datetime.datetime
            Where the window ends.
        seconds, count : int
            Length and number of its buckets; with no bucket nothing of before today is brought up.

        Returns
        -------
        list of Instrument

        """
        if not self._keeps:
            self.forget()
        if not self._rules.is_live:
            return self._resolve(assets, now)
        given = self.read_through.given
        if isinstance(given, ApiSource):
            calendar = self._rules.calendar or given.market
            self.read_through.bring_up([], self.bars.first_day(calendar, seconds, count, now))
        self._heed()
        instruments = self._resolve(assets, now)
        if given is None:
            names = {one.source for each in instruments for one in self.bars.supply(each).series}
            calendars = [self.bars.calendar(one) for one in instruments]
            before = self.read_through.imports
            self.read_through.bring_up(names, min(self.bars.first_day(one, seconds, count, now) for one in calendars))
            if self.read_through.imports != before:
                self._heed()
        return instruments

    def forget(self) -> None:
        """Drop everything that was read."""
        self.bars.forget()
        self._forget_names()

    def _heed(self) -> None:
        changes = self.store.changes()
        if changes is not None:
            self.bars.heed(changes)
            self._forget_names()

    def _forget_names(self) -> None:
        self.ticks.forget()
        if self._resolver is not None:
            self._resolver.forget()

    def _resolve(self, assets: Any, now: dt.datetime) -> list[Instrument]:  # noqa: ANN401 -- as in `begin`
        if self._resolver is None:
            raise AssertionError("resolve_with comes first")
        found = self._resolver.resolve(assets, now)
        self.bars.note(found)
        return found


def _date_in(bars: Bars, instrument: Instrument, now: dt.datetime) -> dt.date:
    return bars.day(instrument, microseconds(now), is_close=False)
