"""The global databases ``assets-8.db`` to ``assets-10.db``: what they say of bundles, validations and cached answers.

Columns are looked up by name, so that a database between two versions is read as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit, urlunsplit

from pipeline_defs.errors import SourceError
from pipeline_defs.migration.legacy import LegacyQuality, LegacySymbol, Stated
from pipeline_defs.migration.plan import Note
from pipeline_defs.migration.read_only import Row, day, instant, tables_of, text, whole
from pipeline_defs.migration.walking import is_file

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline_defs.migration.legacy import Era
    from pipeline_defs.migration.read_only import Tables

ERAS: Final[tuple[Era, ...]] = (10, 9, 8)
"""Newest first."""

_MAX_MISSING_DAYS: Final = 100_000


@dataclass(slots=True)
class BundleRow:
    """What the global databases say of one bundle.

    Parameters
    ----------
    name : str
        Bundle name.
    era : {8, 9, 10}
        Newest database that names it.
    row : dict
        Its row there.
    stated : Stated
        Of that row.
    symbols : list of tuple of int and LegacySymbol
        Ids of the table of symbols, in order, and whose they are; without sid.
    quality : list of LegacyQuality
        Of all databases.

    """

    name: str
    era: Era
    row: Row
    stated: Stated = field(default_factory=Stated)
    symbols: list[tuple[int, LegacySymbol]] = field(default_factory=list)
    quality: list[LegacyQuality] = field(default_factory=list)

    @property
    def fetched_at(self) -> dt.datetime | None:
        """When it was fetched."""
        return instant(self.row.get("fetch_timestamp"))


@dataclass(frozen=True, slots=True)
class CacheRow:
    """One cached answer as the table of them describes it.

    Parameters
    ----------
    key : str
        16 hexadecimal digits.
    folder : str
        Name of its folder; the path before it is one of another home.
    era : {8, 9, 10}
        Which database names it.
    frequency : str or None
        ``1d``, ``1m``, …
    row : dict
        The row itself.

    """

    key: str
    folder: str
    era: Era
    frequency: str | None
    row: Row


@dataclass(slots=True)
class GlobalRows:
    """What all global databases of a store say.

    Parameters
    ----------
    databases : list of Path
        Those that could be read, newest first.
    bundles : dict of str to BundleRow
        By name.
    caches : dict of str to CacheRow
        By key.
    notes : list of Note
        Databases that could not be read.

    """

    databases: list[Path] = field(default_factory=list)
    bundles: dict[str, BundleRow] = field(default_factory=dict)
    caches: dict[str, CacheRow] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)


def read_global_databases(root: Path) -> GlobalRows:
    """Read all global databases of a store; where two name a bundle, the newer one describes it.

    Parameters
    ----------
    root : Path
        ``ZIPLINE_ROOT``.

    Returns
    -------
    GlobalRows
        A database that cannot be read is a note that did not pass, and the others are read.

    """
    found = GlobalRows()
    for era in ERAS:
        path = root / f"assets-{era}.db"
        try:
            if not is_file(path):
                continue
            with tables_of(path) as tables:
                _add_bundles(found, tables, era)
                _add_caches(found, tables, era)
        except SourceError as error:
            detail = "its bundles are known by their folders only"
            found.notes.append(Note("database", passed=False, stated=path.name, found=error.what, detail=detail))
            continue
        found.databases.append(path)
    for bundle in found.bundles.values():
        bundle.quality.sort(key=lambda one: (one.validated_at is not None, one.validated_at, one.era))
    return found


def without_secrets(url: str | None) -> str | None:
    """Take user, password, query and fragment out of a URL; a path stays as it is."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        if not parts.netloc:
            return url.partition("?")[0]
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))
    except ValueError:
        return None


def last_name(path: str) -> str:
    """Give the last name of a path of whatever system."""
    kind = PureWindowsPath if "\\" in path else PurePosixPath
    return kind(path).name


def _add_bundles(found: GlobalRows, tables: Tables, era: Era) -> None:
    for row in tables.rows("bundle_metadata"):
        name = text(row, "bundle_name")
        if name is not None:
            bundle = found.bundles.setdefault(name, BundleRow(name, era, row, _stated(row)))
            if _tells_quality(row):
                bundle.quality.append(_quality(row, era))
    for row in tables.rows("data_quality_metrics"):
        known = found.bundles.get(text(row, "bundle_name") or "")
        if known is not None:
            known.quality.append(_quality(row, era))
            if known.era == era:
                known.stated = _with_counts(known.stated, row)
    _add_symbols(found, tables)


def _add_symbols(found: GlobalRows, tables: Tables) -> None:
    listed: dict[str, list[tuple[int, LegacySymbol]]] = {}
    for row in tables.rows("bundle_symbols"):
        symbol, number = text(row, "symbol"), whole(row, "id")
        if symbol is not None and number is not None:
            told = LegacySymbol(symbol, None, text(row, "asset_type"), text(row, "exchange"))
            listed.setdefault(text(row, "bundle_name") or "", []).append((number, told))
    for name, pairs in listed.items():
        bundle = found.bundles.get(name)
        if bundle is not None and not bundle.symbols:
            bundle.symbols = sorted(pairs, key=lambda pair: pair[0])


def _add_caches(found: GlobalRows, tables: Tables, era: Era) -> None:
    for row in tables.rows("bundle_cache"):
        key, path = text(row, "cache_key"), text(row, "bundle_path", "parquet_path")
        if key is not None and key not in found.caches:
            folder = f"cache_{key}" if path is None else last_name(path)
            found.caches[key] = CacheRow(key, folder, era, text(row, "frequency"), row)


def _tells_quality(row: Row) -> bool:
    return any(name in row for name in ("validation_passed", "validation_timestamp", "row_count"))


def _stated(row: Row) -> Stated:
    checksum = text(row, "file_checksum", "checksum")
    return Stated(
        row_count=whole(row, "row_count"),
        start=day(row.get("start_date", row.get("start_session"))),
        end=day(row.get("end_date", row.get("end_session"))),
        checksum=None if checksum is None else checksum.lower(),
        size_bytes=whole(row, "file_size_bytes"),
    )


def _with_counts(stated: Stated, row: Row) -> Stated:
    return Stated(
        whole(row, "row_count"),
        day(row.get("start_date")),
        day(row.get("end_date")),
        stated.checksum,
        stated.size_bytes,
    )


def _quality(row: Row, era: Era) -> LegacyQuality:
    passed = whole(row, "validation_passed")
    return LegacyQuality(
        era=era,
        validated_at=instant(row.get("validation_timestamp")),
        passed=None if passed is None else bool(passed),
        row_count=whole(row, "row_count"),
        start=day(row.get("start_date")),
        end=day(row.get("end_date")),
        missing_days=_listed(row.get("missing_days_list")),
        missing_days_count=whole(row, "missing_days_count") or 0,
        outlier_count=whole(row, "outlier_count") or 0,
        ohlcv_violations=whole(row, "ohlcv_violations") or 0,
    )


def _listed(value: object) -> tuple[str, ...]:
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return ()
    if not isinstance(found, list):
        return ()
    return tuple(str(one)[:10] for one in cast("Iterable[object]", found[:_MAX_MISSING_DAYS]))
