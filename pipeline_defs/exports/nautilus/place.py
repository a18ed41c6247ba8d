"""Where the files of a partition go: one folder for a class and an identifier, one file in it.

What is in the files is not this module's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus import naming

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    import pyarrow as pa

    from pipeline_defs.exports.nautilus.targets import Target
    from pipeline_defs.schema.exports import MarketSlice


@dataclass(frozen=True, slots=True)
class Place:
    """What all files of a partition have in common.

    Parameters
    ----------
    root : Path
        The catalog.
    start, end : datetime.datetime
        Bounds of the partition: the first open and the last close, UTC.
    target : Target
        Format of the files.

    """

    root: Path
    start: dt.datetime
    end: dt.datetime
    target: Target

    def write(self, file: pa.Buffer | bytes, class_name: str, identifier: str) -> None:
        """Write the one file that an identifier has in a partition.

        Parameters
        ----------
        file : bytes
            A Parquet file.
        class_name : str
            Class of its rows.
        identifier : str
            Instrument id or bar type.

        """
        folder = self.root / "data" / self.target.folder(class_name) / naming.folder_name(identifier)
        folder.mkdir(parents=True)
        (folder / naming.file_name(self.start, self.end)).write_bytes(file)


def place_of(market: MarketSlice, root: Path, target: Target) -> Place:
    """Find the bounds of a slice.

    Parameters
    ----------
    market : MarketSlice
        What is exported.
    root : Path
        The catalog.
    target : Target
        Its format.

    Returns
    -------
    Place

    Raises
    ------
    ExportError
        If the slice has no sessions or no instruments.

    """
    if market.sessions.is_empty() or market.instruments.is_empty():
        raise ExportError(
            f"the slice holds {market.sessions.height} sessions and {market.instruments.height} instruments, "
            "expected some of both",
            where=where(market),
            next_step="import the days, and check that the session calendar covers them",
        )
    start, end = market.sessions.select(pl.col("open").min(), pl.col("close").max()).row(0)
    return Place(root, start, end, target)


def where(market: MarketSlice) -> str:
    """Name a slice in a message."""
    return f"{market.underlying} {market.start_date} to {market.end_date}"
