"""Small workbooks, written cell by cell."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import xlsxwriter

from pipeline_tests.sources.manual_csv.reading import MAPPING

if TYPE_CHECKING:
    from pathlib import Path

BOOK_MAPPING = MAPPING.replace('format = "%d/%m/%Y %H:%M"\n', "")
"""A workbook's cells are dates and times by themselves."""
BOOK_HEADER = ("Date", "Time", "O", "H", "L", "C", "Vol", "Remark")
DAY = dt.date(2025, 8, 13)
BOOK_ROW = (DAY, dt.time(9, 15), 1400.05, 1402, 1400, 1401.25, 1200, "first")


def write_book(
    path: Path, *rows: tuple[Any, ...], sheet: str = "Prices", others: tuple[str, ...] = (), **options: Any
) -> Path:
    """Write a workbook; a row of None is blank, and a cell ``=…|value`` is a formula with its cached value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    book = xlsxwriter.Workbook(path, options)
    formats = {
        dt.datetime: book.add_format({"num_format": "dd/mm/yyyy hh:mm:ss"}),
        dt.date: book.add_format({"num_format": "dd/mm/yyyy"}),
        dt.time: book.add_format({"num_format": "hh:mm:ss"}),
        dt.timedelta: book.add_format({"num_format": "[h]:mm:ss"}),
    }
    page = book.add_worksheet(sheet)
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            if type(value) in formats:
                page.write_datetime(number, column, value, formats[type(value)])
            elif isinstance(value, str) and value.startswith("="):
                formula, _, cached = value.partition("|")
                page.write_formula(number, column, formula, None, cached if cached.startswith("#") else float(cached))
            elif isinstance(value, str):
                page.write_string(number, column, value)
            elif value is not None:
                page.write(number, column, value)
    for name in others:
        book.add_worksheet(name).write(0, 0, "notes")
    book.close()
    return path
