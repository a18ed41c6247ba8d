"""Plans of whole stores: what is there, what is taken, what is left where it is and why. Nothing is changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.markets.market import market
from pipeline_defs.migration import bcolz_daily, bcolz_minute, csvdir
from pipeline_defs.migration.blosc_columns import read_json
from pipeline_defs.migration.bundle_planning import describe, plan_bundle
from pipeline_defs.migration.caches import plan_caches
from pipeline_defs.migration.deciding import CACHES, Choices, quarantined
from pipeline_defs.migration.discovery import default_cache_root, default_root, find_folders
from pipeline_defs.migration.global_databases import read_global_databases
from pipeline_defs.migration.ingestions import read_symbols
from pipeline_defs.migration.legacy import LegacyBundle, LegacyStore, LegacySymbol
from pipeline_defs.migration.numbering import Problem
from pipeline_defs.migration.plan import Note, Orphan, Plan
from pipeline_defs.migration.readings import RESTORE
from pipeline_defs.migration.reasons import NAME_TAKEN, UNREADABLE
from pipeline_defs.migration.walking import entries_of, is_file, is_folder
from pipeline_defs.schema.columns import PRICE_SCALE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from pipeline_defs.migration.discovery import BundleFolder
    from pipeline_defs.migration.global_databases import BundleRow
    from pipeline_defs.migration.plan import BundlePlan


def plan_store(
    root: Path | None = None,
    cache_root: Path | None = None,
    *,
    markets: Mapping[str, str] | None = None,
    accept: Collection[str] = (),
    take_caches: bool = False,
    bundles: Collection[str] | None = None,
) -> Plan:
    """Plan the migration of a store of rustybt or zipline.

    Parameters
    ----------
    root : Path, optional
        Folder with ``assets-<n>.db`` and ``data``; default ``ZIPLINE_ROOT``, or ``~/.zipline``.
    cache_root : Path, optional
        The smart cache; default ``.rustybt/cache`` in the home that `root` lies in.
    markets : mapping of str to str, optional
        Market by bundle, where nothing in the store tells it; under ``cache`` that of cached answers.
    accept : collection of str, optional
        Bundles that are taken in spite of a checksum that does not fit, or of numbers that may be doubted.
    take_caches : bool, default False
        Take cached answers, although nothing says which source gave them.
    bundles : collection of str, optional
        Bundles to plan; default all of them and the cached answers.

    Returns
    -------
    Plan
        Every bundle is in it, taken or quarantined with its reason. The store is not changed, and no file is made in
        it.

    Raises
    ------
    ConfigurationError
        If there is no such folder, or a market or bundle is named that there is not.
    SourceError
        If the data folder or the cache may not be listed.

    """
    root = default_root() if root is None else root.expanduser()
    cache_root = default_cache_root(root) if cache_root is None else cache_root.expanduser()
    choices = Choices(dict(markets or {}), frozenset(accept), take_caches)
    folders, rows = find_folders(root), read_global_databases(root)
    names = {one.name for one in folders.bundles} | {f"cache_{key}" for key in rows.caches}
    _refuse_unknown(choices, names | {CACHES}, bundles)
    plans: dict[str, BundlePlan] = {}
    twice: list[BundlePlan] = []
    for folder in folders.bundles:
        if bundles is not None and folder.name not in bundles:
            continue
        row = rows.bundles.get(folder.name)
        if folder.name in plans:
            twice.append(_taken_name(folder, row, plans[folder.name]))
        else:
            plans[folder.name] = _plan_folder(folder, row, choices)
    caches, orphans = ([], []) if bundles is not None else plan_caches(root, cache_root, rows, folders.bundles, choices)
    missing = [] if bundles is not None else sorted(rows.bundles.keys() - plans.keys())
    orphans += [
        Orphan("bundle_row", name, f"there is no folder of that name below {root / 'data'}") for name in missing
    ]
    return Plan(
        LegacyStore(root, tuple(rows.databases), cache_root if is_folder(cache_root) else None),
        tuple(sorted([*plans.values(), *twice], key=lambda plan: plan.name)),
        tuple(caches),
        tuple(orphans),
        (*rows.notes, *folders.notes),
    )


def plan_csvdir(
    folder: Path, *, name: str | None = None, market: str | None = None, decimals: int | None = None
) -> Plan:
    """Plan the migration of a csvdir folder of zipline.

    Parameters
    ----------
    folder : Path
        With ``daily`` or ``minute`` in it, and a CSV file for each symbol in those.
    name : str, optional
        Of the bundle; default that of the folder.
    market : str, optional
        Where the symbols trade; without it the bundle is quarantined, for nothing in it says so.
    decimals : int, optional
        From 0 to 8: what prices with more than eight decimals are rounded to, half to even; default they are refused.

    Returns
    -------
    Plan
        Of one bundle.

    Raises
    ------
    ConfigurationError
        If there is no such folder, no such market, or `decimals` is out of range.

    """
    if decimals is not None and not 0 <= decimals <= PRICE_SCALE:
        raise ConfigurationError(f"{decimals} decimals, expected 0 to {PRICE_SCALE}")
    name = folder.absolute().name if name is None else name
    if not any(is_folder(folder / length) for length in (csvdir.DAILY, csvdir.MINUTE)):
        raise ConfigurationError(
            f"{folder} has neither {csvdir.DAILY} nor {csvdir.MINUTE} in it",
            next_step="name the folder above them, as zipline's CSVDIR does",
        )
    choices = Choices({} if market is None else {name: market})
    _refuse_unknown(choices, {name}, None)
    symbols = dict.fromkeys(symbol for _, symbol, _ in csvdir.files_of(folder))
    told = LegacyBundle(
        name,
        "csvdir",
        None,
        folder,
        (),
        tuple(LegacySymbol(one, None) for one in symbols),
        source_type="csvdir",
        decimals=decimals,
    )
    packed = [
        path.name
        for length in (csvdir.DAILY, csvdir.MINUTE)
        for path in entries_of(folder / length)
        if f"{csvdir.ENDING}." in path.name
    ]
    notes = (Note("file", passed=False, stated="CSV files", found=", ".join(packed[:5]), detail="unpack them"),)
    return Plan(LegacyStore(folder, (), None), (plan_bundle(told, None, choices),), notes=notes if packed else ())


def _plan_folder(folder: BundleFolder, row: BundleRow | None, choices: Choices) -> BundlePlan:
    bundle = describe(folder.name, folder.kind, folder.folder, row)
    if folder.ingestions is None:
        return plan_bundle(bundle, row, choices)
    ingestions = folder.ingestions
    if ingestions.current is None:
        told = f"no ingestion in {folder.folder} is whole: {', '.join(ingestions.unfinished[:3])}"
        return quarantined(bundle, [Problem(UNREADABLE, told, "ingest the bundle anew with the old system")])
    place = folder.folder / ingestions.current
    bundle = replace(bundle, folder=place, ingestion=ingestions.current, older_ingestions=ingestions.older)
    try:
        bundle = replace(bundle, symbols=tuple(read_symbols(place)))
        plan = plan_bundle(bundle, row, choices, _calendar(place))
    except SourceError as error:
        told = f"{error.where or place}: {error.what}"
        return quarantined(bundle, [Problem(UNREADABLE, told, error.next_step or RESTORE)])
    if ingestions.unfinished:
        told = f"{', '.join(ingestions.unfinished[:3])}: begun later and not whole"
        note = Note("ingestions", passed=False, stated=told, found=f"{ingestions.current} is read")
        plan = replace(plan, notes=(*plan.notes, note))
    return plan


def _calendar(place: Path) -> str | None:
    """Name the calendar that an ingestion is laid out on."""
    for path in (
        place / bcolz_daily.FOLDER / "__attrs__",
        place / bcolz_minute.FOLDER / bcolz_minute.METADATA,
    ):
        if is_file(path):
            told = read_json(path).get("calendar_name")
            return None if told is None else str(told)
    return None


def _taken_name(folder: BundleFolder, row: BundleRow | None, other: BundlePlan) -> BundlePlan:
    told = f"{other.bundle.folder} is a bundle of the same name and counts; {folder.folder} is left"
    step = "rename the folder that is left, and plan again, if it holds something else"
    return quarantined(describe(folder.name, folder.kind, folder.folder, row), [Problem(NAME_TAKEN, told, step)])


def _refuse_unknown(choices: Choices, names: set[str], bundles: Collection[str] | None) -> None:
    for one in choices.markets.values():
        market(one)
    unknown = sorted({*choices.markets, *choices.accept, *(bundles or ())} - names)
    if unknown:
        raise ConfigurationError(
            f"there is no bundle {unknown[0]!r}", next_step=f"name one of {', '.join(sorted(names)[:20]) or 'none'}"
        )
