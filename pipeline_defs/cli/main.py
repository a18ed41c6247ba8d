"""Entry point of the ``pipeline`` command: the list of commands, and how errors reach the user."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.main import get_command

import pipeline_defs
from pipeline_defs.cli.automation import alerts, pools
from pipeline_defs.cli.certify import certify
from pipeline_defs.cli.database import database
from pipeline_defs.cli.doctor import doctor
from pipeline_defs.cli.export import export
from pipeline_defs.cli.gaps import backfill, gaps
from pipeline_defs.cli.help_page import PanelGroup
from pipeline_defs.cli.history import corrections, diff
from pipeline_defs.cli.imports import import_data, ingest, quarantine, replay
from pipeline_defs.cli.interface import ui
from pipeline_defs.cli.kite_login import kite_login
from pipeline_defs.cli.migrate import migrate
from pipeline_defs.cli.quality import quality
from pipeline_defs.cli.rates import rates
from pipeline_defs.cli.reconcile import reconcile
from pipeline_defs.cli.record import record
from pipeline_defs.cli.report import report
from pipeline_defs.cli.storage import cache, storage
from pipeline_defs.cli.terms import terms
from pipeline_defs.cli.tickers import tickers
from pipeline_defs.cli.uploads import uploads
from pipeline_defs.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    type Command = Callable[..., None] | typer.Typer

BRING_IN: Final = "Bring data in"
LOOK_AFTER: Final = "Look after it"
TAKE_OUT: Final = "Take data out"
OPERATE: Final = "Operate"

COMMANDS: Final[tuple[tuple[str, str, Command], ...]] = (
    # A new command is a module of its own and one line here.
    (BRING_IN, "import", import_data),
    (BRING_IN, "ingest", ingest),
    (BRING_IN, "replay", replay),
    (BRING_IN, "uploads", uploads),
    (BRING_IN, "record", record),
    (BRING_IN, "terms", terms),
    (BRING_IN, "rates", rates),
    (BRING_IN, "kite-login", kite_login),
    (BRING_IN, "migrate", migrate),
    (LOOK_AFTER, "quarantine", quarantine),
    (LOOK_AFTER, "quality", quality),
    (LOOK_AFTER, "gaps", gaps),
    (LOOK_AFTER, "backfill", backfill),
    (LOOK_AFTER, "reconcile", reconcile),
    (LOOK_AFTER, "corrections", corrections),
    (LOOK_AFTER, "diff", diff),
    (LOOK_AFTER, "report", report),
    (LOOK_AFTER, "tickers", tickers),
    (TAKE_OUT, "export", export),
    (TAKE_OUT, "certify", certify),
    (TAKE_OUT, "storage", storage),
    (TAKE_OUT, "cache", cache),
    (OPERATE, "ui", ui),
    (OPERATE, "db", database),
    (OPERATE, "doctor", doctor),
    (OPERATE, "alerts", alerts),
    (OPERATE, "pools", pools),
)
"""Panel of the help page, name, and what it runs: a function, or a group of commands."""

commands = typer.Typer(
    name="pipeline",
    cls=PanelGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help pages are plain: see help_page
)
"""The whole command line."""


def _show_version(wanted: bool) -> None:  # noqa: FBT001 -- how typer calls it
    if wanted:
        typer.echo(f"pipeline, version {pipeline_defs.__version__}")
        raise typer.Exit


@commands.callback()
def _pipeline(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Market data in, one warehouse, engine-verified catalogs out.

    State lives under PIPELINE_HOME (default: .pipeline in the clone). PIPELINE_DATABASE_URL points to a
    PostgreSQL or TimescaleDB server in place of the embedded one.
    """


for _panel, _name, _command in COMMANDS:
    if isinstance(_command, typer.Typer):
        commands.add_typer(_command, name=_name, rich_help_panel=_panel)
    else:
        commands.command(_name, rich_help_panel=_panel)(_command)


def main() -> None:
    """Run the command line; errors raised on purpose become one message and exit code 1."""
    command = get_command(commands)
    if "_PIPELINE_COMPLETE" in os.environ:  # a shell asks what could come next
        command.main(prog_name="pipeline")
    try:
        # Not command.main(): it ends by itself on an interrupt and on a closed pipe, with exit codes of its own.
        with command.make_context("pipeline", sys.argv[1:]) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except PipelineError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except typer.TyperException as error:
        typer.echo(f"error: {error.format_message().replace(': Value error, ', ': ')}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read the output has seen enough; what Python would still flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        _explain_database_error(error)
        raise
    sys.exit(0)


def _explain_database_error(error: Exception) -> None:
    """Exit with a message when the server refused a statement; anything else is a defect and keeps its traceback."""
    from psycopg import Error  # noqa: PLC0415 -- only when something went wrong

    if isinstance(error, Error):
        state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
        typer.echo(
            f"error: the database refused: {str(error).strip()}{state}\n"
            "Next: what was committed before is kept; mend the cause and run the command again",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
