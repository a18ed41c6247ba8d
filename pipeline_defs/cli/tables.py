"""Tables on standard output: ruled and coloured for a person at a terminal, plain columns for everything else."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[str] = (), bad: Collection[str] = ()
) -> None:
    """Print rows under a header.

    Parameters
    ----------
    header : sequence of str
        One name a column.
    rows : sequence of sequence of str
        The cells. An empty one is printed as ``-``, so that every row has as many words as it has columns.
    numbers : collection of str, optional
        Columns to align to the right.
    bad : collection of str, optional
        Cells that a person should see first.

    """
    cells = [[cell or "-" for cell in row] for row in rows]
    if is_for_a_person():
        _print_ruled(header, cells, numbers, bad)
        return
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    for row in (header, *cells):
        line = (
            cell.rjust(width) if name in numbers else cell.ljust(width)
            for name, cell, width in zip(header, row, widths, strict=True)
        )
        typer.echo("  ".join(line).rstrip())


def is_for_a_person() -> bool:
    """Whether standard output is a terminal that can show more than letters."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _print_ruled(
    header: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str], bad: Collection[str]
) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 -- only where somebody looks
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, header_style="bold")
    for name in header:
        table.add_column(name, justify="right" if name in numbers else "left")
    for row in rows:
        # Cells are texts, not markup.
        table.add_row(*(Text(cell, style="red" if cell in bad else "") for cell in row))
    Console().print(table)  # it honours NO_COLOR by itself
