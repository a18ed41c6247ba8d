"""``pipeline record``: store what a source tells as it happens."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pipeline_defs.warehouse.reports import LoadReport


def record(
    *,
    source_name: Annotated[str, typer.Option("--source", help="A source that streams, e.g. zerodha.")],
    table: Annotated[str, typer.Option("--table", help="What to record, e.g. options_ticks.")],
    flush_seconds: Annotated[float, typer.Option("--flush-seconds", help="How often what was heard is stored.")] = 5.0,
) -> None:
    """Record a stream until Ctrl-C (or SIGTERM); one process for each source and table.

    What is heard goes through the same import path as history, in a load every few seconds. A lost connection, or the
    time in which nobody recorded, becomes a finding 'live_gap'.
    """
    from pipeline_defs.recording import Recorder  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.sources.asking.questions import Window  # noqa: PLC0415
    from pipeline_defs.sources.asking.source import ApiSource  # noqa: PLC0415
    from pipeline_defs.sources.registry import get_source  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    source = get_source(source_name)
    if not isinstance(source, ApiSource) or not source.get_metadata().supports_live:
        raise ConfigurationError(f"{source_name} does not stream", next_step="import it in partitions")
    dataset = source.live_dataset(table)
    today = source.market.trade_date(source.clock())
    listed = [one for one in source.list_instruments(dataset, Window(today, today)) if one.is_wanted(today)]
    if not listed:
        raise source.wanted.nothing_for(source.name, table)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    recorder = Recorder(open_warehouse(load_settings()), source, dataset, listed, flush_seconds)
    typer.echo(f"recording {len(listed)} instruments of {source.name} into {table}; Ctrl-C ends it", err=True)
    stored = recorder.run(stop, _tell)
    typer.echo(f"{stored} rows stored")


def _tell(report: LoadReport) -> None:
    refused = sum(report.quarantined.values())
    typer.echo(f"load {report.load_id}: {report.trade_date} stored {report.stored}, refused {refused}")
