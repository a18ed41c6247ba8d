"""The bytes of a CSV file to frames of text, in portions; lines of the wrong shape become rejects.

Portions whose counts of lines and separators fit are parsed at full speed; any other portion is taken apart line by
line so that each line that does not fit can be named. What a field means belongs to the modules after this one.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.manual_csv.reasons import (
    BAD_QUOTES,
    BLANK_LINE,
    MAX_TEXT,
    NOT_UTF8,
    WRONG_FIELD_COUNT,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PORTION_BYTES: Final = 1 << 24

MOST_COLUMNS: Final = 4096
MAX_LINE_BYTES: Final = 1 << 20
"""A longer line is none: the file is no text, or its line ends are lost."""

LINE: Final = "#line"
"""Column of physical line numbers, counted from 1."""

TEXT: Final = "#text"
"""Column of whole lines, where the fields alone do not tell what they were."""

UNFIT_SCHEMA: Final = {LINE: pl.UInt32(), "reason": pl.String(), "text": pl.String()}

_MARK: Final = b"\xef\xbb\xbf"
_REPLACED: Final = "�"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a file.

    Parameters
    ----------
    fields : polars.DataFrame
        `LINE`, the file's columns, and for some parts `TEXT`.
    unfit : polars.DataFrame
        `UNFIT_SCHEMA`: lines that are no rows.

    """

    fields: pl.DataFrame
    unfit: pl.DataFrame


