"""Records a stream: what a source tells as it happens goes through the import path in small batches.

One process records one table of one source. What was heard is stored every few seconds, each time as a load that
speaks of the rows in it and of nothing else; a span without a connection, or without this process, becomes a finding
``live_gap`` of the load after it. Joins `sources` and `warehouse`; how a vendor is listened to is its adapter's
business.
"""

from __future__ import annotations

import datetime as dt
import queue
import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import PipelineError, SourceError
from pipeline_defs.schema.batches import Finding, ImportRequest
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.tables import TICK
from pipeline_defs.sources.asking.assembling import WindowOfAnswers
from pipeline_defs.sources.asking.questions import Answer, Question, Window
from pipeline_defs.sources.asking.streaming import Heard, Silence
from pipeline_defs.sources.asking.told import Told
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.sources.asking.questions import Dataset, Listed
    from pipeline_defs.sources.asking.source import ApiSource
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

LIVE_GAP: Final = "live_gap"
"""Name of the finding: a span of which the stream knows nothing. A later import of history fills it."""

FLUSH_SECONDS: Final = 5.0
_CLOCK_SKEW: Final = dt.timedelta(seconds=5)
"""A vendor's clock may run ahead of ours by so much."""
_INSTANT: Final = dt.timedelta(microseconds=1)

_REMEMBERED: Final = dt.timedelta(minutes=2)
"""For so long the number of an instant's next tick is known; a later one of that instant would begin anew."""
_NEXT_SCHEMA: Final[dict[str, pl.DataType]] = {"symbol": pl.String(), "timestamp": TIMESTAMP, "next": pl.Int32()}

_LAST_HEARD: Final = """
SELECT max("timestamp"), coalesce(max(sequence) + 1, 0) FROM {table}
WHERE source = %(source)s AND bar_seconds = %(bar_seconds)s AND "timestamp" >= %(start)s AND "timestamp" < %(end)s
"""


