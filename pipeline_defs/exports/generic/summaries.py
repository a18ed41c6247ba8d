"""Rows to sums and hashes by instrument: what two sides of a verification can compare without holding the rows.

Equal hashes of all rows and of each column, together with strict order, mean equal rows. Hashes are Polars' own, equal
within one version and machine, which is all that a verification needs; they are never stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.interchange import BARS

if TYPE_CHECKING:
    from pipeline_defs.exports.generic.datasets import Dataset

_SUM: Final = pl.Decimal(38, 8)
_SEED: Final = 20_250_814

COLUMN_HASH: Final = "hash of "
"""Prefix of a column's hash; ``hash of rows`` is that of whole rows."""


@dataclass
class Summary:
    """Adds up the frames of one file.

    Parameters
    ----------
    content : str
        `BARS` or `TICKS`.
    with_hashes : bool, default True
        Whether hashes are wanted, or rows, bounds and sums alone.

    """

    content: str
    with_hashes: bool = True
    _parts: list[pl.DataFrame] = field(default_factory=list)
    _kinds: set[str] = field(default_factory=set)

    def add(self, rows: pl.DataFrame) -> None:
        """Take in a frame.

        Parameters
        ----------
        rows : polars.DataFrame
            The file's columns.

        """
        price, size = ("close", "volume") if self.content == BARS else ("price", "size")
        hashes: list[pl.Expr] = []
        if self.with_hashes and rows.height:
            columns = rows.columns
            rows = rows.with_columns(rows.hash_rows(seed=_SEED).alias(f"{COLUMN_HASH}rows"))
            hashes = [
                *(pl.col(name).hash(seed=_SEED).sum().alias(f"{COLUMN_HASH}{name}") for name in columns),
                pl.col(f"{COLUMN_HASH}rows").sum(),
            ]
        self._kinds.update(rows["kind"].drop_nulls().unique())
        self._parts.append(
            rows.group_by("instrument_id").agg(
                *hashes,
                # A text of its own: one that was taken over from Arrow keeps the whole batch that it came in.
                symbol=pl.concat_str(pl.col("symbol").last(), pl.lit("")),
                rows=pl.len().cast(pl.Int64),
                first_timestamp=pl.col("timestamp").min(),
                last_timestamp=pl.col("timestamp").max(),
                close_sum=pl.col(price).sum().cast(_SUM),
                volume_sum=pl.col(size).sum().cast(_SUM),
            )
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of instruments that have rows, ascending."""
        return tuple(sorted(self._kinds))

    def by_instrument(self) -> pl.DataFrame:
        """Give what was added up.

        Returns
        -------
        polars.DataFrame
            `instrument_id`, `symbol`, `rows`, `first_timestamp`, `last_timestamp`, `close_sum`, `volume_sum`, and the
            hashes; sorted by instrument. Without any row, without any column of hashes.

        """
        parts = pl.concat(self._parts, how="diagonal")
        return (
            parts.group_by("instrument_id")
            .agg(
                pl.col("symbol").last(),
                pl.col("first_timestamp").min(),
                pl.col("last_timestamp").max(),
                pl.col("rows", "close_sum", "volume_sum", f"^{COLUMN_HASH}.*$").sum(),
            )
            .sort("instrument_id")
        )


def summary_of(dataset: Dataset, *, with_hashes: bool) -> Summary:
    """Add up all rows of a dataset.

    Parameters
    ----------
    dataset : Dataset
        Bars or ticks; read in full, once.
    with_hashes : bool
        Whether hashes are wanted.

    Returns
    -------
    Summary

    """
    summary = Summary(dataset.content, with_hashes)
    summary.add(pl.DataFrame(schema=dataset.schema))
    for rows in dataset.read():
        summary.add(rows)
    return summary
