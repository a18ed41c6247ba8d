"""Greeks beside the bars they belong to, in whatever units a format wants. Polars only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_defs.schema.exports import GreeksReader


def join_greeks(bars: pl.DataFrame, read_greeks: GreeksReader, columns: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Add Greeks to bars.

    Parameters
    ----------
    bars : polars.DataFrame
        With `instrument_id` and `timestamp`.
    read_greeks : GreeksReader
        The slice's.
    columns : mapping of str to polars.Expr
        New columns (Float64), from those of `GREEKS_SCHEMA`.

    Returns
    -------
    polars.DataFrame
        Rows as in `bars`; null where a bar has no Greeks.

    """
    keys: dict[str, pl.DataType] = {"instrument_id": pl.Int32(), "timestamp": TIMESTAMP}
    nothing = pl.DataFrame(schema={**keys, **dict.fromkeys(columns, pl.Float64())})
    parts = read_greeks(bars["instrument_id"].unique().sort().to_list())
    greeks = pl.concat([nothing, *(part.select(*keys, **columns) for part in parts)])
    return bars.join(greeks, on=list(keys), how="left", maintain_order="left")
