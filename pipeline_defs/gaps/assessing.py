"""Assess partitions: hours, refused rows and supply are gathered here, gaps are found in the database.

An assessment replaces the earlier one of the same partition in one transaction, behind whoever imports it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.gaps.hours import FILE_GRACE, Expected, expected_hours
from pipeline_defs.gaps.refused import stage_refused
from pipeline_defs.gaps.series import Series, list_series
from pipeline_defs.gaps.supply import Supplies
from pipeline_defs.markets.market import market
from pipeline_defs.settings import load_settings
from pipeline_defs.warehouse.faults import PersistentConnection
from pipeline_defs.warehouse.partitions import Partition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"

_ASSESS: Final = """
SELECT assess_session(%(dataset)s, %(source)s, %(trade_date)s, %(bar_seconds)s, %(start)s, %(end)s,
                      %(opens)s::timestamptz, %(until)s::timestamptz, %(due)s::timestamptz, %(now)s::timestamptz,
                      %(edge_note)s::text, %(middle_note)s::text, %(not_fillable)s::text, %(supply)s::text)
"""

_RESULT: Final = """
SELECT a.instruments, a.expected_minutes, a.present_minutes, g.cause, sum(g.minutes)::bigint,
       sum(g.minutes) FILTER (WHERE g.fillable)::bigint
FROM gap_assessments AS a LEFT JOIN session_gaps AS g USING (dataset, source, trade_date, bar_seconds)
WHERE a.dataset = %(dataset)s AND a.source = %(source)s AND a.trade_date = %(trade_date)s
  AND a.bar_seconds = %(bar_seconds)s
GROUP BY a.instruments, a.expected_minutes, a.present_minutes, g.cause
"""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What one assessment found; minutes are slots, summed over the instruments.

    Parameters
    ----------
    dataset, source : str
        Table and adapter.
    trade_date : datetime.date
        The day.
    bar_seconds : int
        Resolution.
    instruments : int
        Of which something is expected.
    expected_minutes, present_minutes : int
        What the session should hold, and what it holds.
    missing : dict of str to int
        Minutes by cause.
    fillable_minutes : int
        Of them, what a backfill would ask for.

    """

    dataset: str
    source: str
    trade_date: dt.date
    bar_seconds: int
    instruments: int
    expected_minutes: int
    present_minutes: int
    missing: dict[str, int] = field(default_factory=dict)
    fillable_minutes: int = 0


def assess_partition(
    warehouse: Warehouse,
    series: Series,
    trade_date: dt.date,
    *,
    supplies: Supplies | None = None,
    now: dt.datetime | None = None,
) -> Assessment:
    """Assess one trade date of one series.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    series : Series
        Table, source and resolution.
    trade_date : datetime.date
        Any day; one without a session is recorded as closed, with the reason.
    supplies : Supplies, optional
        What the sources can give.
    now : datetime.datetime, optional
        UTC; default the present.

    Returns
    -------
    Assessment

    Raises
    ------
    MarketRuleError
        If the market's calendar does not cover the day.
    WarehouseError
        If the server refused.

    """
    (assessment,) = assess(warehouse, [(series, trade_date)], supplies=supplies, now=now)
    return assessment


def assess(
    warehouse: Warehouse,
    wanted: Iterable[tuple[Series, dt.date]],
    *,
    supplies: Supplies | None = None,
    now: dt.datetime | None = None,
) -> Iterator[Assessment]:
    """Assess partitions, each in a transaction of its own.

    Parameters
    ----------
    warehouse, supplies, now
        As in `assess_partition`.
    wanted : iterable of (Series, datetime.date)
        Which.

    Yields
    ------
    Assessment
        Each committed before it is given.

    """
    supplies = supplies or Supplies(load_settings())
    at = now or dt.datetime.now(dt.UTC)
    with PersistentConnection(warehouse) as connection:
        for series, trade_date in wanted:
            supply = supplies.of(series.source)
            hours = expected_hours(supply.market, series.dataset, trade_date)
            zone = market(supply.market).zone
            partition = Partition(series.dataset, series.source, series.bar_seconds, trade_date, zone)
            grace = supply.grace(series.dataset, series.bar_seconds)
            parameters = partition.parameters(
                opens=hours.open,
                until=hours.until,
                due=_due(hours, FILE_GRACE if grace is None else grace),
                now=at,
                edge_note=hours.closed_reason or hours.edge_note,
                middle_note=hours.middle_note,
                not_fillable=supply.not_fillable(series.dataset, series.bar_seconds, trade_date, at),
                supply=supply.fingerprint(trade_date),
            )

            def work(
                session: psycopg.Connection,
                partition: Partition = partition,
                parameters: dict[str, object] = parameters,
            ) -> Assessment:
                return _assess(session, partition, parameters)

            yield connection.run(work, f"gaps of {series} on {trade_date}")


def sessions_of(
    warehouse: Warehouse,
    *,
    dataset: str | None = None,
    source: str | None = None,
    first: dt.date | None = None,
    last: dt.date | None = None,
) -> list[tuple[Series, dt.date]]:
    """List the days to assess, closed days among them.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    dataset, source : str, optional
        Only these. Who names both, and a range, means every day of it, whether or not anything is expected then.
    first, last : datetime.date, optional
        Both inclusive; default the first and the last day of which a series has a load.

    Returns
    -------
    list of (Series, datetime.date)

    """
    listed = list_series(warehouse, dataset=dataset, source=source)
    if None in {dataset, source} or first is None or last is None:
        return [(series, day) for series in listed for day in series.expected_days(first, last)]
    every = [first + dt.timedelta(days=offset) for offset in range((last - first).days + 1)]
    return [(series, day) for series in listed for day in every]


def _due(hours: Expected, grace: dt.timedelta) -> dt.datetime | None:
    return None if hours.close is None else hours.close + grace


def _assess(session: psycopg.Connection, partition: Partition, parameters: dict[str, object]) -> Assessment:
    with session.transaction():
        session.execute(_LOCK, [partition.lock_name])
        if parameters["opens"] is not None:
            stage_refused(session, partition)
        session.execute(_ASSESS, parameters)
        rows = session.execute(_RESULT, parameters).fetchall()
    instruments, expected, present, *_ = rows[0]
    return Assessment(
        partition.table,
        partition.source,
        partition.trade_date,
        partition.bar_seconds,
        instruments,
        expected,
        present,
        {row[3]: row[4] for row in rows if row[3] is not None},
        sum(row[5] or 0 for row in rows),
    )
