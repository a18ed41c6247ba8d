"""Rows of one batch judged against each other: duplicates, and the order of ticks within an instant.

Each row has passed its own checks before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.manual_csv.reasons import CONFLICTING_DUPLICATE, DUPLICATE
from pipeline_defs.sources.manual_csv.rows import MEASUREMENTS

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEY: Final = ("contract_key", "timestamp", "sequence")


@dataclass(frozen=True, slots=True)
class Settled:
    """Rows that may be stored, and those refused because of others.

    Parameters
    ----------
    rows : polars.DataFrame
        Ordered by contract, timestamp and sequence, unique by them.
    refused : polars.DataFrame
        ``file_index, line, reason``.
    out_of_order : int
        How many rows stood behind a later row of their contract.

    """

    rows: pl.DataFrame
    refused: pl.DataFrame
    out_of_order: int


def settle(rows: pl.DataFrame, *, is_ticks: bool, paths: Sequence[str]) -> Settled:
    """Order rows and refuse duplicates.

    Bars of one contract and time, and ticks of one contract, time and sequence, are the same row when they agree in
    everything: the first is kept. When they disagree nobody can say which is right: all are refused. Ticks whose file
    has no sequence are numbered as they stand: equal ones in one instant are several trades.

    Parameters
    ----------
    rows : polars.DataFrame
        ``contract_key, timestamp, sequence``, the measurements, ``file_index, line``.
    is_ticks : bool
        Whether they are ticks.
    paths : sequence of str
        Names of the files, for messages.

    Returns
    -------
    Settled

    Raises
    ------
    SourceError
        If several files without sequences have ticks of one contract at one time, or files with and without.

    """
    rows = rows.sort("file_index", "line")
    behind = pl.col("timestamp") < pl.col("timestamp").cum_max().over("contract_key")
    out_of_order = int(rows.select(behind.sum()).item())
    rows = _numbered(rows, paths) if is_ticks else rows.with_columns(sequence=pl.lit(0, pl.Int32()))
    rows = rows.sort(_KEY, maintain_order=True)
    repeats = rows.select(pl.struct(_KEY).is_duplicated()).to_series()
    refused = rows.clear().select("file_index", "line", reason=pl.lit("", pl.String()))
    if repeats.any():
        differ = pl.any_horizontal((pl.col(name).n_unique() > 1).over(_KEY) for name in MEASUREMENTS)
        reason = (
            pl.when(differ)
            .then(pl.lit(CONFLICTING_DUPLICATE))
            .when(pl.int_range(pl.len()).over(_KEY) > 0)
            .then(pl.lit(DUPLICATE))
        )
        judged = rows.filter(repeats).select("file_index", "line", reason=reason)
        refused = judged.drop_nulls("reason")
        rows = rows.join(refused, on=["file_index", "line"], how="anti", maintain_order="left")
    return Settled(rows, refused, out_of_order)


def _numbered(rows: pl.DataFrame, paths: Sequence[str]) -> pl.DataFrame:
    """Give ticks that have no sequence one, in the order of the file."""
    unnumbered = rows["sequence"].is_null()
    if not unnumbered.any():
        return rows
    instant = ["contract_key", "timestamp"]
    several = rows.filter(pl.col("file_index").n_unique().over(instant) > 1)
    if several.height:
        first, second = several["file_index"].unique().sort().head(2)
        raise SourceError(
            f"holds ticks at the same time as {paths[first]}, and not both number them; their order is not known",
            where=paths[second],
            next_step="keep the right one of the two, or add a column with the sequence, and import again",
        )
    return rows.with_columns(sequence=pl.int_range(pl.len(), dtype=pl.Int32()).over(instant))
