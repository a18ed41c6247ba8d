"""A sheet of an Excel workbook as a frame of text, every cell exact, in memory of a stated size.

Numbers in a workbook are floats: each becomes the shortest decimal that means it, as in `asking.exact`. The library
that reads workbooks rounds numbers to nine decimals when it is asked for text, so that numbers are asked for as such,
and text only where a cell is text. Cells that are dates or times become ISO text. Formulas count as the values that
were stored with them; a cell with an error (``#DIV/0!``) becomes text that no field can hold.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.sources.asking.exact import shortest_texts
from pipeline_defs.sources.manual_csv.lines import LINE, UNFIT_SCHEMA, Chunk
from pipeline_defs.sources.manual_csv.reasons import BLANK_LINE
from pipeline_defs.sources.manual_csv.unpacking import look_through, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENDINGS: Final = (".xlsx", ".xlsm")

_ROWS: Final = 1 << 17
_ERROR: Final = re.compile(r"Error\((\w+)\)")
_ERRORS: Final = {
    "Div0": "#DIV/0!",
    "NA": "#N/A",
    "Name": "#NAME?",
    "Null": "#NULL!",
    "Num": "#NUM!",
    "Ref": "#REF!",
    "Value": "#VALUE!",
}
_DAY_MS: Final = 86_400_000
_YEAR_MS: Final = 366 * _DAY_MS


def is_workbook(path: Path) -> bool:
    """Tell by its ending whether a file is a workbook."""
    return path.suffix.lower() in ENDINGS


def read_sheet_columns(path: Path, sheet: str | None) -> list[str]:
    """Name the columns of a sheet.

    Parameters
    ----------
    path : Path
        Workbook.
    sheet : str or None
        Which; None if there is only one.

    Returns
    -------
    list of str
        The first row that is not blank; a column without a name is left out. Empty for an empty sheet.

    Raises
    ------
    SourceError
        If the workbook cannot be read, is too large, or has no such sheet, or a name is there twice.
    ConfigurationError
        If there are several sheets and none is named, or the library that reads workbooks is not installed.

    """
    fields, _ = _read(path, sheet)
    return [name for name in fields.columns if name != LINE]


def read_sheet(path: Path, sheet: str | None) -> Iterator[Chunk]:
    """Read the rows of a sheet below its header.

    Parameters
    ----------
    path : Path
        Workbook.
    sheet : str or None
        As in `read_sheet_columns`.

    Yields
    ------
    Chunk
        In order; the line of a row is its number in the sheet. All columns are text.

    Raises
    ------
    SourceError, ConfigurationError
        As in `read_sheet_columns`.

    """
    fields, blank = _read(path, sheet)
    none = pl.DataFrame(schema=UNFIT_SCHEMA)
    for offset in range(0, fields.height, _ROWS):
        yield Chunk(fields.slice(offset, _ROWS), none)
    if blank.height:
        yield Chunk(fields.clear(), blank)


def _read(path: Path, sheet: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read a sheet: its rows, and its blank rows; once, as long as the file stays the same."""
    status = path.stat()
    return _read_once(path, sheet, (status.st_size, status.st_mtime_ns, status.st_ino))


@lru_cache(maxsize=1)
def _read_once(path: Path, sheet: str | None, stamp: tuple[int, ...]) -> tuple[pl.DataFrame, pl.DataFrame]:
    del stamp  # a part of the key
    not_computed = look_through(path)
    workbook, library = _open(path)
    chosen = _choose(workbook.sheet_names, sheet, path)
    if chosen in not_computed:
        raise SourceError(
            f"sheet {chosen!r} has formulas that were never computed, the first in cell {not_computed[chosen]}",
            where=str(path),
            next_step="open it in a spreadsheet program and save it, so that their values are stored",
        )
    try:
        texts = _texts(workbook, chosen)
    except library.FastExcelError as error:
        raise SourceError(
            f"sheet {chosen!r} cannot be read: {_first_line(error)}",
            where=str(path),
            next_step="open it in a spreadsheet program and save it again",
        ) from error
    return _split(texts, path, chosen)


def _open(path: Path) -> tuple[Any, Any]:
    try:
        import fastexcel  # noqa: PLC0415 -- only workbooks need it
    except ImportError:
        raise ConfigurationError(
            "reading workbooks needs the package fastexcel, which is not installed",
            where=str(path),
            next_step="install the extra 'sources' of this project, or save the sheet as CSV",
        ) from None
    try:
        return fastexcel.read_excel(path), fastexcel
    except fastexcel.FastExcelError as error:
        raise unreadable(path, _first_line(error)) from error


