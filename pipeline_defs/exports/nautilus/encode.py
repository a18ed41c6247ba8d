"""Frames of bars and ticks to the columns of a target, whole columns at a time.

Nautilus keeps prices and quantities as 16-byte fixed point: the little-endian two's complement of
value x 10^16. That is, byte for byte, what Arrow's and Polars' decimal(38, 16) holds, so encoding is
one decimal cast and a view of its buffer; version 2 takes the decimals themselves. A frame is encoded once; the tables
of `files` are slices of it.

What a slice or a contract means is not this module's business. Arrow and Polars only; a target brings the schemas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus.checks import PRICES
from pipeline_defs.exports.nautilus.files import TIMES
from pipeline_defs.exports.nautilus.targets import FIXED_BYTES, FIXED_PRECISION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VALUES = (*PRICES, "volume")

_NO_AGGRESSOR = ("NO_AGGRESSOR", 0)
_CONVENTION = ("BLACK_SCHOLES", 0)


def fixed_point(values: pl.Series, kind: pa.DataType | None = None) -> pa.Array:
    """Encode prices or quantities as Nautilus' fixed point.

    Parameters
    ----------
    values : polars.Series
        Decimal of at most 16 decimals and 22 integer digits, or integers of 64 bits; no nulls.
    kind : pyarrow.DataType, optional
        fixed_size_binary[16], the default, or decimal128(38, 16): the same bytes.

    Returns
    -------
    pyarrow.Array

    Raises
    ------
    ExportError
        If a value is missing.

    """
    if values.null_count() > 0:
        raise ExportError(f"column {values.name} has {values.null_count()} missing values, expected none")
    if values.dtype.is_integer():
        values = values.cast(pl.Decimal(19, 0))
    decimals = values.cast(pl.Decimal(38, FIXED_PRECISION)).rechunk().to_arrow()
    return pa.Array.from_buffers(
        kind or pa.binary(FIXED_BYTES), len(decimals), [None, decimals.buffers()[1]], offset=decimals.offset
    )


def encode_bars(bars: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """Encode a frame of bars, stamped at their close in both of Nautilus' times.

    Parameters
    ----------
    bars : polars.DataFrame
        `BAR_SCHEMA`, checked.
    schema : pyarrow.Schema
        The target's, of ``Bar``.

    Returns
    -------
    pyarrow.Table
        Without the metadata that names an instrument; rows as in `bars`.

    """
    return _table(schema, _values(bars, schema, dict(zip(VALUES, VALUES, strict=True))), bars)


def encode_trades(trades: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """Encode a frame of trades.

    Parameters
    ----------
    trades : polars.DataFrame
        From `ticks.trades_of`.
    schema : pyarrow.Schema
        The target's, of ``TradeTick``.

    Returns
    -------
    pyarrow.Table
        Without the metadata that names an instrument; rows as in `trades`.

    """
    columns = _values(trades, schema, {"price": "price", "size": "size"})
    columns["aggressor_side"] = _label(schema.field("aggressor_side"), *_NO_AGGRESSOR, trades.height)
    columns["trade_id"] = trades["trade_id"].rechunk().to_arrow().cast(pa.string())
    return _table(schema, columns, trades)


def encode_quotes(quotes: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """Encode a frame of quotes.

    Parameters
    ----------
    quotes : polars.DataFrame
        From `ticks.quotes_of`.
    schema : pyarrow.Schema
        The target's, of ``QuoteTick``.

    Returns
    -------
    pyarrow.Table
        Without the metadata that names an instrument; rows as in `quotes`.

    """
    names = ("bid_price", "ask_price", "bid_size", "ask_size")
    return _table(schema, _values(quotes, schema, dict(zip(names, names, strict=True))), quotes)


def encode_option_greeks(rows: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """Encode open interest and Greeks of options; a Greek that is not known is NaN.

    Parameters
    ----------
    rows : polars.DataFrame
        From `greeks.option_rows`, with `engine_id`.
    schema : pyarrow.Schema
        The target's, of ``OptionGreeks``.

    Returns
    -------
    pyarrow.Table
        Without the metadata that names an instrument; rows as in `rows`.

    """
    columns: dict[str, pa.Array] = {
        "instrument_id": rows["engine_id"].rechunk().to_arrow().cast(pa.string()),
        "convention": _label(schema.field("convention"), *_CONVENTION, rows.height),
    }
    unknown = pa.repeat(pa.scalar(float("nan"), pa.float64()), rows.height)
    for field in schema:
        if field.name in columns or field.name in TIMES:
            continue
        if field.name in rows.columns:
            values = rows[field.name] if field.nullable else rows[field.name].fill_null(float("nan"))
            columns[field.name] = values.rechunk().to_arrow()
        else:
            columns[field.name] = pa.nulls(rows.height, field.type) if field.nullable else unknown
    return _table(schema, columns, rows)


def encode_index_prices(bars: pl.DataFrame, schema: pa.Schema) -> pa.Table:
    """Encode the closes of bars as prices of an index.

    Parameters
    ----------
    bars : polars.DataFrame
        `BAR_SCHEMA`, checked.
    schema : pyarrow.Schema
        The target's, of ``IndexPriceUpdate``.

    Returns
    -------
    pyarrow.Table
        Without the metadata that names an instrument; rows as in `bars`.

    """
    return _table(schema, _values(bars, schema, {"value": "close"}), bars)


def instrument_slices(frame: pl.DataFrame) -> Iterator[tuple[int, int, int]]:
    """Find where each instrument's rows lie in a frame sorted by instrument.

    Parameters
    ----------
    frame : polars.DataFrame
        With `instrument_id`, sorted by it.

    Yields
    ------
    tuple of int
        `instrument_id`, offset of its first row, number of rows.

    """
    runs = frame.select(pl.col("instrument_id").rle()).unnest("instrument_id")
    offsets = runs["len"].cum_sum() - runs["len"]
    yield from zip(runs["value"].to_list(), offsets.to_list(), runs["len"].to_list(), strict=True)


def _values(frame: pl.DataFrame, schema: pa.Schema, names: Mapping[str, str]) -> dict[str, pa.Array]:
    """Encode the columns that are called so in Nautilus (key) and here (value)."""
    return {theirs: fixed_point(frame[ours], schema.field(theirs).type) for theirs, ours in names.items()}


def _table(schema: pa.Schema, columns: dict[str, pa.Array], frame: pl.DataFrame) -> pa.Table:
    """Add both times and put the columns into the order that Nautilus decodes them by."""
    nanoseconds = frame["timestamp"].dt.epoch("ns").cast(pl.UInt64).rechunk().to_arrow()
    for name in TIMES:
        columns[name] = (
            nanoseconds if pa.types.is_integer(schema.field(name).type) else nanoseconds.view(schema.field(name).type)
        )
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _label(field: pa.Field, text: str, number: int, length: int) -> pa.Array:
    """Repeat a member of an enumeration in the field's form: a number, a text or a dictionary of one text."""
    if pa.types.is_integer(field.type):
        return pa.repeat(pa.scalar(number, field.type), length)
    if pa.types.is_dictionary(field.type):
        return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, field.type.index_type), length), pa.array([text]))
    return pa.repeat(pa.scalar(text), length)
