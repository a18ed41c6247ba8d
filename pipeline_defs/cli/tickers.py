"""``pipeline tickers``: how a name reads in a grammar."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from pipeline_defs.cli.options import DATE
from pipeline_defs.errors import TickerError

if TYPE_CHECKING:
    import datetime as dt


@click.command()
@click.option(
    "--grammar", type=click.Choice(["gdfl", "exchange", "auto"]), required=True, help="How names are written."
)
@click.option("--trade-date", type=DATE, required=True, help="The day on which the name was used.")
@click.argument("names", metavar="TICKER...", nargs=-1, required=True)
@click.pass_context
def tickers(context: click.Context, grammar: str, trade_date: dt.date, names: tuple[str, ...]) -> None:
    """Read tickers; print one JSON line each, exit 1 if any could not be read."""
    from pipeline_defs.markets.tickers.grammars import parse_auto, parse_ticker  # noqa: PLC0415 -- keeps --help quick

    failed = False
    for name in names:
        try:
            if grammar == "auto":
                contract = parse_auto(name, trade_date)
            else:
                contract = parse_ticker(name, "gdfl" if grammar == "gdfl" else "exchange", trade_date)
            click.echo(contract.to_json_line())
        except TickerError as error:
            failed = True
            click.echo(json.dumps({"ticker": name, "error": str(error)}, ensure_ascii=False))
    if failed:
        context.exit(1)
