"""The parts of one trade date to batches: one for each table and resolution, every line in exactly one.

Contracts are numbered here, refused lines find their table here, and the findings are collected. Rows
are judged before: by themselves in `normalize` and `bhavcopy`, against each other in `validate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.batches import CONTRACT_SCHEMA, OBSERVATION_SCHEMA, REJECT_SCHEMA, ImportBatch
from pipeline_defs.schema.deliveries import Delivery
from pipeline_defs.schema.tables import TICK
from pipeline_defs.sources.nse_csv import findings
from pipeline_defs.sources.nse_csv.checks import PLACED_REJECT_SCHEMA, line_texts
from pipeline_defs.sources.nse_csv.contracts import unify
from pipeline_defs.sources.nse_csv.layouts import LAYOUTS_BY_NAME
from pipeline_defs.sources.nse_csv.validate import settle_bars, settle_ticks

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.sources.nse_csv.parts import Part
    from pipeline_defs.sources.nse_csv.reading import DateReading

_PLACE: Final = ("file_index", "line")


@dataclass(frozen=True, slots=True)
class _Stored:
    """What of one table and resolution may be stored."""

    contracts: pl.DataFrame
    observations: pl.DataFrame
    rejects: pl.DataFrame
    out_of_order: int


def build_batches(
    trade_date: dt.date,
    reading: DateReading,
    *,
    max_damaged_fraction: float,
    underlying: str | None,
) -> list[ImportBatch]:
    """Assemble the batches of one trade date.

    Parameters
    ----------
    trade_date : datetime.date
        Of all parts.
    reading : DateReading
        What was read about it.
    max_damaged_fraction : float
        Above this share of refused lines a finding says so.
    underlying : str or None
        What the request was restricted to.

    Returns
    -------
    list of ImportBatch
        By table and resolution. A table of which only refused lines are known has a batch as well.

    """
    stored = {key: _settle(key, reading.parts, reading.files) for key in _keys(reading.parts)}
    placed = _place_rejects(stored, reading)
    spots = _spots(stored)
    batches = []
    keys = sorted({*stored, *placed})
    delivery = None if reading.digest is None or not keys else Delivery(reading.digest, len(keys))
    for key in keys:
        table, bar_seconds = key
        own = stored.get(key) or _nothing_stored()
        refused = pl.concat([own.rejects, placed.get(key, own.rejects.clear())]).sort(_PLACE, maintain_order=True)
        spoken = pl.concat([own.observations["file_index"], refused["file_index"]]).unique().sort()
        judged = [
            findings.judge_order(own.out_of_order),
            findings.judge_damage(refused.height, refused.height + own.observations.height, max_damaged_fraction),
            findings.judge_coverage(own.contracts, own.observations, trade_date, bar_seconds),
            findings.judge_expiries(own.contracts),
            findings.judge_strikes(own.contracts, spots),
            reading.ignored,
        ]
        batches.append(
            ImportBatch(
                table=table,
                bar_seconds=bar_seconds,
                trade_date=trade_date,
                contracts=own.contracts,
                observations=own.observations,
                rejects=refused,
                files=reading.files[spoken],
                findings=tuple(finding for finding in judged if finding is not None),
                underlying=underlying,
                delivery=delivery,
            )
        )
    return batches


def _keys(parts: list[Part]) -> set[tuple[str, int]]:
    return {(table, part.layout.bar_seconds) for part in parts for table in part.contracts["table"].unique()}


def _settle(key: tuple[str, int], parts: list[Part], files: pl.DataFrame) -> _Stored:
    """Collect the rows of one table and resolution, number their contracts, judge rows against each other."""
    table, bar_seconds = key
    pieces: list[pl.DataFrame] = []
    terms: list[pl.DataFrame] = []
    known = 0
    own_parts = [part for part in parts if part.layout.bar_seconds == bar_seconds and part.rows.height]
    for part in own_parts:
        is_own = part.contracts["table"] == table
        numbers = (is_own.cast(pl.UInt32()).cum_sum() - 1 + known).set(~is_own, None)
        rows = part.rows if is_own.all() else part.rows.filter(is_own.gather(part.rows["contract"]))
        terms.append(part.contracts.filter(is_own))
        pieces.append(rows.with_columns(contract_key=numbers.gather(rows["contract"])).drop("contract"))
        known += terms[-1].height
    if not pieces:
        return _nothing_stored()
    contracts, positions = unify(pl.concat(terms))
    rows = pl.concat(pieces, how="diagonal")
    if contracts.height < known:
        rows = rows.with_columns(contract_key=positions.gather(rows["contract_key"]))
    settled = settle_ticks(rows, lambda index: _label(files, index)) if bar_seconds == TICK else settle_bars(rows)
    contracts, observations = _only_used(contracts, settled.rows)
    return _Stored(contracts, observations, _with_texts(settled.rejects, own_parts), settled.out_of_order)


def _only_used(contracts: pl.DataFrame, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Keep contracts that have rows, number them without gaps, and give rows the canonical columns."""
    used = rows["contract_key"].unique().sort()
    if used.len() < contracts.height:
        numbers = pl.Series([None], dtype=pl.UInt32()).new_from_index(0, contracts.height)
        numbers = numbers.scatter(used, pl.int_range(used.len(), dtype=pl.UInt32(), eager=True))
        contracts = contracts[used]
        rows = rows.with_columns(contract_key=numbers.gather(rows["contract_key"]))
    numbered = contracts.select(pl.int_range(pl.len(), dtype=pl.UInt32()).alias("contract_key"), pl.all())
    columns = [
        pl.col(name) if name in rows.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in OBSERVATION_SCHEMA.items()
    ]
    return numbered.select(list(CONTRACT_SCHEMA)), rows.select(columns)


