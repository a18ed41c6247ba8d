"""Rows of text into files, archives and compressed twins, with the same bytes every time.

What a row says is decided in the layout modules; here rows become bytes. Archives carry one fixed
date, because a clock in them would make equal data differ.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipeline_defs.samples.prices import PRICE_SCALE, Integers

if TYPE_CHECKING:
    from pathlib import Path

_ARCHIVE_DATE: Final = (2025, 1, 1, 0, 0, 0)
_COMPRESSION_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class Delivery:
    """One thing a vendor sends for one day: a file, a folder of files, or an archive.

    Parameters
    ----------
    product : str
        Folder below the landing folder.
    names : tuple of str
        Relative file names, or member names when there is an archive.
    header : str
        First line of each file; empty for none.
    fields : tuple of str
        Columns of `rows` in the order of the file.
    rows : polars.DataFrame
        `file` (index into `names`, ascending), the `fields` as text, and for layouts that stand in a
        truth also `timestamp` (UTC, when the row was complete).
    bar_seconds : int
        60 for minute bars, 0 for ticks, 86400 for days.
    archives : tuple of str, default ()
        Zip that holds the files, and the zip within it, outermost first.
    newline : str, default line feed
        End of line.

    """

    product: str
    names: tuple[str, ...]
    header: str
    fields: tuple[str, ...]
    rows: pl.DataFrame
    bar_seconds: int
    archives: tuple[str, ...] = ()
    newline: str = "\n"

    def row_counts(self) -> list[int]:
        """Count data rows by file."""
        return np.bincount(self.rows["file"].to_numpy(), minlength=len(self.names)).tolist()

    def lines(self) -> pl.Series:
        """Rows as text without line ends."""
        return self.rows.select(line=pl.concat_str(self.fields, separator=","))["line"]

    def first_line(self) -> int:
        """Physical number of the first data line of each file."""
        return 2 if self.header else 1

    def path_of(self, file: int) -> tuple[str, str]:
        """Path from the sample's root, and name within the archive (empty without one)."""
        if not self.archives:
            return f"landing/{self.product}/{self.names[file]}", ""
        return f"landing/{self.product}/{self.archives[0]}", "/".join([*self.archives[1:], self.names[file]])


@dataclass(frozen=True, slots=True)
class Member:
    """A file's name and content."""

    name: str
    content: bytes


def render(delivery: Delivery) -> list[Member]:
    """Turn a delivery into the bytes of its files."""
    lines = delivery.lines()
    newline = delivery.newline
    text = (lines.str.join(newline).item() + newline).encode() if len(lines) else b""
    line_ends = np.concatenate([[0], (lines.str.len_bytes().cast(pl.Int64) + len(newline)).cum_sum().to_numpy()])
    ends = np.cumsum(delivery.row_counts())
    starts = np.concatenate([[0], ends[:-1]])
    head = (delivery.header + newline).encode() if delivery.header else b""
    return [
        Member(name, head + text[line_ends[start] : line_ends[end]])
        for name, start, end in zip(delivery.names, starts, ends, strict=True)
    ]


def write(root: Path, delivery: Delivery, members: list[Member]) -> list[Path]:
    """Write the files of a delivery.

    Parameters
    ----------
    root : Path
        Folder that holds ``landing``.
    delivery : Delivery
        Says where the files go.
    members : list of Member
        What `render` gave, possibly damaged since.

    Returns
    -------
    list of Path
        What was written: the archive, or every file.

    """
    folder = root / "landing" / delivery.product
    content_by_name = [(member.name, member.content) for member in members]
    for archive in reversed(delivery.archives):
        content_by_name = [(archive, zip_bytes(content_by_name))]
    paths = [folder / name for name, _ in content_by_name]
    for parent in {path.parent for path in paths}:
        parent.mkdir(parents=True, exist_ok=True)
    for path, (_, content) in zip(paths, content_by_name, strict=True):
        path.write_bytes(content)
    return paths


def zip_bytes(members: list[tuple[str, bytes]]) -> bytes:
    """Pack members into a zip whose bytes depend on nothing but them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            entry = zipfile.ZipInfo(name, date_time=_ARCHIVE_DATE)
            entry.create_system = 3  # or the bytes would tell on which system they were made
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, _COMPRESSION_LEVEL)
    return buffer.getvalue()


def gzip_bytes(content: bytes) -> bytes:
    """Compress with a fixed time stamp."""
    return gzip.compress(content, _COMPRESSION_LEVEL, mtime=0)


def shortest_text(values_e4: pl.Series | Integers) -> pl.Series:
    """Write prices the vendors' way, without trailing zeros: ``275.45``, ``273``.

    Dividing in NumPy rounds correctly, so that the shortest text of the quotient is the exact decimal;
    Polars multiplies by the reciprocal instead and would print 0.35000000000000003.
    """
    return pl.Series(np.asarray(values_e4) / PRICE_SCALE).cast(pl.String).str.strip_suffix(".0")


def two_decimals(values_e4: pl.Series | Integers) -> pl.Series:
    """Write prices the exchange's way, with two decimals: ``273.00``."""
    paise = np.asarray(values_e4) // (PRICE_SCALE // 100)
    return (
        pl.DataFrame({"paise": paise})
        .select(pl.format("{}.{}", pl.col("paise") // 100, (pl.col("paise") % 100).cast(pl.String).str.zfill(2)))
        .to_series()
    )
