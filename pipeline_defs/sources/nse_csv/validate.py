"""Rows judged against each other: duplicates, order within a contract, order among ticks of one second.

Each row has passed its own checks before. Rows come in file order: within a file by line, files in the
order of the listing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.tables import MEASUREMENT_COLUMNS
from pipeline_defs.sources.nse_csv.reasons import CONFLICTING_DUPLICATE, DUPLICATE

if TYPE_CHECKING:
    from collections.abc import Callable

_MEASUREMENTS: Final = tuple(column.name for column in MEASUREMENT_COLUMNS)
_CONTRACT_STRIDE: Final = 1 << 32
"""More seconds than there are between the epoch and any trade date."""


TICK_SPANS: Final[dict[str, pl.DataType]] = {
    "contract_key": pl.UInt32(),
    "file_index": pl.UInt32(),
    "first": TIMESTAMP,
    "last": TIMESTAMP,
}
"""Between which ticks of a contract a file reaches."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Rows that may be stored, and those refused because of others.

    Parameters
    ----------
    rows : polars.DataFrame
        With ``sequence``, ordered by contract, timestamp and sequence.
    rejects : polars.DataFrame
        ``file_index, line, reason``.
    out_of_order : int
        How many rows stood behind a later row of their contract.

    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    out_of_order: int


def settle_bars(rows: pl.DataFrame) -> Settled:
    """Order bars and refuse duplicates.

    Rows of one contract and time are the same when they agree wherever both say something; the fullest is
    kept, of equals the first. When they disagree, nobody can say which is right: all are refused.

    Parameters
    ----------
    rows : polars.DataFrame
        ``contract_key, timestamp``, the measurements, ``file_index, line``; in file order.

    Returns
    -------
    Settled

    """
    rows, out_of_order = _ordered(rows)
    rows = rows.with_columns(sequence=pl.lit(0, pl.Int32()))
    key = rows["key"]
    repeats = (key == key.shift(1)) | (key == key.shift(-1))
    if not repeats.any():
        nothing = rows.clear().select("file_index", "line", reason=pl.lit("", pl.String()))
        return Settled(rows.drop("key"), nothing, out_of_order)
    said = [name for name in _MEASUREMENTS if name in rows.columns]
    disagree = pl.any_horizontal(pl.col(name).drop_nulls().n_unique().over("key") > 1 for name in said)
    fullness = pl.sum_horizontal(pl.col(name).is_not_null() for name in said)
    rank = fullness.rank("ordinal", descending=True).over("key")
    judged = (
        rows.filter(repeats.fill_null(value=False))
        .sort("key", "file_index", "line")
        .with_columns(
            reason=pl.when(disagree).then(pl.lit(CONFLICTING_DUPLICATE)).when(rank > 1).then(pl.lit(DUPLICATE))
        )
    )
    rejects = judged.filter(pl.col("reason").is_not_null()).select("file_index", "line", "reason")
    kept = rows.join(rejects, on=["file_index", "line"], how="anti", maintain_order="left")
    return Settled(kept.drop("key"), rejects, out_of_order)


def settle_ticks(rows: pl.DataFrame) -> Settled:
    """Order ticks by second, and number those of one contract and second in file order.

    Ticks are never the same: several identical ones in a second are several trades.

    Parameters
    ----------
    rows : polars.DataFrame
        As in `settle_bars`; of one contract no two files at the same time (`refuse_overlap`).

    Returns
    -------
    Settled

    """
    rows, out_of_order = _ordered(rows)
    position = pl.int_range(pl.len(), dtype=pl.Int32())
    starts = pl.when(pl.col("key").ne_missing(pl.col("key").shift(1))).then(position).forward_fill()
    rows = rows.with_columns(sequence=position - starts)
    return Settled(
        rows.drop("key"), rows.clear().select("file_index", "line", reason=pl.lit("", pl.String())), out_of_order
    )


def _ordered(rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """Sort by contract and second, stable, unless the rows are so already; count what stood out of order."""
    second = pl.col("timestamp").dt.epoch("s")
    rows = rows.with_columns(key=pl.col("contract_key").cast(pl.Int64()) * _CONTRACT_STRIDE + second)
    if rows["key"].is_sorted():
        return rows, 0
    behind = rows.select((pl.col("key") < pl.col("key").cum_max().over("contract_key")).sum()).item()
    return rows.sort("key", maintain_order=True), int(behind)


def refuse_overlap(spans: pl.DataFrame, label: Callable[[int], str]) -> None:
    """Refuse files that hold ticks of one contract at the same time.

    Parameters
    ----------
    spans : polars.DataFrame
        `TICK_SPANS`; a contract and file may stand in several rows.
    label : callable
        From file index to the name of the file, for the message.

    Raises
    ------
    SourceError
        If there are any: the order of their ticks, and whether they are the same ticks, is not known.

    """
    whole = spans.group_by("contract_key", "file_index").agg(pl.col("first").min(), pl.col("last").max())
    earlier = pl.col("last").shift(1).over("contract_key")
    overlaps = (
        whole.sort("contract_key", "first", "file_index")
        .with_columns(overlaps=pl.col("first") <= earlier, other=pl.col("file_index").shift(1).over("contract_key"))
        .filter("overlaps")
    )
    if overlaps.is_empty():
        return
    one, other = label(overlaps["file_index"][0]), label(overlaps["other"][0])
    raise SourceError(
        f"holds ticks of {overlaps.height} contracts at the same time as {other}; their order is not known",
        where=one,
        next_step="keep the right one of the two and import again",
    )
