"""``pipeline verify``: whether published exports are what their manifests say, and whether their engines read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.options import AsJson
from pipeline_defs.storage.locations import parse_location

if TYPE_CHECKING:
    from pipeline_defs.exports.published import Validated


def verify(
    *,
    place: Annotated[
        str,
        typer.Argument(metavar="PATH", help="Folder or s3://bucket/prefix of an export, or of what holds several."),
    ],
    manifest_only: Annotated[
        bool, typer.Option("--manifest-only", help="Compare with the manifest; have no engine read the files.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check exports of any format: every file against the manifest, and what the format's own reader makes of them.

    Needs no database. An export in an object store is fetched into the read cache for its reader. Exit code 1 if
    anything is wrong with any of them, or there is none.
    """
    from pipeline_defs.exports.published import validate_below  # noqa: PLC0415 -- keeps --help quick

    found = []
    for one in validate_below(parse_location(place), manifest_only=manifest_only):
        found.append(one)
        if not as_json:
            _show(one)
    failed = sum(not one.verification.passed for one in found)
    if as_json:
        typer.echo(json.dumps({"exports": [one.to_json() for one in found], "failed": failed}))
    elif len(found) > 1:
        typer.echo(f"{len(found)} exports, {failed} failed")
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _show(one: Validated) -> None:
    found = one.verification
    checks = ", ".join(f"{name} {value}" for name, value in found.checks.items() if isinstance(value, int))
    how = f" by {found.engine}" if found.engine else ""
    typer.echo(f"{one.place}: {'sound' if found.passed else 'FAILED'}{how}{f': {checks}' if checks else ''}")
    for line in found.failures:
        typer.echo(f"  {line}")
