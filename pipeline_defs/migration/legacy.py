"""An old store as it describes itself: bundles, symbols, validations. Stated, not checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

type Era = Literal[8, 9, 10]
"""Schema version of the global database, ``assets-<era>.db``."""

type Kind = Literal["parquet", "bcolz", "csvdir", "cache"]
"""``parquet`` bundles, ``bcolz`` bundles (csvdir, quandl and other zipline ingestions), ``csvdir`` folders of CSV files
that were never ingested, and ``cache`` for one cached answer."""


@dataclass(frozen=True, slots=True)
class LegacySymbol:
    """One symbol of a bundle, in the order of the bundle.

    Parameters
    ----------
    symbol : str
        As the old system wrote it.
    sid : int or None
        Number under which its rows are stored; None where rows carry the symbol itself.
    asset_type : str or None
        As stored: ``equity``, ``crypto``, ``index``, … The CSV adapter guessed it.
    exchange : str or None
        As stored.

    """

    symbol: str
    sid: int | None
    asset_type: str | None = None
    exchange: str | None = None


@dataclass(frozen=True, slots=True)
class LegacyQuality:
    """One validation of a bundle as the old system recorded it. Era 8 kept all of them, 9 and 10 the last one.

    Parameters
    ----------
    era : {8, 9, 10}
        Which database says so.
    validated_at : datetime.datetime or None
        When, UTC; None where no validation ever ran.
    passed : bool or None
        Its verdict.
    row_count : int or None
        Rows it looked at.
    start, end : datetime.date or None
        First and last day it looked at.
    missing_days : tuple of str
        As stored. The old system counted weekends, too.
    missing_days_count, outlier_count, ohlcv_violations : int
        Its counts.

    """

    era: Era
    validated_at: dt.datetime | None
    passed: bool | None
    row_count: int | None
    start: dt.date | None
    end: dt.date | None
    missing_days: tuple[str, ...]
    missing_days_count: int
    outlier_count: int
    ohlcv_violations: int


@dataclass(frozen=True, slots=True)
class Stated:
    """What the old system wrote down about the data of a bundle. Of several writes it describes only the last one.

    Parameters
    ----------
    row_count : int or None
        Rows.
    start, end : datetime.date or None
        First and last day.
    checksum : str or None
        SHA-256 of a file, as hexadecimal digits.
    size_bytes : int or None
        Size of that file.

    """

    row_count: int | None = None
    start: dt.date | None = None
    end: dt.date | None = None
    checksum: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class LegacyBundle:
    """One bundle, or one cached answer, as the old store describes it.

    Parameters
    ----------
    name : str
        Bundle name; ``cache_<key>`` for a cached answer.
    kind : {"parquet", "bcolz", "csvdir", "cache"}
        How it is stored.
    era : {8, 9, 10} or None
        Newest global database that names it; None when none does.
    folder : Path
        Where its files are; for bcolz the folder of the ingestion that counts, the newest.
    bar_lengths : tuple of int
        Lengths of its bars in seconds, daily ones first.
    symbols : tuple of LegacySymbol
        In order.
    source_type, source_url, api_version, data_version : str or None
        As stored. The URL is without user, password and query.
    fetched_at : datetime.datetime or None
        When the old system fetched it, UTC.
    timezone : str or None
        As stored; the times of rows are UTC whatever it says.
    ingestion : str or None
        Name of the ingestion that counts, of bcolz.
    older_ingestions : tuple of str
        Names of those before it, newest first. They are not read.
    quality : tuple of LegacyQuality
        The whole history, oldest first.
    stated : Stated
        What the data should be.
    decimals : int or None
        What the user lets prices of CSV files be rounded to that have more than eight decimals; None refuses them.

    """

    name: str
    kind: Kind
    era: Era | None
    folder: Path
    bar_lengths: tuple[int, ...]
    symbols: tuple[LegacySymbol, ...]
    source_type: str | None = None
    source_url: str | None = None
    api_version: str | None = None
    data_version: str | None = None
    fetched_at: dt.datetime | None = None
    timezone: str | None = None
    ingestion: str | None = None
    older_ingestions: tuple[str, ...] = ()
    quality: tuple[LegacyQuality, ...] = ()
    stated: Stated = field(default_factory=Stated)
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class LegacyStore:
    """A legacy store on disk.

    Parameters
    ----------
    root : Path
        ``ZIPLINE_ROOT``, or ``~/.zipline``.
    databases : tuple of Path
        Global databases, newest schema first.
    cache_root : Path or None
        The smart cache, ``~/.rustybt/cache``; None when there is none.

    """

    root: Path
    databases: tuple[Path, ...]
    cache_root: Path | None

    @property
    def eras(self) -> tuple[int, ...]:
        """Schema versions found, newest first."""
        return tuple(int(path.stem.removeprefix("assets-")) for path in self.databases)
