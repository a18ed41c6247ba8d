"""What is read when: one trade date after the other, files without a date in their name beforehand.

Knows the order of the steps from files to parts, and which trade dates there are. The steps themselves
are the modules beside this one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.markets.sessions import is_session
from pipeline_defs.schema.batches import REJECT_SCHEMA
from pipeline_defs.sources.nse_csv.bhavcopy import normalize_daily
from pipeline_defs.sources.nse_csv.deliveries import SLICE_LINES
from pipeline_defs.sources.nse_csv.findings import judge_ignored
from pipeline_defs.sources.nse_csv.normalize import normalize
from pipeline_defs.sources.nse_csv.parts import split_dates
from pipeline_defs.sources.nse_csv.products import read_names

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline_defs.schema.batches import Finding, ImportRequest
    from pipeline_defs.sources.nse_csv.deliveries import Fields, Intake
    from pipeline_defs.sources.nse_csv.entries import Entry, Listing
    from pipeline_defs.sources.nse_csv.layouts import Layout
    from pipeline_defs.sources.nse_csv.parts import Part


@dataclass(frozen=True, slots=True)
class DateReading:
    """Everything read about one trade date.

    Parameters
    ----------
    parts : list of Part
        One for each layout, and another for what files without a date gave.
    rejects : polars.DataFrame
        `REJECT_SCHEMA`: lines and files refused before they were read as rows.
    files : polars.DataFrame
        All files so far.
    ignored : Finding or None
        Files left out.
    digest : str or None
        Of the files; None when the date's rows do not all come from files that belong to it alone.

    """

    parts: list[Part]
    rejects: pl.DataFrame
    files: pl.DataFrame
    ignored: Finding | None
    digest: str | None


@dataclass(slots=True)
class _Day:
    """What waits to be read for a trade date, and what was read from files without a date."""

    entries: list[Entry] = field(default_factory=list)
    unsafe: list[Entry] = field(default_factory=list)
    empty_archives: list[Entry] = field(default_factory=list)
    junk: list[Entry] = field(default_factory=list)
    foreign: list[Entry] = field(default_factory=list)
    lines: list[tuple[Layout, pl.DataFrame]] = field(default_factory=list)
    rejects: list[pl.DataFrame] = field(default_factory=list)

    @property
    def is_self_contained(self) -> bool:
        """Whether the date is told by its own CSV files and nothing else."""
        others = self.unsafe or self.empty_archives or self.lines or any(reject.height for reject in self.rejects)
        return not others


class Reading:
    """Reads a listing date by date.

    Parameters
    ----------
    request : ImportRequest
        Which dates and underlying are wanted.
    listing : Listing
        What there is.
    intake : Intake
        Reads files.
    path : Path
        How messages name the whole.

    """

    def __init__(self, request: ImportRequest, listing: Listing, intake: Intake, path: Path) -> None:
        self._request = request
        self._intake = intake
        self._days: dict[dt.date, _Day] = defaultdict(_Day)
        undated = self._plan(listing)
        loose = self._read_undated(undated)
        found = sorted(self._days)
        self._days = {day: self._days[day] for day in found if request.covers(day)}
        if not self._days:
            raise _nothing_usable(path, listing, found, request)
        first = next(iter(self._days.values()))
        first.rejects.append(loose)
        first.unsafe += undated.unsafe
        first.empty_archives += undated.empty_archives
        first.junk += undated.junk
        first.foreign += undated.foreign

    def trade_dates(self) -> list[dt.date]:
        """List the trade dates wanted, ascending."""
        return list(self._days)

    def is_held(self, trade_date: dt.date) -> bool:
        """Tell whether the warehouse holds the date's files as they are; it is let go then."""
        ledger = self._request.ledger
        if ledger is None or not ledger.knows_date(trade_date):
            return False
        digest = self._digest(self._days[trade_date])
        held = digest is not None and ledger.holds(trade_date, digest)
        if held:
            del self._days[trade_date]
        return held

    def _digest(self, day: _Day) -> str | None:
        return self._intake.digest(day.entries) if day.is_self_contained else None

    def read_date(self, trade_date: dt.date) -> DateReading:
        """Read one trade date; what was held for it is let go.

        Parameters
        ----------
        trade_date : datetime.date
            Of `trade_dates`.

        Raises
        ------
        MarketRuleError
            If the session calendar does not cover the date.

        """
        is_session(trade_date)  # raises for a date of which nothing is known
        day = self._days.pop(trade_date)
        seen_twins = len(self._intake.twins)
        parts = _Parts(trade_date, self._request.underlying)
        for layout, frame in day.lines:
            parts.add(layout, frame)
        rejects, of_other_days = list(day.rejects), list[pl.DataFrame]()
        for portion in self._intake.read(day.entries):
            rejects.append(portion.rejects)
            of_other_days += [parts.add_own(fields) for fields in portion.fields]
            del portion  # or two slices would be in memory as text while the next is read
        digest = self._digest(day)
        unread = self._intake.refuse_unread(day.unsafe, day.empty_archives)
        rejects += [unread, *of_other_days]
        twins = self._intake.twins[seen_twins:]
        return DateReading(
            parts.all,
            pl.concat(reject.select(list(REJECT_SCHEMA)) for reject in rejects),
            self._intake.files(),
            judge_ignored(day.junk, day.foreign, twins),
            digest,
        )

    def _plan(self, listing: Listing) -> _Day:
        """Sort what was listed by the date in its names; give what has none."""
        undated = _Day()
        for kind in ("entries", "unsafe", "empty_archives", "junk", "foreign"):
            for entry in getattr(listing, kind):
                date = read_names(entry.parts).trade_date
                getattr(undated if date is None else self._days[date], kind).append(entry)
        return undated

    def _read_undated(self, undated: _Day) -> pl.DataFrame:
        """Read files whose name has no date; give the rejects of files none of whose lines has one either."""
        rejects: list[pl.DataFrame] = []
        main_dates: list[pl.DataFrame] = []
        for portion in self._intake.read(undated.entries):
            rejects.append(portion.rejects)
            for fields in portion.fields:
                by_date, refused = split_dates(fields.layout, fields.frame, None)
                rejects.append(refused.select(list(REJECT_SCHEMA)))
                for date, frame in by_date.items():
                    self._days[date].lines.append((fields.layout, frame))
                    counts = frame.group_by("file_index").agg(count=pl.len())
                    main_dates.append(counts.with_columns(date=pl.lit(date)))
        everything = pl.concat(rejects)
        if not main_dates:
            return everything
        counted = pl.concat(main_dates).group_by("file_index", "date").agg(pl.col("count").sum())
        votes = counted.sort("count", "date", descending=[True, False])
        mains = votes.unique("file_index", keep="first", maintain_order=True).select("file_index", "date")
        everything = everything.join(mains, on="file_index", how="left", maintain_order="left")
        for (date,), frame in everything.filter(pl.col("date").is_not_null()).group_by("date", maintain_order=True):
            self._days[date].rejects.append(frame.drop("date"))
        return everything.filter(pl.col("date").is_null()).drop("date")


