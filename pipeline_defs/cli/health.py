"""``pipeline health``: whether the installation can work, for a probe, a timer and a person."""

from __future__ import annotations

import datetime as dt
import enum
import json
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.options import AsJson
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    import dagster as dg


class Profile(enum.StrEnum):
    """What is asked."""

    LIVE = "live"
    READY = "ready"


def health(
    *,
    profile: Annotated[
        Profile, typer.Option("--profile", help="Of live, home and database, in a second; of ready, everything.")
    ] = Profile.READY,
    limit: Annotated[
        float, typer.Option("--limit", help="Seconds after which a check that gave no answer has failed.", min=0.1)
    ] = 20.0,
    least_free: Annotated[
        str, typer.Option("--least-free", help="GiB that must be free; below twice as much it warns.")
    ] = "5",
    as_json: AsJson = False,
) -> None:
    """Check disks, database, schema, clocks, buckets, daemons, definitions, overdue sessions.

    Exit code 0 if nothing failed, also with warnings; 1 otherwise. Each line says what to do. Nothing takes longer
    than --limit; a small file and a small object are written, read and deleted.
    """
    from pipeline_defs.operations.checks import parse_gib  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.operations.health import is_well, run_checks  # noqa: PLC0415

    outcomes = run_checks(_checks(profile, parse_gib(least_free)), limit_seconds=limit)
    well = is_well(outcomes)
    if as_json:
        checked = [outcome.to_json() for outcome in outcomes]
        typer.echo(json.dumps({"healthy": well, "profile": profile.value, "checks": checked}))
    else:
        width = max(len(outcome.name) for outcome in outcomes)
        for outcome in outcomes:
            typer.echo(f"{outcome.state.value:<7}  {outcome.name:<{width}}  {outcome.what}")
            if outcome.next_step is not None:
                typer.echo(f"{'':<7}  {'':<{width}}  next: {outcome.next_step}")
    raise typer.Exit(ExitCode.SUCCESS if well else ExitCode.FAILED)


def _checks(profile: Profile, least_free_bytes: int) -> dict[str, Callable[[], str]]:
    from pipeline_defs.operations import checks  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import Warehouse, database_url  # noqa: PLC0415

    warehouse = Warehouse(database_url(load_settings()))
    chosen: dict[str, Callable[[], str]] = {
        "home": partial(checks.check_home, least_free_bytes),
        "database": partial(checks.check_database, warehouse),
    }
    if profile is Profile.LIVE:
        return chosen
    chosen["schema"] = partial(checks.check_schema, warehouse)
    chosen["database disk"] = partial(checks.check_database_disk, warehouse, least_free_bytes)
    chosen["clock"] = partial(checks.check_clock, warehouse)
    for place in checks.buckets_in_use():
        chosen[str(place)] = partial(checks.check_bucket, place)
    chosen["sessions"] = partial(checks.check_sessions, warehouse, dt.datetime.now(dt.UTC))
    return chosen | _dagster_checks()


def _dagster_checks() -> dict[str, Callable[[], str]]:
    from pipeline_defs.orchestration.operations import checks  # noqa: PLC0415 -- imports dagster

    # One instance for the checks that ask it, opened within the time limit as they are.
    return {
        "runs": lambda: _asked(checks.check_instance),
        "daemons": lambda: _asked(checks.check_daemons),
        "definitions": checks.check_code_location,
    }


def _asked(check: Callable[[dg.DagsterInstance], str]) -> str:
    from pipeline_defs.orchestration.runs import open_instance  # noqa: PLC0415 -- imports dagster

    with open_instance(load_settings(), captures_output=False) as instance:
        return check(instance)
