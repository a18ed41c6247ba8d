"""``pipeline export``: from the warehouse to a catalog that an engine has confirmed."""

from __future__ import annotations

import datetime as dt
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pipeline_defs.cli.options import AsJson, BarLengths, parse_date, parse_instant, refuse_reversed
from pipeline_defs.cli.progress import progress_bar
from pipeline_defs.errors import ExportError, UnknownNameError
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.locations import folder_name, parse_location

if TYPE_CHECKING:
    from pipeline_defs.cli.progress import Shown
    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.previewing import ExportPreview
    from pipeline_defs.storage.locations import Location

_MINUTE: Final = 60


def export(
    *,
    format_name: Annotated[str, typer.Option("--format", help="E.g. nautilus; see docs/exports/overview.md.")],
    start_date: Annotated[
        dt.date, typer.Option("--start-date", help="First trade date, inclusive.", parser=parse_date)
    ],
    end_date: Annotated[dt.date, typer.Option("--end-date", help="Last trade date, inclusive.", parser=parse_date)],
    output: Annotated[str, typer.Option("--output", help="Directory to publish, or s3://bucket/prefix.")],
    underlying: Annotated[str | None, typer.Option("--underlying", help="E.g. NIFTY.")] = None,
    bundle: Annotated[
        str | None,
        typer.Option("--bundle", help="In place of an underlying: each of a bundle's, into a folder of its name."),
    ] = None,
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
        BarLengths | None,
        typer.Option(
            "--bars",
            help="Lengths of bars: the shortest is read, the others are made of it. E.g. 1m,5m,1h,1d."
            " Default: 1m, or a bundle's own.",
            parser=BarLengths.parse,
            metavar="<lengths>",
        ),
    ] = None,
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be exported: instruments, days, bars, sources.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Build a catalog, let the engine verify it, publish it.

    Nothing is published when the engine does not confirm every instrument. The export is a run of the Dagster instance:
    'pipeline ui' shows it.
    """
    from pipeline_defs.exports.registry import EXPORTERS, FURTHER_EXPORTERS  # noqa: PLC0415 -- keeps --help quick

    refuse_reversed("--start-date", start_date, "--end-date", end_date)
    if (underlying is None) == (bundle is None):
        raise typer.BadParameter("name one of --underlying and --bundle", param_hint="--underlying")
    if format_name not in EXPORTERS | FURTHER_EXPORTERS:
        raise UnknownNameError("export format", format_name, EXPORTERS | FURTHER_EXPORTERS)
    parse_location(output)
    asked = [
        _Asked(
            format=format_name,
            underlying=of,
            first=start_date,
            last=end_date,
            output=output if bundle is None else f"{output.rstrip('/')}/{folder_name(of)}",
            known_at=known_at,
            seconds=lengths.seconds if lengths is not None else (shortest,),
            from_ticks=from_ticks,
            ticks=ticks,
            greeks=greeks,
            source=own_source,
        )
        for of, own_source, shortest in (
            [(underlying, source, _MINUTE)] if underlying is not None else _members_of(bundle or "", source)
        )
    ]
    if dry_run:
        _preview(asked, as_json=as_json)
        return
    told = []
    with progress_bar(quiet=as_json) as shown:
        for one in asked:
            published, run_id = _run(one, shown)
            told.append({**published.to_json(), "dagster_run_id": run_id})
            if not as_json:
                _say(published, run_id, shown)
    if as_json:
        typer.echo(json.dumps(told[0] if bundle is None else {"bundle": bundle, "exports": told}))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One export."""

    format: str
    underlying: str
    first: dt.date
    last: dt.date
    output: str
    known_at: dt.datetime | None
    seconds: tuple[int, ...]
    from_ticks: bool
    ticks: bool
    greeks: bool
    source: str | None

    def to_config(self) -> dict[str, Any]:
        """Give it as `ExportConfig` has it."""
        return {
            "format": self.format,
            "underlying": self.underlying,
            "start_date": self.first.isoformat(),
            "end_date": self.last.isoformat(),
            "output": self.output,
            "as_of": "" if self.known_at is None else self.known_at.isoformat(),
            "bars": ",".join(f"{seconds}s" for seconds in self.seconds),
            "from_ticks": self.from_ticks,
            "ticks": self.ticks,
            "greeks": self.greeks,
            "source": self.source or "",
        }


