"""Long lists as one JSON value, printed while they are read: an item a line, so that ``grep`` serves as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable


def print_json_list(name: str, items: Iterable[str]) -> None:
    """Print ``{name: [items]}``.

    Parameters
    ----------
    name : str
        What the items are, in the plural.
    items : iterable of str
        Each as JSON. If the first cannot be had, nothing is printed.

    """
    separator = f'{{"{name}": [\n'
    for item in items:
        typer.echo(f"{separator}{item}", nl=False)
        separator = ",\n"
    typer.echo("\n]}" if separator == ",\n" else f'{{"{name}": []}}')
