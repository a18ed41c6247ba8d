"""Each API after its market's close: the session that has just become final, and the last ones that were missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.markets.market import market
from pipeline_defs.orchestration.automation.closings import daily_crons, settling, zone_of
from pipeline_defs.orchestration.automation.jobs import daily_job_name, daily_keys
from pipeline_defs.orchestration.automation.sessions import (
    CAUGHT_UP_SESSIONS,
    settled_sessions,
    stored_since,
    waiting_partitions,
)
from pipeline_defs.orchestration.automation.wanting import tables_of
from pipeline_defs.sources.registry import source_market

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

    from pipeline_defs.markets.market import Market


def build_daily_schedule(source: str, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition:
    """Make the schedule of an API's sessions.

    Parameters
    ----------
    source : str
        As in the registry.
    job : dagster.UnresolvedAssetJobDefinition
        Its `daily_job`.

    Returns
    -------
    dagster.ScheduleDefinition
        ``<source>_daily_schedule``, stopped.

    """
    of, zone = market(source_market(source)), zone_of(source)

    @dg.schedule(
        name=f"{source}_daily_schedule",
        job=job,
        cron_schedule=daily_crons(source),
        execution_timezone=zone,
        description=(
            f"After each close of {of.name}, when the answers of `{source}` are final, and once more late in the day:"
            f" asks for the session, and for those of the last {CAUGHT_UP_SESSIONS} that no run has stored since (the"
            " daemon was off, the source was down). A session that failed is asked for once a day. Days without a"
            " session are skipped with the reason."
        ),
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        """Ask for the last sessions that are final and not stored, newest first."""
        try:
            tables = tables_of(source)
        except ConfigurationError as error:
            return dg.SkipReason(str(error))
        now = context.scheduled_execution_time
        sessions = settled_sessions(of, now, settling(source))
        since = {day.isoformat(): of.close(day) + settling(source) for day in sessions}
        keys = daily_keys(source, tables)
        stored = stored_since(context.instance, keys, since)
        waiting = waiting_partitions(context.instance, daily_job_name(source), keys, list(since))
        today = of.trade_date(now).isoformat()
        requests = [
            dg.RunRequest(
                run_key=f"{source}:{partition}:{today}",
                partition_key=partition,
                asset_selection=keys,
            )
            for partition in since
            if partition not in stored | waiting
        ]
        return requests or dg.SkipReason(_why_nothing(source, of, now, since, waiting))

    return schedule


def _why_nothing(source: str, of: Market, now: dt.datetime, since: Mapping[str, dt.datetime], waiting: set[str]) -> str:
    """Say why no run is asked for: what today is, and that the sessions before it are in hand."""
    today = of.trade_date(now)
    reason = of.closed_reason(today)
    final = None if reason is not None else of.close(today) + settling(source)
    said = []
    if reason is not None:
        said.append(f"{today} has no session: {reason}")
    elif final is not None and now < final:
        said.append(f"the answer of {source} about {today} is final at {final:%Y-%m-%d %H:%M} UTC")
    if waiting:
        said.append(f"runs of {', '.join(sorted(waiting))} have not ended")
    if since:
        said.append(f"every session from {min(since)} to {max(since)} is stored or on its way")
    return "; ".join(said) or f"{source} has no session yet"
