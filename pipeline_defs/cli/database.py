"""``pipeline db`` and ``pipeline doctor``: the server, and the state of the warehouse."""

from __future__ import annotations

import json

import click

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.settings import load_settings


@click.group("db")
def database() -> None:
    """Start, stop and reach the database."""


@database.command()
def url() -> None:
    """Print the URL of the running, migrated database (it holds the password of the embedded server)."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick

    click.echo(open_warehouse(load_settings()).url)


@database.command()
def stop() -> None:
    """Stop the embedded server of this PIPELINE_HOME."""
    from pipeline_defs.warehouse import embedded  # noqa: PLC0415 -- keeps --help quick

    settings = load_settings()
    if settings.database_url is not None:
        raise ConfigurationError(
            "PIPELINE_DATABASE_URL points to a server that the pipeline did not start",
            next_step="stop it by its own means, or unset the variable to stop the embedded one",
        )
    embedded.stop(settings.postgres_dir)
    click.echo("stopped", err=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> None:  # noqa: FBT001 -- click passes flags by name
    """Show where state lives, what the database can do and what it holds."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.listing import describe  # noqa: PLC0415

    settings = load_settings()
    state = {"home": str(settings.home), **describe(open_warehouse(settings))}
    if as_json:
        click.echo(json.dumps(state))
        return
    for name, value in state.items():
        if name == "datasets":
            for dataset in state["datasets"]:
                click.echo(
                    f"{dataset['dataset']:<16} {dataset['bar_seconds']:>6} s  {dataset['first']} .. {dataset['last']}"
                    f"  {dataset['rows_stored']:>12,} rows in {dataset['loads']} loads"
                )
        else:
            click.echo(f"{name}: {value}")
