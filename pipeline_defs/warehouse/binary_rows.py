"""Rows in PostgreSQL's binary COPY format, built a column at a time.

For rows whose fields all have one width the whole block is one array with the wire's layout, and the server is spared
the parsing of text, which is a third of its work. Frames with nulls or texts of several lengths go as CSV instead.

Format: "Binary Format" in PostgreSQL's documentation of COPY; numbers as `numeric_recv` reads them: count, weight, sign
and scale of the digits, then the digits to the base of 10,000.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl

HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"

_EPOCH_SECONDS: Final = 946_684_800
"""2000-01-01, from which PostgreSQL counts microseconds."""
_BASE: Final = 10_000
_BASE_DIGITS: Final = 4
_LARGEST: Final = 90_000_000_000
"""A decimal of eight places up to this fits into 64 bits."""

type _Field = tuple[int, list[tuple[str, Any]]]
"""Length in bytes, and for each part its dtype and its values (an array, or one value for all rows)."""


def has_fixed_width(frame: pl.DataFrame) -> bool:
    """Tell whether `encode_rows` can encode every part of a frame: no nulls, known types, one text a column."""
    return not frame.is_empty() and all(not column.null_count() and _is_known(column) for column in frame)


def _is_known(column: pl.Series) -> bool:
    match column.dtype:
        case pl.Int32() | pl.Int64() | pl.Datetime(time_unit="us"):
            return True
        case pl.String():
            return column.n_unique() == 1
        case pl.Decimal():
            return bool(column.is_between(0, _LARGEST).all())
    return False


def encode_rows(frame: pl.DataFrame) -> bytes:
    """Encode rows, without header and trailer.

    Parameters
    ----------
    frame : polars.DataFrame
        A part of one that `has_fixed_width`.

    Returns
    -------
    bytes

    """
    layout: list[tuple[str, str]] = [("fields", ">i2")]
    values: list[Any] = [frame.width]
    for position, column in enumerate(frame):
        length, parts = _field(column)
        layout.append((f"length_{position}", ">i4"))
        values.append(length)
        for part, (dtype, content) in enumerate(parts):
            layout.append((f"part_{position}_{part}", dtype))
            values.append(content)
    rows = np.empty(frame.height, dtype=np.dtype(layout))
    for (name, _), content in zip(layout, values, strict=True):
        rows[name] = content
    return rows.tobytes()


def _field(column: pl.Series) -> _Field:
    match column.dtype:
        case pl.Int32():
            return 4, [(">i4", column.to_numpy())]
        case pl.Int64():
            return 8, [(">i8", column.to_numpy())]
        case pl.Decimal(scale=scale):
            return _decimals(column, scale)
        case pl.String():
            text = column[0].encode()
            return len(text), [(f"S{len(text)}", text)] if text else []
    return 8, [(">i8", column.to_physical().to_numpy() - _EPOCH_SECONDS * 1_000_000)]


def _decimals(column: pl.Series, scale: int) -> _Field:
    # The low words of 128-bit integers of the last decimal place; `has_fixed_width` saw to it that these are all.
    array = column.rechunk().to_arrow()
    words = np.frombuffer(array.buffers()[1], dtype="<i8", offset=16 * array.offset, count=2 * len(column))
    rest, fraction = np.divmod(np.ascontiguousarray(words[0::2]), 10**scale)
    digits: list[Any] = []
    while not digits or rest.any():
        rest, digit = np.divmod(rest, _BASE)
        digits.insert(0, digit)
    weight = len(digits) - 1
    fraction_digits = -(-scale // _BASE_DIGITS)
    fraction *= 10 ** (fraction_digits * _BASE_DIGITS - scale)
    digits += [fraction // _BASE**place % _BASE for place in reversed(range(fraction_digits))]
    head = [(">i2", len(digits)), (">i2", weight), (">u2", 0), (">u2", scale)]
    return 8 + 2 * len(digits), head + [(">i2", digit) for digit in digits]