@dataclass(slots=True)
class Recorder:
    """Records one dataset.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    source : ApiSource
        One that streams.
    dataset : Dataset
        What is listened to.
    listed : list of Listed
        Of what.
    flush_seconds : float
        How often what was heard is stored.
    clock : callable
        Tells the time, UTC.

    """

    warehouse: Warehouse
    source: ApiSource
    dataset: Dataset
    listed: list[Listed]
    flush_seconds: float = FLUSH_SECONDS
    clock: Callable[[], dt.datetime] = field(default=lambda: dt.datetime.now(dt.UTC))
    _heard: list[Heard] = field(default_factory=list)
    _silences: list[Silence] = field(default_factory=list)
    _next: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_NEXT_SCHEMA))
    _base: dict[dt.date, int] = field(default_factory=dict)
    _flushes: int = 0
    _session: str = ""

    def run(self, stop: threading.Event, on_load: Callable[[LoadReport], None] | None = None) -> int:
        """Record until told to stop.

        Parameters
        ----------
        stop : threading.Event
            Set from a signal handler or another thread; what was heard is stored before this returns.
        on_load : callable, optional
            Called with each load.

        Returns
        -------
        int
            Rows stored.

        Raises
        ------
        PipelineError
            If the stream ended for good, or the warehouse refused; what was heard before is stored.

        """
        self._session = f"{self.clock():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        self._note_absence()
        arriving: queue.Queue[Heard | Silence | Exception | None] = queue.Queue()
        listener = threading.Thread(target=self._listen, args=(arriving, stop), name="listener", daemon=True)
        listener.start()
        stored, ended = 0, None
        try:
            while ended is None:
                ended = self._gather(arriving)
                for report in self.flush():
                    stored += report.stored
                    if on_load is not None:
                        on_load(report)
        finally:
            stop.set()
            listener.join(timeout=5)
        if isinstance(ended, Exception):
            raise ended
        return stored

    def _listen(self, arriving: queue.Queue[Heard | Silence | Exception | None], stop: threading.Event) -> None:
        try:
            for told in self.source.stream(self.dataset, self.listed, stop):
                arriving.put(told)
        except PipelineError as error:
            arriving.put(error)
        except Exception as error:  # noqa: BLE001 -- whatever a client raises ends the recording, with its name
            arriving.put(SourceError(f"the stream failed with {type(error).__name__}", where=self.source.name))
        arriving.put(None)

    def _gather(self, arriving: queue.Queue[Heard | Silence | Exception | None]) -> Exception | bool | None:
        """Take in what arrives until it is time to store; gives an error or True when nothing more will come."""
        end = time.monotonic() + self.flush_seconds
        while (left := end - time.monotonic()) > 0:
            try:
                told = arriving.get(timeout=left)
            except queue.Empty:
                return None
            if told is None:
                return True
            if isinstance(told, Exception):
                return told
            if isinstance(told, Heard):
                self._heard.append(told)
            else:
                self._silences.append(told)
        return None

    def flush(self) -> Iterator[LoadReport]:
        """Store what was heard since the last time.

        Yields
        ------
        LoadReport
            One for each trade date.

        """
        if not self._heard:
            return
        heard, self._heard = self._heard, []
        silences, self._silences = self._silences, []
        self._flushes += 1
        for batch in self._batches(heard):
            told = replace(batch, findings=(*batch.findings, *map(_gap, silences)))
            silences = []
            yield from import_source(self.warehouse, Told(self.source, told), ImportRequest())

    def _batches(self, heard: list[Heard]) -> Iterator[ImportBatch]:
        rows: dict[str, list[pl.DataFrame]] = {}
        listed = {one.listed.vendor_id: one.listed for one in heard}
        for one in heard:
            rows.setdefault(one.listed.vendor_id, []).append(one.rows)
        frames = {name: pl.concat(parts) for name, parts in rows.items()}
        market = self.source.market
        zone, shift = market.zone, pl.duration(microseconds=1 if self.dataset.bar_seconds > TICK else 0)
        day = (pl.col("timestamp") - shift).dt.convert_time_zone(zone).dt.date()
        today = market.trade_date(self.clock())
        days = {found for frame in frames.values() for found in frame.select(day).to_series().drop_nulls()} or {today}
        for trade_date in sorted(days):
            asked = [
                (self._question(listed[name], trade_date), Answer(frame.filter(day.fill_null(today) == trade_date)))
                for name, frame in frames.items()
            ]
            batch = self._judged(asked, trade_date)
            if batch is not None:
                yield batch

    def _question(self, listed: Listed, day: dt.date) -> Question:
        start, end = self.source.market.bounds(day)
        return Question(self.source.name, self.source.version, self.dataset, listed, Window(day, day), start, end)

    def _judged(self, asked: list[tuple[Question, Answer]], day: dt.date) -> ImportBatch | None:
        asked = [(question, answer) for question, answer in asked if answer.rows.height]
        if not asked:
            return None
        answers = WindowOfAnswers(
            self.source.name, f"{self.source.name} {self.source.version} live", self.dataset, asked, self.source.market
        )
        batch, _ = answers.batch(day, ImportRequest(), None, self.clock() + _CLOCK_SKEW)
        if batch is None:
            return None
        stamps = batch.observations["timestamp"]
        first, last = stamps.min(), stamps.max()
        window = (first, last + _INSTANT) if isinstance(first, dt.datetime) and isinstance(last, dt.datetime) else None
        # A name of its own for each load: none of them says that rows of an earlier one are gone.
        unique = pl.format("live/{}/{}/{}", pl.lit(self._session), pl.lit(self._flushes), pl.col("logical_name"))
        return replace(
            batch,
            observations=self._numbered(batch, day),
            files=batch.files.with_columns(logical_name=unique),
            findings=(),
            window=window,
        )

    def _numbered(self, batch: ImportBatch, day: dt.date) -> pl.DataFrame:
        """Go on numbering the ticks of an instant where the stored ones end, of this process or an earlier one."""
        if self.dataset.bar_seconds != TICK:
            return batch.observations
        if day not in self._base:
            self._base[day] = self._stored(day)[1]
        symbols = batch.contracts.select("contract_key", "symbol")
        rows = batch.observations.join(symbols, on="contract_key", maintain_order="left")
        rows = rows.join(self._next, on=("symbol", "timestamp"), how="left", maintain_order="left")
        rows = rows.with_columns(sequence=pl.col("sequence") + pl.col("next").fill_null(self._base[day]))
        told = rows.group_by("symbol", "timestamp").agg(next=pl.col("sequence").max() + 1)
        known = pl.concat([told, self._next]).unique(["symbol", "timestamp"], keep="first")
        self._next = known.filter(pl.col("timestamp") > pl.col("timestamp").max() - _REMEMBERED)
        return rows.select(batch.observations.columns).sort("contract_key", "timestamp", "sequence")

    def _note_absence(self) -> None:
        """Find from when nobody listened, if this day's session has begun and an earlier process stopped."""
        now = self.clock()
        day = self.source.market.trade_date(now)
        if self.source.market.closed_reason(day) is not None:
            return
        last, _ = self._stored(day)
        open_, close = self.source.market.open(day), self.source.market.close(day)
        begin, end = max(last or open_, open_), min(now, close)
        if begin < end:
            self._silences.append(Silence(begin, end, "nobody was recording"))

    def _stored(self, day: dt.date) -> tuple[dt.datetime | None, int]:
        start, end = self.source.market.bounds(day)
        query = _LAST_HEARD.replace("{table}", self.dataset.table)
        parameters = {"source": self.source.name, "bar_seconds": self.dataset.bar_seconds, "start": start, "end": end}
        with self.warehouse.connect() as connection:
            ((last, sequence),) = connection.execute(query.encode(), parameters).fetchall()
        return last, int(sequence)


def _gap(silence: Silence) -> Finding:
    seconds = (silence.end - silence.start).total_seconds()
    return Finding(
        LIVE_GAP,
        passed=False,
        expected="a connection at all times",
        found=f"silence of {seconds:.0f} s, {silence.start.isoformat()} to {silence.end.isoformat()}",
        detail=silence.reason,
    )