def _choose(names: list[str], sheet: str | None, path: Path) -> str:
    if sheet is None and len(names) == 1:
        return names[0]
    listed = ", ".join(map(repr, names))
    if sheet is None:
        raise ConfigurationError(
            f"has the sheets {listed}, and nothing says which one is meant",
            where=str(path),
            next_step='name it in the mapping beside the file: sheet = "…"',
        )
    if sheet not in names:
        raise SourceError(
            f"has no sheet {sheet!r}; it has {listed}",
            where=str(path),
            next_step="correct the workbook, or the mapping's sheet",
        )
    return sheet


def _texts(workbook: Any, sheet: str) -> pl.DataFrame:  # noqa: ANN401 -- the library's own type has no stubs
    """Read every cell of a sheet as text; row k is row k + 1 of the sheet, null is a blank cell."""

    def read(dtype: str) -> Any:  # noqa: ANN401
        return workbook.load_sheet(sheet, header_row=None, skip_rows=0, dtypes=dtype)

    sheet_of_texts = read("string")
    batch, errors = sheet_of_texts.to_arrow_with_errors()
    if not batch.num_rows:
        return pl.DataFrame()
    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 -- what a batch of records becomes
    # Only a number can be read as a truth value, and only a date or time as a duration, whatever text looks like.
    numbers, truths, lengths = (read(dtype).to_polars() for dtype in ("float", "boolean", "duration"))
    columns = [
        _column(frame.to_series(k), numbers.to_series(k), truths.to_series(k), lengths.to_series(k))
        for k in range(frame.width)
    ]
    for error in [] if errors is None else errors.errors:
        row, column = error.offset_position
        found = _ERROR.search(error.detail)
        columns[column][row] = "#ERROR" if found is None else _ERRORS.get(found[1], f"#{found[1].upper()}")
    return pl.DataFrame(columns)


def _column(texts: pl.Series, numbers: pl.Series, truths: pl.Series, lengths: pl.Series) -> pl.Series:
    is_number = truths.is_not_null() & ~texts.is_in(["true", "false"]).fill_null(value=False)
    if is_number.any():
        texts = shortest_texts(numbers).zip_with(is_number, texts)
    if lengths.null_count() < lengths.len():
        texts = _times(texts, lengths)
    return texts


def _times(texts: pl.Series, lengths: pl.Series) -> pl.Series:
    """Write cells that are dates or times in ISO form: a column of whole days as dates."""
    since = lengths.cast(pl.Int64)
    of_day = since % _DAY_MS
    is_clock = since < _DAY_MS
    days_only = bool(((of_day == 0) | is_clock).fill_null(value=True).all())
    stamp = pl.col("text").str.slice(0, 10) if days_only else pl.col("text")
    hours = (pl.col("since") // 3_600_000).cast(pl.String) + pl.col("text").str.slice(13)
    frame = pl.DataFrame({"text": texts, "since": since, "is_clock": is_clock})
    return frame.select(
        pl.when(pl.col("since").is_null())
        .then("text")
        .when("is_clock")
        .then(pl.col("text").str.slice(11))
        .when(pl.col("since") < _YEAR_MS)  # more than a day of hours, and no date that anybody trades on
        .then(hours)
        .otherwise(stamp)
        .alias(texts.name)
    ).to_series()


def _split(texts: pl.DataFrame, path: Path, sheet: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Find the header, name the columns, and set blank rows apart."""
    nothing = pl.DataFrame(schema={LINE: pl.UInt32()}), pl.DataFrame(schema=UNFIT_SCHEMA)
    if texts.is_empty():
        return nothing
    is_blank = texts.select(
        pl.all_horizontal((pl.all().is_null() | (pl.all().str.strip_chars() == "")).fill_null(value=True))
    ).to_series()
    if is_blank.all():
        return nothing
    first = int((~is_blank).arg_max() or 0)
    names = ["" if name is None else str(name).strip() for name in texts.row(first)]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise SourceError(
            f"the header in row {first + 1} of sheet {sheet!r} has {', '.join(twice)} twice",
            where=str(path),
            next_step="give every column a name of its own",
        )
    lines = pl.int_range(1, texts.height + 1, dtype=pl.UInt32(), eager=True).alias(LINE)
    named = [texts.to_series(k).fill_null("").alias(name) for k, name in enumerate(names) if name]
    rows = pl.DataFrame([lines, *named])[first + 1 :]
    blank = is_blank[first + 1 :]
    unfit = rows.filter(blank).select(LINE, reason=pl.lit(BLANK_LINE), text=pl.lit(""))
    return rows.filter(~blank), unfit


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].removeprefix("calamine error: ")
