"""``pipeline bundles``: series that people gave a name, such as those of ``ingest --bundle``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_defs.cli.cache import confirm
from pipeline_defs.cli.help_page import command_group
from pipeline_defs.cli.options import AsJson, DryRun
from pipeline_defs.cli.tables import print_table
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pipeline_defs.warehouse.named_bundles import BundleMember, NamedBundle

bundles = command_group("Bundles by name: series that were ingested together.")

Name = Annotated[str, typer.Argument(help="Name of the bundle.")]


@bundles.command("list")
def list_all(*, as_json: AsJson = False) -> None:
    """List the bundles by name: how many symbols, of which sources and tables."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.named_bundles import list_bundles  # noqa: PLC0415

    found = list_bundles(open_warehouse(load_settings()))
    if as_json:
        typer.echo(json.dumps({"bundles": [_to_json(one) for one in found]}))
    elif found:
        header = ("bundle", "symbols", "series", "sources", "datasets", "created")
        print_table(header, [_cells(one) for one in found], numbers=("symbols", "series"))
    else:
        typer.echo("no bundle has a name yet; 'pipeline ingest … --bundle NAME' gives one")


@bundles.command()
def show(*, name: Name, as_json: AsJson = False) -> None:
    """List the series of a bundle."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.named_bundles import read_bundle  # noqa: PLC0415

    found = read_bundle(open_warehouse(load_settings()), name)
    if as_json:
        typer.echo(json.dumps(_to_json(found)))
        return
    header = ("symbol", "instrument", "source", "dataset", "bars")
    rows = [(one.symbol, str(one.instrument_id), one.source, one.dataset, _resolution(one)) for one in found.members]
    print_table(header, rows, numbers=("instrument",))


@bundles.command()
def remove(
    *,
    name: Name,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget the name of a bundle. What is stored of its instruments stays."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.named_bundles import read_bundle, remove_bundle  # noqa: PLC0415

    warehouse = open_warehouse(load_settings())
    found = read_bundle(warehouse, name)
    if not dry_run:
        if not yes:
            confirm(f"forget the bundle {name} of {len(found.members)} series?")
        with warehouse.connect() as connection:
            remove_bundle(connection, name)
    if as_json:
        typer.echo(json.dumps({"removed": _to_json(found), "dry_run": dry_run}))
    else:
        typer.echo(f"{name}: {'would be ' if dry_run else ''}forgotten, {len(found.members)} series stay stored")


def _cells(bundle: NamedBundle) -> tuple[str, ...]:
    members = bundle.members
    return (
        bundle.name,
        f"{len({one.symbol for one in members}):,}",
        f"{len(members):,}",
        ",".join(sorted({one.source for one in members})),
        ",".join(sorted({one.dataset for one in members})),
        f"{bundle.created_at:%Y-%m-%d}",
    )


def _to_json(bundle: NamedBundle) -> dict[str, Any]:
    members = [
        {
            "symbol": one.symbol,
            "instrument_id": one.instrument_id,
            "source": one.source,
            "dataset": one.dataset,
            "bar_seconds": one.bar_seconds,
        }
        for one in bundle.members
    ]
    return {"name": bundle.name, "created_at": bundle.created_at.isoformat(), "members": members}


def _resolution(member: BundleMember) -> str:
    return {0: "ticks", 60: "1m", 3600: "1h", 86_400: "1d"}.get(member.bar_seconds, f"{member.bar_seconds}s")
