"""Cached answers. Their key is made of symbols, days and frequency; nothing says which source gave the answer.

Versions 8 and 9 keep them as ``<root>/cache/<key>.parquet``, listed in the databases of bundles; version 10 as
``<cache root>/cache_<key>/data.parquet``, listed in the global database under the paths of another home.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.migration.bundle_databases import BundleDatabase, read_bundle_database
from pipeline_defs.migration.deciding import decide, make_series
from pipeline_defs.migration.frames import DAILY_SECONDS, MINUTE_SECONDS
from pipeline_defs.migration.legacy import LegacyBundle, LegacySymbol, Stated
from pipeline_defs.migration.numbering import Problem
from pipeline_defs.migration.plan import Orphan
from pipeline_defs.migration.read_only import instant, text, whole
from pipeline_defs.migration.readings import read_contents
from pipeline_defs.migration.reasons import PROVENANCE
from pipeline_defs.migration.walking import entries_below, entries_of, is_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline_defs.migration.deciding import Choices
    from pipeline_defs.migration.discovery import BundleFolder
    from pipeline_defs.migration.global_databases import CacheRow, GlobalRows
    from pipeline_defs.migration.legacy import Era
    from pipeline_defs.migration.plan import BundlePlan

_FILE: Final = "data.parquet"
_OLD_FOLDER: Final = "cache"


def plan_caches(
    root: Path, cache_root: Path, rows: GlobalRows, folders: Iterable[BundleFolder], choices: Choices
) -> tuple[list[BundlePlan], list[Orphan]]:
    """Plan all cached answers of a store.

    Parameters
    ----------
    root : Path
        ``ZIPLINE_ROOT``.
    cache_root : Path
        Of the smart cache.
    rows : GlobalRows
        What the global databases say.
    folders : iterable of BundleFolder
        Bundles, whose databases list older caches.
    choices : Choices
        Of the user.

    Returns
    -------
    tuple of list of BundlePlan and list of Orphan
        By key; rows without a file, and files without a row.

    """
    found = _Found()
    for key, row in rows.caches.items():
        folder = cache_root / row.folder
        found.named.add(folder)
        if is_file(folder / _FILE):
            daily = _is_daily(row.frequency)
            found.plans[key] = _plan(_described(row, folder), _FILE, None, choices, daily=daily)
        else:
            found.orphans.append(Orphan("cache_row", key, f"there is no {row.folder}/{_FILE} below {cache_root}"))
    for bundle in folders:
        era = rows.bundles[bundle.name].era if bundle.name in rows.bundles else None
        _add_old(found, root / _OLD_FOLDER, bundle, era, choices)
    folders_found = {path for path in entries_of(cache_root) if path.name.startswith("cache_")}
    files = (folders_found | set(entries_below(root / _OLD_FOLDER, ending=".parquet"))) - found.named
    found.orphans += [Orphan("cache_file", path.stem, f"no database names {path}") for path in sorted(files)]
    return [plan for _, plan in sorted(found.plans.items())], found.orphans


@dataclass(slots=True)
class _Found:
    plans: dict[str, BundlePlan] = field(default_factory=dict)
    orphans: list[Orphan] = field(default_factory=list)
    named: set[Path] = field(default_factory=set)


def _add_old(found: _Found, place: Path, bundle: BundleFolder, era: Era | None, choices: Choices) -> None:
    """Add what the database of a bundle lists."""
    try:
        listed = read_bundle_database(bundle.folder).cached if bundle.kind == "parquet" else {}
    except SourceError:
        return  # the bundle's own plan says so
    for key, row in listed.items():
        path = f"{key}.parquet"
        if place / path in found.named:
            continue
        found.named.add(place / path)
        if not is_file(place / path):
            told = f"bundle {bundle.name} names it, and there is no {path} in {place}"
            found.orphans.append(Orphan("cache_row", key, told))
            continue
        stated = Stated(checksum=text(row, "checksum"), size_bytes=whole(row, "size_bytes"))
        told_of = LegacyBundle(
            f"cache_{key}", "cache", era, place, (), (), fetched_at=instant(row.get("created_at")), stated=stated
        )
        found.plans[key] = _plan(told_of, path, stated.checksum, choices, daily=True)


def _described(row: CacheRow, folder: Path) -> LegacyBundle:
    try:
        listed = json.loads(text(row.row, "symbols") or "[]")
    except (ValueError, RecursionError):
        listed = []
    symbols = tuple(LegacySymbol(str(one), None) for one in listed) if isinstance(listed, list) else ()
    return LegacyBundle(
        f"cache_{row.key}",
        "cache",
        row.era,
        folder,
        (),
        symbols,
        fetched_at=instant(row.row.get("fetch_timestamp")),
        stated=Stated(row_count=whole(row.row, "row_count"), size_bytes=whole(row.row, "size_bytes")),
    )


def _plan(bundle: LegacyBundle, path: str, checksum: str | None, choices: Choices, *, daily: bool) -> BundlePlan:
    database = BundleDatabase(checksums={} if checksum is None else {path: checksum})
    listed = [(path, DAILY_SECONDS if daily else MINUTE_SECONDS)]
    reading = read_contents("cache", bundle.folder, database, listed)
    if not choices.take_caches:
        reading.problems.append(
            Problem(
                PROVENANCE,
                "a cached answer, and nothing says which source gave it: the old system gave it to any that asked",
                "ingest its symbols anew; or take all cached answers as they are: --take-cache",
            )
        )
    return decide(bundle, reading, make_series(list(bundle.symbols), reading), choices)


def _is_daily(frequency: str | None) -> bool:
    """Tell daily bars; a cache whose frequency is not known holds daily ones, as nearly all do."""
    return frequency is None or frequency.lower() in {"1d", "d", "day", "daily", "1day"}
