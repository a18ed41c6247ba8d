"""The evening of the NSE files: by 21:00 in India they must be there."""

from __future__ import annotations

from typing import Final

import dagster as dg

from pipeline_defs.orchestration.automation.jobs import NSE_DAILY
from pipeline_defs.orchestration.partitions import IST, MARKET_ZONE

DEADLINE: Final = "0 21 * * *"
"""21:00 in India: every session is over, evening sessions too, and vendors have delivered."""


@dg.schedule(
    job=NSE_DAILY,
    cron_schedule=DEADLINE,
    execution_timezone=MARKET_ZONE,
    description=(
        "21:00 in India: imports the day's session from the landing folder, with its bars and checks, so that a session"
        " without files fails where people see it. Days without a session are skipped with the reason. Files that the"
        " landing sensor has imported already are read again, which changes no row."
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
