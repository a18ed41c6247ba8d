"""One bundle, from its folder to a plan: described, read, numbered, decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.migration.bundle_databases import BundleDatabase, read_bundle_database
from pipeline_defs.migration.contents import list_files
from pipeline_defs.migration.continuity import find_leap
from pipeline_defs.migration.deciding import decide, make_series, quarantined
from pipeline_defs.migration.global_databases import without_secrets
from pipeline_defs.migration.legacy import LegacyBundle
from pipeline_defs.migration.numbering import Problem, number_symbols
from pipeline_defs.migration.reading import find_actions
from pipeline_defs.migration.readings import RESTORE, check_bundle_checksum, is_hash_of_file, read_contents
from pipeline_defs.migration.reasons import SIDS_DOUBTFUL, UNREADABLE

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.migration.deciding import Choices
    from pipeline_defs.migration.global_databases import BundleRow
    from pipeline_defs.migration.legacy import Kind, LegacySymbol
    from pipeline_defs.migration.plan import BundlePlan

_TEXTS: Final = ("source_type", "source_url", "api_version", "data_version", "timezone")


def plan_bundle(
    bundle: LegacyBundle, row: BundleRow | None, choices: Choices, calendar: str | None = None
) -> BundlePlan:
    """Plan one bundle of Parquet, bcolz or csvdir.

    Parameters
    ----------
    bundle : LegacyBundle
        As the store describes it; `symbols` without numbers where numbers must be found out.
    row : BundleRow or None
        Of the global databases.
    choices : Choices
        Of the user.
    calendar : str or None
        Of a bcolz bundle.

    Returns
    -------
    BundlePlan
        Taken, or quarantined for the first reason of `pipeline_defs.migration.reasons.QUARANTINE` that applies.

    """
    database = BundleDatabase()
    try:
        database = read_bundle_database(bundle.folder) if bundle.kind == "parquet" else database
        listed = list_files(bundle.kind, bundle.folder)
    except (SourceError, OSError) as error:
        return quarantined(bundle, [_unreadable(bundle, error)])
    if bundle.kind == "parquet" and not database.checksums and is_hash_of_file(bundle) and len(listed) == 1:
        database.checksums[listed[0][0]] = str(bundle.stated.checksum)
    reading = read_contents(bundle.kind, bundle.folder, database, listed, decimals=bundle.decimals)
    reading.notes += check_bundle_checksum(bundle, reading, files_stated=bool(database.checksums))
    symbols, ids = _symbols(bundle, row, database)
    if bundle.kind == "parquet" and reading.keys:
        numbering = number_symbols([one.symbol for one in symbols], ids, reading.sids, reading.sids_by_file)
        disagreement = _disagreement(symbols, database)
        leaps = [find_leap(scan.ends_by_file) for scan in reading.scans.values()]
        reading.problems += [one for one in (numbering.problem, disagreement, *leaps) if one is not None]
        symbols = [replace(one, sid=sid) for one, sid in zip(symbols, numbering.sids, strict=False)]
    elif bundle.kind == "csvdir":
        symbols = [one for one in symbols if one.symbol in reading.keys]
    bundle = replace(bundle, symbols=tuple(symbols))
    plan = decide(bundle, reading, make_series(symbols, reading), choices, calendar)
    try:
        actions, notes = find_actions(bundle, plan.files)
    except SourceError as error:
        return quarantined(plan, [_unreadable(bundle, error)])
    return replace(plan, actions=actions.height, notes=(*plan.notes, *notes))


def describe(name: str, kind: Kind, folder: Path, row: BundleRow | None) -> LegacyBundle:
    """Put together what the global databases say of a bundle."""
    bundle = LegacyBundle(name, kind, None, folder, (), ())
    if row is None:
        return bundle
    told = {key: None if row.row.get(key) is None else str(row.row[key]) for key in _TEXTS}
    return replace(
        bundle,
        era=row.era,
        source_type=told["source_type"],
        source_url=without_secrets(told["source_url"]),
        api_version=told["api_version"],
        data_version=told["data_version"],
        timezone=told["timezone"],
        fetched_at=row.fetched_at,
        quality=tuple(row.quality),
        stated=row.stated,
    )


def _symbols(
    bundle: LegacyBundle, row: BundleRow | None, database: BundleDatabase
) -> tuple[list[LegacySymbol], list[int] | None]:
    """Give the symbols of a bundle, and their ids where they come from the global table."""
    if bundle.symbols:
        return list(bundle.symbols), None
    if row is not None and row.symbols:
        return [one for _, one in row.symbols], [number for number, _ in row.symbols]
    lists = database.symbol_lists
    same = len({tuple(one.symbol for one in symbols) for symbols in lists}) == 1
    return (lists[0] if same else []), None


def _disagreement(symbols: list[LegacySymbol], database: BundleDatabase) -> Problem | None:
    """Find a list of symbols in the bundle's own database that differs from that of the global one."""
    names = [one.symbol for one in symbols]
    other = next((told for told in database.symbol_lists if [one.symbol for one in told] != names), None)
    if other is None or not names:
        return None
    return Problem(
        SIDS_DOUBTFUL,
        f"the global database lists the symbols {', '.join(names[:5])}, the bundle's own"
        f" {', '.join(one.symbol for one in other[:5])}",
        "if the global list is right, accept the bundle by name",
    )


def _unreadable(bundle: LegacyBundle, error: SourceError | OSError) -> Problem:
    if isinstance(error, SourceError):
        return Problem(UNREADABLE, f"{error.where or bundle.folder}: {error.what}", error.next_step or RESTORE)
    return Problem(UNREADABLE, f"{error.filename or bundle.folder}: {error.strerror}", RESTORE)
