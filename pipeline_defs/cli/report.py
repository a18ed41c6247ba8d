"""``pipeline report``: the data report as one HTML file."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import click

from pipeline_defs.cli.options import INSTANT
from pipeline_defs.settings import load_settings


@click.command()
@click.option("--output", type=click.Path(path_type=Path), required=True, help="HTML file to write.")
@click.option("--sessions", default=250, show_default=True, help="How many sessions of each market to look at.")
@click.option("--now", type=INSTANT, help="Judge what is due at this instant; default: the present.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def report(
    output: Path,
    sessions: int,
    now: dt.datetime | None,
    as_json: bool,  # noqa: FBT001 -- click passes flags by name
) -> None:
    """Write what the warehouse holds, how fresh, whole and good it is, as one HTML file.

    The file opens without a server and fetches nothing. Nothing in the database is changed.
    """
    from pipeline_defs.reporting.building import build_report  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.reporting.rendering import write_report  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    moment = dt.datetime.now(dt.UTC) if now is None else now
    built = build_report(open_warehouse(load_settings()), moment, most_sessions=sessions)
    size_bytes = write_report(built, output)
    if as_json:
        told = {name: fact.value for name, fact in built.facts().items()}
        click.echo(json.dumps({"path": str(output), "size_bytes": size_bytes, "made_at": built.made_at, "facts": told}))
    else:
        click.echo(f"{output}: {size_bytes:,} bytes, as of {built.made_at}")
