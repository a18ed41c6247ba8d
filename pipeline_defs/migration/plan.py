"""What a migration found and means to do with it, as plain values. Nothing here reads a file.

A plan is made without the database and changes nothing. What is stated is what the old system wrote down about its
data; what is found was counted in the files. Whoever applies a plan holds the database against what was found.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from pipeline_defs.migration.legacy import LegacyBundle, LegacyStore

type Decision = Literal["take", "quarantine"]

_TOTALS: Final = ("name", "rows", "sum_close", "sum_volume", "fingerprint")


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a bundle or a store that a user should know: what was stated and what was found.

    Parameters
    ----------
    check : str
        Steady snake_case name, e.g. ``checksum``, ``row_count``; listed in `pipeline_defs.migration.reasons.NOTES`.
    passed : bool
        Whether it is as it should be, or explained without harm.
    stated, found : str
        Both sides, readable.
    detail : str, default ""
        Which file, symbol or days, shortened; what follows from it.

    """

    check: str
    passed: bool
    stated: str
    found: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file (or bcolz table) that is read.

    Parameters
    ----------
    path : str
        Below the bundle's folder, with ``/``.
    bar_seconds : int
        Length of its bars.
    rows : int
        Rows in it.
    size_bytes : int
        Bytes that are read. Fewer than the file has, when only its beginning is what was once stored.
    sha256 : str
        Of those bytes, as hexadecimal digits; of a bcolz table, of the digests of its files.
    stated_sha256 : str or None
        What the old system recorded for it.

    """

    path: str
    bar_seconds: int
    rows: int
    size_bytes: int
    sha256: str
    stated_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """What was found of one symbol at one length of bars: exactly what `read_series` gives of it.

    Parameters
    ----------
    symbol : str or None
        None when rows carry a number and nobody knows whose; only in a bundle that is quarantined.
    sid : int or None
        That number.
    bar_seconds : int
        Length of its bars.
    kind : {"EQ", "SPOT", "PAIR"}
        What it is in the warehouse: a share, an index, a pair of currencies.
    rows : int
        Rows, duplicates included, refused lines not.
    first, last : datetime.date or datetime.datetime
        Days of daily bars, or stamps as stored of minute bars.
    sum_close, sum_volume : Decimal
        Over those rows, exact.

    """

    symbol: str | None
    sid: int | None
    bar_seconds: int
    kind: Literal["EQ", "SPOT", "PAIR"]
    rows: int
    first: dt.date
    last: dt.date
    sum_close: Decimal
    sum_volume: Decimal


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """What becomes of one bundle, and why.

    Parameters
    ----------
    bundle : LegacyBundle
        As the store describes it.
    decision : {"take", "quarantine"}
        Nothing of a quarantined bundle is imported.
    reason : str or None
        Steady snake_case name of why it is quarantined, of `pipeline_defs.migration.reasons.QUARANTINE`.
    detail : str
        The same with names and figures, for a user; "" when taken.
    next_step : str
        What the user can do about it; "" when taken.
    market : str or None
        Name for `pipeline_defs.markets.market.market`; None when unknown.
    venue : str or None
        Exchange of pairs, as CCXT calls it; None otherwise or unknown.
    files : tuple of PlannedFile
        What is read, in the order of `file_index`.
    series : tuple of SeriesPlan
        In the order of the bundle's symbols.
    refused : int
        Lines that are no bar at all.
    actions : int
        Corporate actions that `pipeline_defs.migration.reading.read_actions` gives.
    notes : tuple of Note
        Stated against found.

    """

    bundle: LegacyBundle
    decision: Decision
    reason: str | None = None
    detail: str = ""
    next_step: str = ""
    market: str | None = None
    venue: str | None = None
    files: tuple[PlannedFile, ...] = ()
    series: tuple[SeriesPlan, ...] = ()
    refused: int = 0
    actions: int = 0
    notes: tuple[Note, ...] = ()

    @property
    def name(self) -> str:
        """Of the bundle."""
        return self.bundle.name

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(series.rows for series in self.series)

    @property
    def sum_close(self) -> Decimal:
        """Over all rows."""
        return sum((series.sum_close for series in self.series), Decimal(0))

    @property
    def sum_volume(self) -> Decimal:
        """Over all rows."""
        return sum((series.sum_volume for series in self.series), Decimal(0))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what is read and whose it is: equal as long as the bundle would be read the same."""
        told: list[list[str | int | None]] = [[file.path, file.sha256] for file in self.files]
        told += [[series.symbol, series.sid, series.bar_seconds, series.rows] for series in self.series]
        told += [["decimals", self.bundle.decimals]] if self.bundle.decimals is not None else []
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def of_length(self, bar_seconds: int) -> tuple[SeriesPlan, ...]:
        """Pick the series of one length of bars."""
        return tuple(series for series in self.series if series.bar_seconds == bar_seconds)


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something the store names of which there is no file, or a file that nothing names.

    Parameters
    ----------
    what : str
        ``cache_row``, ``cache_file``, ``bundle_row``.
    name : str
        Cache key or bundle name.
    detail : str
        Where it was looked for, or where it lies.

    """

    what: Literal["cache_row", "cache_file", "bundle_row"]
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of a legacy store.

    Parameters
    ----------
    store : LegacyStore
        Where it was read.
    bundles : tuple of BundlePlan
        By name.
    caches : tuple of BundlePlan
        Cached answers, by key; quarantined unless the user takes them.
    orphans : tuple of Orphan
        Rows without file, files without row.
    notes : tuple of Note
        About the store as a whole: databases that cannot be read, folders that are no bundle.

    """

    store: LegacyStore
    bundles: tuple[BundlePlan, ...]
    caches: tuple[BundlePlan, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def taken(self) -> tuple[BundlePlan, ...]:
        """Bundles and cached answers that are to be imported."""
        return tuple(plan for plan in (*self.bundles, *self.caches) if plan.decision == "take")

    @property
    def quarantined(self) -> tuple[BundlePlan, ...]:
        """Bundles and cached answers that are left where they are."""
        return tuple(plan for plan in (*self.bundles, *self.caches) if plan.decision == "quarantine")

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values; decimals and times as text."""
        told: dict[str, Any] = json.loads(self.to_json())
        return told

    def to_json(self) -> str:
        """Everything as one JSON object; decimals and times as text."""
        told = asdict(self)
        told["store"]["eras"] = self.store.eras
        for key in ("bundles", "caches"):
            for value, plan in zip(told[key], getattr(self, key), strict=True):
                value.update({total: getattr(plan, total) for total in _TOTALS})
        return json.dumps(told, default=_as_text)


def _as_text(value: object) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Decimal | Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")
