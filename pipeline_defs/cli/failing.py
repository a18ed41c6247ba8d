"""How a command that failed ends: one clear message on standard error, and the exit code that says of which kind."""

from __future__ import annotations

import os
import select
import sys
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.errors import PipelineError, UnknownNameError
from pipeline_defs.settings import FORMAT_VARIABLE, JSON

if TYPE_CHECKING:
    from pathlib import Path

TRACEBACK_VARIABLE: Final = "PIPELINE_TRACEBACK"
_KEPT: Final = 20
"""Tracebacks of defects that are kept; older ones go."""


def end(error: BaseException, *, show_traceback: bool) -> ExitCode:
    """Tell what went wrong, on standard error.

    Parameters
    ----------
    error : BaseException
        What ended the command.
    show_traceback : bool
        Print where it was raised, too.

    Returns
    -------
    ExitCode
        What the process should end with; never 0.

    """
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        return ExitCode.BROKEN_PIPE
    if show_traceback:
        _tell(_traceback_of(error).rstrip())
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        _tell("interrupted")
        return ExitCode.INTERRUPTED
    code, message = _explain(error)
    if code is ExitCode.DEFECT and not show_traceback:
        message += f"\nNext: {_keep(error)}"
    _tell(f"error: {message}")
    return code


def _tell(text: str) -> None:
    if os.environ.get(FORMAT_VARIABLE) == JSON:
        from pipeline_defs.operations.logs import json_line  # noqa: PLC0415 -- only where lines are parsed

        text = json_line("ERROR", "pipeline", text.removeprefix("error: "), {"command": sys.argv[1:2]})
    with suppress(OSError):  # nobody reads that either
        typer.echo(text, err=True)


def _explain(error: BaseException) -> tuple[ExitCode, str]:
    if isinstance(error, UnknownNameError):
        return ExitCode.USAGE, str(error)
    if isinstance(error, PipelineError):
        return ExitCode.FAILED, str(error)
    if isinstance(error, typer.TyperException):
        usage = error.exit_code == ExitCode.USAGE
        # What a parser of ours says is shown without pydantic's words before it.
        message = error.format_message().replace(": Value error, ", ": ")
        return ExitCode.USAGE if usage else ExitCode.FAILED, message
    if isinstance(error, OSError) and error.strerror is not None:
        place = "the system refused" if error.filename is None else os.fsdecode(error.filename)
        return ExitCode.FAILED, f"{place}: {error.strerror}"
    if (said := _said_by_database(error)) is not None:
        return ExitCode.FAILED, said
    return ExitCode.DEFECT, f"a defect of the pipeline: {_redacted(f'{type(error).__name__}: {error}')}"


def _said_by_database(error: BaseException) -> str | None:
    """Give the message when the server refused a statement."""
    if "psycopg" not in sys.modules:
        return None
    from psycopg import Error  # noqa: PLC0415 -- only where the database was used

    if not isinstance(error, Error):
        return None
    from pipeline_defs.warehouse.faults import is_passing, next_step  # noqa: PLC0415 -- as above

    if is_passing(error):
        return (
            f"the database went away, or had no room for us: {_first_line(error)}\n"
            "Next: see that the server runs and run the command again: what was committed before is kept"
        )
    state = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
    mend = next_step(error) or "mend the cause and run the command again"
    return f"the database refused: {str(error).strip()}{state}\nNext: what was committed before is kept; {mend}"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _nobody_reads() -> bool:
    """Whether the pipe that broke is our output; if so, what Python would still flush has nowhere to go."""
    try:
        output = sys.stdout.fileno()
    except (OSError, ValueError):
        return False
    asked = select.poll()
    asked.register(output, select.POLLERR)
    if not any(event & select.POLLERR for _, event in asked.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


def _traceback_of(error: BaseException) -> str:
    return _redacted("".join(traceback.format_exception(error)))


def _redacted(text: str) -> str:
    """Leave out every secret that this process has read."""
    credentials = sys.modules.get("pipeline_defs.sources.asking.credentials")
    return text if credentials is None else str(credentials.redact(text))


def _keep(error: BaseException) -> str:
    """Write the traceback of a defect to a file, since what led to it may not come again; say where it is."""
    from pipeline_defs.settings import load_settings  # noqa: PLC0415 -- only when something went wrong

    again = f"see where with 'pipeline --traceback …' or {TRACEBACK_VARIABLE}=1"
    try:
        folder = load_settings().home / "tracebacks"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.getpid()}.txt"
        path.touch(mode=0o600)
        path.write_text(_traceback_of(error), encoding="utf-8")
        _tidy(folder)
    except (PipelineError, OSError):
        return again
    return f"report it with {path}, or {again}"


def _tidy(folder: Path) -> None:
    for path in sorted(folder.glob("*.txt"))[:-_KEPT]:
        path.unlink(missing_ok=True)
