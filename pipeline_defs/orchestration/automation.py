"""What starts runs: two jobs, one schedule at the time by which files must be there, one sensor on the landing folder.

Both start stopped: a person switches them on when the landing folder is fed. What a run does is the assets' business.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Final

import dagster as dg

from pipeline_defs.orchestration.assets.describing import BARS, CATALOGS, INGESTION
from pipeline_defs.orchestration.landing import judge_arrivals, landed_files
from pipeline_defs.orchestration.partitions import IST, MARKET_ZONE, session_close, session_partitions
from pipeline_defs.settings import load_settings

NSE_DAILY: Final = dg.define_asset_job(
    "nse_daily",
    selection=dg.AssetSelection.groups(INGESTION, BARS),
    description=(
        "One trading session of the NSE files into the warehouse, with its bars and checks. Run it for a session whose"
        " files lie in the landing folder; run it again after a failure, once the files are right."
    ),
)

MONTH_CATALOGS: Final = dg.define_asset_job(
    "month_catalogs",
    selection=dg.AssetSelection.groups(CATALOGS),
    description=(
        "The catalogs of one month of one underlying, in every format, verified and published. Run it when the month is"
        " over, or was corrected; what fails leaves the published catalog as it was."
    ),
)

DEADLINE: Final = "0 21 * * *"
"""21:00 in India: every session is over, evening sessions too, and vendors have delivered."""

SENSOR_SECONDS: Final = 60

MAX_REQUESTS: Final = 25
"""Runs asked for at one look; a folder of years is taken in over several."""


@dg.schedule(
    job=NSE_DAILY,
    cron_schedule=DEADLINE,
    execution_timezone=MARKET_ZONE,
    description=(
        "Imports the day's session at 21:00 in India, so that a session without files fails where people see it. Days"
        " without a session are skipped with the reason. Off until it is switched on."
    ),
)
def nse_daily_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Import the day's session, so that a day without files fails where people see it.

    Files that came earlier and were imported through the sensor are read again, which changes no row.
    """
    from pipeline_defs.markets.sessions import closed_reason, is_session  # noqa: PLC0415 -- imports polars

    trade_date = context.scheduled_execution_time.astimezone(IST).date()
    if not is_session(trade_date):
        return dg.SkipReason(f"{trade_date} has no session: {closed_reason(trade_date)}")
    return dg.RunRequest(run_key=f"deadline:{trade_date}", partition_key=trade_date.isoformat())


@dg.sensor(
    job=NSE_DAILY,
    minimum_interval_seconds=SENSOR_SECONDS,
    description=(
        "Looks at the landing folder every minute, and imports each trade date whose files arrived or changed, once"
        " they are the same at two looks. What it waits for stands in its ticks. Off until it is switched on."
    ),
)
def landing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Import each trade date whose files arrived or changed, once they are the same at two looks in a row.

    Dates come from the vendors' file names. A file that is still being copied differs at the next look.
    """
    memory: dict[str, list[str]] = json.loads(context.cursor or "{}")
    folder = load_settings().landing_dir
    landed = landed_files(folder)
    arrivals = judge_arrivals(landed, memory)
    keys = set(session_partitions().get_partition_keys())
    now = dt.datetime.now(dt.UTC)
    requests: list[dg.RunRequest] = []
    skipped: list[str] = []
    for trade_date, fingerprint in arrivals.settled.items():
        reason = _reason_to_wait(trade_date, keys, now)
        if reason is not None:
            skipped.append(reason)
        elif len(requests) < MAX_REQUESTS:
            arrivals.remember_request(trade_date)
            requests.append(
                dg.RunRequest(run_key=f"landing:{trade_date}:{fingerprint}", partition_key=trade_date.isoformat())
            )
    if landed.undated:
        skipped.append(f"{landed.undated} files name no trade date: import them with 'pipeline import'")
    if arrivals.arriving:
        skipped.append(f"still arriving: {', '.join(map(str, arrivals.arriving))}")
    return dg.SensorResult(
        run_requests=requests,
        cursor=json.dumps(arrivals.memory),
        skip_reason=None if requests else "; ".join(skipped) or f"nothing new below {folder}",
    )


def _reason_to_wait(trade_date: dt.date, keys: set[str], now: dt.datetime) -> str | None:
    """Say why a trade date cannot be imported, or None."""
    if trade_date.isoformat() not in keys:
        return f"{trade_date} has no partition: it is no session, lies ahead, or before the first date"
    if now < session_close(trade_date):
        return f"the session of {trade_date} is not over"
    return None
