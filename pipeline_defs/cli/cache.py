"""``pipeline cache``: what need not be fetched again, and how often that was so."""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.cli.help_page import command_group
from pipeline_defs.cli.options import AsJson, DryRun, parse_date
from pipeline_defs.cli.tables import print_table
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.locations import parse_s3

if TYPE_CHECKING:
    from pipeline_defs.storage.cache import CachedCatalog, CatalogCache
    from pipeline_defs.warehouse.cache import CacheDay

cache = command_group(
    "Local copies of catalogs that were read from an object store; PIPELINE_CACHE_GIB (default 10) bounds them."
)


@cache.command()
def stats(
    *,
    since: Annotated[
        dt.date | None, typer.Option("--since", help="First UTC day; default all.", parser=parse_date)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how often what was asked for was there already, by UTC day, and how full the read cache is.

    A hit is a partition that was fresh, or a catalog that need not be built again; a miss had to be fetched.
    """
    from pipeline_defs.warehouse.cache import list_statistics  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    days = list_statistics(open_warehouse(load_settings()), since=since)
    copies, limit = _cache().catalogs(), load_settings().cache_bytes
    taken = sum(copy.size_bytes for copy in copies)
    if as_json:
        read_cache = {
            "folder": str(load_settings().cache_dir),
            "copies": len(copies),
            "size_bytes": taken,
            "limit_bytes": limit,
        }
        typer.echo(json.dumps({"days": [_day(one) for one in days], "read_cache": read_cache}))
        return
    header = ("day", "hits", "misses", "hit share", "asked MB", "mean fetch ms")
    if days:
        print_table(header, [_cells(one) for one in days], numbers=header[1:])
    else:
        typer.echo("nothing was asked for yet")
    typer.echo(f"read cache: {len(copies)} copies, {taken / 1e6:,.1f} of {limit / 1e6:,.1f} MB")


@cache.command("get")
def get_copy(
    *, url: Annotated[str, typer.Argument(help="s3://bucket/prefix of the catalog.")], as_json: AsJson = False
) -> None:
    """Print the folder of a local copy of the catalog at URL; nothing is fetched if it did not change."""
    with _cache().open(parse_s3(url)) as folder:
        typer.echo(json.dumps({"url": url, "folder": str(folder)}) if as_json else folder)


@cache.command("list")
def list_copies(*, as_json: AsJson = False) -> None:
    """List the copies, those first that go first when room is needed."""
    copies = _cache().catalogs()
    if as_json:
        typer.echo(json.dumps({"copies": [_copy(one) for one in copies]}))
        return
    for one in copies:
        state = "" if one.is_complete else ", incomplete"
        typer.echo(f"{one.url}  {one.size_bytes / 1e6:,.1f} MB, last used {_used(one)}{state}")


@cache.command()
def clear(
    *,
    dry_run: DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove every copy that nobody is reading. They come back when they are asked for, at the price of a download."""
    known = _cache()
    free, _ = known.clear(dry_run=True)
    if free and not dry_run and not yes:
        confirm(f"remove {len(free)} copies, {_megabytes(free)}?")
    removed, kept = known.clear(dry_run=dry_run)
    if as_json:
        told = {"removed": [_copy(one) for one in removed], "kept": [_copy(one) for one in kept], "dry_run": dry_run}
        typer.echo(json.dumps(told))
        return
    typer.echo(f"{len(removed)} {'would be ' if dry_run else ''}removed, {_megabytes(removed)}")
    for one in kept:
        typer.echo(f"being read: {one.url}")


def confirm(question: str) -> None:
    """Ask a person; refuse to go on where nobody can be asked.

    Raises
    ------
    typer.Abort
        If the answer is no.
    typer.BadParameter
        If standard input is no terminal.

    """
    if not sys.stdin.isatty():
        raise typer.BadParameter("it is needed where nobody can be asked", param_hint="--yes")
    typer.confirm(question, abort=True, err=True)


def _cells(day: CacheDay) -> tuple[str, ...]:
    latency = day.mean_fetch_latency_ms
    return (
        day.day.isoformat(),
        f"{day.hits:,}",
        f"{day.misses:,}",
        f"{day.hits / (day.hits + day.misses):.1%}",
        f"{day.size_bytes / 1e6:,.1f}",
        "" if latency is None else f"{latency:,.1f}",
    )


def _day(day: CacheDay) -> dict[str, object]:
    return {
        "day": day.day.isoformat(),
        "hits": day.hits,
        "misses": day.misses,
        "size_bytes": day.size_bytes,
        "mean_fetch_latency_ms": day.mean_fetch_latency_ms,
    }


def _copy(copy: CachedCatalog) -> dict[str, object]:
    return {
        "url": copy.url,
        "size_bytes": copy.size_bytes,
        "used_at": _used(copy),
        "is_complete": copy.is_complete,
    }


def _used(copy: CachedCatalog) -> str:
    return dt.datetime.fromtimestamp(copy.used_at, dt.UTC).isoformat(timespec="seconds")


def _megabytes(copies: list[CachedCatalog]) -> str:
    return f"{sum(copy.size_bytes for copy in copies) / 1e6:,.1f} MB"


def _cache() -> CatalogCache:
    from pipeline_defs.storage.cache import CatalogCache  # noqa: PLC0415 -- keeps --help quick

    settings = load_settings()
    return CatalogCache(settings.cache_dir, settings.cache_bytes)
