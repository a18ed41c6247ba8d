"""Many trade dates of one table at once: what an import of years would otherwise give in a thousand small batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.batches import BATCH_ACTION_SCHEMA, ImportBatch
from pipeline_defs.schema.deliveries import Delivery

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

DAY_COLUMN: Final = "trade_date"
"""Column that observations and rejects have beside those of a batch."""


@dataclass(frozen=True, slots=True)
class DayBatch:
    """What one source says about one table and resolution on several trade dates.

    Parameters
    ----------
    table : str
        One of `pipeline_defs.schema.tables.OBSERVATION_TABLES`.
    bar_seconds : int
        Resolution of every observation.
    timezone : str
        Zone whose days the trade dates are.
    contracts : polars.DataFrame
        `CONTRACT_SCHEMA`; the same on every day, without lots, ticks or ISINs, which would be evidence for each day.
    observations : polars.DataFrame
        `OBSERVATION_SCHEMA` or `FRACTIONAL_OBSERVATION_SCHEMA`, and `DAY_COLUMN`.
    rejects : polars.DataFrame
        `REJECT_SCHEMA` and `DAY_COLUMN`.
    files : polars.DataFrame
        `FILE_SCHEMA`; each day's load names those that its rows and lines are from.
    digest : str
        As what every day's delivery will be known.
    parts : mapping of datetime.date to int
        How many tables and resolutions the delivery of a day fills.
    actions : polars.DataFrame
        `BATCH_ACTION_SCHEMA`, of any dates; each is told by the load of its day, else of the day before it.

    """

    table: str
    bar_seconds: int
    timezone: str
    contracts: pl.DataFrame
    observations: pl.DataFrame
    rejects: pl.DataFrame
    files: pl.DataFrame
    digest: str
    parts: Mapping[dt.date, int]
    actions: pl.DataFrame

    @property
    def days(self) -> list[dt.date]:
        """Trade dates of which anything is said, ascending."""
        told = pl.concat([self.observations[DAY_COLUMN], self.rejects[DAY_COLUMN]])
        return list(told.unique().sort())

    def only(self, days: list[dt.date]) -> DayBatch:
        """Give what is said of some of the days; actions go with the first of them."""
        wanted = pl.col(DAY_COLUMN).is_in(days)
        first, last = min(days), max(days)
        is_first, is_last = first == self.days[0], last == self.days[-1]
        ex_date = pl.col("ex_date")
        after = pl.lit(value=True) if is_first else ex_date >= first
        following = [day for day in self.days if day > last]
        before = pl.lit(value=True) if is_last else ex_date < following[0]
        return DayBatch(
            self.table,
            self.bar_seconds,
            self.timezone,
            self.contracts,
            self.observations.filter(wanted),
            self.rejects.filter(wanted),
            self.files,
            self.digest,
            self.parts,
            self.actions.filter(after & before),
        )

    def batches(self) -> Iterator[ImportBatch]:
        """Give the same day by day: slower, for whoever wants to see or compare them.

        Yields
        ------
        ImportBatch
            Without the actions of days that no row or line is of.

        """
        for day in self.days:
            own = self.only([day])
            observations, rejects = own.observations.drop(DAY_COLUMN), own.rejects.drop(DAY_COLUMN)
            used = observations["contract_key"].unique().sort()
            keys = pl.DataFrame({"contract_key": used, "key": pl.int_range(used.len(), dtype=pl.UInt32(), eager=True)})
            spoken = pl.concat([observations["file_index"], rejects["file_index"]]).unique()
            actions = self.actions.filter(pl.col("ex_date") == day).join(keys, on="contract_key", how="inner")
            yield ImportBatch(
                table=self.table,
                bar_seconds=self.bar_seconds,
                trade_date=day,
                contracts=self.contracts.join(keys, on="contract_key", maintain_order="left")
                .with_columns(contract_key="key")
                .drop("key"),
                observations=observations.join(keys, on="contract_key", how="left", maintain_order="left")
                .with_columns(contract_key="key")
                .drop("key"),
                rejects=rejects,
                files=self.files.filter(pl.col("file_index").is_in(spoken.implode())),
                delivery=Delivery(self.digest, self.parts[day]),
                timezone=self.timezone,
                actions=actions.with_columns(contract_key="key").select(list(BATCH_ACTION_SCHEMA)),
            )
