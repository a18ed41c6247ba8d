"""A vendor's files of index minutes, written line by line, and the import of what lies in the landing folder."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import get_source
from pipeline_defs.storage.raw_archive import open_raw_archive
from pipeline_defs.warehouse.loading import import_source

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse

TUESDAY, WEDNESDAY, THURSDAY = (dt.date(2025, 8, day) for day in (12, 13, 14))
WHOLE = range(375)
OUTAGE = range(107, 122)
"""Minutes after 09:15: 11:02 to 11:17."""
HEADER = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest\n"


def land(
    settings: Settings, day: dt.date, minutes: dict[str, Iterable[int]], bad: tuple[tuple[str, int], ...] = ()
) -> Path:
    """Write a vendor's file of indices; bad rows have no price."""
    folder = settings.landing_dir
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"GFDLCM_INDICES_{day:%d%m%Y}.csv"
    lines = [_line(day, name, minute, "100") for name, own in minutes.items() for minute in own]
    lines += [_line(day, name, minute, "-") for name, minute in bad]
    path.write_text(HEADER + "".join(lines), encoding="utf-8")
    return path


def _line(day: dt.date, name: str, minute: int, price: str) -> str:
    begins = dt.datetime.combine(day, dt.time(9, 15)) + dt.timedelta(minutes=minute)
    return f"{name}.NSE_IDX,{day:%d/%m/%Y},{begins:%H:%M}:59,{price},{price},{price},{price},0,0\n"


def take_in(
    warehouse: Warehouse, settings: Settings, first: dt.date | None = None, last: dt.date | None = None
) -> None:
    source = get_source("nse_csv", path=str(settings.landing_dir))
    archive = open_raw_archive(settings, "nse_csv")
    list(import_source(warehouse, source, ImportRequest(first, last, archive=archive)))
