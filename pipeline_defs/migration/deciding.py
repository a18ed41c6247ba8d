"""Taken or quarantined: what is known of a bundle becomes its plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from pipeline_defs.migration.comparing import compare
from pipeline_defs.migration.frames import DAILY_SECONDS
from pipeline_defs.migration.numbering import Problem, shared_symbol
from pipeline_defs.migration.plan import BundlePlan, Note, SeriesPlan
from pipeline_defs.migration.reasons import ACCEPTABLE, CHECKSUM, NO_ROWS, QUARANTINE, SIDS_REUSED, SYMBOLS_UNKNOWN
from pipeline_defs.migration.venues import find_venue, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_defs.migration.legacy import LegacyBundle, LegacySymbol
    from pipeline_defs.migration.readings import Reading


CACHES: Final = "cache"
"""Stands for all cached answers where a bundle is named."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user decides beforehand.

    Parameters
    ----------
    markets : mapping of str to str
        Market by bundle, or by `CACHES`, where nothing else tells it.
    accept : frozenset of str
        Bundles whose doubts of `pipeline_defs.migration.reasons.ACCEPTABLE` the user takes on.
    take_caches : bool
        Whether cached answers are taken although nothing says where they came from.

    """

    markets: Mapping[str, str] = field(default_factory=dict)
    accept: frozenset[str] = frozenset()
    take_caches: bool = False


def decide(
    bundle: LegacyBundle,
    reading: Reading,
    series: list[SeriesPlan],
    choices: Choices,
    calendar: str | None = None,
) -> BundlePlan:
    """Take a bundle or quarantine it, once everything about it is known.

    Parameters
    ----------
    bundle : LegacyBundle
        With symbols and their numbers.
    reading : Reading
        What was read, and the problems met.
    series : list of SeriesPlan
        What was counted.
    choices : Choices
        Of the user.
    calendar : str or None
        Of a bcolz bundle.

    Returns
    -------
    BundlePlan

    """
    problems, notes = list(reading.problems), list(reading.notes)
    bundle = replace(bundle, bar_lengths=tuple(sorted({one.bar_seconds for one in reading.files}, reverse=True)))
    if not series and not problems:
        problems.append(_nothing(bundle, reading))
    unnamed = next((one for one in series if one.symbol is None), None)
    if unnamed is not None and not {SIDS_REUSED, SYMBOLS_UNKNOWN} & {one.reason for one in problems}:
        problems.append(_nameless(unnamed))
    shared = shared_symbol([one.symbol for one in bundle.symbols])
    problems += [] if shared is None else [shared]
    traded = [one for one in bundle.symbols if any(one.symbol == found.symbol for found in series)]
    venue = find_venue(
        None if bundle.kind == "csvdir" else bundle.name,
        traded or bundle.symbols,
        bundle.source_type,
        bundle.source_url,
        calendar=calendar,
        told=choices.markets.get(bundle.name, choices.markets.get(CACHES) if bundle.kind == "cache" else None),
    )
    problems += [] if venue.problem is None else [venue.problem]
    if venue.market is not None:
        notes.append(Note("market", passed=True, stated=venue.told_by, found=venue.market))
    notes += compare(bundle, reading.files, series, list(reading.scans.values()), venue.market)
    if bundle.name in choices.accept:
        notes += [_accepted(one) for one in problems if one.reason in ACCEPTABLE]
        problems = [one for one in problems if one.reason not in ACCEPTABLE]
    plan = BundlePlan(
        bundle,
        "take",
        market=venue.market,
        venue=venue.venue,
        files=tuple(reading.files),
        series=tuple(series),
        refused=sum(scan.refused.total() for scan in reading.scans.values()),
        notes=tuple(notes),
    )
    return _with_first(plan, problems)


def quarantined(bundle: LegacyBundle | BundlePlan, problems: list[Problem]) -> BundlePlan:
    """Quarantine a bundle of which nothing was read, or a plan that met a problem later."""
    return _with_first(bundle if isinstance(bundle, BundlePlan) else BundlePlan(bundle, "take"), problems)


def make_series(symbols: list[LegacySymbol], reading: Reading) -> list[SeriesPlan]:
    """Give what was counted, in the order of the symbols; what belongs to nobody comes last, without symbol."""
    found = []
    for daily, scan in sorted(reading.scans.items(), reverse=True):
        seconds = next((one.bar_seconds for one in reading.files if (one.bar_seconds == DAILY_SECONDS) == daily), 0)
        owners = {one.sid if one.sid is not None else one.symbol: one for one in symbols}
        order = {key: place for place, key in enumerate(owners)}
        for key in sorted(scan.totals, key=lambda key: (order.get(key, len(order)), str(key))):
            totals, owner = scan.totals[key], owners.get(key)
            found.append(
                SeriesPlan(
                    symbol=key if isinstance(key, str) else None if owner is None else owner.symbol,
                    sid=key if isinstance(key, int) else None,
                    bar_seconds=seconds,
                    kind="EQ" if owner is None else kind_of(owner),
                    rows=totals.rows,
                    first=totals.first,
                    last=totals.last,
                    sum_close=totals.sum_close,
                    sum_volume=totals.sum_volume,
                )
            )
    return found


def _with_first(plan: BundlePlan, problems: list[Problem]) -> BundlePlan:
    """Quarantine a plan for the first of its problems, in the order of the reasons; the others are told with it."""
    if not problems:
        return plan
    order = list(QUARANTINE)
    first, *others = sorted(problems, key=lambda one: order.index(one.reason))
    also = sorted({one.reason for one in others} - {first.reason}, key=order.index)
    more = sum(one.reason == first.reason for one in others)
    detail = first.detail + (f" (and {more} more)" if more else "") + (f"; also {', '.join(also)}" if also else "")
    return replace(plan, decision="quarantine", reason=first.reason, detail=detail, next_step=first.next_step)


def _nothing(bundle: LegacyBundle, reading: Reading) -> Problem:
    refused = sum(scan.refused.total() for scan in reading.scans.values())
    first = next((scan.first_refused for scan in reading.scans.values() if scan.first_refused), "")
    told = f"; {refused:,} lines were refused, {first} for one" if refused else ""
    return Problem(NO_ROWS, f"there is no bar in {bundle.folder}{told}", "mend what was refused, or leave the bundle")


def _accepted(problem: Problem) -> Note:
    check = "checksum" if problem.reason == CHECKSUM else "sids"
    return Note(check, passed=False, stated="accepted by the user", found=problem.detail)


def _nameless(series: SeriesPlan) -> Problem:
    return Problem(
        SYMBOLS_UNKNOWN,
        f"{series.rows:,} rows have the number {series.sid}, and no database says which symbol that is",
        "bring the databases of the store back, and plan again",
    )
