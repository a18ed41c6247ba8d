"""Entry point of the ``pipeline`` command: the list of commands, and how errors reach the user."""

from __future__ import annotations

import os
import sys

import click

import pipeline_defs
from pipeline_defs.cli.automation import alerts, pools
from pipeline_defs.cli.certify import certify
from pipeline_defs.cli.database import database
from pipeline_defs.cli.doctor import doctor
from pipeline_defs.cli.export import export
from pipeline_defs.cli.gaps import backfill, gaps
from pipeline_defs.cli.history import corrections, diff
from pipeline_defs.cli.imports import import_data, quarantine, replay
from pipeline_defs.cli.interface import ui
from pipeline_defs.cli.kite_login import kite_login
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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(pipeline_defs.__version__, prog_name="pipeline")
def commands() -> None:
    """Market data in, one warehouse, engine-verified catalogs out.

    State lives under PIPELINE_HOME (default: .pipeline in the clone). PIPELINE_DATABASE_URL points to a
    PostgreSQL or TimescaleDB server in place of the embedded one.
    """


for command in (
    tickers,
    import_data,
    quarantine,
    quality,
    gaps,
    backfill,
    replay,
    uploads,
    record,
    terms,
    rates,
    export,
    certify,
    reconcile,
    corrections,
    diff,
    report,
    storage,
    cache,
    database,
    doctor,
    kite_login,
    alerts,
    pools,
    ui,
):
    commands.add_command(command)


def main() -> None:
    """Run the command line; errors raised on purpose become one message and exit code 1."""
    try:
        sys.exit(commands(standalone_mode=False))
    except PipelineError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # Whoever read the output has seen enough; what Python would still flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        _explain_database_error(error)
        raise


def _explain_database_error(error: Exception) -> None:
    """Exit with a message when the server refused a statement; anything else is a defect and keeps its traceback."""
    from psycopg import Error  # noqa: PLC0415 -- only when something went wrong

    if isinstance(error, Error):
        state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
        click.echo(
            f"error: the database refused: {str(error).strip()}{state}\n"
            "Next: what was committed before is kept; mend the cause and run the command again",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
