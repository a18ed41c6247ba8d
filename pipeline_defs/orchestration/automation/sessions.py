"""Which sessions are over, and which of them no run has stored since: what every schedule asks before it asks for runs.

What is stored is judged by the events of the instance: a materialisation counts if it came after the source's answer
was final. Only a handful of sessions is looked at, whatever the history's length.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import dagster as dg

from pipeline_defs.orchestration.partitions import first_partition_date

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipeline_defs.markets.market import Market

CAUGHT_UP_SESSIONS: Final = 5
"""So many of the last sessions are made up for when nothing ran; earlier ones are a backfill's."""

PARTITION: Final = "dagster/partition"

_MAX_CLOSED_DAYS: Final = 14
"""No market was ever closed for longer."""

_RECORDS_A_PARTITION: Final = 20

UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def settled_sessions(
    of: Market, now: dt.datetime, settling: dt.timedelta, count: int = CAUGHT_UP_SESSIONS
) -> list[dt.date]:
    """List the last sessions whose answers are final.

    Parameters
    ----------
    of : Market
        Whose.
    now : datetime.datetime
        With a zone.
    settling : datetime.timedelta
        How long after a close an answer is final.
    count : int, default 5
        How many at most.

    Returns
    -------
    list of datetime.date
        Newest first; none before the first partition.

    Raises
    ------
    MarketRuleError
        If the market's calendar does not reach that far.

    """
    found: list[dt.date] = []
    day, first = of.trade_date(now), max(first_partition_date(), of.covered[0])
    for _ in range(count + _MAX_CLOSED_DAYS):
        if len(found) == count or day < first:
            break
        if of.closed_reason(day) is None and of.close(day) + settling <= now:
            found.append(day)
        day -= dt.timedelta(days=1)
    return found


def stored_since(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetKey], since: Mapping[str, dt.datetime]
) -> set[str]:
    """Find the partitions of which every asset was materialised after an instant.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Where the events are.
    keys : collection of dagster.AssetKey
        All of them must have been.
    since : dict of str to datetime.datetime
        Partition keys, each with its instant.

    Returns
    -------
    set of str
        Some of the partitions.

    """
    stored = set(since)
    for key in keys:
        if not stored:
            break
        wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=sorted(stored))
        records = instance.fetch_materializations(wanted, limit=_RECORDS_A_PARTITION * len(stored)).records
        newer = set()
        for record in records:
            partition = record.partition_key
            if partition in stored and record.timestamp >= since[str(partition)].timestamp():
                newer.add(str(partition))
        stored &= newer
    return stored


def waiting_partitions(
    instance: dg.DagsterInstance, job_name: str, keys: Collection[dg.AssetKey], partitions: Sequence[str]
) -> set[str]:
    """Find the partitions that a run which has not ended will store, of the job itself or of a backfill."""
    found = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags={PARTITION: list(partitions)}))
    return {
        run.tags[PARTITION] for run in found if run.job_name == job_name or not set(keys).isdisjoint(_selected(run))
    }


def has_unfinished_run(instance: dg.DagsterInstance, job_name: str) -> bool:
    """Tell whether a run of a job is queued or has not ended."""
    return bool(instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=UNFINISHED), limit=1))


def _selected(run: dg.DagsterRun) -> Collection[dg.AssetKey]:
    return run.asset_selection or ()