def _with_texts(rejects: pl.DataFrame, parts: list[Part]) -> pl.DataFrame:
    """Look up the lines of rows refused because of other rows."""
    found = [pl.DataFrame(schema=REJECT_SCHEMA)]
    for part in parts if rejects.height else []:
        lines = part.lines().join(rejects, on=_PLACE, how="inner", maintain_order="left")
        found.append(line_texts(lines, part.layout.columns).select(list(REJECT_SCHEMA)))
    return pl.concat(found)


def _place_rejects(stored: dict[tuple[str, int], _Stored], reading: DateReading) -> dict[tuple[str, int], pl.DataFrame]:
    """Find the table of each refused line: that of its contract, else of most rows of its file, else the layout's."""
    empty = pl.DataFrame(schema=PLACED_REJECT_SCHEMA)
    everything = pl.concat([empty, reading.rejects, *(part.rejects for part in reading.parts)], how="diagonal")
    if everything.is_empty():
        return {}
    indices = everything["file_index"].unique()
    layouts = reading.files.filter(pl.col("file_index").is_in(indices.implode())).select(
        "file_index",
        bar_seconds=pl.col("layout").replace_strict(
            {name: layout.bar_seconds for name, layout in LAYOUTS_BY_NAME.items()}
        ),
        usual=pl.col("layout").replace_strict({name: layout.table for name, layout in LAYOUTS_BY_NAME.items()}),
    )
    placed = everything.join(layouts, on="file_index", how="left", maintain_order="left").join(
        _main_tables(stored, everything, indices), on="file_index", how="left", maintain_order="left"
    )
    placed = placed.with_columns(table=pl.coalesce("table", "main", "usual"))
    return {
        (str(table), int(bar_seconds)): rows.select(list(REJECT_SCHEMA))
        for (table, bar_seconds), rows in placed.group_by("table", "bar_seconds", maintain_order=True)
    }


def _main_tables(stored: dict[tuple[str, int], _Stored], rejects: pl.DataFrame, indices: pl.Series) -> pl.DataFrame:
    """Name the table of most rows of each file; of a file without rows, that of most of its refused lines."""
    unplaced = rejects.filter(pl.col("table").is_null())["file_index"].unique()
    counts = [
        own.observations.filter(pl.col("file_index").is_in(unplaced.implode()))
        .group_by("file_index")
        .agg(count=pl.len())
        .with_columns(main=pl.lit(table), is_row=pl.lit(value=True))
        for (table, _), own in stored.items()
    ]
    refused = rejects.filter(pl.col("table").is_not_null(), pl.col("file_index").is_in(indices.implode()))
    by_refused = (
        refused.group_by("file_index", main="table").agg(count=pl.len()).with_columns(is_row=pl.lit(value=False))
    )
    order = [pl.col("is_row"), pl.col("count"), pl.col("main")]
    votes = pl.concat([by_refused, *counts], how="diagonal")
    return (
        votes.sort(order, descending=True)
        .unique("file_index", keep="first", maintain_order=True)
        .select("file_index", "main")
    )


def _spots(stored: dict[tuple[str, int], _Stored]) -> pl.DataFrame:
    """Give the median close of each underlying of which the same import has a spot."""
    frames = [pl.DataFrame(schema={"underlying": pl.String(), "spot": pl.Float64()})]
    for own in stored.values():
        spots = own.contracts.filter(
            pl.col("kind").is_in(["SPOT", "EQ"]), pl.col("series").is_null() | (pl.col("series") == "EQ")
        )
        if spots.height:
            rows = own.observations.select("contract_key", pl.col("close").cast(pl.Float64()))
            joined = rows.join(spots.select("contract_key", "underlying"), on="contract_key")
            frames.append(joined.group_by("underlying").agg(spot=pl.col("close").median()))
    return pl.concat(frames).unique("underlying", maintain_order=True)


def _nothing_stored() -> _Stored:
    return _Stored(
        pl.DataFrame(schema=CONTRACT_SCHEMA),
        pl.DataFrame(schema=OBSERVATION_SCHEMA),
        pl.DataFrame(schema=REJECT_SCHEMA),
        0,
    )


def _label(files: pl.DataFrame, index: int) -> str:
    path, member = files.row(index)[1:3]
    return str(path) if member is None else f"{path}::{member}"
