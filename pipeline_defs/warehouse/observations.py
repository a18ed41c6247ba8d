"""The observations of a slice, in parts that memory holds: each instrument lies wholly in one of them.

A table lies in the order of time, and an exporter wants one instrument after the other. A slice of a few rows is sorted
in memory. Of one with more, every table is read once, in portions, into a `Spool`, and its parts are taken up from
there: to ask the server for each part by itself would have it look through the whole slice each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.columns import SIZE
from pipeline_defs.schema.exports import BAR_SCHEMA, TICK_SCHEMA
from pipeline_defs.schema.tables import OBSERVATION_TABLES, SIZES, TICK
from pipeline_defs.spool import Spool
from pipeline_defs.warehouse.transport import copy_out_in_portions

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from pipeline_defs.warehouse.selections import Selection

ROWS_AT_A_TIME: Final = 1 << 18
"""Observations in a part, unless a single instrument has more."""

_ROWS_OF_TABLE: Final = """
SELECT {columns}
FROM {observations} AS o
WHERE o."timestamp" >= %(start)s AND o."timestamp" < %(end)s AND o.bar_seconds = %(bar_seconds)s
  AND o.source = %(source)s AND o.open IS NOT NULL AND o.instrument_id = ANY (%(instrument_ids)s)
"""

_BAR_COLUMNS: Final = """o.instrument_id, o."timestamp", o.open, o.high, o.low, o.close,
       {volume} AS volume, {open_interest} AS open_interest"""

_TICK_COLUMNS: Final = """o.instrument_id, o."timestamp", o.sequence, o.close AS price, {volume} AS size,
       {open_interest} AS open_interest, o.bid_price, {bid_size} AS bid_size, o.ask_price, {ask_size} AS ask_size"""


@dataclass(frozen=True, slots=True)
class Observations:
    """Observations of one resolution as they are stored, within a snapshot.

    Parameters
    ----------
    connection : psycopg.Connection
        The slice's snapshot.
    selection : Selection
        What is meant.
    coverage : polars.DataFrame
        Which of it is taken, from `choosing.choose_sources`.

    """

    connection: psycopg.Connection
    selection: Selection
    coverage: pl.DataFrame

    def bars(self, instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        """Give them as bars, in bounded parts; of ticks each is a bar, in their order.

        Parameters
        ----------
        instrument_ids : list of int, optional
            Of which instruments, as exported; default all.

        Yields
        ------
        polars.DataFrame
            `BAR_SCHEMA`, sorted by instrument and time; instruments ascend from part to part.

        """
        if self.selection.bar_seconds > TICK:
            yield from self._parts(instrument_ids, _BAR_COLUMNS, BAR_SCHEMA, ["instrument_id", "timestamp"])
            return
        price = pl.col("price")
        for ticks in self.ticks(instrument_ids):
            yield ticks.select(
                "instrument_id", "timestamp", open=price, high=price, low=price, close=price, volume="size",
                open_interest="open_interest",
            )  # fmt: skip

    def ticks(self, instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        """Give them as ticks, in bounded parts.

        Parameters
        ----------
        instrument_ids : list of int, optional
            Of which instruments, as exported; default all.

        Yields
        ------
        polars.DataFrame
            `TICK_SCHEMA`, sorted by instrument, time and sequence; instruments ascend from part to part.

        """
        yield from self._parts(instrument_ids, _TICK_COLUMNS, TICK_SCHEMA, ["instrument_id", "timestamp", "sequence"])

    def _parts(
        self, instrument_ids: list[int] | None, columns: str, schema: dict[str, pl.DataType], key: list[str]
    ) -> Iterator[pl.DataFrame]:
        numbered = numbered_parts(self.coverage, instrument_ids)
        numbers = numbered["part"].unique().sort().to_list()
        wanted = self.coverage.join(numbered, on="export_id", how="semi")
        portions = self._portions(wanted, columns, self.selection.typed(schema))
        if len(numbers) == 1:
            yield pl.concat(portions).sort(key)
            return
        part_of = numbered.select("part", instrument_id="export_id")
        with Spool() as spool:
            for rows in portions:
                placed = rows.join(part_of, on="instrument_id", how="left", maintain_order="left")
                for (number,), of_part in placed.partition_by("part", as_dict=True, include_key=False).items():
                    spool.put(number, of_part)
            for number in numbers:
                yield pl.concat(spool.take(number)).sort(key)

    def _portions(self, wanted: pl.DataFrame, columns: str, schema: dict[str, pl.DataType]) -> Iterator[pl.DataFrame]:
        """Read every row of a coverage, in the order of the tables, under the instruments that are exported."""
        selection = self.selection
        for (dataset, source), of_source in wanted.partition_by("dataset", "source", as_dict=True).items():
            query = _ROWS_OF_TABLE.replace("{columns}", _with_sizes(columns, str(dataset)))
            ids = of_source["instrument_id"].unique().to_list()
            parameters = selection.parameters(source=source, instrument_ids=ids)
            is_of_days = (of_source["is_alias"] | of_source["is_partial"]).any()
            for rows in copy_out_in_portions(
                self.connection, selection.statement(query, str(dataset)), schema, parameters
            ):
                yield self._of_days(rows, of_source) if is_of_days else rows

    def _of_days(self, rows: pl.DataFrame, of_source: pl.DataFrame) -> pl.DataFrame:
        """Keep the contract-days that are taken, under the contract that was meant."""
        shift = pl.duration(microseconds=self.selection.parameters()["belongs_before"].microseconds)
        days = of_source.select("instrument_id", "trade_date", "export_id")
        trade_date = (pl.col("timestamp") - shift).dt.convert_time_zone(self.selection.zone).dt.date()
        return (
            rows.with_columns(trade_date=trade_date)
            .join(days, on=["instrument_id", "trade_date"], how="inner")
            .with_columns(instrument_id="export_id")
            .select(rows.columns)
        )


def numbered_parts(coverage: pl.DataFrame, instrument_ids: list[int] | None) -> pl.DataFrame:
    """Cut the instruments of a coverage into parts of a bounded number of rows.

    Parameters
    ----------
    coverage : polars.DataFrame
        From `selections.read_coverage`.
    instrument_ids : list of int or None
        Of which exported instruments; None for all.

    Returns
    -------
    polars.DataFrame
        `export_id`, ascending, and `part`, which ascends with it.

    """
    wanted = coverage if instrument_ids is None else coverage.filter(pl.col("export_id").is_in(instrument_ids))
    sizes = wanted.group_by("export_id").agg(pl.col("rows").sum()).sort("export_id")
    return sizes.select("export_id", part=(pl.col("rows").cum_sum() - 1) // ROWS_AT_A_TIME)


def _with_sizes(columns: str, dataset: str) -> str:
    """Write sizes as the frames have them: where the table could hold decimals, whole ones come without."""
    form = "trim_scale({})" if OBSERVATION_TABLES[dataset].polars_schema()["volume"] == SIZE else "{}"
    for name in SIZES:
        value = "coalesce(o.volume, 0)" if name == "volume" else f"o.{name}"
        columns = columns.replace(f"{{{name}}}", form.format(value))
    return columns
