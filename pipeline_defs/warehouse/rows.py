"""From the observations of a batch to rows of their table: types, order, and what a table does not take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import WarehouseError
from pipeline_defs.markets.market import trades_in_parts
from pipeline_defs.schema.tables import OBSERVATION_TABLES, SIZES

if TYPE_CHECKING:
    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.schema.day_batches import DayBatch
    from pipeline_defs.warehouse.partitions import Partition

_MOST_DIGITS: Final = 38


def rows_of_table(partition: Partition, observations: pl.DataFrame, ids: pl.Series, load_id: pl.Expr) -> pl.DataFrame:
    """Give observations as rows of their table, in the order of its key.

    Parameters
    ----------
    partition : Partition
        Names table, source and resolution; of several days, any one.
    observations : polars.DataFrame
        Of a batch.
    ids : polars.Series
        Instrument id of each contract key.
    load_id : polars.Expr
        The load of each row, Int64; of the columns of `observations`.

    Returns
    -------
    polars.DataFrame
        Columns without any value are left out.

    """
    given = [column.name for column in observations if column.null_count() < column.len()]
    rows = observations.select(given).with_columns(
        ids.gather(observations["contract_key"]).alias("instrument_id"),
        pl.lit(partition.bar_seconds, pl.Int32()).alias("bar_seconds"),
        pl.lit(partition.source).alias("source"),
        load_id.alias("load_id"),
    )
    types = OBSERVATION_TABLES[partition.table].polars_schema()
    rows = rows.select(_typed(rows[name], dtype) for name, dtype in types.items() if name in rows.columns)
    return rows.sort("timestamp", "instrument_id", "sequence")


def _typed(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Give a column the table's type; sizes that are whole numbers, all of them, keep no decimals, not even zeros."""
    is_whole = isinstance(dtype, pl.Decimal) and (
        column.dtype.is_integer() or (column.name in SIZES and bool((column % 1 == 0).all()))
    )
    return column.cast(pl.Decimal(_MOST_DIGITS, 0) if is_whole else dtype)


def refuse_parts_of_whole_units(batch: ImportBatch | DayBatch, where: str) -> None:
    """Refuse fractions of what is counted in whole units: exports would stumble over them.

    Parameters
    ----------
    batch : ImportBatch or DayBatch
        Any.
    where : str
        Named in the message.

    Raises
    ------
    WarehouseError
        If there are any; it names an instrument.

    """
    sizes = [name for name in SIZES if batch.observations.schema[name].is_decimal()]
    if not sizes or batch.observations.is_empty():
        return
    terms = batch.contracts.select("contract_key", "kind", "venue", "currency").iter_rows()
    whole = [key for key, *traded in terms if not trades_in_parts(*traded)]
    is_part = pl.any_horizontal((pl.col(name) % 1 != 0).fill_null(value=False) for name in sizes)
    parts = batch.observations.filter(pl.col("contract_key").is_in(whole) & is_part)
    if parts.height:
        symbol = batch.contracts["symbol"][parts["contract_key"][0]]
        raise WarehouseError(
            f"{parts.height} observations have parts of a unit, of instruments that count whole ones, such as {symbol}",
            where=where,
            next_step="this is a defect of the adapter; please report it",
        )
