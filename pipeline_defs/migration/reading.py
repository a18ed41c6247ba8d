"""Bars and corporate actions of a bundle that is taken, as its plan counted them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.migration import adjustments, csvdir
from pipeline_defs.migration.amounts import KEY, LINE, WHEN
from pipeline_defs.migration.contents import inspect_file, read_file
from pipeline_defs.migration.frames import (
    ACTION_SCHEMA,
    DAILY_SCHEMA,
    DAILY_SECONDS,
    MINUTE_SCHEMA,
    REFUSED_SCHEMA,
    SeriesChunk,
)
from pipeline_defs.migration.plan import Note

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from pipeline_defs.migration.legacy import LegacyBundle
    from pipeline_defs.migration.plan import BundlePlan, PlannedFile


def read_series(
    plan: BundlePlan, bar_seconds: int, *, first: dt.date | None = None, last: dt.date | None = None
) -> Iterator[SeriesChunk]:
    """Read the bars of one length.

    Parameters
    ----------
    plan : BundlePlan
        Taken.
    bar_seconds : int
        One of `plan.bundle.bar_lengths`.
    first, last : datetime.date, optional
        Days to read, both inclusive; of stamps, days in UTC. Every call goes through all files. Default everything.

    Yields
    ------
    SeriesChunk
        Bounded in size, in the order of the files. Refused lines have no day: they come when `first` and `last` are
        both left out, and not otherwise.

    Raises
    ------
    ConfigurationError
        If the bundle is quarantined.
    SourceError
        If a file cannot be read any more, or has other rows than were planned.

    """
    if plan.decision != "take":
        raise ConfigurationError(
            f"bundle {plan.name} is quarantined: {plan.reason}, {plan.detail}", next_step=plan.next_step or None
        )
    daily, everything = bar_seconds == DAILY_SECONDS, first is None and last is None
    schema = DAILY_SCHEMA if daily else MINUTE_SCHEMA
    owners = {series.sid: series.symbol for series in plan.of_length(bar_seconds) if series.sid is not None}
    symbol = pl.col(KEY).replace_strict(owners, return_dtype=pl.String) if owners else pl.col(KEY)
    day = pl.col(WHEN) if daily else pl.col(WHEN).dt.date()
    for file_index, file in enumerate(plan.files):
        if file.bar_seconds != bar_seconds:
            continue
        rows_read = 0
        for part in read_file(plan.bundle.kind, plan.bundle.folder, file, decimals=plan.bundle.decimals):
            rows_read += part.rows.height
            wanted = [day >= first] if first is not None else []
            wanted += [day <= last] if last is not None else []
            rows = part.rows.filter(*wanted).with_columns(
                symbol.alias("symbol"), pl.lit(file_index, pl.UInt32).alias("file_index")
            )
            refused = part.refused if everything else part.refused.clear()
            yield SeriesChunk(
                rows.rename({WHEN: "date" if daily else "timestamp", LINE: "line"}).select(*schema),
                refused.with_columns(pl.lit(file_index, pl.UInt32).alias("file_index")).select(*REFUSED_SCHEMA),
            )
        if rows_read != file.rows:
            raise _changed(plan.bundle, file, f"it has {rows_read:,} rows, {file.rows:,} were planned")


def check_unchanged(plan: BundlePlan) -> None:
    """Make sure that the files of a bundle are still those that were planned.

    Parameters
    ----------
    plan : BundlePlan
        Whose.

    Raises
    ------
    SourceError
        If one cannot be read any more, or has another checksum.

    """
    for file in plan.files:
        stated = {} if file.stated_sha256 is None else {file.path: file.stated_sha256}
        found, _ = inspect_file(plan.bundle.kind, plan.bundle.folder, file.path, file.bar_seconds, stated)
        if (found.sha256, found.size_bytes) != (file.sha256, file.size_bytes):
            raise _changed(plan.bundle, file, f"its checksum is {found.sha256[:16]}, {file.sha256[:16]} was planned")


def read_actions(plan: BundlePlan) -> pl.DataFrame:
    """Read splits and dividends of a bundle.

    Parameters
    ----------
    plan : BundlePlan
        Of whatever kind; Parquet bundles and cached answers have none.

    Returns
    -------
    polars.DataFrame
        `ACTION_SCHEMA`, one of a kind for a symbol and day, in this order.

    Raises
    ------
    SourceError
        If they cannot be read.

    """
    return find_actions(plan.bundle, plan.files)[0]


def find_actions(bundle: LegacyBundle, files: tuple[PlannedFile, ...]) -> tuple[pl.DataFrame, tuple[Note, ...]]:
    """Read splits and dividends, and say which of them cannot be taken."""
    if bundle.kind == "bcolz":
        owners = {one.sid: one.symbol for one in bundle.symbols if one.sid is not None}
        return adjustments.read_adjustments(bundle.folder, owners)
    if bundle.kind != "csvdir":
        return pl.DataFrame(schema=ACTION_SCHEMA), ()
    found: list[adjustments.Action] = []
    notes: list[Note] = []
    for file in files:
        if file.bar_seconds != DAILY_SECONDS:
            continue
        path = bundle.folder / file.path
        actions, refused = csvdir.read_actions(path, path.name.removesuffix(csvdir.ENDING))
        found += actions
        if refused.height:
            line, _, text = refused.row(0)
            told = f"{refused.height} that cannot be read"
            notes.append(
                Note("actions", passed=False, stated=told, found="not taken", detail=f"{file.path}:{line}: {text}")
            )
    return adjustments.joined(found), tuple(notes)


def _changed(bundle: LegacyBundle, file: PlannedFile, told: str) -> SourceError:
    return SourceError(
        f"the file changed since the migration was planned: {told}",
        where=str(bundle.folder / file.path),
        next_step="let nothing write to the store, and plan again",
    )
