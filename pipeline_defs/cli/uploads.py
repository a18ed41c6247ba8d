"""``pipeline uploads``: files that people put into the drop folder, into the warehouse."""

from __future__ import annotations

import json

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.options import AsJson
from pipeline_defs.settings import load_settings


def uploads(
    *,
    as_json: AsJson = False,
) -> None:
    """Take in the files of the folder 'uploads' of PIPELINE_HOME, each with the mapping beside it.

    Each is moved to 'done' or 'rejected' there, with a report beside it. Exit code 0 only if nothing was rejected.
    """
    from pipeline_defs.uploads.taking import take_in  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    settings = load_settings()
    taken = take_in(open_warehouse(settings), settings.uploads_dir)
    if as_json:
        told = {
            "folder": str(settings.uploads_dir),
            "uploads": [outcome.to_json() for outcome in taken.outcomes],
            "arriving": taken.arriving,
            "failures": [{"name": name, "error": str(error)} for name, error in taken.failures],
        }
        typer.echo(json.dumps(told))
    else:
        for outcome in taken.outcomes:
            counts = ", ".join(f"{name} {count}" for name, count in outcome.counts().items())
            typer.echo(f"{outcome.name}: {'rejected' if outcome.is_rejected else 'done'}; {counts}; {outcome.report}")
        for name in taken.arriving:
            typer.echo(f"{name}: still arriving, left for the next time")
        if not taken.outcomes and not taken.arriving and not taken.failures:
            typer.echo(f"nothing waits in {settings.uploads_dir}")
    for outcome in taken.rejected:
        typer.echo(f"rejected: {outcome.error}", err=True)
    for name, error in taken.failures:
        typer.echo(f"{name} stays where it is: {error}", err=True)
    if taken.rejected or taken.failures:
        raise typer.Exit(ExitCode.FAILED)
