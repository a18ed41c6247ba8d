"""The bars of a planned bundle, trade date by trade date, for the import path.

Old files are in the order of their symbols, partitions in that of trade dates: rows wait in a spool, on the disk when
they are many, until everything is read. Then they are given out in steps, a year of daily bars or a month of minutes.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.markets.market import market, trades_in_parts
from pipeline_defs.migration.judging import TEXT, damaged_days, judge
from pipeline_defs.migration.naming import describe_contracts
from pipeline_defs.migration.stamping import aware, tabulate_days, with_instants
from pipeline_defs.schema.batches import (
    BATCH_ACTION_SCHEMA,
    FILE_SCHEMA,
    FRACTIONAL_OBSERVATION_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
)
from pipeline_defs.schema.day_batches import DAY_COLUMN, DayBatch
from pipeline_defs.schema.tables import DAY, table_for
from pipeline_defs.sources.manual_csv.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline_defs.migration.frames import SeriesChunk
    from pipeline_defs.migration.plan import BundlePlan, SeriesPlan
    from pipeline_defs.migration.stamping import Stamps

type Group = tuple[str, int]
"""Observation table and length of bars."""

READING: Final = "1"
"""Changes when the same files would be stored otherwise than before."""

_NOTHING: Final = (0, Decimal(0), Decimal(0))
_STEP: Final = "step"
_REFUSED: Final[dict[str, pl.DataType]] = {**REJECT_SCHEMA, DAY_COLUMN: pl.Date()}


def digest_of(plan: BundlePlan, stamps: Stamps | None) -> str:
    """Give a digest of what is read of a bundle and how: equal as long as it would be imported the same."""
    told = (READING, plan.fingerprint, plan.market, plan.venue, stamps)
    return hashlib.sha256(repr(told).encode()).hexdigest()


@dataclass
class Assembly:
    """All bars of a bundle, read once, to be given out by step.

    Parameters
    ----------
    plan : BundlePlan
        To be taken.
    stamps : {"start", "end"} or None
        Which end of a minute its stamps name.
    rows, refused : Spool
        Where bars and lines wait; cleared by whoever made them.

    """

    plan: BundlePlan
    stamps: Stamps | None
    rows: Spool
    refused: Spool
    groups: dict[Group, list[SeriesPlan]] = field(init=False)
    _days: dict[Group, set[dt.date]] = field(init=False)

    def __post_init__(self) -> None:
        """Sort the series into tables."""
        self.groups = {}
        for series in self.plan.series:
            self.groups.setdefault((table_for(series.kind, series.bar_seconds), series.bar_seconds), []).append(series)
        self._days = {group: set() for group in self.groups}
        self._contracts = {group: describe_contracts(self.plan, own) for group, own in self.groups.items()}
        self._market = market(str(self.plan.market))
        self._found: dict[tuple[str, int], tuple[int, Decimal, Decimal]] = {}
        self._lines = 0

    def read(self, chunks: Iterable[SeriesChunk]) -> None:
        """Take in what a reader gives, all of it, and hold it against the plan.

        Parameters
        ----------
        chunks : iterable of SeriesChunk
            Of the bundle.

        Raises
        ------
        SourceError
            If it is not what was planned: the files have changed since.

        """
        for chunk in chunks:
            self._take(chunk)
        self._refuse_changes()

    def steps(self) -> list[tuple[Group, int]]:
        """List the steps, in the order in which they are to be stored."""
        found = {*self.rows.keys(), *self.refused.keys()}
        return sorted(((str(table), int(str(seconds))), int(str(step))) for table, seconds, step in found)

    def batches(self, actions: pl.DataFrame) -> Iterator[DayBatch]:
        """Give the bars out, step by step.

        Parameters
        ----------
        actions : polars.DataFrame
            `pipeline_defs.migration.frames.ACTION_SCHEMA` of the bundle.

        Yields
        ------
        DayBatch

        """
        steps = self.steps()
        for position, (group, step) in enumerate(steps):
            batch = self._batch(group, step)
            is_last = position + 1 == len(steps) or steps[position + 1][0] != group
            if group[0] == "equity_daily":
                due = actions if is_last else actions.filter(pl.col("ex_date") <= batch.days[-1])
                actions = actions.filter(pl.col("ex_date") > batch.days[-1])
                batch = replace(batch, actions=self._actions(group, due))
            yield batch

    def _take(self, chunk: SeriesChunk) -> None:
        rows = chunk.rows
        seconds = DAY if "date" in rows.columns else self._minutes()
        totals = rows.group_by("symbol").agg(pl.len(), pl.col("close").sum(), pl.col("volume").sum())
        for symbol, *found in totals.iter_rows():
            count, *sums = self._found.get((symbol, seconds), _NOTHING)
            self._found[symbol, seconds] = (count + found[0], sums[0] + found[1], sums[1] + found[2])
        self._lines += chunk.refused.height
        dated = with_instants(rows, self._market, seconds, self.stamps)
        for group, series in self.groups.items():
            if group[1] == seconds:
                keys = pl.DataFrame(
                    {"symbol": [one.symbol for one in series], "contract_key": range(len(series))},
                    schema={"symbol": pl.String(), "contract_key": pl.UInt32()},
                )
                own = _placed(dated.join(keys, on="symbol", how="inner", maintain_order="left"), group)
                self._days[group].update(own[DAY_COLUMN].unique())
                self.rows.add(own)
        if chunk.refused.height:
            self._keep_refused(chunk.refused, dated, seconds)

    def _keep_refused(self, refused: pl.DataFrame, dated: pl.DataFrame, seconds: int) -> None:
        """Put each line with the day of the bar before it in its file, else with the first day of the chunk."""
        group = next(one for one in self.groups if one[1] == seconds)
        known = sorted(self._days[group])
        first = dated[DAY_COLUMN].min() if dated.height else (known[0] if known else self._first_day(group))
        places = dated.select("file_index", "line", DAY_COLUMN).sort("line")
        lines = (
            refused.sort("line")
            .join_asof(places, on="line", by="file_index", strategy="backward", check_sortedness=False)
            .with_columns(pl.col(DAY_COLUMN).fill_null(first))
        )
        self._days[group].update(lines[DAY_COLUMN].unique())
        self.refused.add(_placed(lines, group))

    def _first_day(self, group: Group) -> dt.date:
        first = min(self.groups[group], key=lambda one: str(one.first)).first
        return self._market.trade_date(aware(first)) if isinstance(first, dt.datetime) else first

    def _minutes(self) -> int:
        return next(seconds for _, seconds in self.groups if seconds != DAY)

    def _refuse_changes(self) -> None:
        for series in self.plan.series:
            found = self._found.pop((str(series.symbol), series.bar_seconds), _NOTHING)
            if found != (series.rows, series.sum_close, series.sum_volume):
                raise _changed(
                    self.plan,
                    f"of {series.symbol}, {series.rows} rows with closes of {series.sum_close} were planned,"
                    f" {found[0]} with {found[1]} were read",
                )
        if self._found:
            raise _changed(self.plan, f"rows of {next(iter(self._found))[0]} were not planned")
        if self._lines != self.plan.refused:
            raise _changed(self.plan, f"{self.plan.refused} unreadable lines were planned, {self._lines} were read")

    def _batch(self, group: Group, step: int) -> DayBatch:
        table, seconds = group
        contracts = self._contracts[group]
        fractional = [
            key
            for key, *terms in contracts.select("contract_key", "kind", "venue", "currency").iter_rows()
            if trades_in_parts(*terms)
        ]
        schema = FRACTIONAL_OBSERVATION_SCHEMA if fractional else OBSERVATION_SCHEMA
        lines = [frame.select(list(_REFUSED)) for frame in self.refused.take((table, seconds, step))]
        good = pl.DataFrame(schema={**schema, DAY_COLUMN: pl.Date()})
        parts = self.rows.take((table, seconds, step))
        if parts:
            rows = pl.concat(parts)
            calendar = tabulate_days(self._market, rows[DAY_COLUMN].unique().sort())
            judged = judge(rows, calendar, seconds, fractional=fractional)
            refused = [judged.filter(pl.col("reason").is_not_null()).with_columns(text=TEXT).select(list(_REFUSED))]
            judged = judged.filter(pl.col("reason").is_null())
            is_lost = pl.col(DAY_COLUMN).is_in(damaged_days(judged, pl.concat([*lines, *refused])).implode())
            lost = judged.filter(is_lost).with_columns(reason=pl.lit("damaged_partition"), text=TEXT)
            lines += [*refused, lost.select(list(_REFUSED))]
            good = judged.filter(~is_lost)
            given = {
                name: pl.col(name).cast(dtype) if name in good.columns else pl.lit(None, dtype).alias(name)
                for name, dtype in schema.items()
            }
            good = good.with_columns(sequence=pl.lit(0, pl.Int32())).select(
                *({**given, "sequence": pl.col("sequence")}.values()), DAY_COLUMN
            )
        rejects = pl.concat(lines).sort(DAY_COLUMN, "file_index", "line") if lines else pl.DataFrame(schema=_REFUSED)
        batch = DayBatch(
            table=table,
            bar_seconds=seconds,
            timezone=self._market.zone,
            contracts=contracts,
            observations=good,
            rejects=rejects,
            files=self._files(),
            digest=digest_of(self.plan, self.stamps),
            parts={},
            actions=pl.DataFrame(schema=BATCH_ACTION_SCHEMA),
        )
        parts_of = {day: sum(day in days for days in self._days.values()) for day in batch.days}
        return replace(batch, parts=parts_of)

    def _files(self) -> pl.DataFrame:
        bundle = self.plan.bundle
        rows = [
            (
                index,
                str(bundle.folder.absolute() / one.path),
                None,
                f"{self.plan.name}/{one.path}",
                one.sha256,
                one.size_bytes,
                layout_of(self.plan),
            )
            for index, one in enumerate(self.plan.files)
        ]
        return pl.DataFrame(rows, schema=FILE_SCHEMA, orient="row")

    def _actions(self, group: Group, due: pl.DataFrame) -> pl.DataFrame:
        keys = pl.DataFrame(
            {"symbol": [one.symbol for one in self.groups[group]], "contract_key": range(len(self.groups[group]))},
            schema={"symbol": pl.String(), "contract_key": pl.UInt32()},
        )
        return (
            due.join(keys, on="symbol", how="inner", maintain_order="left")
            .select(pl.col(name).cast(dtype) for name, dtype in BATCH_ACTION_SCHEMA.items())
            .unique(["contract_key", "ex_date", "kind"], keep="last", maintain_order=True)
        )


def layout_of(plan: BundlePlan) -> str:
    """Name how the files of a bundle are laid out, e.g. ``parquet v10``."""
    return plan.bundle.kind if plan.bundle.era is None else f"{plan.bundle.kind} v{plan.bundle.era}"


def _placed(rows: pl.DataFrame, group: Group) -> pl.DataFrame:
    """Add the step that each row belongs to: the year of daily bars, the month of others."""
    year, month = pl.col(DAY_COLUMN).dt.year().cast(pl.Int64), pl.col(DAY_COLUMN).dt.month().cast(pl.Int64)
    return rows.with_columns(
        table=pl.lit(group[0]),
        bar_seconds=pl.lit(group[1], pl.Int64()),
        **{_STEP: year * 100 if group[1] >= DAY else year * 100 + month},
    )


def open_spools() -> tuple[Spool, Spool]:
    """Make the spools of an assembly; both are to be entered."""
    key = ("table", "bar_seconds", _STEP)
    return Spool(key), Spool(key)


def _changed(plan: BundlePlan, what: str) -> SourceError:
    return SourceError(
        f"the files are not what was planned a moment ago: {what}",
        where=f"bundle {plan.name}",
        next_step="see that nothing writes to the old store, and run the command again",
    )
