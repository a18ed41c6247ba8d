"""From the observations of a batch to rows of their table: types, order, and what a table does not take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import WarehouseError
from pipeline_defs.markets.market import trades_in_parts
from pipeline_defs.schema.tables import OBSERVATION_TABLES, SIZES
from pipeline_defs.spilling import HEAVY_ROWS, SLICE_ROWS, cut

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.schema.day_batches import DayBatch
    from pipeline_defs.warehouse.partitions import Partition

_MOST_DIGITS: Final = 38


@dataclass(frozen=True, slots=True, eq=False)
class PartitionRows:
    """Observations that are made rows of their table, in the order of its key, a slice at a time.

    Parameters
    ----------
    partition : Partition
        Names table, source and resolution.
    observations : polars.DataFrame
        Of a batch.
    ids : polars.Series
        Instrument id of each contract key.
    load_id : int
        The load of all rows.
    spans : tuple of Span
        What the slices are made of, ascending.
    types : dict of str to polars.DataType
        Columns of the table that have any value in all of the observations, and their types.

    """

    partition: Partition
    observations: pl.DataFrame
    ids: pl.Series
    load_id: int
    spans: tuple[Span, ...]
    types: dict[str, pl.DataType]

    @classmethod
    def of(cls, partition: Partition, observations: pl.DataFrame, ids: pl.Series, load_id: int) -> PartitionRows:
        """Order the observations and decide on their types, which are the same in every slice."""
        keys = observations.select("timestamp", "contract_key", "sequence")
        spans = tuple(Span(first, last, _order(part, ids)) for first, last, part in _cut(keys))
        return cls(partition, observations, ids, load_id, spans, _types(partition, observations))

    @property
    def height(self) -> int:
        """How many there are."""
        return sum(span.order.len() for span in self.spans)

    def filter(self, mask: pl.Series) -> PartitionRows:
        """Leave rows out; the others keep order and types."""
        kept, start = [], 0
        for span in self.spans:
            kept.append(replace(span, order=span.order.filter(mask.slice(start, span.order.len()))))
            start += span.order.len()
        return replace(self, spans=tuple(kept))

    def slices(self) -> Iterator[pl.DataFrame]:
        """Make the rows.

        Yields
        ------
        polars.DataFrame
            All rows, or some `SLICE_ROWS` of more than `HEAVY_ROWS`, those of an instant together; without columns that
            have no value anywhere.

        """
        for span in self.spans:
            if span.order.len():
                yield self._rows_of(span)

    def _rows_of(self, span: Span) -> pl.DataFrame:
        whole = self.observations if len(self.spans) == 1 else _within(self.observations, span.first, span.last)
        return _rows(self.partition, whole[span.order], self.ids, pl.lit(self.load_id, pl.Int64()), self.types)


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Observations of a stretch of time.

    Parameters
    ----------
    first, last : datetime.datetime
        Its ends, both inclusive.
    order : polars.Series
        Which of the observations of the stretch, in the order of the key.

    """

    first: dt.datetime
    last: dt.datetime
    order: pl.Series


def _cut(keys: pl.DataFrame) -> Iterator[tuple[dt.datetime, dt.datetime, pl.DataFrame]]:
    """Cut a partition into stretches of time; an empty one has none."""
    if not keys.height:
        return
    if keys.height <= HEAVY_ROWS:
        ((first, last),) = keys.select(first=pl.col("timestamp").min(), last=pl.col("timestamp").max()).iter_rows()
        yield first, last, keys
        return
    for first, last in cut(keys["timestamp"].value_counts(), "timestamp", SLICE_ROWS):
        yield first, last, _within(keys, first, last)


def _within(rows: pl.DataFrame, first: dt.datetime, last: dt.datetime) -> pl.DataFrame:
    return rows.filter(pl.col("timestamp").is_between(first, last))


def _order(keys: pl.DataFrame, ids: pl.Series) -> pl.Series:
    identified = keys.select("timestamp", ids.gather(keys["contract_key"]).alias("id"), "sequence")
    return identified.select(pl.arg_sort_by("timestamp", "id", "sequence")).to_series()


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
    rows = _rows(partition, observations, ids, load_id, _types(partition, observations))
    return rows.sort("timestamp", "instrument_id", "sequence")


def _rows(
    partition: Partition, observations: pl.DataFrame, ids: pl.Series, load_id: pl.Expr, types: dict[str, pl.DataType]
) -> pl.DataFrame:
    rows = observations.with_columns(
        ids.gather(observations["contract_key"]).alias("instrument_id"),
        pl.lit(partition.bar_seconds, pl.Int32()).alias("bar_seconds"),
        pl.lit(partition.source).alias("source"),
        load_id.alias("load_id"),
    )
    return rows.select(pl.col(name).cast(dtype) for name, dtype in types.items())


def _types(partition: Partition, observations: pl.DataFrame) -> dict[str, pl.DataType]:
    """Choose the columns of the table that get a value, and their types."""
    empty = {column.name for column in observations if column.null_count() == column.len()}
    return {
        name: _type(observations[name], dtype) if name in observations.columns else dtype
        for name, dtype in OBSERVATION_TABLES[partition.table].polars_schema().items()
        if name not in empty
    }


def _type(column: pl.Series, dtype: pl.DataType) -> pl.DataType:
    """Give the table's type; sizes that are whole numbers, all of them, keep no decimals, not even zeros."""
    is_whole = isinstance(dtype, pl.Decimal) and (
        column.dtype.is_integer() or (column.name in SIZES and bool((column % 1 == 0).all()))
    )
    return pl.Decimal(_MOST_DIGITS, 0) if is_whole else dtype


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
