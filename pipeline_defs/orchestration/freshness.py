"""What people and the daemon see of freshness: policies, a check that is exact by sessions, a sensor that requests.

A policy of Dagster knows no calendar: it allows the longest silence of the market. The check and the sensor ask
`pipeline_defs.freshness` about each of the latest sessions. Declarative automation cannot do the sensor's work here:
the newest partition of an asset is the session that is running, and Dagster does not know when it will be due.
"""

import datetime as dt
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.freshness.silence import longest_silence
from pipeline_defs.markets.market import Market
from pipeline_defs.markets.session_tables import session_calendar
from pipeline_defs.orchestration.assets.describing import failures_explained
from pipeline_defs.orchestration.display import markdown_table
from pipeline_defs.orchestration.partitions import first_partition_date
from pipeline_defs.orchestration.resources import (
    WAREHOUSE,
    import_port_key,
    import_port_of,
    open_warehouse_of,
)
from pipeline_defs.sources.registry import SOURCES, source_entry

if TYPE_CHECKING:
    from pipeline_defs.staleness import SessionState

FRESH_BY_SESSIONS: Final = "fresh_by_sessions"
"""Check of each table of an API: the latest sessions that are due are stored."""

SLACK: Final = dt.timedelta(hours=6)
"""Allowed by the policies beyond the market's longest silence: the source's grace, a queue, a second try."""

SENSOR_SECONDS: Final = 300
ASK_AGAIN: Final = dt.timedelta(minutes=30)
"""A session whose run did not help is requested again after so long."""

MAX_REQUESTS: Final = 25

_UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def policy_of(calendar: Market) -> dg.FreshnessPolicy:
    """Make the policy of an API's tables: warn after the longest silence of a market, fail some hours later.

    Parameters
    ----------
    calendar : Market
        Whose sessions the partitions are.

    Returns
    -------
    dagster.FreshnessPolicy
        A time window: closures, special Saturdays and evening sessions of the years with partitions are in it.

    """
    silence = longest_silence(calendar.name, first_partition_date(), session_calendar().last)
    return dg.FreshnessPolicy.time_window(fail_window=silence + SLACK, warn_window=silence + SLACK / 2)


