"""The catalogs of a month, once its last session is over: by sessions, not by the calendar."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import dagster as dg

from pipeline_defs.exports.registry import EXPORTERS
from pipeline_defs.markets.market import market
from pipeline_defs.orchestration.assets.catalogs import catalog_key
from pipeline_defs.orchestration.assets.sources import table_key
from pipeline_defs.orchestration.automation.jobs import MONTH_CATALOGS
from pipeline_defs.orchestration.automation.sessions import (
    UNFINISHED,
    settled_sessions,
    stored_since,
)
from pipeline_defs.orchestration.partitions import IST, MARKET_ZONE, exported_underlyings, first_partition_date
from pipeline_defs.sources.registry import trading_at

if TYPE_CHECKING:
    from collections.abc import Sequence

MORNING: Final = "0 6 * * *"
"""06:00 in India: the evening's imports have ended, and the next session has not begun."""

TRIED_DAYS: Final = 5
"""For so many days after a month's last session its catalogs are asked for; then a person is needed."""

_LONGEST_MONTH: Final = 31


@dg.schedule(
    job=MONTH_CATALOGS,
    cron_schedule=MORNING,
    execution_timezone=MARKET_ZONE,
    description=(
        "06:00 in India on the day after the month's last NSE session: builds, verifies and publishes the month's"
        " catalogs of every underlying in every format, with the certificate that compares them. It waits for the last"
        f" session's options to be imported, and tries what failed again on each of {TRIED_DAYS} days. On all other"
        " days it is skipped with the reason."
    ),
)
def month_catalogs_schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for the catalogs of the month that has just ended, but for those that are published."""
    now = context.scheduled_execution_time
    ended = ended_month(now)
    if ended is None:
        return dg.SkipReason("no month has ended since the first partition")
    month, last = f"{ended:%Y-%m}", ended
    today = now.astimezone(IST).date()
    if (today - last).days > TRIED_DAYS:
        return dg.SkipReason(f"{today:%Y-%m} has not had its last session; that of {month} was on {last}")
    imported = _imported_from(context.instance, last)
    if not imported:
        names = ", ".join(trading_at("NSE", "options_ticks"))
        return dg.SkipReason(f"the last session of {month}, {last}, is not imported yet, from none of {names}")
    closed = market("NSE").close(last)
    since = {f"{month}|{underlying}": closed for underlying in exported_underlyings()}
    published = stored_since(context.instance, catalog_keys(), since) | _in_progress(context.instance, list(since))
    requests = [
        dg.RunRequest(run_key=f"month_end:{partition}:{today}", partition_key=partition)
        for partition in since
        if partition not in published
    ]
    return requests or dg.SkipReason(f"the catalogs of {month} are published, or on their way")


def ended_month(now: dt.datetime) -> dt.date | None:
    """Find the last session of the month that ended last, by sessions.

    Parameters
    ----------
    now : datetime.datetime
        With a zone.

    Returns
    -------
    datetime.date or None
        None if that session lies before the first partition.

    Raises
    ------
    MarketRuleError
        If the calendar does not tell which session comes next.

    """
    nse = market("NSE")
    for last in settled_sessions(nse, now, dt.timedelta(), count=_LONGEST_MONTH):
        following = nse.sessions(last + dt.timedelta(days=1), min(_end_of_month(last), nse.covered[1]))
        if not following and last >= first_partition_date():
            return last
    return None


def catalog_keys() -> list[dg.AssetKey]:
    """Name what is published of a month: every format, and the certificate."""
    return [catalog_key(name) for name in (*sorted(EXPORTERS), "certificate")]


def _end_of_month(day: dt.date) -> dt.date:
    return (day.replace(day=1) + dt.timedelta(days=_LONGEST_MONTH + 1)).replace(day=1) - dt.timedelta(days=1)


def _imported_from(instance: dg.DagsterInstance, day: dt.date) -> list[str]:
    since = {day.isoformat(): market("NSE").close(day)}
    return [
        source
        for source in trading_at("NSE", "options_ticks")
        if stored_since(instance, [table_key(source, "options_ticks")], since)
    ]


def _in_progress(instance: dg.DagsterInstance, partitions: Sequence[str]) -> set[str]:
    runs = instance.get_runs(dg.RunsFilter(job_name=MONTH_CATALOGS.name, statuses=UNFINISHED))
    return {run.tags.get("dagster/partition", "") for run in runs} & set(partitions)
