"""Frames to COPY and back, exactly and cheaply.

What comes out is CSV, the fastest route into Polars that keeps decimals exact; what goes in is PostgreSQL's binary
format where every field has one width (see `binary_rows`), else CSV. Nothing here knows what the rows mean.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.schema.columns import PRICE_PRECISION, PRICE_SCALE
from pipeline_defs.warehouse.binary_rows import HEADER, TRAILER, encode_rows, has_fixed_width

if TYPE_CHECKING:
    from collections.abc import Buffer, Iterator, Mapping

    import psycopg

COPY_SLICE_ROWS: Final = 131_072
"""Rows formatted at a time: bounds the client's memory, large enough to amortise a call."""

PORTION_BYTES: Final = 1 << 22
"""Text that is received before it is parsed: some 50,000 bars."""

_SHORT_SCALE: Final = 2
_TIMESTAMP_FORMAT: Final = "%Y-%m-%d %H:%M:%S%.f+00"
_POSTGRES_FORMAT: Final = "%Y-%m-%d %H:%M:%S%.f%#z"


def copy_in(connection: psycopg.Connection, table: str, frame: pl.DataFrame, *, typed: bool = False) -> None:
    """Append a frame to a table by COPY.

    Columns that are wholly null are left out of the statement; decimals are sent with two digits where that is exact.

    Parameters
    ----------
    connection : psycopg.Connection
        In the transaction that the rows belong to.
    table : str
        Target, with columns named as the frame's.
    frame : polars.DataFrame
        Rows in the order in which they are to be stored.
    typed : bool, default False
        Whether the frame's types are exactly the table's (Int32 for integer, Int64 for bigint, …), which the binary
        format needs.

    """
    from psycopg import sql  # noqa: PLC0415 -- a client library is loaded where it is used

    sent = frame.select(column.name for column in frame if column.null_count() < frame.height)
    if sent.is_empty():
        return
    sent = shorten_decimals(sent)
    is_binary = typed and has_fixed_width(sent)
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT {})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(sql.Identifier(name) for name in sent.columns),
        sql.SQL("binary" if is_binary else "csv"),
    )
    with connection.cursor().copy(statement) as copy:
        if is_binary:
            copy.write(HEADER)
        for part in sent.iter_slices(COPY_SLICE_ROWS):
            copy.write(encode_rows(part) if is_binary else _csv(part))
        if is_binary:
            copy.write(TRAILER)


def _csv(part: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    _format_timestamps(part).write_csv(buffer, include_header=False)
    return buffer.getvalue()


def copy_out(
    connection: psycopg.Connection,
    query: str,
    schema: Mapping[str, pl.DataType],
    parameters: Mapping[str, Any] | None = None,
) -> pl.DataFrame:
    """Read a query's rows into a frame by COPY, decimals exact.

    Parameters
    ----------
    connection : psycopg.Connection
        Any open connection.
    query : str
        A SELECT whose columns are those of `schema`, in order. Instants must be selected as ``timestamptz``.
    schema : mapping of str to polars.DataType
        Names and types of the result.
    parameters : mapping, optional
        Values of the query's ``%(name)s`` placeholders.

    Returns
    -------
    polars.DataFrame
        Empty with the same schema when the query gives no row.

    """
    received = io.BytesIO()
    for chunk in _copied(connection, query, schema, parameters):
        received.write(chunk)
    return _parsed(received, schema)


def copy_out_in_portions(
    connection: psycopg.Connection,
    query: str,
    schema: Mapping[str, pl.DataType],
    parameters: Mapping[str, Any] | None = None,
) -> Iterator[pl.DataFrame]:
    """Read a query's rows by COPY, a bounded number at a time.

    Parameters
    ----------
    connection, query, schema, parameters
        As for `copy_out`; no column is text, in which a line may end within a row.

    Yields
    ------
    polars.DataFrame
        At least one, empty when the query gives no row.

    """
    received, is_first = io.BytesIO(), True
    for chunk in _copied(connection, query, schema, parameters):
        received.write(chunk)
        # PostgreSQL sends row by row, though it does not promise to.
        if received.tell() >= PORTION_BYTES and bytes(chunk).endswith(b"\n"):
            yield _parsed(received, schema)
            received, is_first = io.BytesIO(), False
    if is_first or received.tell():
        yield _parsed(received, schema)


def _copied(
    connection: psycopg.Connection,
    query: str,
    schema: Mapping[str, pl.DataType],
    parameters: Mapping[str, Any] | None,
) -> Iterator[Buffer]:
    selected = ", ".join(_quoted(name) for name in schema)
    statement = f"COPY (SELECT {selected} FROM ({query}) AS q) TO STDOUT (FORMAT csv)"
    with connection.cursor().copy(_bound(connection, statement, parameters)) as copy:
        yield from copy


def _parsed(received: io.BytesIO, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Make a frame of lines."""
    if not received.tell():
        return pl.DataFrame(schema=dict(schema))
    received.seek(0)
    instants = [name for name, dtype in schema.items() if isinstance(dtype, pl.Datetime)]
    wire = {name: pl.String() if name in instants else dtype for name, dtype in schema.items()}
    frame = pl.read_csv(received, has_header=False, schema=wire)
    return frame.with_columns(_parse_timestamps(frame[name]) for name in instants)


def _parse_timestamps(column: pl.Series) -> pl.Series:
    """Parse each distinct text once: exact, and cheaper than having the server compute numbers."""
    distinct = column.drop_nulls().unique()
    parsed = distinct.str.to_datetime(_POSTGRES_FORMAT, time_unit="us", time_zone="UTC")
    if distinct.is_empty():
        # Nothing to replace would leave the text's type.
        return parsed.clear(column.len())
    return column.replace_strict(distinct, parsed, return_dtype=parsed.dtype)


def _bound(connection: psycopg.Connection, statement: str, parameters: Mapping[str, Any] | None) -> bytes:
    """COPY takes no server-side parameters; psycopg's client-side cursor quotes them."""
    import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

    return psycopg.ClientCursor(connection).mogrify(statement, parameters).encode()


def shorten_decimals(frame: pl.DataFrame) -> pl.DataFrame:
    """Cast price columns to two decimals where every value allows it: a third less text for the same values."""
    casts: list[pl.Expr] = []
    for name, dtype in frame.schema.items():
        if dtype == pl.Decimal(PRICE_PRECISION, PRICE_SCALE):
            short = frame[name].cast(pl.Decimal(PRICE_PRECISION, _SHORT_SCALE))
            # A value that rounds up past the largest price comes back as null, which is not what it was.
            if short.cast(dtype, strict=False).eq_missing(frame[name]).all():
                casts.append(pl.lit(short).alias(name))
    return frame.with_columns(casts)


def _format_timestamps(frame: pl.DataFrame) -> pl.DataFrame:
    """Write each distinct instant once: a day of a chain repeats a few hundred of them thousands of times."""
    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.Datetime):
            runs = frame[name].rle().struct.unnest()
            text = runs["value"].dt.strftime(_TIMESTAMP_FORMAT)
            positions = pl.Series(range(runs.height), dtype=pl.UInt32()).repeat_by(runs["len"]).explode()
            frame = frame.with_columns(text.gather(positions).alias(name))
    return frame


def _quoted(name: str) -> str:
    return f'"{name}"'
