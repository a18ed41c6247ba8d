"""``pipeline terms``: contract terms in from dumps and lists, and what a contract was on a date."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline_defs.cli.help_page import command_group
from pipeline_defs.cli.options import AsJson, parse_date
from pipeline_defs.settings import load_settings

_NOON = dt.time(12)
_LINES_SHOWN = 20


terms = command_group("Lot sizes, ticks, expiries and names of contracts, by trade date.")


@terms.command("import")
def import_terms(
    *,
    format_name: Annotated[
        Literal["kite", "udiff", "csv"],
        typer.Option("--format", help="Instruments dump, the exchange's day file, or a list of your own."),
    ],
    as_of: Annotated[
        dt.date | None,
        typer.Option("--as-of", help="Trade date of the file, where it does not say so itself.", parser=parse_date),
    ] = None,
    as_json: AsJson = False,
    file: Annotated[Path, typer.Argument(help="File to read.")],
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
        typer.echo(json.dumps(report.to_json()))
        return
    typer.echo(
        f"terms load {report.terms_load_id}: {report.source}; read {report.read}, new {report.new},"
        f" changed {report.changed}, unchanged {report.unchanged}, refused {len(report.refused)};"
        f" {report.closed} terms closed, {report.merged} instruments merged"
    )
    for line, reason in sorted(report.refused.items())[:_LINES_SHOWN]:
        typer.echo(f"{file}:{line}: {reason}", err=True)
    if len(report.refused) > _LINES_SHOWN:
        typer.echo(f"... and {len(report.refused) - _LINES_SHOWN} more lines; --json lists all", err=True)


@terms.command()
def show(
    *,
    symbol: Annotated[str, typer.Argument(help="A name, or an instrument id.")],
    day: Annotated[dt.date, typer.Option("--at", help="Trade date.", parser=parse_date)],
    as_json: AsJson = False,
) -> None:
    """Show what SYMBOL (a name, or an instrument id) was on a trade date."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.contract_master.terms import terms_at  # noqa: PLC0415
    from pipeline_defs.warehouse.days import EXCHANGE_ZONE  # noqa: PLC0415

    # A number is an id: no source calls an instrument by digits alone.
    wanted = int(symbol) if symbol.isdecimal() else symbol
    found = terms_at(open_warehouse(load_settings()), wanted, dt.datetime.combine(day, _NOON, EXCHANGE_ZONE)).to_json()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        if value is not None:
            typer.echo(f"{name}: {value}")
