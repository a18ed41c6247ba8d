"""``pipeline terms``: contract terms in from dumps and lists, and what a contract was on a date."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import click

from pipeline_defs.cli.options import DATE
from pipeline_defs.settings import load_settings

_NOON = dt.time(12)
_LINES_SHOWN = 20


@click.group()
def terms() -> None:
    """Lot sizes, ticks, expiries and names of contracts, by trade date."""


@terms.command("import")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["kite", "udiff", "csv"]),
    required=True,
    help="Instruments dump, the exchange's day file, or a list of your own.",
)
@click.option("--as-of", type=DATE, help="Trade date of the file, where it does not say so itself.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("file", type=click.Path(path_type=Path))
def import_terms(
    format_name: str,
    as_of: dt.date | None,
    as_json: bool,  # noqa: FBT001 -- click passes flags by name
    file: Path,
) -> None:
    """Take what a FILE says about contracts; files may come in any order.

    Lines that are refused are listed with their reason; the others are taken.
    """
    from pipeline_defs.sources.terms.registry import read_terms  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415
    from pipeline_defs.warehouse.contract_master.loading import apply_terms  # noqa: PLC0415

    delivery = read_terms(format_name, file.expanduser().absolute(), as_of)
    report = apply_terms(open_warehouse(load_settings()), delivery)
    if as_json:
        click.echo(json.dumps(report.to_json()))
        return
    click.echo(
        f"terms load {report.terms_load_id}: {report.source}; read {report.read}, new {report.new},"
        f" changed {report.changed}, unchanged {report.unchanged}, refused {len(report.refused)};"
        f" {report.closed} terms closed, {report.merged} instruments merged"
    )
    for line, reason in sorted(report.refused.items())[:_LINES_SHOWN]:
        click.echo(f"{file}:{line}: {reason}", err=True)
    if len(report.refused) > _LINES_SHOWN:
        click.echo(f"... and {len(report.refused) - _LINES_SHOWN} more lines; --json lists all", err=True)


@terms.command()
@click.argument("symbol")
@click.option("--at", "day", type=DATE, required=True, help="Trade date.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(symbol: str, day: dt.date, as_json: bool) -> None:  # noqa: FBT001 -- click passes flags by name
    """Show what SYMBOL (a name, or an instrument id) was on a trade date."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.contract_master.terms import terms_at  # noqa: PLC0415
    from pipeline_defs.warehouse.days import EXCHANGE_ZONE  # noqa: PLC0415

    # A number is an id: no source calls an instrument by digits alone.
    wanted = int(symbol) if symbol.isdecimal() else symbol
    found = terms_at(open_warehouse(load_settings()), wanted, dt.datetime.combine(day, _NOON, EXCHANGE_ZONE)).to_json()
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        if value is not None:
            click.echo(f"{name}: {value}")
