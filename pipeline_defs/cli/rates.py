"""``pipeline rates``: interest rates and dividend yields, which Greeks are computed with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline_defs.cli.help_page import command_group
from pipeline_defs.cli.options import AsJson
from pipeline_defs.settings import load_settings

_COLUMNS = ("table", "subject", "valid_from", "tenor_days", "value", "source", "known_from")


rates = command_group("Interest rates and dividend yields, by the trade date from which they count.")


@rates.command("load")
def load(
    *,
    as_json: AsJson = False,
    file: Annotated[Path, typer.Argument(help="CSV file to read.")],
) -> None:
    """Take the lines of a CSV; its header says whether they are rates or yields.

    One wrong line refuses the file. What a line replaces is kept with the time until which it was believed.
    """
    from pipeline_defs.greeks.rate_files import read_rates  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.greeks.rates import load_rates  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    given = read_rates(file.expanduser().absolute())
    report = load_rates(open_warehouse(load_settings()), given)
    told = {"table": report.table, "new": report.new, "changed": report.changed, "unchanged": report.unchanged}
    if as_json:
        typer.echo(json.dumps(told))
        return
    typer.echo(f"{report.table}: {report.new} new, {report.changed} changed, {report.unchanged} unchanged")
    if report.new or report.changed:
        typer.echo("Greeks that were computed with others stay until option_greeks is materialised again")


@rates.command("list")
def show(
    *,
    as_json: AsJson = False,
) -> None:
    """List what counts from which trade date."""
    from pipeline_defs.greeks.rates import list_rates  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    found = list_rates(open_warehouse(load_settings()))
    texts = [[None if value is None else str(value) for value in row] for row in found]
    if as_json:
        typer.echo(json.dumps({"rates": [dict(zip(_COLUMNS, row, strict=True)) for row in texts]}))
        return
    for row in texts:
        typer.echo("  ".join(text for text in row[:-1] if text is not None))
    if not texts:
        typer.echo("no rates and no yields yet; load some with 'pipeline rates load FILE'")
