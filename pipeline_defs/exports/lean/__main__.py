"""``python -m pipeline_defs.exports.lean``: merge months, install the databases, validate a data folder."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline_defs.errors import PipelineError
from pipeline_defs.exports.lean.databases import merge_databases
from pipeline_defs.exports.lean.merging import merge_months
from pipeline_defs.exports.lean.validator import VALIDATOR, validate_folder

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Work with LEAN data folders."""


@main.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.argument("exports", nargs=-1, required=True, type=_FOLDER)
def merge(target: Path, exports: tuple[Path, ...]) -> None:
    """Merge published EXPORTS into one data folder TARGET."""
    try:
        merged = merge_months(exports, target)
    except PipelineError as error:
        raise click.ClickException(str(error)) from error
    for note in merged.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"{target}: {merged.exports} exports, {merged.files} files, {merged.merged_zips} zips merged")


@main.command()
@click.argument("export", type=_FOLDER)
@click.argument("lean_data", type=_FOLDER)
def install(export: Path, lean_data: Path) -> None:
    """Put market hours and symbol properties of EXPORT into those of LEAN_DATA."""
    try:
        changed = merge_databases(export, lean_data)
    except PipelineError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{lean_data}: {len(changed)} entries set")


@main.command()
@click.argument("folder", type=_FOLDER)
def validate(folder: Path) -> None:
    """Check a data FOLDER: names, lines, and whether LEAN would find them."""
    report = validate_folder(folder)
    for finding in report.findings:
        click.echo(finding)
    click.echo(f"{folder}: {report.counts['lines']:,} lines, {len(report.findings)} findings; {VALIDATOR}", err=True)
    if report.findings:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
