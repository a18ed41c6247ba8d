"""Pictures in the metadata of materialisations: drawn by `pipeline_defs.plots`, of what `intraday` counts.

Drawn by hand, in a few milliseconds: importing a plotting library would cost each run most of a second.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import dagster as dg

from pipeline_defs.markets.market import market
from pipeline_defs.orchestration import intraday
from pipeline_defs.orchestration.display import sparkline
from pipeline_defs.plots.coverage import draw_coverage
from pipeline_defs.plots.drawing import to_markdown
from pipeline_defs.plots.session_profile import draw_session_profile
from pipeline_defs.sources.registry import source_market

if TYPE_CHECKING:
    from pipeline_defs.orchestration.evidence import Partition
    from pipeline_defs.warehouse.connection import Warehouse

COVERED_DAYS: Final = 120
"""The coverage of bars reaches so many calendar days back."""


def session_pictures(warehouse: Warehouse, partition: Partition) -> dict[str, dg.MarkdownMetadataValue]:
    """Draw the session of an observation table: ``day``, and of indices their path, ``path``; nothing of daily bars."""
    calendar = market(source_market(partition.source))
    day = partition.trade_date
    minutes = intraday.minutes_of_session(warehouse, partition, calendar.open(day), calendar.close(day))
    if minutes is None:
        return {}
    what = f"{partition.table} {partition.source} {day}"
    drawn = {"day": to_markdown(draw_session_profile(minutes, what), "rows, and units traded, in each minute")}
    if partition.table == "spot_prices":
        name, closes = intraday.index_closes(warehouse, partition)
        drawn["path"] = sparkline(closes, name)
    return {key: dg.MetadataValue.md(text) for key, text in drawn.items()}


def bar_pictures(warehouse: Warehouse, trade_date: dt.date) -> dict[str, dg.MarkdownMetadataValue]:
    """Draw how full the sessions before, and this one, are: ``coverage``, by source and underlying."""
    first = trade_date - dt.timedelta(days=COVERED_DAYS)
    return _coverage(warehouse, first, trade_date, None, None)


def catalog_pictures(
    warehouse: Warehouse, source: str | None, underlying: str, first: dt.date, last: dt.date
) -> dict[str, dg.MarkdownMetadataValue]:
    """Draw how full the sessions of a catalog are: ``coverage``, by contract, those with the most gaps."""
    return _coverage(warehouse, first, last, source, underlying)


def _coverage(
    warehouse: Warehouse, first: dt.date, last: dt.date, source: str | None, underlying: str | None
) -> dict[str, dg.MarkdownMetadataValue]:
    coverage = intraday.bar_coverage(warehouse, first, last, source=source, underlying=underlying)
    if coverage is None:
        return {}
    what = f"Share of the minutes of {underlying or 'all'} options that have a bar, {first} to {last}"
    caption = f"{what}; a minute without a trade has none"
    return {"coverage": dg.MetadataValue.md(to_markdown(draw_coverage(coverage, what), caption))}