@dataclass(slots=True)
class _Parts:
    """The parts of a trade date; as soon as they have `SLICE_LINES` lines, the next ones wait on disk.

    Parameters
    ----------
    trade_date : datetime.date
        Of all.
    underlying : str or None
        What the request is restricted to.

    """

    trade_date: dt.date
    underlying: str | None
    all: list[Part] = field(default_factory=list)
    _lines: int = 0

    def add_own(self, fields: Fields) -> pl.DataFrame:
        """Read those lines as rows that are of the trade date; give the others, refused."""
        by_date, refused = split_dates(fields.layout, fields.frame, self.trade_date)
        for lines in by_date.values():
            self.add(fields.layout, lines)
        return refused

    def add(self, layout: Layout, lines: pl.DataFrame) -> None:
        """Read lines as rows."""
        read = normalize if layout.family == "stream" else normalize_daily
        part = read(layout, lines, self.trade_date, self.underlying)
        self._lines += lines.height
        self.all.append(part.packed() if self._lines >= SLICE_LINES else part)


def _nothing_usable(path: Path, listing: Listing, found: Iterable[dt.date], request: ImportRequest) -> SourceError:
    days = list(found)
    if days:
        return SourceError(
            f"holds no trade date from {request.start_date or 'the first'} to {request.end_date or 'the last'};"
            f" it has {days[0]} to {days[-1]}",
            where=str(path),
            next_step="check the dates asked for, or the files' names",
        )
    return SourceError(
        f"holds nothing usable: looked for CSV files (.csv, .csv.gz, in folders and zips) with dated rows; found"
        f" {len(listing.entries)} CSV files, {len(listing.unsafe)} members with unsafe names,"
        f" {len(listing.empty_archives)} empty archives, {len(listing.foreign) + len(listing.junk)} other files",
        where=str(path),
        next_step="check the path",
    )
