"""What starts runs by itself: jobs, schedules and sensors. All are stopped until a person switches them on.

``jobs``       what is started: a session of the files, a session of an API, a look at a running session, a month
``closings``   when a market's sessions are over and its sources' answers final, as times of the day
``sessions``   which sessions are over, and which of them no run has stored yet
``wanting``    which tables the universe wants of a source
``files``      the evening of the NSE files
``landing``    the folder into which files are dropped
``daily``      each API after its market's close, with what was missed
``intraday``   each API while its market is open
``stale``      each API's latest sessions that are due and not stored, exactly
``month_end``  the catalogs of a month whose last session is over
``pruning``    the log lines of old runs, which nobody reads
``alerts``     failed runs, failed checks and stale assets, told to people; ``alert_events`` reads them

What a run does is the assets' business. A schedule never guesses: it asks the market's sessions, and where it does
nothing, it says why.
"""

from typing import TYPE_CHECKING, Final

import dagster as dg

from pipeline_defs.orchestration.automation import (
    alerts,
    daily,
    files,
    intraday,
    jobs,
    landing,
    month_end,
    pruning,
    stale,
)
from pipeline_defs.sources.registry import SOURCES, api_sources

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_INTRADAY_SOURCES: Final = [name for name in api_sources() if set(SOURCES[name].tables) - {"equity_daily"}]

_DAILY: Final = {name: jobs.daily_job(name) for name in api_sources()}
_INTRADAY: Final = {name: jobs.intraday_job(name) for name in _INTRADAY_SOURCES}

JOBS: "Final[list[dg.JobDefinition | UnresolvedAssetJobDefinition]]" = [
    jobs.NSE_DAILY,
    jobs.MONTH_CATALOGS,
    pruning.prune_events,
    *_DAILY.values(),
    *_INTRADAY.values(),
]

SCHEDULES: Final[list[dg.ScheduleDefinition]] = [
    files.nse_daily_schedule,
    *(daily.build_daily_schedule(name, job) for name, job in _DAILY.items()),
    *(
        intraday.build_intraday_schedule(name, job, pace)
        for name, job in _INTRADAY.items()
        for pace in (intraday.HOURLY, intraday.EVERY_5_MINUTES)
    ),
    month_end.month_catalogs_schedule,
    pruning.prune_events_schedule,
]

SENSORS: Final = [
    landing.landing_sensor,
    stale.build_stale_sensor(_DAILY),
    alerts.run_failure_sensor,
    alerts.asset_alert_sensor,
]
