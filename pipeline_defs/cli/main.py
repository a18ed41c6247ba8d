"""Entry point of the ``pipeline`` command: the list of commands, and how errors reach the user."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.main import get_command

import pipeline_defs
from pipeline_defs.cli.automation import alerts, pools
from pipeline_defs.cli.backup import backup, restore
from pipeline_defs.cli.bundles import bundles
from pipeline_defs.cli.cache import cache
from pipeline_defs.cli.certify import certify
from pipeline_defs.cli.completing import offer_values
from pipeline_defs.cli.database import database
from pipeline_defs.cli.doctor import doctor
from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.export import export
from pipeline_defs.cli.failing import TRACEBACK_VARIABLE, end
from pipeline_defs.cli.formats import formats
from pipeline_defs.cli.gaps import backfill, gaps
from pipeline_defs.cli.health import health
from pipeline_defs.cli.help_page import PanelGroup
from pipeline_defs.cli.history import corrections, diff
from pipeline_defs.cli.imports import import_data, ingest, quarantine, replay
from pipeline_defs.cli.interface import ui
from pipeline_defs.cli.kite_login import kite_login
from pipeline_defs.cli.metrics import metrics
from pipeline_defs.cli.migrate import migrate
from pipeline_defs.cli.prune import prune
from pipeline_defs.cli.quality import quality
from pipeline_defs.cli.rates import rates
from pipeline_defs.cli.reconcile import reconcile
from pipeline_defs.cli.record import record
from pipeline_defs.cli.report import report
from pipeline_defs.cli.sources import sources
from pipeline_defs.cli.storage import storage
from pipeline_defs.cli.terms import terms
from pipeline_defs.cli.tickers import tickers
from pipeline_defs.cli.uploads import uploads
from pipeline_defs.cli.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable

    type Command = Callable[..., None] | typer.Typer

BRING_IN: Final = "Bring data in"
LOOK_AFTER: Final = "Look after it"
TAKE_OUT: Final = "Take data out"
OPERATE: Final = "Operate"

COMMANDS: Final[tuple[tuple[str, str, Command], ...]] = (
    # A new command is a module of its own and one line here.
    (BRING_IN, "sources", sources),
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
    (LOOK_AFTER, "bundles", bundles),
    (TAKE_OUT, "formats", formats),
    (TAKE_OUT, "export", export),
    (TAKE_OUT, "verify", verify),
    (TAKE_OUT, "certify", certify),
    (TAKE_OUT, "storage", storage),
    (TAKE_OUT, "cache", cache),
    (OPERATE, "ui", ui),
    (OPERATE, "db", database),
    (OPERATE, "doctor", doctor),
    (OPERATE, "health", health),
    (OPERATE, "metrics", metrics),
    (OPERATE, "prune", prune),
    (OPERATE, "backup", backup),
    (OPERATE, "restore", restore),
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


@dataclass
class _Wishes:
    """What was said before the name of the command.

    Parameters
    ----------
    show_traceback : bool
        Whether an error is shown with where it was raised.

    """

    show_traceback: bool = False


@commands.callback()
def _pipeline(
    context: typer.Context,
    *,
    show_traceback: Annotated[
        bool,
        typer.Option("--traceback", envvar=TRACEBACK_VARIABLE, help="Show where an error was raised, too."),
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Market data in, one warehouse, engine-verified catalogs out.

    State lives under PIPELINE_HOME (default: .pipeline in the clone). PIPELINE_DATABASE_URL points to a
    PostgreSQL or TimescaleDB server in place of the embedded one.

    Exit codes: 0 done, 1 failed, 2 wrong use, 3 something is left (backfill, migrate), 70 a defect, 130 interrupted.
    """
    if isinstance(context.obj, _Wishes):
        context.obj.show_traceback = show_traceback


for _panel, _name, _command in COMMANDS:
    if isinstance(_command, typer.Typer):
        commands.add_typer(_command, name=_name, rich_help_panel=_panel)
    else:
        commands.command(_name, rich_help_panel=_panel)(_command)


def main() -> None:
    """Run the command line; how it ends is told by `failing`."""
    if "_PIPELINE_COMPLETE" in os.environ:  # a shell asks what could come next
        offer_values(commands)
        get_command(commands).main(prog_name="pipeline")
    command = get_command(commands)
    wishes = _Wishes()
    try:
        # Not command.main(): it ends by itself on an interrupt and on a closed pipe, with exit codes of its own.
        with command.make_context("pipeline", sys.argv[1:], obj=wishes) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as ended:
        sys.exit(ended.exit_code)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- whatever it is, it is told in one place
        sys.exit(end(error, show_traceback=wishes.show_traceback))
    sys.exit(ExitCode.SUCCESS)


if __name__ == "__main__":
    main()
