"""``pipeline export``: from the warehouse to a catalog that an engine has confirmed."""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Final

import typer

from pipeline_defs.cli.options import AsJson, BarLengths, parse_date, parse_instant
from pipeline_defs.cli.progress import progress_bar
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.locations import parse_location

_MINUTE: Final = BarLengths.parse("1m")


def export(
    *,
    format_name: Annotated[str, typer.Option("--format", help="E.g. nautilus; see docs/exports/overview.md.")],
    underlying: Annotated[str, typer.Option("--underlying", help="E.g. NIFTY.")],
    start_date: Annotated[
        dt.date, typer.Option("--start-date", help="First trade date, inclusive.", parser=parse_date)
    ],
    end_date: Annotated[dt.date, typer.Option("--end-date", help="Last trade date, inclusive.", parser=parse_date)],
    output: Annotated[str, typer.Option("--output", help="Directory to publish, or s3://bucket/prefix.")],
    known_at: Annotated[
        dt.datetime | None,
        typer.Option(
            "--as-of",
            help="Export what was known at this instant, e.g. 2025-08-14T18:00+05:30.",
            parser=parse_instant,
            metavar="<instant>",
        ),
    ] = None,
    lengths: Annotated[
        BarLengths,
        typer.Option(
            "--bars",
            help="Lengths of bars, the shortest first: that one is read, the others are made of it. E.g. 1m,5m,1h,1d.",
            parser=BarLengths.parse,
            metavar="<lengths>",
        ),
    ] = _MINUTE,
    from_ticks: Annotated[
        bool, typer.Option("--from-ticks", help="Make the bars out of ticks, whatever bars are stored.")
    ] = False,
    ticks: Annotated[
        bool, typer.Option("--ticks", help="Export ticks, too, in formats that have a place for them.")
    ] = False,
    greeks: Annotated[
        bool, typer.Option("--greeks", help="Export implied volatility and Greeks of options, too; see docs/greeks.md.")
    ] = False,
    source: Annotated[
        str | None, typer.Option("--source", help="Whose observations; default: as the declared precedence says.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build a catalog, let the engine verify it, publish it.

    Nothing is published when the engine does not confirm every instrument.
    """
    from pipeline_defs.publishing import export_underlying  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    with progress_bar(quiet=as_json) as shown:
        published = export_underlying(
            open_warehouse(load_settings()),
            format_name,
            underlying,
            start_date,
            end_date,
            output=parse_location(output),
            known_at=known_at,
            source=source,
            bar_seconds=lengths.seconds[0],
            resolutions=lengths.seconds[1:],
            with_ticks=ticks,
            bars_from_ticks=from_ticks,
            with_greeks=greeks,
            on_progress=shown.on_progress,
        )
    if as_json:
        typer.echo(json.dumps(published.to_json()))
    else:
        counts = ", ".join(f"{count} {name}" for name, count in published.counts.items())
        typer.echo(f"{published.path}: {counts}; confirmed by {published.verification.engine}")
        typer.echo(f"from {', '.join(published.sources)}, known at {published.known_at.isoformat()}")
