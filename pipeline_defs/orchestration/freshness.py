"""What people and the daemon see of freshness: policies, and a check that is exact by sessions.

A policy of Dagster knows no calendar: it allows the longest silence of the market. The check, and the sensor that
requests (`automation.stale`), ask `pipeline_defs.freshness` about each of the latest sessions.
"""

import datetime as dt
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
from pipeline_defs.sources.registry import source_entry

if TYPE_CHECKING:
    from pipeline_defs.staleness import SessionState

FRESH_BY_SESSIONS: Final = "fresh_by_sessions"
"""Check of each table of an API: the latest sessions that are due are stored."""

SLACK: Final = dt.timedelta(hours=6)
"""Allowed by the policies beyond the market's longest silence: the source's grace, a queue, a second try."""


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
            states, trouble = look_at_sessions(context.resources, source, dt.datetime.now(dt.UTC))
        for key, table in keys.items():
            if key in selected:
                own = [state for state in states if state.table == table]
                yield dg.AssetCheckResult(
                    asset_key=key, check_name=FRESH_BY_SESSIONS, severity=dg.AssetCheckSeverity.WARN,
                    **_judged(own, trouble),
                )  # fmt: skip

    return fresh_by_sessions


def look_at_sessions(resources: object, source: str, now: dt.datetime) -> tuple[list["SessionState"], str]:
    """Look at the latest sessions of a source.

    Parameters
    ----------
    resources : object
        The warehouse and the source's port.
    source : str
        As in the registry.
    now : datetime.datetime
        With a zone.

    Returns
    -------
    tuple of list of SessionState and str
        The sessions; or none, and why: its universe names nothing, say.

    """
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


def check_news(source: str, states: list["SessionState"], told: dict[str, bool]) -> Iterator[dg.AssetCheckEvaluation]:
    """Tell each check what changed since it was told last.

    Parameters
    ----------
    source : str
        As in the registry.
    states : list of SessionState
        Its latest sessions.
    told : dict of str to bool
        What each check was told last; brought up to date.

    Yields
    ------
    dagster.AssetCheckEvaluation
        One for each table of which it is not what was told.

    """
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
