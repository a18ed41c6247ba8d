"""``pipeline report``: the data report as one HTML file."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline_defs.cli.options import AsJson, parse_instant
from pipeline_defs.settings import load_settings


def report(
    *,
    output: Annotated[Path, typer.Option("--output", help="HTML file to write.")],
    sessions: Annotated[int, typer.Option("--sessions", help="How many sessions of each market to look at.")] = 250,
    now: Annotated[
        dt.datetime | None,
        typer.Option(
            "--now",
            help="Judge what is due at this instant; default: the present.",
            parser=parse_instant,
            metavar="<instant>",
        ),
    ] = None,
    as_json: AsJson = False,
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
        typer.echo(json.dumps({"path": str(output), "size_bytes": size_bytes, "made_at": built.made_at, "facts": told}))
    else:
        typer.echo(f"{output}: {size_bytes:,} bytes, as of {built.made_at}")
