"""``pipeline prune``: what keeps Dagster's event log from growing without end."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated

import typer

from pipeline_defs.cli.maintenance import parse_age
from pipeline_defs.cli.options import AsJson, DryRun
from pipeline_defs.settings import load_settings


def prune(
    *,
    older_than: Annotated[
        dt.timedelta,
        typer.Option(
            "--older-than", help="Since the run's last change, at least 1d.", parser=parse_age, metavar="<age>"
        ),
    ] = dt.timedelta(days=30),
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Delete the log lines of runs that ended long ago.

    Materialisations, check results, data versions, steps and run states stay: Dagster knows of each partition what it
    knew before. The schedule prune_events_schedule does the same each night.
    """
    from pipeline_defs.orchestration.operations.event_retention import (  # noqa: PLC0415 -- imports dagster
        prune_log_lines,
    )
    from pipeline_defs.orchestration.runs import open_instance  # noqa: PLC0415

    with open_instance(load_settings(), captures_output=False) as instance:
        done = prune_log_lines(instance, older_than, dry_run=dry_run)
    if as_json:
        told = {"ended_before": done.ended_before.isoformat(), "runs": done.runs, "rows": done.rows, "dry_run": dry_run}
        typer.echo(json.dumps(told))
        return
    would = "would be " if dry_run else ""
    typer.echo(f"{done.rows:,} log lines of {done.runs:,} runs that ended before {done.ended_before:%Y-%m-%d %H:%M} UTC"
               f" {would}deleted")  # fmt: skip
