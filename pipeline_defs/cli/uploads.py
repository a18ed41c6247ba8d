"""``pipeline uploads``: files that people put into the drop folder, into the warehouse."""

from __future__ import annotations

import json

import click

from pipeline_defs.settings import load_settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def uploads(as_json: bool) -> None:  # noqa: FBT001 -- click passes flags by name
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
        click.echo(json.dumps(told))
    else:
        for outcome in taken.outcomes:
            counts = ", ".join(f"{name} {count}" for name, count in outcome.counts().items())
            click.echo(f"{outcome.name}: {'rejected' if outcome.is_rejected else 'done'}; {counts}; {outcome.report}")
        for name in taken.arriving:
            click.echo(f"{name}: still arriving, left for the next time")
        if not taken.outcomes and not taken.arriving and not taken.failures:
            click.echo(f"nothing waits in {settings.uploads_dir}")
    for outcome in taken.rejected:
        click.echo(f"rejected: {outcome.error}", err=True)
    for name, error in taken.failures:
        click.echo(f"{name} stays where it is: {error}", err=True)
    if taken.rejected or taken.failures:
        raise SystemExit(1)
