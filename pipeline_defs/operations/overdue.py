"""Which sessions of the APIs are due and not stored, for a probe and for a scrape; no source is asked anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.registry import api_sources, get_source
from pipeline_defs.staleness import latest_states

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.warehouse.connection import Warehouse


def overdue_sessions(warehouse: Warehouse, now: dt.datetime) -> dict[tuple[str, str], list[dt.date]]:
    """Look at the latest sessions of every API that the universe wants something of.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    now : datetime.datetime
        With a zone.

    Returns
    -------
    dict of tuple of str to list of datetime.date
        By source and table, each of which something is due: the sessions that are not stored, oldest first.

    """
    found: dict[tuple[str, str], list[dt.date]] = {}
    for name in api_sources():
        try:
            states = latest_states(warehouse, get_source(name), now)
        except ConfigurationError:  # the universe wants nothing of it, or a key is missing: its runs say so
            continue
        for state in states:
            if not state.is_running:
                late = found.setdefault((name, state.table), [])
                if not state.is_fresh:
                    late.append(state.trade_date)
    return found
