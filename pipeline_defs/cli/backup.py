"""``pipeline backup`` and ``pipeline restore``: databases and published files into a safe place, and back."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.help_page import command_group
from pipeline_defs.cli.options import AsJson
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.locations import parse_location

if TYPE_CHECKING:
    from pipeline_defs.backups.manifest import Manifest
    from pipeline_defs.backups.pruning import Pruned
    from pipeline_defs.warehouse.connection import Warehouse

DAGSTER_VARIABLES: Final = {
    "host": "DAGSTER_POSTGRES_HOST",
    "port": "DAGSTER_POSTGRES_PORT",
    "dbname": "DAGSTER_POSTGRES_DB",
    "user": "DAGSTER_POSTGRES_USER",
    "password": "DAGSTER_POSTGRES_PASSWORD",
}
"""Where Dagster keeps its tables, by the names that the server's configuration reads."""

Place = Annotated[str, typer.Argument(metavar="PLACE", help="Folder or s3://bucket/prefix of the backups.")]
Wanted = Annotated[str, typer.Option("--backup", help="Name of the backup.", metavar="ID")]

backup = command_group("Back up the databases, the catalogs and the archived deliveries.")


@backup.command()
def create(
    *,
    place: Place,
    keep: Annotated[
        int | None, typer.Option("--keep", help="Afterwards, remove all but the newest so many.", min=1)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Back everything up to PLACE, in one snapshot of the database, while the pipeline goes on.

    Files that an earlier backup has are not copied again. What was broken off is no backup and does no harm.
    """
    from pipeline_defs.backups.creating import create as make  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.backups.places import trees  # noqa: PLC0415
    from pipeline_defs.backups.repository import Repository  # noqa: PLC0415

    repository = Repository.open(parse_location(place))
    made = make(repository, _databases(), trees(load_settings()), keep=keep, on_progress=_say)
    if as_json:
        told = _facts(made.manifest) | {"copied": made.copied, "copied_bytes": made.copied_bytes}
        typer.echo(json.dumps(told | {"pruned": _pruned(made.pruned)}))
        return
    typer.echo(f"{made.manifest.backup_id}: {_line(made.manifest)}")
    typer.echo(f"{made.copied:,} files were new, {made.copied_bytes:,} bytes of them")
    for note in made.manifest.notes:
        typer.echo(f"note: {note}")
    if keep is not None:
        _show_pruned(made.pruned)


@backup.command("list")
def list_backups(*, place: Place, as_json: AsJson = False) -> None:
    """List the backups at PLACE, the oldest first; interrupted ones are marked."""
    from pipeline_defs.backups.repository import Repository  # noqa: PLC0415 -- keeps --help quick

    repository = Repository.open(parse_location(place))
    complete, interrupted = repository.identifiers()
    if as_json:
        found = [_facts(repository.manifest(name)) for name in complete]
        typer.echo(json.dumps({"backups": found, "interrupted": interrupted}))
        return
    for name in complete:
        typer.echo(f"{name}: {_line(repository.manifest(name))}")
    for name in interrupted:
        typer.echo(f"{name}: interrupted, not complete; 'pipeline backup prune' removes it")
    if not complete and not interrupted:
        typer.echo("there is no backup", err=True)


@backup.command()
def verify(*, place: Place, wanted: Wanted = "latest", as_json: AsJson = False) -> None:
    """Read every byte of a backup and compare it with what was put in; exit code 1 if anything is damaged."""
    from pipeline_defs.backups.repository import Repository  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.backups.verifying import verify as check  # noqa: PLC0415

    repository = Repository.open(parse_location(place))
    manifest = repository.manifest(wanted)
    wrong = check(repository, manifest)
    if as_json:
        typer.echo(json.dumps({"backup": manifest.backup_id, "differences": wrong}))
    else:
        for line in wrong:
            typer.echo(line)
        if not wrong:
            typer.echo(f"{manifest.backup_id}: {_line(manifest)}: as it was made")
    raise typer.Exit(ExitCode.FAILED if wrong else ExitCode.SUCCESS)


@backup.command()
def prune(
    *,
    place: Place,
    keep: Annotated[int, typer.Option("--keep", help="How many of the newest to keep.", min=1)],
    as_json: AsJson = False,
) -> None:
    """Remove old backups, interrupted ones, and files that no backup needs any more."""
    from pipeline_defs.backups.pruning import prune as remove  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.backups.repository import Repository  # noqa: PLC0415

    removed = remove(Repository.open(parse_location(place)), keep)
    if as_json:
        typer.echo(json.dumps(_pruned(removed)))
    else:
        _show_pruned(removed)


def restore(
    *,
    place: Place,
    wanted: Wanted = "latest",
    replace: Annotated[
        bool, typer.Option("--replace", help="Set a database and folders that are there aside, under another name.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back into an empty database and empty folders or prefixes, and compare every checksum.

    It is there as a whole in the end, or not at all: what does not match is not kept.
    """
    from pipeline_defs.backups.places import trees  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.backups.repository import Repository  # noqa: PLC0415
    from pipeline_defs.backups.restoring import restore as bring_back  # noqa: PLC0415

    repository = Repository.open(parse_location(place))
    manifest = repository.manifest(wanted)
    done = bring_back(repository, manifest, _databases(), trees(load_settings()), replace=replace, on_progress=_say)
    if as_json:
        told = {"tables": done.tables, "rows": done.rows, "files": done.files, "set_aside": done.set_aside}
        typer.echo(json.dumps({"backup": manifest.backup_id, **told}))
        return
    typer.echo(
        f"{manifest.backup_id}: restored; {done.tables} tables with {done.rows:,} rows and {done.files:,} files are"
        " as they were"
    )
    for former in done.set_aside:
        typer.echo(f"set aside: {former}")


def _databases() -> dict[str, Warehouse]:
    """Give the databases that are configured, Dagster's first; nothing is migrated."""
    from pipeline_defs.backups.creating import DAGSTER, WAREHOUSE  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import Warehouse, database_url  # noqa: PLC0415

    found = {}
    warehouse = Warehouse(database_url(load_settings()))
    dagster = _dagster_database()
    if dagster is not None and not _is_same(dagster, warehouse):
        found[DAGSTER] = dagster
    found[WAREHOUSE] = warehouse
    return found


def _dagster_database() -> Warehouse | None:
    """Give Dagster's database, if it is PostgreSQL's."""
    from urllib.parse import quote  # noqa: PLC0415 -- keeps --help quick

    from pipeline_defs.warehouse.connection import Warehouse  # noqa: PLC0415

    told = {name: os.environ.get(variable, "") for name, variable in DAGSTER_VARIABLES.items()}
    if not told["host"] or not told["dbname"]:
        return None
    login = ":".join(quote(told[name], safe="") for name in ("user", "password") if told[name])
    port = f":{told['port']}" if told["port"] else ""
    return Warehouse(f"postgresql://{login}{'@' if login else ''}{told['host']}{port}/{quote(told['dbname'], safe='')}")


def _is_same(one: Warehouse, other: Warehouse) -> bool:
    """Tell whether two addresses lead to one database, whatever they call its server."""
    names = set()
    for warehouse in (one, other):
        with warehouse.connect() as connection:
            query = "SELECT system_identifier, current_database() FROM pg_control_system()"
            names.add(connection.execute(query).fetchone())
    return len(names) == 1


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _line(manifest: Manifest) -> str:
    tables = sum(len(database.tables) for database in manifest.databases)
    names = " and ".join(database.name for database in manifest.databases)
    return (
        f"{names}, {tables} tables, {manifest.rows:,} rows, {manifest.files:,} files, {manifest.size_bytes:,} bytes,"
        f" begun {manifest.begun_at}"
    )


def _facts(manifest: Manifest) -> dict[str, object]:
    return {
        "backup": manifest.backup_id,
        "begun_at": manifest.begun_at,
        "finished_at": manifest.finished_at,
        "databases": [database.name for database in manifest.databases],
        "rows": manifest.rows,
        "files": manifest.files,
        "size_bytes": manifest.size_bytes,
        "notes": list(manifest.notes),
    }


def _pruned(removed: Pruned) -> dict[str, object]:
    return {"backups": list(removed.backups), "interrupted": list(removed.interrupted), "files": removed.files}


def _show_pruned(removed: Pruned) -> None:
    for name in (*removed.backups, *removed.interrupted):
        typer.echo(f"removed {name}")
    typer.echo(f"{removed.files:,} files that no backup needs were removed")
