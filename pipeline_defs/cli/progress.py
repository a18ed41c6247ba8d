"""A bar on the terminal while something takes its time: on standard error, only for a person, gone when it is done."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from pipeline_defs.progress import OnProgress, Step, ignore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import Progress, TaskID


@dataclass(frozen=True, slots=True)
class Shown:
    """What a command tells while it works.

    Parameters
    ----------
    on_progress : callable
        For the core to call.
    say : callable
        Prints a line of the command's output without tearing the bar.

    """

    on_progress: OnProgress
    say: Callable[[str], None]


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Shown]:
    """Show how far work is, if a person is looking.

    Parameters
    ----------
    quiet : bool
        Show nothing, terminal or not (``--json``).

    Yields
    ------
    Shown
        Also when nothing is shown.

    """
    if quiet or not sys.stderr.isatty():
        yield Shown(ignore, typer.echo)
        return
    from rich.console import Console  # noqa: PLC0415 -- only where somebody looks
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    # Standard output stays the command's own: it may be a file.
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as bars:
        task = bars.add_task("begins", total=None)
        yield Shown(lambda step: _update(bars, task, step), _say(console) if sys.stdout.isatty() else typer.echo)


def _update(bars: Progress, task: TaskID, step: Step) -> None:
    bars.update(task, description=step.doing, completed=step.done, total=step.total)


def _say(console: Console) -> Callable[[str], None]:
    """Print above the bar: both go to the same terminal."""
    return lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True)
