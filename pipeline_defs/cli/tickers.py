"""``pipeline tickers``: how a name reads in a grammar."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Literal

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.options import parse_date
from pipeline_defs.errors import TickerError


def tickers(
    *,
    grammar: Annotated[Literal["gdfl", "exchange", "auto"], typer.Option("--grammar", help="How names are written.")],
    trade_date: Annotated[
        dt.date, typer.Option("--trade-date", help="The day on which the name was used.", parser=parse_date)
    ],
    names: Annotated[list[str], typer.Argument(metavar="TICKER", help="Names to read.")],
) -> None:
    """Read tickers; print one JSON line each, exit 1 if any could not be read."""
    from pipeline_defs.markets.tickers.grammars import parse_auto, parse_ticker  # noqa: PLC0415 -- keeps --help quick

    failed = False
    for name in names:
        try:
            if grammar == "auto":
                contract = parse_auto(name, trade_date)
            else:
                contract = parse_ticker(name, "gdfl" if grammar == "gdfl" else "exchange", trade_date)
            typer.echo(contract.to_json_line())
        except TickerError as error:
            failed = True
            typer.echo(json.dumps({"ticker": name, "error": str(error)}, ensure_ascii=False))
    if failed:
        raise typer.Exit(ExitCode.FAILED)
