"""``python -m pipeline_defs.exports.lean``: merge months, install the databases, validate a data folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pipeline_defs.errors import PipelineError
from pipeline_defs.exports.lean.databases import merge_databases
from pipeline_defs.exports.lean.merging import merge_months
from pipeline_defs.exports.lean.validator import VALIDATOR, validate_folder

main = typer.Typer(help="Work with LEAN data folders.", no_args_is_help=True, pretty_exceptions_enable=False)


@main.command()
def merge(
    *,
    target: Annotated[Path, typer.Argument(help="Data folder to fill.")],
    exports: Annotated[
        list[Path], typer.Argument(help="Published exports, of any months.", exists=True, file_okay=False)
    ],
) -> None:
    """Merge published EXPORTS into one data folder TARGET."""
    try:
        merged = merge_months(exports, target)
    except PipelineError as error:
        _refuse(error)
    for note in merged.notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{target}: {merged.exports} exports, {merged.files} files, {merged.merged_zips} zips merged")


@main.command()
def install(
    *,
    export: Annotated[Path, typer.Argument(help="A published export.", exists=True, file_okay=False)],
    lean_data: Annotated[
        Path, typer.Argument(help="The data folder of a LEAN installation.", exists=True, file_okay=False)
    ],
) -> None:
    """Put market hours and symbol properties of EXPORT into those of LEAN_DATA."""
    try:
        changed = merge_databases(export, lean_data)
    except PipelineError as error:
        _refuse(error)
    typer.echo(f"{lean_data}: {len(changed)} entries set")


@main.command()
def validate(
    *,
    folder: Annotated[Path, typer.Argument(help="Data folder to check.", exists=True, file_okay=False)],
) -> None:
    """Check a data FOLDER: names, lines, and whether LEAN would find them."""
    report = validate_folder(folder)
    for finding in report.findings:
        typer.echo(finding)
    typer.echo(f"{folder}: {report.counts['lines']:,} lines, {len(report.findings)} findings; {VALIDATOR}", err=True)
    if report.findings:
        raise SystemExit(1)


def _refuse(error: PipelineError) -> NoReturn:
    typer.echo(f"Error: {error}", err=True)
    raise typer.Exit(1) from error


if __name__ == "__main__":
    main()
