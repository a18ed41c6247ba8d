"""``pipeline db``: the server and the migrations of its schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.cli.help_page import command_group
from pipeline_defs.cli.maintenance import maintain, retention
from pipeline_defs.cli.options import AsJson
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.migrations import Migration


database = command_group("Start, stop, reach and migrate the database.")
database.command()(maintain)
database.command()(retention)


@database.command()
def url() -> None:
    """Print the URL of the running, migrated database (it holds the password of the embedded server)."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick

    typer.echo(open_warehouse(load_settings()).url)


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
    typer.echo("stopped", err=True)


@database.command()
def status(
    *,
    as_json: AsJson = False,
) -> None:
    """Show every migration and whether the schema is still what they made; changes nothing.

    Exit code 1 if a migration is outstanding, unknown or changed, or if the schema was changed by hand.
    """
    from pipeline_defs.warehouse.migrations import State, find_drift, migration_states, server_layers  # noqa: PLC0415

    warehouse = _unmigrated_warehouse()
    with warehouse.connect() as connection:
        layers = server_layers(connection)
        states = migration_states(connection)
        drift = find_drift(connection)
    in_order = not drift.differences and all(entry.state is State.APPLIED for entry in states)
    if as_json:
        report = {
            "database": warehouse.public_url,
            "layers_possible": layers,
            "migrations": [entry.to_json() for entry in states],
            "drift": list(drift.differences),
            "in_order": in_order,
        }
        typer.echo(json.dumps(report))
    else:
        for entry in states:
            when = "" if entry.applied_at is None else f"  {entry.applied_at:%Y-%m-%d %H:%M:%S} UTC"
            typer.echo(f"{entry.name:<56} {entry.state.value}{when}")
        for difference in drift.differences:
            typer.echo(f"schema: {difference}")
        if any(entry.state is State.OUTSTANDING for entry in states):
            typer.echo("Next: 'pipeline db upgrade' applies what is outstanding", err=True)
    raise typer.Exit(0 if in_order else 1)


@database.command()
def upgrade(
    *,
    to: Annotated[int | None, typer.Option("--to", help="Leave out migrations with a higher number.")] = None,
    as_json: AsJson = False,
) -> None:
    """Apply outstanding migrations; imports and exports do it by themselves."""
    from pipeline_defs.warehouse import migrations  # noqa: PLC0415 -- keeps --help quick

    _report("applied", migrations.upgrade(_unmigrated_warehouse(), to=to), as_json=as_json)


@database.command()
def downgrade(
    *,
    to: Annotated[int, typer.Option("--to", help="Number of the highest migration to keep.")],
    accept_loss: Annotated[
        bool, typer.Option("--yes", help="Also undo what takes stored information with it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Undo migrations, the highest number first, so that an older version of the pipeline can use the database.

    This version would apply them again with its next command.
    """
    from pipeline_defs.warehouse import migrations  # noqa: PLC0415 -- keeps --help quick

    undone = migrations.downgrade(_unmigrated_warehouse(), to, accept_loss=accept_loss)
    _report("undone", undone, as_json=as_json)


def _unmigrated_warehouse() -> Warehouse:
    """Give the database as it is, for commands that look at the schema or change it step by step."""
    from pipeline_defs.warehouse.connection import Warehouse, database_url  # noqa: PLC0415 -- keeps --help quick

    return Warehouse(database_url(load_settings()))


def _report(verb: str, migrations: list[Migration], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({verb: [migration.name for migration in migrations]}))
        return
    for migration in migrations:
        typer.echo(f"{verb} {migration.name}")
    if not migrations:
        typer.echo(f"nothing {verb}: the database is there already", err=True)
