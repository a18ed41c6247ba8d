"""``pipeline import``, ``ingest``, ``replay`` and ``quarantine``: rows in, and the rows that were refused."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline_defs.cli.importing import (
    Bundle,
    DryRun,
    EndDate,
    Exchange,
    IbClientId,
    IbHost,
    IbPort,
    Kind,
    Mapping,
    MarketOption,
    PathOption,
    Reread,
    StartDate,
    Underlying,
    run_import,
    split_names,
)
from pipeline_defs.cli.json_lists import print_json_list
from pipeline_defs.cli.options import AsJson, BarLengths
from pipeline_defs.settings import load_settings


def import_data(
    *,
    source_name: Annotated[str, typer.Option("--source", help="Adapter, e.g. nse-csv.")],
    path: PathOption = None,
    mapping: Mapping = None,
    underlying: Underlying = None,
    symbols: Annotated[
        list[str] | None,
        typer.Option(
            "--symbol",
            help="Instrument of an API in place of the universe file's; repeated, or a,b,c.",
            metavar="<symbol>",
        ),
    ] = None,
    kind: Kind = None,
    market: MarketOption = None,
    exchange: Exchange = None,
    tables: Annotated[
        list[str] | None, typer.Option("--table", help="Only this table of an API; may be repeated.", metavar="<table>")
    ] = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    bundle: Bundle = None,
    ib_host: IbHost = None,
    ib_port: IbPort = None,
    ib_client_id: IbClientId = None,
    reread: Reread = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Import files or an API's data into the warehouse.

    Exit code 0 only if every partition was stored (or is confirmed empty), or would be. The import is a run of the
    Dagster instance: 'pipeline ui' shows it.
    """
    from pipeline_defs.ingesting import ImportOrder  # noqa: PLC0415 -- polars takes a moment to load

    order = ImportOrder(
        source=source_name,
        path=path,
        mapping=mapping,
        underlying=underlying,
        tables=split_names(tables),
        symbols=split_names(symbols),
        kind=kind,
        market=market,
        exchange=exchange,
        start_date=start_date,
        end_date=end_date,
        reread=reread,
        bundle=bundle,
        ib_host=ib_host,
        ib_port=ib_port,
        ib_client_id=ib_client_id,
    )
    run_import(order, dry_run=dry_run, as_json=as_json)


def ingest(
    *,
    source_name: Annotated[
        str, typer.Argument(help="yfinance, ccxt, polygon, zerodha, interactive-brokers, csv, …", metavar="SOURCE")
    ],
    symbols: Annotated[
        list[str] | None,
        typer.Option("--symbols", help="As the source writes them: AAPL,MSFT or BTC/USDT.", metavar="<symbols>"),
    ] = None,
    bundle: Bundle = None,
    frequency: Annotated[
        BarLengths | None,
        typer.Option(
            "--frequency",
            help="Length of the bars: 1d, 1h, 5m, 1m. Default of an API: 1d.",
            parser=BarLengths.parse,
            metavar="<length>",
        ),
    ] = None,
    start_date: StartDate = None,
    end_date: EndDate = None,
    exchange: Exchange = None,
    market: MarketOption = None,
    kind: Kind = None,
    path: PathOption = None,
    mapping: Mapping = None,
    underlying: Underlying = None,
    ib_host: IbHost = None,
    ib_port: IbPort = None,
    ib_client_id: IbClientId = None,
    reread: Reread = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Ingest symbols of a vendor, or files of one's own, under the name of a bundle.

    The same as import, with the words of older tools. What is stored is not asked for again: run it daily. The bundle
    can be named in exports, and in DataPortal.
    """
    from pipeline_defs.ingesting import ImportOrder  # noqa: PLC0415 -- polars takes a moment to load
    from pipeline_defs.sources.registry import source_entry  # noqa: PLC0415

    if frequency is not None and len(frequency.seconds) > 1:
        raise typer.BadParameter("one ingest has bars of one length", param_hint="--frequency")
    is_api = source_entry(source_name).source_type == "api"
    order = ImportOrder(
        source=source_name,
        path=path,
        mapping=mapping,
        underlying=underlying,
        symbols=split_names(symbols),
        kind=kind,
        market=market,
        exchange=exchange,
        frequency="1d" if frequency is None and is_api else None if frequency is None else frequency.text,
        start_date=start_date,
        end_date=end_date,
        reread=reread,
        bundle=bundle,
        ib_host=ib_host,
        ib_port=ib_port,
        ib_client_id=ib_client_id,
    )
    run_import(order, dry_run=dry_run, as_json=as_json)


def replay(
    *,
    load_id: Annotated[int, typer.Option("--load", help="Load id, from 'pipeline import'.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also if a newer load has filled the partition: it becomes what it was.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import once more what a load read, from the raw archive.

    Nothing changes unless the code that reads it, or the rows, have changed since.
    """
    from pipeline_defs.replaying import replay_load  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    settings = load_settings()
    reports = list(replay_load(open_warehouse(settings), settings, load_id, force=force))
    if as_json:
        typer.echo(json.dumps({"loads": [report.to_json() for report in reports]}))
    else:
        for report in reports:
            typer.echo(report.to_line())


def quarantine(
    *,
    load_id: Annotated[int, typer.Option("--load", help="Load id, from 'pipeline import'.")],
    as_json: AsJson = False,
) -> None:
    """List the lines of a load that were refused, with file, line and reason."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.listing import list_quarantine  # noqa: PLC0415

    lines = list_quarantine(open_warehouse(load_settings()), load_id)
    if as_json:
        print_json_list("lines", (line.to_json() for line in lines))
        return
    for line in lines:
        place = line.file if line.member is None else f"{line.file}!{line.member}"
        typer.echo(f"{place}:{line.line}: {line.reason}: {line.text}")
