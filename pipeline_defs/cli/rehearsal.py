"""What ``--dry-run`` of an import prints: files judged line by line, or what an API would be asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from pipeline_defs.ingesting import PreparedImport
    from pipeline_defs.rehearsing import FileOutcome
    from pipeline_defs.schema.batches import ImportRequest, Source


def rehearse_files(source: Source, request: ImportRequest, *, as_json: bool) -> None:
    """Show what an import would do; end with exit code 1 if it would not store everything."""
    from pipeline_defs.rehearsing import rehearse  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.reports import name_length  # noqa: PLC0415

    told = rehearse(source, request)
    if as_json:
        typer.echo(json.dumps(told.to_json(), ensure_ascii=False))
    else:
        for file in told.files:
            _show_file(file)
        for one in told.partitions:
            outcome = "would be stored" if one.damage is None else f"nothing would be stored: {one.damage}"
            place = f"{one.dataset} {one.trade_date} {name_length(one.bar_seconds)}"
            typer.echo(f"{place}: {one.good} good, {one.refused} refused; {outcome}")
        if told.first_refused:
            typer.echo(f"the first {len(told.first_refused)} refused lines:")
        for line in told.first_refused:
            typer.echo(f"  {line}")
    if told.error is not None:
        raise told.error
    if not told.is_importable:
        raise SystemExit(1)


def show_questions(prepared: PreparedImport, *, as_json: bool) -> None:
    """Show what an API would be asked for; nothing is asked, nor is the database."""
    from pipeline_defs.ingesting import list_questions  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.reports import name_length  # noqa: PLC0415

    questions = list_questions(prepared)
    if as_json:
        typer.echo(json.dumps({"source": prepared.order.source, "would_ask": [one.to_json() for one in questions]}))
        return
    for one in questions:
        typer.echo(
            f"{prepared.order.source}: would ask for {one.table} {name_length(one.bar_seconds)} of"
            f" {', '.join(one.names)}: {one.sessions} sessions, {one.first} to {one.last}, less what is stored"
        )


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
