"""``pipeline formats``: what data can be exported to, and whether the engine that confirms it is installed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from pipeline_defs.cli.options import AsJson
from pipeline_defs.cli.tables import print_table

if TYPE_CHECKING:
    from pipeline_defs.exports.listing import FormatSummary

_NOT_INSTALLED = "not installed"


def formats(*, as_json: AsJson = False) -> None:
    """List the export formats: their engines, and what each has a place for."""
    from pipeline_defs.exports.listing import list_formats  # noqa: PLC0415 -- keeps --help quick

    found = list_formats()
    if as_json:
        typer.echo(json.dumps({"formats": [one.to_json() for one in found]}))
        return
    header = ("format", "engine", "version", "bars", "ticks", "greeks")
    print_table(header, [_cells(one) for one in found], bad=[_NOT_INSTALLED])


def _cells(one: FormatSummary) -> tuple[str, ...]:
    version = one.engine_version or _NOT_INSTALLED
    return (one.name, one.engine, version, one.lengths, one.ticks or "", one.greeks or "")
