"""Each API while its market is open: every hour or every five minutes, what was completed since the last look."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple

import dagster as dg

from pipeline_defs.errors import ConfigurationError, MarketRuleError
from pipeline_defs.markets.market import market
from pipeline_defs.markets.running import running_session
from pipeline_defs.orchestration.automation.closings import zone_of
from pipeline_defs.orchestration.automation.sessions import has_unfinished_run
from pipeline_defs.orchestration.automation.wanting import tables_of
from pipeline_defs.sources.registry import source_market

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace(NamedTuple):
    """How often a running session is looked at.

    Parameters
    ----------
    name : str
        In the schedule's name.
    words : str
        In its description.
    cron : str
        When.
    interval : datetime.timedelta
        Between two looks.

    """

    name: str
    words: str
    cron: str
    interval: dt.timedelta


HOURLY: Final = Pace("hourly", "Every hour", "0 * * * *", dt.timedelta(hours=1))
EVERY_5_MINUTES: Final = Pace("every_5_minutes", "Every five minutes", "*/5 * * * *", dt.timedelta(minutes=5))


def utc_now() -> dt.datetime:
    """Tell the time."""
    return dt.datetime.now(dt.UTC)


def build_intraday_schedule(
    source: str, job: dg.JobDefinition, pace: Pace, clock: Callable[[], dt.datetime] = utc_now
) -> dg.ScheduleDefinition:
    """Make a schedule of looks at the running session.

    Parameters
    ----------
    source : str
        As in the registry.
    job : dagster.JobDefinition
        Its `intraday_job`.
    pace : Pace
        How often.
    clock : callable
        Tells the time, UTC.

    Returns
    -------
    dagster.ScheduleDefinition
        ``<source>_<pace>_schedule``, stopped.

    """
    of = market(source_market(source))

    @dg.schedule(
        name=f"{source}_{pace.name}_schedule",
        job=job,
        cron_schedule=pace.cron,
        execution_timezone=zone_of(source),
        description=(
            f"{pace.words} while {of.name} is open: asks `{source}` for the bars that were completed since the last"
            " stored one of the session, for all tables that the universe wants. Outside a session it is skipped with"
            " the reason, and so it is while the look before has not ended. The session's own run, after the close,"
            " asks for the whole day and completes it: keep the daily schedule on as well."
        ),
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Ask for a look, if the session runs."""
        at = context.scheduled_execution_time.astimezone(dt.UTC)
        try:
            running_session(of, at)
            tables_of(source, within_the_day=True)
        except (MarketRuleError, ConfigurationError) as reason:
            return dg.SkipReason(str(reason))
        if clock() - at > pace.interval:
            return dg.SkipReason(f"the look of {at:%H:%M} UTC was missed; the next one asks for what it would have")
        if has_unfinished_run(context.instance, job.name):
            return dg.SkipReason("the look before has not ended; the next one asks for everything since")
        return dg.RunRequest(run_key=f"{source}:{at:%Y-%m-%dT%H:%MZ}")

    return schedule
