"""Each API's latest sessions, whenever one is due and not stored: requested exactly, whoever missed them.

Declarative automation cannot do this here: the newest partition of an asset is the session that is running, and Dagster
does not know when it will be due. What is fresh is decided by `pipeline_defs.freshness`, of which the checks are told.
"""

import datetime as dt
import json
from typing import TYPE_CHECKING, Final

import dagster as dg

from pipeline_defs.orchestration.automation.jobs import daily_keys
from pipeline_defs.orchestration.automation.sessions import waiting_partitions
from pipeline_defs.orchestration.freshness import check_news, look_at_sessions
from pipeline_defs.orchestration.resources import WAREHOUSE, import_port_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

SENSOR_SECONDS: Final = 300
ASK_AGAIN: Final = dt.timedelta(minutes=30)
"""A session whose run did not help is requested again after so long."""

MAX_REQUESTS: Final = 25


def build_stale_sensor(
    daily_jobs: "Mapping[str, UnresolvedAssetJobDefinition]",
    *,
    seconds: int = SENSOR_SECONDS,
    status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
) -> dg.SensorDefinition:
    """Make the sensor that requests exactly the partitions that are stale.

    Parameters
    ----------
    daily_jobs : mapping of str to dagster.UnresolvedAssetJobDefinition
        APIs, as in the registry, each with its `daily_job`.
    seconds : int, default 300
        Between two looks, at least.
    status : dagster.DefaultSensorStatus, default STOPPED
        Whether a person has to switch it on.

    Returns
    -------
    dagster.SensorDefinition
        ``stale_sensor``.

    """

    @dg.sensor(
        name="stale_sensor",
        jobs=list(daily_jobs.values()),
        minimum_interval_seconds=seconds,
        default_status=status,
        required_resource_keys={WAREHOUSE, *map(import_port_key, daily_jobs)},
        description="Requests the latest sessions of each API that are due and not stored, and tells the checks.",
    )
    def stale_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        """Ask which sessions are fresh, and request the others."""
        now = dt.datetime.now(dt.UTC)
        memory = json.loads(context.cursor or "{}")
        asked: dict[str, str] = memory.get("asked", {})
        told: dict[str, bool] = memory.get("told", {})
        requests: list[dg.RunRequest] = []
        events: list[dg.AssetCheckEvaluation] = []
        notes: list[str] = []
        still: dict[str, str] = {}
        for source, job in daily_jobs.items():
            states, trouble = look_at_sessions(context.resources, source, now)
            if trouble:
                notes.append(f"{source}: {trouble}")
            events += check_news(source, states, told)
            stale = [state for state in states if not state.is_fresh and not state.is_running]
            days = sorted({state.trade_date for state in stale})
            every = [day.isoformat() for day in days]
            waiting = waiting_partitions(context.instance, job.name, daily_keys(source), every) if every else set()
            for day in days:
                name = f"{source}|{day}"
                if name in asked and now - dt.datetime.fromisoformat(asked[name]) < ASK_AGAIN:
                    still[name] = asked[name]
                elif len(requests) < MAX_REQUESTS and day.isoformat() not in waiting:
                    still[name] = now.isoformat()
                    requests.append(
                        dg.RunRequest(
                            job_name=job.name,
                            run_key=f"stale:{name}:{now.isoformat()}",
                            partition_key=day.isoformat(),
                            asset_selection=daily_keys(
                                source, frozenset(state.table for state in stale if state.trade_date == day)
                            ),
                            tags={"stale": source},
                        )
                    )
        return dg.SensorResult(
            run_requests=requests,
            asset_events=events,
            cursor=json.dumps({"asked": still, "told": told}),
            skip_reason=None if requests else "; ".join([f"{len(still)} sessions are being asked for", *notes]),
        )

    return stale_sensor
