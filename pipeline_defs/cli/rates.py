"""``pipeline rates``: interest rates and dividend yields, which Greeks are computed with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline_defs.settings import load_settings

_COLUMNS = ("table", "subject", "valid_from", "tenor_days", "value", "source", "known_from")


@click.group()
def rates() -> None:
    """Interest rates and dividend yields, by the trade date from which they count."""


@rates.command("load")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.argument("file", type=click.Path(path_type=Path))
def load(as_json: bool, file: Path) -> None:  # noqa: FBT001 -- click passes flags by name
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
        click.echo(json.dumps(told))
        return
    click.echo(f"{report.table}: {report.new} new, {report.changed} changed, {report.unchanged} unchanged")
    if report.new or report.changed:
        click.echo("Greeks that were computed with others stay until option_greeks is materialised again")


@rates.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def show(as_json: bool) -> None:  # noqa: FBT001 -- click passes flags by name
    """List what counts from which trade date."""
    from pipeline_defs.greeks.rates import list_rates  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    found = list_rates(open_warehouse(load_settings()))
    for row in found:
        texts = [None if value is None else str(value) for value in row]
        if as_json:
            click.echo(json.dumps(dict(zip(_COLUMNS, texts, strict=True))))
        else:
            click.echo("  ".join(text for text in texts[:-1] if text is not None))
    if not found:
        click.echo("no rates and no yields yet; load some with 'pipeline rates load FILE'", err=as_json)
