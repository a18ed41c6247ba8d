"""``pipeline export``: from the warehouse to a catalog that an engine has confirmed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from pipeline_defs.cli.options import BAR_LENGTHS, DATE, INSTANT
from pipeline_defs.cli.progress import progress_bar
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.locations import parse_location

if TYPE_CHECKING:
    import datetime as dt


@click.command()
@click.option("--format", "format_name", required=True, help="E.g. nautilus; see docs/exports/overview.md.")
@click.option("--underlying", required=True, help="E.g. NIFTY.")
@click.option("--start-date", type=DATE, required=True, help="First trade date, inclusive.")
@click.option("--end-date", type=DATE, required=True, help="Last trade date, inclusive.")
@click.option("--output", required=True, help="Directory to publish, or s3://bucket/prefix.")
@click.option(
    "--as-of", "known_at", type=INSTANT, help="Export what was known at this instant, e.g. 2025-08-14T18:00+05:30."
)
@click.option(
    "--bars",
    "lengths",
    type=BAR_LENGTHS,
    default="1m",
    show_default=True,
    help="Lengths of bars, the shortest first: that one is read, the others are made of it. E.g. 1m,5m,1h,1d.",
)
@click.option("--from-ticks", is_flag=True, help="Make the bars out of ticks, whatever bars are stored.")
@click.option("--ticks", is_flag=True, help="Export ticks, too, in formats that have a place for them.")
@click.option(
    "--greeks", is_flag=True, help="Export implied volatility and Greeks of options, too; see docs/greeks.md."
)
@click.option("--source", help="Whose observations; default: as the declared precedence says.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def export(
    format_name: str,
    underlying: str,
    start_date: dt.date,
    end_date: dt.date,
    output: str,
    known_at: dt.datetime | None,
    lengths: tuple[int, ...],
    from_ticks: bool,  # noqa: FBT001 -- click passes flags by name
    ticks: bool,  # noqa: FBT001
    greeks: bool,  # noqa: FBT001
    source: str | None,
    as_json: bool,  # noqa: FBT001
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
            bar_seconds=lengths[0],
            resolutions=lengths[1:],
            with_ticks=ticks,
            bars_from_ticks=from_ticks,
            with_greeks=greeks,
            on_progress=shown.on_progress,
        )
    if as_json:
        click.echo(json.dumps(published.to_json()))
    else:
        counts = ", ".join(f"{count} {name}" for name, count in published.counts.items())
        click.echo(f"{published.path}: {counts}; confirmed by {published.verification.engine}")
        click.echo(f"from {', '.join(published.sources)}, known at {published.known_at.isoformat()}")
