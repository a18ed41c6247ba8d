"""The parts of one trade date to batches: one for each table and resolution, every line in exactly one.

Refused lines find their table here, and the findings are collected. Rows are judged before: by themselves in
`normalize` and `bhavcopy`, against each other in `settling`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.batches import REJECT_SCHEMA, ImportBatch
from pipeline_defs.schema.deliveries import Delivery
from pipeline_defs.sources.nse_csv import findings
from pipeline_defs.sources.nse_csv.checks import PLACED_REJECT_SCHEMA
from pipeline_defs.sources.nse_csv.layouts import LAYOUTS_BY_NAME
from pipeline_defs.sources.nse_csv.settling import Stored, settle

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.sources.nse_csv.parts import Part
    from pipeline_defs.sources.nse_csv.reading import DateReading

_PLACE: Final = ("file_index", "line")


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
    stored = {key: settle(*key, reading.parts, partial(_label, reading.files)) for key in _keys(reading.parts)}
    placed = _place_rejects(stored, reading)
    spots = _spots(stored)
    batches = []
    keys = sorted({*stored, *placed})
    delivery = None if reading.digest is None or not keys else Delivery(reading.digest, len(keys))
    for key in keys:
        table, bar_seconds = key
        own = stored.get(key) or Stored.nothing()
        refused = pl.concat([own.rejects, placed.get(key, own.rejects.clear())]).sort(_PLACE, maintain_order=True)
        spoken = pl.concat([own.observations["file_index"].unique(), refused["file_index"]]).unique().sort()
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


def _place_rejects(stored: dict[tuple[str, int], Stored], reading: DateReading) -> dict[tuple[str, int], pl.DataFrame]:
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


def _main_tables(stored: dict[tuple[str, int], Stored], rejects: pl.DataFrame, indices: pl.Series) -> pl.DataFrame:
    """Name the table of most rows of each file; of a file without rows, that of most of its refused lines."""
    unplaced = rejects.filter(pl.col("table").is_null())["file_index"].unique()
    counts = [
        own.observations.select("file_index")
        .filter(pl.col("file_index").is_in(unplaced.implode()))
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


def _spots(stored: dict[tuple[str, int], Stored]) -> pl.DataFrame:
    """Give the median close of each underlying of which the same import has a spot."""
    frames = [pl.DataFrame(schema={"underlying": pl.String(), "spot": pl.Float64()})]
    for own in stored.values():
        spots = own.contracts.filter(
            pl.col("kind").is_in(["SPOT", "EQ"]), pl.col("series").is_null() | (pl.col("series") == "EQ")
        )
        if spots.height:
            keys = spots["contract_key"].implode()
            rows = own.observations.select("contract_key", "close").filter(pl.col("contract_key").is_in(keys))
            closes = rows.with_columns(pl.col("close").cast(pl.Float64()))
            joined = closes.join(spots.select("contract_key", "underlying"), on="contract_key")
            frames.append(joined.group_by("underlying").agg(spot=pl.col("close").median()))
    return pl.concat(frames).unique("underlying", maintain_order=True)


def _label(files: pl.DataFrame, index: int) -> str:
    path, member = files.row(index)[1:3]
    return str(path) if member is None else f"{path}::{member}"
