"""``pipeline sources``: where data can come from, and whether what that takes is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.cli.options import AsJson
from pipeline_defs.cli.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.sources.listing import SourceSummary


def sources(
    *,
    details: Annotated[
        bool, typer.Option("--details", help="Show each source's environment variables and what they are.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the sources: what each can fill and stream, what it needs, and what the universe file wants of it.

    Of a key or a token is told whether it is set, never its value. Nothing is asked of anybody.
    """
    from pipeline_defs.sources.listing import list_sources  # noqa: PLC0415 -- keeps --help quick

    found = list_sources()
    if as_json:
        typer.echo(json.dumps({"sources": [one.to_json() for one in found]}))
        return
    header = ("source", "kind", "market", "tables", "live", "universe", "needs")
    rows = [_cells(one) for one in found]
    print_table(header, rows, bad=[row[-1] for row in rows if "not set" in row[-1]])
    for one in found:
        if one.trouble is not None:
            typer.echo(f"{one.name}: {one.trouble}")
    if details:
        for one in found:
            for line in _details(one):
                typer.echo(line)


def _cells(source: SourceSummary) -> tuple[str, ...]:
    universe = source.universe
    wanted = None if universe is None else ",".join(f"{count} {section}" for section, count in universe.items())
    return (
        source.name.replace("_", "-"),
        source.kind,
        source.market,
        ",".join(source.tables),
        ",".join(source.live),
        "none" if wanted == "" else wanted or "",
        ",".join(f"{one.name} {'set' if one.is_set else 'not set'}" for one in source.environment if one.is_needed),
    )


def _details(source: SourceSummary) -> Iterator[str]:
    yield ""
    yield f"{source.name.replace('_', '-')}: {source.meaning}"
    width = max((len(one.name) for one in source.environment), default=0)
    for one in source.environment:
        state = "set" if one.is_set else "not set, needed" if one.is_needed else "not set"
        yield f"  {one.name:<{width}}  {state:<15}  {one.meaning}"
