"""Which of a source's latest sessions are stale: what a sensor requests, a check tells and a person is shown.

Joins `sources` and `warehouse`; whether a partition is fresh is decided in `freshness`. Nothing is asked of a source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.freshness.deciding import Hit, Missing, fresh
from pipeline_defs.freshness.silence import due_sessions
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.warehouse.deliveries import Ledger
from pipeline_defs.warehouse.faults import PersistentConnection

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection

    from pipeline_defs.schema.batches import Source
    from pipeline_defs.sources.asking.questions import Dataset
    from pipeline_defs.warehouse.connection import Warehouse

SESSIONS_WATCHED: Final = 5
"""Sessions back from now; an outage that was longer is backfilled by hand."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """One table of one session that is due.

    Parameters
    ----------
    table : str
        Observation table.
    trade_date : datetime.date
        The session.
    due_at : datetime.datetime
        Since when it is there to be had; UTC.
    is_fresh : bool
        Whether it is stored.
    is_running : bool, default False
        Whether it is the session that runs now, of which somebody stores parts: five minutes, or an hour, may be
        missing at its end.

    """

    table: str
    trade_date: dt.date
    due_at: dt.datetime
    is_fresh: bool
    is_running: bool = False


def latest_states(
    warehouse: Warehouse,
    source: Source,
    now: dt.datetime,
    *,
    tables: Collection[str] | None = None,
    sessions: int = SESSIONS_WATCHED,
    first: dt.date | None = None,
) -> list[SessionState]:
    """Look at the latest sessions that are due, and at one that runs, of each table of which something is wanted.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    source : Source
        The adapter; of one that cannot be asked nothing is ever stale.
    now : datetime.datetime
        With a zone.
    tables : collection of str, optional
        Only these; default all.
    sessions : int, default 5
        How many that are due of each.
    first : datetime.date, optional
        Earlier sessions are left out.

    Returns
    -------
    list of SessionState
        By table, then date.

    Raises
    ------
    ConfigurationError
        If the universe names nothing.

    """
    if not isinstance(source, ApiSource):
        return []
    states: list[SessionState] = []
    with PersistentConnection(warehouse) as connection:
        ledger = Ledger(connection, source.get_metadata(), None, None)
        for dataset in source.datasets_wanted(tables):
            due = due_sessions(source.market, now, sessions, dataset.delay_seconds)
            wanted = [day for day in due if first is None or day >= first]
            for day, partition in source.partitions(dataset, wanted).items():
                verdict = fresh(partition, now, ledger)
                if isinstance(verdict, Hit | Missing):
                    states.append(SessionState(dataset.table, day, partition.due_at, isinstance(verdict, Hit)))
            states += _running(source, dataset, now, ledger)
    return states


def _running(source: ApiSource, dataset: Dataset, now: dt.datetime, ledger: Ledger) -> list[SessionState]:
    """Look at the session that runs, if parts of it are stored: nobody has to store any."""
    day = source.market.trade_date(now)
    (partition,) = source.partitions(dataset, [day]).values()
    if source.market.closed_reason(day) is not None or partition.is_due(now):
        return []
    if not ledger.spans(day, dataset.table, dataset.bar_seconds, partition.digest or ""):
        return []
    is_fresh = isinstance(fresh(partition, now, ledger), Hit)
    return [SessionState(dataset.table, day, partition.due_at, is_fresh, is_running=True)]