def _members_of(bundle: str, source: str | None) -> list[tuple[str, str | None, int]]:
    """Give the underlyings of a bundle, each with its source and the length of its shortest bars."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.stored_series import find_underlyings  # noqa: PLC0415

    found = find_underlyings(open_warehouse(load_settings()), bundle)
    if not found:
        raise ExportError(f"bundle {bundle!r} has no series of bars", next_step="ingest something into it first")
    return [(one.underlying, source or one.source, one.bar_seconds) for one in found]


def _run(asked: _Asked, shown: Shown) -> tuple[PublishedExport[Location], str]:
    from pipeline_defs.orchestration.commands.exports import EXPORT_JOB  # noqa: PLC0415 -- Dagster takes a moment
    from pipeline_defs.orchestration.commands.running import COMMAND, run_command, shown_command  # noqa: PLC0415
    from pipeline_defs.orchestration.commands.telling import Listener  # noqa: PLC0415

    results: list[PublishedExport[Location]] = []
    tags = {
        COMMAND: shown_command(sys.argv[1:]),
        "pipeline/format": asked.format,
        "pipeline/underlying": asked.underlying,
        "pipeline/dates": f"{asked.first}..{asked.last}",
        **({} if asked.source is None else {"pipeline/source": asked.source}),
    }
    listener = Listener(on_progress=shown.on_progress, on_result=results.append)
    run_id = run_command(EXPORT_JOB, asked.to_config(), load_settings(), listener, tags=tags)
    return results[0], run_id


def _say(published: PublishedExport[Location], run_id: str, shown: Shown) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in published.counts.items())
    shown.say(f"{published.path}: {counts}; confirmed by {published.verification.engine}")
    shown.say(f"from {', '.join(published.sources)}, known at {published.known_at.isoformat()}")
    if sys.stderr.isatty():
        typer.echo(f"run {run_id}: see it with 'pipeline ui'", err=True)


def _preview(asked: list[_Asked], *, as_json: bool) -> None:
    from pipeline_defs.previewing import preview_export  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    warehouse = open_warehouse(load_settings())
    told = []
    for one in asked:
        shortest, *longer = one.seconds
        preview = preview_export(
            warehouse,
            one.format,
            one.underlying,
            one.first,
            one.last,
            known_at=one.known_at,
            source=one.source,
            bar_seconds=shortest,
            resolutions=longer,
            with_ticks=one.ticks,
            bars_from_ticks=one.from_ticks,
            with_greeks=one.greeks,
        )
        told.append({"format": one.format, "output": one.output, **preview.to_json()})
        if not as_json:
            _show(one, preview)
    if as_json:
        typer.echo(json.dumps({"would_export": told}))


def _show(asked: _Asked, preview: ExportPreview) -> None:
    kinds = ", ".join(f"{count} {kind}" for kind, count in preview.kinds.items())
    bars = ", ".join(f"{count} bars of {seconds} s" for seconds, count in preview.bars.items())
    sources = ", ".join(f"{source} ({days} contract-days)" for source, days in preview.contract_days.items())
    typer.echo(f"would export {preview.underlying} as {asked.format} to {asked.output}:")
    typer.echo(f"  {preview.instruments} instruments ({kinds}) on {preview.sessions} sessions: {bars}")
    typer.echo(f"  first bar {preview.first_bar.isoformat()}, last bar {preview.last_bar.isoformat()}")
    typer.echo(f"  from {sources}, known at {preview.known_at.isoformat()}")
