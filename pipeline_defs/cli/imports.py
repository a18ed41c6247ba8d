"""``pipeline import`` and ``pipeline quarantine``: rows in, and the rows that were refused."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.cli.options import AsJson, AsJsonLines, parse_date
from pipeline_defs.cli.progress import progress_bar
from pipeline_defs.errors import PipelineError
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pipeline_defs.rehearsing import FileOutcome
    from pipeline_defs.schema.batches import ImportRequest, Source
    from pipeline_defs.warehouse.reports import LoadReport


def import_data(
    *,
    source_name: Annotated[str, typer.Option("--source", help="Adapter, e.g. nse-csv.")],
    path: Annotated[Path | None, typer.Option("--path", help="File or folder to read.")] = None,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="What the columns of one's own files mean (TOML).")
    ] = None,
    underlying: Annotated[str | None, typer.Option("--underlying", help="Only this underlying.")] = None,
    tables: Annotated[
        list[str] | None, typer.Option("--table", help="Only this table of an API; may be repeated.")
    ] = None,
    start_date: Annotated[
        dt.date | None, typer.Option("--start-date", help="First trade date, inclusive.", parser=parse_date)
    ] = None,
    end_date: Annotated[
        dt.date | None, typer.Option("--end-date", help="Last trade date, inclusive.", parser=parse_date)
    ] = None,
    reread: Annotated[
        bool, typer.Option("--reread", help="Also read, or ask for, what is known and stored already.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and judge everything, and show how; store nothing. Files only.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import files or an API's data into the warehouse.

    Exit code 0 only if every partition was stored (or is confirmed empty), or would be.
    """
    from pipeline_defs.schema.batches import ImportRequest  # noqa: PLC0415 -- polars takes a moment to load
    from pipeline_defs.sources.registry import get_source  # noqa: PLC0415
    from pipeline_defs.storage.raw_archive import open_raw_archive  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415
    from pipeline_defs.warehouse.loading import import_source  # noqa: PLC0415
    from pipeline_defs.warehouse.reports import refuse_damage  # noqa: PLC0415

    reports: list[LoadReport] = []
    try:
        source = get_source(source_name, **({} if mapping is None else {"mapping": str(mapping)}))
        if dry_run:
            _rehearse(source, ImportRequest(start_date, end_date, underlying, path), as_json=as_json)
            return
        settings = load_settings()
        archive = open_raw_archive(settings, source.name)
        wanted = frozenset(tables or ()) or None
        request = ImportRequest(start_date, end_date, underlying, path, tables=wanted, archive=archive)
        warehouse = open_warehouse(settings)
        with progress_bar(quiet=as_json) as shown:
            for report in import_source(warehouse, source, request, reread=reread, on_progress=shown.on_progress):
                reports.append(report)
                if not as_json:
                    shown.say(_line(report))
        refuse_damage(reports)
    except PipelineError as error:
        if as_json and not dry_run:
            typer.echo(json.dumps({"loads": [report.to_json() for report in reports], "error": str(error)}))
        raise
    if as_json:
        typer.echo(json.dumps({"loads": [report.to_json() for report in reports]}))


def _rehearse(source: Source, request: ImportRequest, *, as_json: bool) -> None:
    """Show what an import would do; end with exit code 1 if it would not store everything."""
    from pipeline_defs.rehearsing import rehearse  # noqa: PLC0415 -- keeps --help quick

    told = rehearse(source, request)
    if as_json:
        typer.echo(json.dumps(told.to_json(), ensure_ascii=False))
    else:
        for file in told.files:
            _show_file(file)
        for one in told.partitions:
            outcome = "would be stored" if one.damage is None else f"nothing would be stored: {one.damage}"
            place = f"{one.dataset} {one.trade_date} {_resolution(one.bar_seconds)}"
            typer.echo(f"{place}: {one.good} good, {one.refused} refused; {outcome}")
        if told.first_refused:
            typer.echo(f"the first {len(told.first_refused)} refused lines:")
        for line in told.first_refused:
            typer.echo(f"  {line}")
    if told.error is not None:
        raise told.error
    if not told.is_importable:
        raise SystemExit(1)


def _show_file(file: FileOutcome) -> None:
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(file.refused.items())) or "none refused"
    preview = file.preview
    typer.echo(f"{file.path}{'' if preview is None else f' ({preview.layout})'}: {file.good} good; {refused}")
    if preview is None:
        return
    for column in preview.columns:
        values = ", ".join(
            f"{text!r}" + (" is blank" if not text else " cannot be read" if read is None else f" = {read}")
            for text, read in column.values
        )
        typer.echo(f"  {column.column} -> {column.field} ({column.kind}): {values or 'no row'}")
    if preview.fixed:
        typer.echo(f"  in all rows: {', '.join(f'{name} = {value}' for name, value in preview.fixed.items())}")
    if preview.left_alone:
        typer.echo(f"  left alone: {', '.join(preview.left_alone)}")


def _resolution(bar_seconds: int) -> str:
    return {0: "ticks", 60: "minute", 86_400: "daily"}.get(bar_seconds, f"{bar_seconds} s")


def _line(report: LoadReport) -> str:
    refused = ", ".join(f"{count} {reason}" for reason, count in sorted(report.quarantined.items())) or "none refused"
    resolution = _resolution(report.bar_seconds)
    asked = "" if report.calls is None else f"; cache {report.cache}, {report.calls} calls"
    return (
        f"load {report.load_id}: {report.dataset} {report.trade_date} {resolution}: {report.status};"
        f" read {report.read}, stored {report.stored}, unchanged {report.unchanged}, corrected {report.corrected},"
        f" retired {report.retired}; {refused}{asked}"
    )


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
            typer.echo(_line(report))


def quarantine(
    *,
    load_id: Annotated[int, typer.Option("--load", help="Load id, from 'pipeline import'.")],
    as_json: AsJsonLines = False,
) -> None:
    """List the lines of a load that were refused, with file, line and reason."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.listing import list_quarantine  # noqa: PLC0415

    for line in list_quarantine(open_warehouse(load_settings()), load_id):
        place = line.file if line.member is None else f"{line.file}!{line.member}"
        typer.echo(line.to_json() if as_json else f"{place}:{line.line}: {line.reason}: {line.text}")