def build_freshness_check(source: str) -> dg.AssetChecksDefinition:
    """Make the check of all tables of one API.

    Parameters
    ----------
    source : str
        Adapter, as in the registry.

    Returns
    -------
    dagster.AssetChecksDefinition

    """
    meaning = (
        "Each of the latest sessions that closed, and whose grace is over, is stored as it would be asked for now."
    )
    keys = {dg.AssetKey([source, table]): table for table in source_entry(source).tables}

    @dg.multi_asset_check(
        name=f"freshness_{source}",
        specs=[dg.AssetCheckSpec(FRESH_BY_SESSIONS, asset=key, description=meaning) for key in keys],
        can_subset=True,
        required_resource_keys={WAREHOUSE, import_port_key(source)},
    )
    def fresh_by_sessions(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        """Look at the latest sessions of one source; nothing is asked of it."""
        selected = {check.asset_key for check in context.selected_asset_check_keys}
        with failures_explained():
            states, trouble = _look(context.resources, source, dt.datetime.now(dt.UTC))
        for key, table in keys.items():
            if key in selected:
                own = [state for state in states if state.table == table]
                yield dg.AssetCheckResult(
                    asset_key=key, check_name=FRESH_BY_SESSIONS, severity=dg.AssetCheckSeverity.WARN,
                    **_judged(own, trouble),
                )  # fmt: skip

    return fresh_by_sessions


def build_stale_sensor(
    sources: list[str],
    *,
    seconds: int = SENSOR_SECONDS,
    status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
) -> dg.SensorDefinition:
    """Make the sensor that requests exactly the partitions that are stale.

    Parameters
    ----------
    sources : list of str
        APIs, as in the registry.
    seconds : int, default 300
        Between two looks, at least.
    status : dagster.DefaultSensorStatus, default STOPPED
        Whether a person has to switch it on.

    Returns
    -------
    dagster.SensorDefinition

    """

    @dg.sensor(
        name="stale_sensor",
        jobs=[_job_of(source) for source in sources],
        minimum_interval_seconds=seconds,
        default_status=status,
        required_resource_keys={WAREHOUSE, *map(import_port_key, sources)},
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
        for source in sources:
            states, trouble = _look(context.resources, source, now)
            if trouble:
                notes.append(f"{source}: {trouble}")
            events += _news(source, states, told)
            stale = [state for state in states if not state.is_fresh and not state.is_running]
            for day in sorted({state.trade_date for state in stale}):
                name = f"{source}|{day}"
                if name in asked and now - dt.datetime.fromisoformat(asked[name]) < ASK_AGAIN:
                    still[name] = asked[name]
                elif len(requests) < MAX_REQUESTS and not _is_running(context.instance, source, day):
                    tables = [state.table for state in stale if state.trade_date == day]
                    still[name] = now.isoformat()
                    requests.append(
                        dg.RunRequest(
                            job_name=job_name(source),
                            run_key=f"stale:{name}:{now.isoformat()}",
                            partition_key=day.isoformat(),
                            asset_selection=[dg.AssetKey([source, table]) for table in tables],
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


def api_sources() -> list[str]:
    """List the sources that are asked over a network, by name."""
    return [name for name in sorted(SOURCES) if SOURCES[name].source_type == "api"]


def job_name(source: str) -> str:
    """Name the job that fills the tables of one API."""
    return f"refresh_{source}"


def _job_of(source: str) -> Any:  # noqa: ANN401 -- Dagster does not export the type of an unresolved job
    """Make a job for each API: assets of one job must share their partitions, and markets differ."""
    keys = [dg.AssetKey([source, table]) for table in source_entry(source).tables]
    return dg.define_asset_job(
        job_name(source),
        dg.AssetSelection.assets(*keys),
        description=(
            f"One session of {source} that is stale, asked for anew; its sensor launches it. Launch it by hand with a"
            " partition; after a failure, launch it again: what came is stored."
        ),
    )


def _look(resources: object, source: str, now: dt.datetime) -> tuple[list["SessionState"], str]:
    """Give the states of a source's latest sessions; or none, and why: its universe names nothing, say."""
    from pipeline_defs.staleness import latest_states  # noqa: PLC0415 -- imports polars

    try:
        adapter = import_port_of(resources, source).source()
        return latest_states(open_warehouse_of(resources), adapter, now, first=first_partition_date()), ""
    except ConfigurationError as error:
        return [], error.what


def _judged(states: list["SessionState"], trouble: str = "") -> dict[str, Any]:
    stale = [state for state in states if not state.is_fresh]
    shown = [
        (str(one.trade_date), f"{one.due_at:%Y-%m-%d %H:%M} UTC", "yes" if one.is_fresh else "no", one.is_running)
        for one in states
    ]
    return {
        "passed": not stale,
        "description": f"{len(stale)} of {len(states)} sessions are stale"
        if states
        else trouble or "nothing is wanted",
        "metadata": {
            "stale_sessions": len(stale),
            "fresh_up_to": str(max((one.trade_date for one in states if one.is_fresh), default="never")),
            "expected": f"{len(states)} sessions stored",
            "found": ", ".join(f"{one.trade_date} is missing" for one in stale) or "all of them",
            "sessions": dg.MetadataValue.md(markdown_table(["session", "due at", "fresh", "running"], shown)),
        },
    }


def _news(source: str, states: list["SessionState"], told: dict[str, bool]) -> Iterator[dg.AssetCheckEvaluation]:
    """Tell each check what changed since it was told last."""
    for table in sorted({state.table for state in states}):
        judged = _judged([state for state in states if state.table == table])
        name = f"{source}/{table}"
        if told.get(name) != judged["passed"]:
            told[name] = judged["passed"]
            yield dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey([source, table]),
                check_name=FRESH_BY_SESSIONS,
                passed=judged["passed"],
                metadata=judged["metadata"],
                severity=dg.AssetCheckSeverity.WARN,
                description=judged["description"],
            )


def _is_running(instance: dg.DagsterInstance, source: str, day: dt.date) -> bool:
    filters = dg.RunsFilter(statuses=_UNFINISHED, tags={"dagster/partition": day.isoformat()})
    return any(
        key.path[0] == source for run in instance.get_runs(filters) for key in run.asset_selection or frozenset()
    )
