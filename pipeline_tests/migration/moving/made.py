"""Old bundles in memory: a plan and the reader that goes with it, from a few rows."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from pipeline_defs.migration.frames import ACTION_SCHEMA, DAILY_SCHEMA, MINUTE_SCHEMA, REFUSED_SCHEMA, SeriesChunk
from pipeline_defs.migration.legacy import LegacyBundle, LegacyQuality, LegacyStore, LegacySymbol, Stated
from pipeline_defs.migration.moving import Readers
from pipeline_defs.migration.plan import BundlePlan, Plan, PlannedFile, SeriesPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path("/home/trader/.zipline")
MONDAY = dt.date(2023, 1, 2)

type Row = tuple[str, dt.date, str]
"""Symbol, day or stamp, close; a fourth and a fifth value are the low and the volume."""


@dataclass
class Made:
    """A bundle as an old store would have it."""

    name: str
    rows: list[tuple[Any, ...]]
    market: str | None = "NSE"
    venue: str | None = None
    kind: Literal["EQ", "SPOT", "PAIR"] = "EQ"
    layout: Literal["parquet", "bcolz", "csvdir", "cache"] = "parquet"
    source_type: str = "csv"
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    actions: list[tuple[str, dt.date, str, str]] = field(default_factory=list)
    quality: tuple[LegacyQuality, ...] = ()
    reason: str | None = None
    chunk_rows: int = 1_000_000

    @property
    def is_daily(self) -> bool:
        return not any(isinstance(row[1], dt.datetime) for row in self.rows)

    @property
    def frame(self) -> pl.DataFrame:
        schema, when = (DAILY_SCHEMA, "date") if self.is_daily else (MINUTE_SCHEMA, "timestamp")
        rows = []
        for line, (symbol, at, close, *more) in enumerate(self.rows, start=1):
            low = more[0] if more else close
            volume = more[1] if len(more) > 1 else "100"
            prices = {"open": close, "high": close, "low": low, "close": close, "volume": volume}
            rows.append({"symbol": symbol, when: at, **prices, "file_index": 0, "line": line})
        texts = {name: pl.String() if dtype.is_decimal() else dtype for name, dtype in schema.items()}
        frame = pl.DataFrame(rows, schema=texts, orient="row")
        return frame.with_columns(pl.col(name).cast(dtype) for name, dtype in schema.items())

    def plan(self) -> BundlePlan:
        frame, when = self.frame, "date" if self.is_daily else "timestamp"
        seconds = 86_400 if self.is_daily else 60
        series = tuple(
            SeriesPlan(
                symbol,
                number,
                seconds,
                self.kind,
                own.height,
                own[when].sort()[0],
                own[when].sort()[-1],
                sum(own["close"], Decimal(0)),
                sum(own["volume"].drop_nulls(), Decimal(0)),
            )
            for number, ((symbol,), own) in enumerate(frame.group_by("symbol", maintain_order=True), start=1)
        )
        content = repr((self.rows, self.refused)).encode()
        file = PlannedFile("data.parquet", seconds, frame.height, len(content), hashlib.sha256(content).hexdigest())
        bundle = LegacyBundle(
            name=self.name,
            kind=self.layout,
            era=10,
            folder=ROOT / "data/bundles" / self.name,
            bar_lengths=(seconds,),
            symbols=tuple(LegacySymbol(str(one.symbol), one.sid) for one in series),
            source_type=self.source_type,
            quality=self.quality,
            stated=Stated(row_count=frame.height),
        )
        return BundlePlan(
            bundle,
            "take" if self.reason is None else "quarantine",
            self.reason,
            "" if self.reason is None else f"because of {self.reason}",
            "" if self.reason is None else "mend it",
            self.market,
            self.venue,
            (file,),
            series,
            len(self.refused),
        )

    def chunks(self) -> Iterator[SeriesChunk]:
        refused = pl.DataFrame(
            [(0, line, reason, text) for line, reason, text in self.refused], schema=REFUSED_SCHEMA, orient="row"
        )
        for part in self.frame.iter_slices(self.chunk_rows):
            yield SeriesChunk(part, refused)
            refused = refused.clear()

    def told_actions(self) -> pl.DataFrame:
        rows = [(symbol, day, kind, Decimal(value)) for symbol, day, kind, value in self.actions]
        return pl.DataFrame(rows, schema=ACTION_SCHEMA, orient="row")


def store_of(*bundles: Made, root: Path = ROOT) -> Plan:
    return Plan(LegacyStore(root, (root / "assets-10.db",), None), tuple(one.plan() for one in bundles))


def readers_of(*bundles: Made) -> Readers:
    by_name = {one.name: one for one in bundles}
    return Readers(
        series=lambda plan: by_name[plan.name].chunks(), actions=lambda plan: by_name[plan.name].told_actions()
    )


def days(first: dt.date, count: int) -> list[dt.date]:
    """Give weekdays from a day on."""
    every = (first + dt.timedelta(days=offset) for offset in range(2 * count + 10))
    return [day for day in every if day.weekday() < 5][:count]


def minutes(first: dt.datetime, count: int) -> list[dt.datetime]:
    return [first + dt.timedelta(minutes=offset) for offset in range(count)]
