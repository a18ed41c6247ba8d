"""What a bundle consists of on disk, whatever its kind: its files, and the bars of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.migration import bcolz_daily, bcolz_minute, csvdir, parquet_files
from pipeline_defs.migration.blosc_columns import hash_table
from pipeline_defs.migration.frames import DAILY_SECONDS, MINUTE_SECONDS
from pipeline_defs.migration.plan import PlannedFile
from pipeline_defs.migration.walking import entries_below, is_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pipeline_defs.migration.amounts import Bars
    from pipeline_defs.migration.legacy import Kind

BAR_FOLDERS: Final = {"daily_bars": DAILY_SECONDS, "minute_bars": MINUTE_SECONDS}
"""Folders of Parquet bundles. Bars of hours lie among those of minutes; their length shows when they are read."""


def list_files(kind: Kind, folder: Path) -> list[tuple[str, int]]:
    """List what is to be read of a bundle.

    Parameters
    ----------
    kind : {"parquet", "bcolz", "csvdir"}
        How it is stored.
    folder : Path
        Of the bundle, or of the ingestion.

    Returns
    -------
    list of tuple of str and int
        Path below the folder, and length of bars in seconds as far as the name tells it; daily ones first.

    """
    if kind == "csvdir":
        return [(path, DAILY_SECONDS if daily else MINUTE_SECONDS) for path, _, daily in csvdir.files_of(folder)]
    if kind == "bcolz":
        daily = folder / bcolz_daily.FOLDER
        minutes = bcolz_minute.sids_of(folder / bcolz_minute.FOLDER)
        return [(bcolz_daily.FOLDER, DAILY_SECONDS)] * is_folder(daily) + [
            (f"{bcolz_minute.FOLDER}/{path}", MINUTE_SECONDS) for _, path in sorted(minutes.items())
        ]
    return [
        (path.relative_to(folder).as_posix(), seconds)
        for name, seconds in BAR_FOLDERS.items()
        for path in entries_below(folder / name, ending=".parquet")
    ]


def inspect_file(
    kind: Kind, folder: Path, path: str, bar_seconds: int, checksums: Mapping[str, str]
) -> tuple[PlannedFile, int]:
    """Hash a file.

    Parameters
    ----------
    kind : {"parquet", "bcolz", "csvdir", "cache"}
        How its bundle is stored.
    folder : Path
        Of the bundle.
    path : str
        Below it.
    bar_seconds : int
        Length of its bars.
    checksums : mapping of str to str
        Recorded ones by path.

    Returns
    -------
    tuple of PlannedFile and int
        The file, without its rows, which are counted when it is read; and how many bytes at its end do not belong to
        it, as `pipeline_defs.migration.parquet_files.probe` finds out.

    Raises
    ------
    SourceError
        If it may not be read.

    """
    stated = checksums.get(path)
    if kind == "bcolz":
        sha256, size = hash_table(folder / path)
        return PlannedFile(path, bar_seconds, 0, size, sha256, stated), 0
    probe = parquet_files.probe(folder / path, stated if kind != "csvdir" else None)
    return PlannedFile(path, bar_seconds, 0, probe.size_bytes, probe.sha256, stated), probe.surplus_bytes


def read_file(kind: Kind, folder: Path, file: PlannedFile, *, decimals: int | None = None) -> Iterator[Bars]:
    """Read the bars of a file.

    Parameters
    ----------
    kind : {"parquet", "bcolz", "csvdir", "cache"}
        How its bundle is stored.
    folder : Path
        Of the bundle.
    file : PlannedFile
        Which one.
    decimals : int, optional
        What prices of CSV files with more than eight decimals are rounded to.

    Yields
    ------
    Bars
        Bounded in size, in the order of the file.

    Raises
    ------
    SourceError
        If it is damaged, or of an unknown layout.

    """
    path, daily = folder / file.path, file.bar_seconds == DAILY_SECONDS
    if kind == "csvdir":
        yield from csvdir.read_bars(path, path.name.removesuffix(csvdir.ENDING), daily=daily, decimals=decimals)
    elif kind != "bcolz":
        yield from parquet_files.read_parquet(path, file.size_bytes, daily=daily)
    elif daily:
        yield from bcolz_daily.read_daily(path)
    else:
        yield from bcolz_minute.read_minutes(folder / bcolz_minute.FOLDER, int(path.stem))