def read_header(path: Path, separator: str) -> list[str]:
    """Read the first line of a CSV file.

    Parameters
    ----------
    path : Path
        File.
    separator : str
        Between the fields.

    Returns
    -------
    list of str
        Names as they stand; empty for an empty file.

    Raises
    ------
    SourceError
        If it is blank and others are not, is no text, a name is there twice or empty, or there is one column only.

    """
    with path.open("rb") as file:
        first = file.readline(MAX_LINE_BYTES).removeprefix(_MARK)
        if not first.strip():
            # An empty file says nothing; one that only begins with a blank line must not pass for it.
            if any(part.strip() for part in iter(lambda: file.read(MAX_LINE_BYTES), b"")):
                raise SourceError(
                    "the first line is blank, expected the header", where=str(path), next_step="remove the blank lines"
                )
            return []
    try:
        (names,) = csv.reader([first.decode("utf-8").rstrip("\r\n")], delimiter=separator, strict=True)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise SourceError(f"the first line is no header: {error}", where=str(path)) from error
    # Polars reads "*" and "^…$" as patterns of names, which would stand for every column.
    patterns = [name for name in names if name == "*" or (name.startswith("^") and name.endswith("$"))]
    if len(names) > MOST_COLUMNS:
        raise SourceError(
            f"the header has {len(names)} columns, more than {MOST_COLUMNS}",
            where=str(path),
            next_step="check that it is the right file",
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if patterns or {LINE, TEXT} & set(names) or twice or "" in names or len(names) == 1:
        raise SourceError(
            f"the header was {separator.join(names)!r}, expected several distinct names separated by {separator!r}",
            where=str(path),
            next_step="check the first line, and the separator in the mapping",
        )
    return names


def read_lines(path: Path, header: list[str], separator: str) -> Iterator[Chunk]:
    """Read the data lines of a CSV file.

    Parameters
    ----------
    path : Path
        File with a header.
    header : list of str
        Its columns.
    separator : str
        Between the fields.

    Yields
    ------
    Chunk
        In file order.

    Raises
    ------
    SourceError
        If a line is longer than `MAX_LINE_BYTES` and a portion.

    """
    first_line = 2
    for portion in _portions(path):
        count = portion.count(b"\n") + (not portion.endswith(b"\n"))
        yield _parse(portion, count, header, separator, first_line) or _take_apart(
            portion, header, separator, first_line
        )
        first_line += count


def _portions(path: Path) -> Iterator[bytes]:
    """Cut a file at line ends, its header left out."""
    most = max(MAX_LINE_BYTES, PORTION_BYTES)
    with path.open("rb") as file:
        file.readline(MAX_LINE_BYTES)
        rest = b""
        while read := file.read(PORTION_BYTES):
            data = rest + read
            end = data.rfind(b"\n") + 1
            rest = data[end:]
            if len(rest) > most:
                raise SourceError(
                    f"has a line of more than {most} bytes",
                    where=str(path),
                    next_step="check that it is a CSV file with line ends",
                )
            if end:
                yield data[:end]
        if rest:
            yield rest


def _parse(portion: bytes, count: int, header: list[str], separator: str, first_line: int) -> Chunk | None:
    """Parse lines that should all fit; None when they do not."""
    is_quoted = b'"' in portion
    if not is_quoted and portion.count(separator.encode()) != count * (len(header) - 1):
        return None
    if not portion.isascii():
        try:
            portion.decode("utf-8")
        except UnicodeDecodeError:
            return None
    try:
        fields = pl.read_csv(
            portion,
            has_header=False,
            separator=separator,
            quote_char='"' if is_quoted else None,
            infer_schema=False,
            empty_string_is_null=False,
            schema=dict.fromkeys(header, pl.String()),
        )
    except pl.exceptions.PolarsError:
        return None
    # A line too short leaves nulls; one that is swallowed by a quote leaves fewer rows.
    if fields.height != count or fields.to_series(fields.width - 1).null_count():
        return None
    numbered = fields.insert_column(0, _numbers(first_line, count))
    if is_quoted:
        texts = _split(portion.decode("utf-8"))
        # Of quoted text, a last line that is too short is given blanks, not nulls.
        if not texts.str.contains(_line_form(separator, len(header))).all():
            return None
        numbered = numbered.with_columns(texts)
    return Chunk(numbered, pl.DataFrame(schema=UNFIT_SCHEMA))


def _take_apart(portion: bytes, header: list[str], separator: str, first_line: int) -> Chunk:
    """Split a portion into lines, reject those of the wrong shape, parse the others."""
    texts = _split(portion.decode("utf-8", "replace"))
    lines = pl.DataFrame({LINE: _numbers(first_line, texts.len()), TEXT: texts})
    text = pl.col(TEXT)
    lines = lines.with_columns(
        is_quoted=text.str.contains('"', literal=True),
        reason=pl.when(text.str.strip_chars() == "")
        .then(pl.lit(BLANK_LINE))
        .when(text.str.contains(_REPLACED, literal=True))
        .then(pl.lit(NOT_UTF8))
        .when(
            ~text.str.contains('"', literal=True) & (text.str.count_matches(separator, literal=True) != len(header) - 1)
        )
        .then(pl.lit(WRONG_FIELD_COUNT)),
    )
    fit = lines.filter(pl.col("reason").is_null(), ~pl.col("is_quoted"))
    fields = fit[TEXT].str.split_exact(separator, len(header) - 1).struct.unnest()
    fields.columns = header
    quoted, refused = _parse_quoted(lines.filter(pl.col("reason").is_null(), "is_quoted"), header, separator)
    unfit = pl.concat([lines.filter(pl.col("reason").is_not_null()).select(LINE, "reason", text=TEXT), refused])
    rows = pl.concat([pl.concat([fit.select(LINE, TEXT), fields], how="horizontal"), quoted]).sort(LINE)
    return Chunk(
        rows.select(LINE, *header, TEXT),
        unfit.with_columns(pl.col("text").str.head(MAX_TEXT)).sort(LINE),
    )


def _parse_quoted(lines: pl.DataFrame, header: list[str], separator: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Read lines with quotes one by one: only those of a portion that does not fit come here."""
    rows: list[tuple[object, ...]] = []
    form = re.compile(_line_form(separator))
    refused: list[tuple[object, ...]] = []
    for number, text in lines.select(LINE, TEXT).iter_rows():
        if not form.search(text):
            refused.append((number, BAD_QUOTES, text))
            continue
        try:
            (values,) = csv.reader([text], delimiter=separator, strict=True)
        except csv.Error:  # a carriage return within the line, or a field of more than 128 kB
            refused.append((number, BAD_QUOTES, text))
            continue
        if len(values) == len(header):
            rows.append((number, text, *values))
        else:
            refused.append((number, WRONG_FIELD_COUNT, text))
    schema = {LINE: pl.UInt32(), TEXT: pl.String(), **dict.fromkeys(header, pl.String())}
    return (
        pl.DataFrame(rows, schema=schema, orient="row"),
        pl.DataFrame(refused, schema=UNFIT_SCHEMA, orient="row"),
    )


def _line_form(separator: str, fields: int | None = None) -> str:
    """Give the form of a line, perhaps of so many fields, whose quotes enclose whole fields and double within them."""
    one = f'(?:[^"{re.escape(separator)}]*|"(?:[^"]|"")*")'
    times = "*" if fields is None else f"{{{fields - 1}}}"
    return f"^{one}(?:{re.escape(separator)}{one}){times}$"


def _split(text: str) -> pl.Series:
    """Split into lines without their ends."""
    lines = pl.select(pl.lit(text.removesuffix("\n")).str.split("\n")).to_series().explode()
    return lines.str.strip_suffix("\r").alias(TEXT)


def _numbers(first: int, count: int) -> pl.Series:
    return pl.int_range(first, first + count, dtype=pl.UInt32(), eager=True).alias(LINE)
