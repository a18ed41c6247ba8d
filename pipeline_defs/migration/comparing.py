"""Stated against found: notes about a bundle whose bars were all looked at."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import MarketRuleError
from pipeline_defs.markets.market import market as market_named
from pipeline_defs.migration.plan import Note
from pipeline_defs.migration.reasons import NO_TRADE, REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline_defs.migration.legacy import LegacyBundle, LegacySymbol
    from pipeline_defs.migration.plan import PlannedFile, SeriesPlan
    from pipeline_defs.migration.scanning import Scan

HASH_OF_NOTHING: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""SHA-256 of no bytes, which was recorded for bundles that were made of folders."""

_SATURDAY: Final = 5
_LAST_WRITE: Final = "the old system records the last write only"
_ONE_FILE: Final = "the old system counted one of the files it was made of"
_GUESSED_TYPES: Final = frozenset({"future", "futures", "option", "forex"})


def compare(
    bundle: LegacyBundle,
    files: Sequence[PlannedFile],
    series: Sequence[SeriesPlan],
    scans: Sequence[Scan],
    market: str | None,
) -> Iterator[Note]:
    """Hold what was recorded of a bundle against what is in it.

    Parameters
    ----------
    bundle : LegacyBundle
        As recorded.
    files : sequence of PlannedFile
        As read.
    series : sequence of SeriesPlan
        As counted.
    scans : sequence of Scan
        What was odd, by length of bars.
    market : str or None
        Whose sessions missing days are held against.

    Yields
    ------
    Note

    """
    written_at_once = len(files) == 1 and bundle.kind == "parquet"
    yield from _counts(bundle, series, written_at_once=written_at_once)
    yield from _missing_days(bundle, market, {day for scan in scans for day in scan.dates})
    yield from _validation(bundle)
    yield from _oddities(scans)
    yield from _types(bundle.symbols)
    if bundle.older_ingestions:
        yield Note(
            "ingestions",
            passed=True,
            stated=f"{len(bundle.older_ingestions) + 1} ingestions",
            found=f"{bundle.ingestion} is read",
            detail=f"not read: {', '.join(bundle.older_ingestions[:5])}",
        )


def _counts(bundle: LegacyBundle, series: Sequence[SeriesPlan], *, written_at_once: bool) -> Iterator[Note]:
    stated, rows = bundle.stated, sum(one.rows for one in series)
    if stated.row_count is not None:
        same = stated.row_count == rows
        reason = _ONE_FILE if bundle.kind == "bcolz" else _LAST_WRITE
        detail = "" if same or written_at_once else reason
        yield Note("row_count", same or not written_at_once, f"{stated.row_count:,}", f"{rows:,}", detail)
    if stated.start is not None and stated.end is not None and series:
        first, last = min(_day(one.first) for one in series), max(_day(one.last) for one in series)
        same = (first, last) == (stated.start, stated.end)
        yield Note(
            "date_range",
            same or not written_at_once,
            f"{stated.start} to {stated.end}",
            f"{first} to {last}",
            "" if same or written_at_once else _LAST_WRITE,
        )


def _missing_days(bundle: LegacyBundle, market: str | None, stored: set[dt.date]) -> Iterator[Note]:
    if not bundle.quality or not bundle.quality[-1].missing_days:
        return
    days = [day for text in bundle.quality[-1].missing_days if (day := _parsed(text)) is not None]
    weekends = sum(day.weekday() >= _SATURDAY for day in days)
    missing = [day for day in days if _was_session(day, market) and day not in stored]
    unknown = f"{len(days) - weekends} weekdays, and no market says which were sessions"
    yield Note(
        "missing_days",
        passed=market is not None and not missing,
        stated=f"{bundle.quality[-1].missing_days_count} days",
        found=f"{weekends} on weekends, {unknown if market is None else f'{len(missing)} sessions of {market}'}",
        detail=", ".join(map(str, missing[:5])),
    )


def _validation(bundle: LegacyBundle) -> Iterator[Note]:
    for quality in bundle.quality:
        if quality.passed is False:
            when = "" if quality.validated_at is None else f" of {quality.validated_at:%Y-%m-%d %H:%M}"
            yield Note(
                "validation",
                passed=False,
                stated="failed",
                found=f"{quality.ohlcv_violations} violations, {quality.outlier_count} outliers,"
                f" {quality.missing_days_count} missing days",
                detail=f"the old system's own validation{when}",
            )


def _oddities(scans: Sequence[Scan]) -> Iterator[Note]:
    for scan in scans:
        if scan.rounded:
            found = f"{scan.rounded:,} prices with more than eight decimals"
            yield Note("rounded", passed=True, stated="rounded as the user allows", found=found)
        if scan.misordered:
            found = f"{scan.misordered:,} rows with open or close outside low to high"
            yield Note("ohlc", passed=False, stated="in order", found=found, detail="the import refuses them")
        duplicates = scan.duplicates()
        if duplicates is None:
            yield Note("duplicates", passed=True, stated="none", found=f"not counted: {scan.rows:,} rows")
        elif duplicates:
            found = f"{duplicates:,} rows again for a symbol and time"
            yield Note("duplicates", passed=False, stated="none", found=found, detail="the import refuses them")
        misplaced = {path: count for path, count in scan.misplaced.items() if count}
        if misplaced:
            path, count = next(iter(misplaced.items()))
            yield Note(
                "partition",
                passed=True,
                stated="rows of the month or day that the folder is named after",
                found=f"{sum(misplaced.values()):,} rows of others, {count:,} of them in {path}",
                detail="the old system puts all rows of a write where its first row belongs; the rows count",
            )
        for reason, count in scan.refused.items():
            yield Note(
                "refused",
                passed=reason == NO_TRADE,
                stated="bars",
                found=f"{count:,} lines: {reason}",
                detail=f"{REFUSED.get(reason, '')} First: {scan.first_refused}".strip(),
            )


def _types(symbols: Sequence[LegacySymbol]) -> Iterator[Note]:
    guessed = [one.symbol for one in symbols if (one.asset_type or "").lower() in _GUESSED_TYPES]
    if guessed:
        yield Note(
            "asset_type",
            passed=True,
            stated=f"{len(guessed)} symbols recorded as futures, options or currencies",
            found="taken as shares",
            detail=f"the old system guessed it from the name; {guessed[0]} for one",
        )


def _day(value: dt.date) -> dt.date:
    return value.date() if isinstance(value, dt.datetime) else value


def _parsed(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _was_session(day: dt.date, market: str | None) -> bool:
    if market is None:
        return False
    try:
        return market_named(market).closed_reason(day) is None
    except MarketRuleError:
        return False
