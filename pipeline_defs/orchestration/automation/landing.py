"""The landing folder: a trade date is imported when its files have settled, and again when one of them changes."""

from __future__ import annotations

import datetime as dt
import json
from typing import Final

import dagster as dg

from pipeline_defs.orchestration.automation.jobs import NSE_DAILY
from pipeline_defs.orchestration.landing import judge_arrivals, look_at
from pipeline_defs.orchestration.partitions import session_close, session_partitions
from pipeline_defs.orchestration.places import landing_place

SENSOR_SECONDS: Final = 60

MAX_REQUESTS: Final = 25
"""Runs asked for at one look; a folder of years is taken in over several."""


@dg.sensor(
    job=NSE_DAILY,
    minimum_interval_seconds=SENSOR_SECONDS,
    description=(
        "Every minute: imports each trade date whose files in the landing folder arrived or changed, once they are the"
        " same at two looks in a row. The date is read from the vendors' file names; at most 25 dates a look."
    ),
)
def landing_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Import each trade date whose files arrived or changed, once they are the same at two looks in a row.

    Dates come from the vendors' file names. A file that is still being copied differs at the next look.
    """
    memory: dict[str, list[str]] = json.loads(context.cursor or "{}")
    folder = landing_place()
    landed = look_at(folder)
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
