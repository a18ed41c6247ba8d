"""What ``import`` and ``ingest`` share: their options, and an import as a run of the Dagster instance."""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.cli.options import parse_date
from pipeline_defs.cli.progress import progress_bar
from pipeline_defs.cli.rehearsal import rehearse_files, show_questions
from pipeline_defs.errors import PipelineError
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline_defs.ingesting import ImportOrder, PreparedImport
    from pipeline_defs.warehouse.reports import LoadReport

PathOption = Annotated[Path | None, typer.Option("--path", help="File or folder to read.")]
Mapping = Annotated[Path | None, typer.Option("--mapping", help="What the columns of one's own files mean (TOML).")]
Underlying = Annotated[str | None, typer.Option("--underlying", help="Only this underlying.")]
Kind = Annotated[
    str | None,
    typer.Option(
        "--kind", help="What the symbols are: equity, index, pair, future, option. Default: by their spelling."
    ),
]
MarketOption = Annotated[
    str | None, typer.Option("--market", help="Whose sessions: NSE, US or CRYPTO. Default: the source's own.")
]
Exchange = Annotated[str | None, typer.Option("--exchange", help="Exchange id, for ccxt, e.g. binance.")]
StartDate = Annotated[
    dt.date | None,
    typer.Option(
        "--start-date",
        help="First trade date, inclusive. Default of an API: a year before the last, a week if finer than days.",
        parser=parse_date,
    ),
]
EndDate = Annotated[
    dt.date | None,
    typer.Option(
        "--end-date",
        help="Last trade date, inclusive. Default of an API: the last session whose answers are final.",
        parser=parse_date,
    ),
]
Bundle = Annotated[
    str | None, typer.Option("--bundle", help="Name for the series that are stored; see 'pipeline bundles'.")
]
Reread = Annotated[bool, typer.Option("--reread", help="Also read, or ask for, what is known and stored already.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Store nothing: judge every line of files, or show what would be asked.")
]
IbHost = Annotated[str | None, typer.Option("--ib-host", help="Where TWS or IB Gateway runs. Default: 127.0.0.1.")]
IbPort = Annotated[
    int | None, typer.Option("--ib-port", help="Its port. Default: 7497.", min=1, max=65535, metavar="<port>")
]
IbClientId = Annotated[
    int | None, typer.Option("--ib-client-id", help="First client id to try. Default: IB_CLIENT_ID, or a free one.")
]


def split_names(texts: Iterable[str] | None) -> tuple[str, ...]:
    """Take apart what is repeated or separated by commas."""
    parts = (part.strip() for text in texts or () for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def run_import(order: ImportOrder, *, dry_run: bool, as_json: bool) -> None:
    """Import as a run, and print what became of it.

    Parameters
    ----------
    order : ImportOrder
        What is wanted.
    dry_run : bool
        Show it, and make no run.
    as_json : bool
        Print one JSON object, also of an import that failed.

    """
    from pipeline_defs.ingesting import prepare_import  # noqa: PLC0415 -- polars takes a moment to load
    from pipeline_defs.sources.asking.source import ApiSource  # noqa: PLC0415

    settings = load_settings()
    try:
        prepared = prepare_import(order, settings)
    except PipelineError as error:
        if as_json and not dry_run:
            typer.echo(json.dumps({"loads": [], "dagster_run_id": None, "error": str(error)}))
        raise
    is_asked = isinstance(prepared.source, ApiSource)
    if is_asked and None in {order.start_date, order.end_date} and not as_json:
        typer.echo(f"from {prepared.order.start_date} to {prepared.order.end_date}, unless you name dates", err=True)
    if dry_run:
        if is_asked:
            show_questions(prepared, as_json=as_json)
        else:
            rehearse_files(prepared.source, prepared.request, as_json=as_json)
        return
    _run(prepared, as_json=as_json)


def _run(prepared: PreparedImport, *, as_json: bool) -> None:
    from pipeline_defs.orchestration.commands.imports import (  # noqa: PLC0415 -- Dagster takes a moment to load
        IMPORT_JOB,
        config_of,
        tags_of,
    )
    from pipeline_defs.orchestration.commands.running import COMMAND, run_command, shown_command  # noqa: PLC0415
    from pipeline_defs.orchestration.commands.telling import Listener  # noqa: PLC0415

    reports: list[LoadReport] = []
    error: BaseException | None = None
    with progress_bar(quiet=as_json) as shown:

        def hear(report: LoadReport) -> None:
            reports.append(report)
            if not as_json:
                shown.say(report.to_line())

        listener = Listener(on_progress=shown.on_progress, on_result=hear)
        tags = {COMMAND: shown_command(sys.argv[1:]), **tags_of(prepared.order)}
        try:
            run_command(IMPORT_JOB, config_of(prepared.order), load_settings(), listener, tags=tags)
        except Exception as raised:  # noqa: BLE001 -- raised again, once it is printed what was stored
            error = raised
    if as_json:
        told = {"loads": [report.to_json() for report in reports], "dagster_run_id": listener.run_id}
        typer.echo(json.dumps(told if error is None else {**told, "error": str(error)}))
    elif listener.run_id is not None and sys.stderr.isatty():
        typer.echo(f"run {listener.run_id}: see it with 'pipeline ui'", err=True)
    if error is not None:
        raise error
    if prepared.order.bundle is not None and not as_json:
        typer.echo(f"bundle {prepared.order.bundle}: see it with 'pipeline bundles show {prepared.order.bundle}'")
