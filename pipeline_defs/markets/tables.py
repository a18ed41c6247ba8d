"""Reads the packaged rule tables of ``data``: one CSV a table, UTF-8, a header, ISO dates.

Only reading belongs here, and saying which line is wrong; what a table means is decided where it is used.
"""

from __future__ import annotations

import csv
from importlib import resources
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import MarketRuleError

if TYPE_CHECKING:
    from collections.abc import Callable

HOLIDAYS: Final = "nse_holidays.csv"
SPECIAL_SESSIONS: Final = "nse_special_sessions.csv"
HOURS: Final = "nse_hours.csv"
US_HOLIDAYS: Final = "us_holidays.csv"
US_SHORT_SESSIONS: Final = "us_short_sessions.csv"
EXPIRY_RULES: Final = "expiry_rules.csv"
INDEX_NAMES: Final = "index_names.csv"


def read_table[T](name: str, columns: tuple[str, ...], convert: Callable[[dict[str, str]], T]) -> list[T]:
    """Read one packaged table.

    Parameters
    ----------
    name : str
        File name in ``data``.
    columns : tuple of str
        The header the file must have, in order.
    convert : callable
        Turns a line (column to text) into a value; raises ValueError if the line says nothing sensible.

    Returns
    -------
    list
        One value a line, in file order.

    Raises
    ------
    MarketRuleError
        If the header differs from `columns`, a line has more or fewer cells, or `convert` refuses it.

    """
    text = (resources.files("pipeline_defs.markets") / "data" / name).read_text(encoding="utf-8")
    return parse_table(text, name, columns, convert)


def parse_table[T](text: str, name: str, columns: tuple[str, ...], convert: Callable[[dict[str, str]], T]) -> list[T]:
    """Read a table from its text; see `read_table`."""
    reader = csv.reader(text.splitlines())
    header = tuple(next(reader, ()))
    if header != columns:
        raise MarketRuleError(f"the header is {','.join(header)}, expected {','.join(columns)}", where=name)
    values = []
    for cells in reader:
        where = f"{name} line {reader.line_num}"
        if len(cells) != len(columns):
            raise MarketRuleError(
                f"{len(cells)} cells, expected {len(columns)} ({','.join(columns)})",
                where=where,
                next_step="write every cell, if empty; quote a cell that contains a comma",
            )
        try:
            values.append(convert(dict(zip(columns, cells, strict=True))))
        except ValueError as error:
            raise MarketRuleError(str(error), where=where, next_step="correct the line") from error
    return values
