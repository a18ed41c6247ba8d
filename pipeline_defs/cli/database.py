"""``pipeline db``: the server and the migrations of its schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.help_page import command_group
from pipeline_defs.cli.maintenance import maintain, retention
from pipeline_defs.cli.options import AsJson, DryRun
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.migrations import MigrationState, State


database = command_group("Start, stop, reach and migrate the database.")
database.command()(maintain)
database.command()(retention)


@database.command()
def url(*, as_json: AsJson = False) -> None:
    """Print the URL of the running, migrated database (it holds the password of the embedded server)."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick

    found = open_warehouse(load_settings()).url
    typer.echo(json.dumps({"url": found}) if as_json else found)


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
    raise typer.Exit(ExitCode.SUCCESS if in_order else ExitCode.FAILED)


@database.command()
def upgrade(
    *,
    to: Annotated[int | None, typer.Option("--to", help="Leave out migrations with a higher number.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Apply outstanding migrations; imports and exports do it by themselves."""
    from pipeline_defs.warehouse import migrations  # noqa: PLC0415 -- keeps --help quick

    if dry_run:
        outstanding = _in_state(migrations.State.OUTSTANDING)
        _report("outstanding", [one.name for one in outstanding if to is None or one.version <= to], as_json=as_json)
        return
    _report("applied", [one.name for one in migrations.upgrade(_unmigrated_warehouse(), to=to)], as_json=as_json)


@database.command()
def downgrade(
    *,
    to: Annotated[int, typer.Option("--to", help="Number of the highest migration to keep.")],
    accept_loss: Annotated[
        bool, typer.Option("--yes", help="Also undo what takes stored information with it.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Undo migrations, the highest number first, so that an older version of the pipeline can use the database.

    This version would apply them again with its next command.
    """
    from pipeline_defs.warehouse import migrations  # noqa: PLC0415 -- keeps --help quick

    if dry_run:
        applied = [one.name for one in reversed(_in_state(migrations.State.APPLIED)) if one.version > to]
        _report("to undo", applied, as_json=as_json)
        return
    undone = migrations.downgrade(_unmigrated_warehouse(), to, accept_loss=accept_loss)
    _report("undone", [one.name for one in undone], as_json=as_json)


@database.command()
def roles(
    *,
    apply: Annotated[
        bool, typer.Option("--apply", help="Make missing roles, and give every object its owner and rights.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the group roles, and what of the rights is not as the schema declares; see docs/security/roles.md.

    Exit code 1 if something is not. Migrations give the rights by themselves: --apply is for a restored backup, or
    where whoever migrated could not make roles.
    """
    from pipeline_defs.warehouse.migrations import privileges  # noqa: PLC0415 -- keeps --help quick

    warehouse = _unmigrated_warehouse()
    with warehouse.connect() as connection:
        problems = privileges.apply_privileges(connection) if apply else []
        states = privileges.role_states(connection)
    if as_json:
        report = {
            "user": states.user,
            "missing": list(states.missing),
            "held": list(states.held),
            "differences": list(states.differences),
            "refused": problems,
            "in_order": states.in_order,
        }
        typer.echo(json.dumps(report))
    else:
        for role in privileges.ROLES:
            held = f", held by {states.user}" if role in states.held else ""
            typer.echo(f"{role:<20}{'missing' if role in states.missing else 'there'}{held}")
        for difference in states.differences:
            typer.echo(difference)
        for problem in problems:
            typer.echo(f"refused: {problem}", err=True)
        if not states.declared:
            typer.echo("Next: 'pipeline db upgrade': this schema declares no rights yet", err=True)
        elif not states.in_order:
            typer.echo("Next: 'pipeline db roles --apply' as an administrator of the server", err=True)
    raise typer.Exit(ExitCode.SUCCESS if states.in_order else ExitCode.FAILED)


def _unmigrated_warehouse() -> Warehouse:
    """Give the database as it is, for commands that look at the schema or change it step by step."""
    from pipeline_defs.warehouse.connection import Warehouse, database_url  # noqa: PLC0415 -- keeps --help quick

    return Warehouse(database_url(load_settings()))


def _in_state(state: State) -> list[MigrationState]:
    """List the migrations in a state, the lowest number first."""
    from pipeline_defs.warehouse.migrations import migration_states  # noqa: PLC0415 -- keeps --help quick

    with _unmigrated_warehouse().connect() as connection:
        return [one for one in migration_states(connection) if one.state is state]


def _report(verb: str, names: list[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({verb.replace(" ", "_"): names}))
        return
    for name in names:
        typer.echo(f"{verb} {name}")
    if not names:
        typer.echo(f"nothing {verb}: the database is there already", err=True)
