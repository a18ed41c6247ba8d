"""Provenance, quality and cache under the classic names and verbs.

The facts are worked out by the views of ``sql/common/0010_classic_views.sql``; this module asks them and gives values
with Python's own types. Nothing here decides what a bundle is or when it is good.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.cache import find_cached, list_statistics

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from pipeline_defs.warehouse.cache import CacheDay, CachedCatalog
    from pipeline_defs.warehouse.connection import Warehouse

_MAX_SHOWN: Final = 10

# Instants and days from the classic seconds; the session's zone is UTC.
_COLUMNS: Final = """
    bundle_name, source_type, source_url, api_version, to_timestamp(fetch_timestamp), data_version, row_count,
    to_timestamp(start_date)::date, to_timestamp(end_date)::date,
    CASE WHEN missing_days_list IS NOT NULL
         THEN ARRAY(SELECT day::date FROM json_array_elements_text(missing_days_list::json) AS d (day)) END,
    outlier_count, ohlcv_violations, validation_passed, to_timestamp(validation_timestamp), file_checksum,
    file_size_bytes, checksum, to_timestamp(created_at), to_timestamp(updated_at)
"""

_LIST: Final = f"""
SELECT {_COLUMNS} FROM bundle_metadata
WHERE (%(source)s::text IS NULL OR split_part(bundle_name, '/', 1) = %(source)s)
  AND (%(dataset)s::text IS NULL OR split_part(bundle_name, '/', 2) = %(dataset)s)
  AND (%(passed)s::boolean IS NULL OR validation_passed = %(passed)s)
ORDER BY bundle_name
"""

_SYMBOLS: Final = """
SELECT id, symbol, asset_type, exchange FROM bundle_symbols
WHERE bundle_name = %(name)s AND (%(asset_type)s::text IS NULL OR asset_type = %(asset_type)s) ORDER BY symbol, id
"""

_STATE: Final = """
INSERT INTO quality_verdicts (bundle_name, outlier_count, validation_passed, reason, stated_by)
VALUES (%(name)s, %(outlier_count)s, %(validation_passed)s, %(reason)s, %(stated_by)s)
"""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What one source delivered of one dataset at one resolution: where it came from and how good it is.

    Parameters
    ----------
    name : str
        ``<source>/<dataset>/<resolution>``, e.g. ``nse_csv/options_ticks/60s``.
    source_type, source_url, api_version : str
        Of the newest load.
    fetched_at : datetime.datetime
        When anything of it was read last.
    data_version : str or None
        Knowledge time of the last change; None while nothing was stored.
    row_count : int
        Rows in the warehouse.
    start_date, end_date : datetime.date or None
        First and last trade date with rows.
    missing_days : tuple of datetime.date or None
        Sessions between them without rows and without confirmed emptiness; None without a calendar.
    outlier_count : int or None
        As somebody stated it.
    ohlcv_violations : int
        Lines refused because prices or quantities contradict themselves.
    validation_passed : bool
        The verdict in force, or the warehouse's own judgement.
    validated_at : datetime.datetime
        When that was last looked at.
    file_checksum : str
        Over the files of the newest load.
    file_size_bytes : int or None
        Size of those files; None when it read none.
    checksum : str
        Over the newest load of every trade date.
    created_at, updated_at : datetime.datetime
        First and newest load.

    """

    name: str
    source_type: str
    source_url: str
    api_version: str
    fetched_at: dt.datetime
    data_version: str | None
    row_count: int
    start_date: dt.date | None
    end_date: dt.date | None
    missing_days: tuple[dt.date, ...] | None
    outlier_count: int | None
    ohlcv_violations: int
    validation_passed: bool
    validated_at: dt.datetime
    file_checksum: str
    file_size_bytes: int | None
    checksum: str
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True)
class BundleSymbol:
    """An instrument of a bundle, under its present name."""

    instrument_id: int
    symbol: str
    asset_type: str
    exchange: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody stated about a bundle; a value left open is None, and so is the instant before it is stored."""

    outlier_count: int | None
    validation_passed: bool | None
    reason: str
    stated_by: str
    stated_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class BundleCatalog:
    """The classic catalog of bundles, over a warehouse.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.

    """

    warehouse: Warehouse

    def get(self, name: str) -> Bundle:
        """Give a bundle.

        Raises
        ------
        WarehouseError
            If there is no bundle of that name.

        """
        rows = self._ask(f"SELECT {_COLUMNS} FROM bundle_metadata WHERE bundle_name = %(name)s", name=name)
        if not rows:
            self._refuse_unknown(name)
        (row,) = rows
        return _bundle(row)

    def list_bundles(
        self, *, source: str | None = None, dataset: str | None = None, validation_passed: bool | None = None
    ) -> list[Bundle]:
        """List bundles by name; each filter left out lets all through."""
        return [_bundle(row) for row in self._ask(_LIST, source=source, dataset=dataset, passed=validation_passed)]

    def count(self) -> int:
        """Count the bundles."""
        ((count,),) = self._ask("SELECT count(*) FROM (SELECT DISTINCT source, dataset, bar_seconds FROM loads) AS b")
        return int(count)

    def list_symbols(self, name: str, *, asset_type: str | None = None) -> list[BundleSymbol]:
        """List the instruments that a bundle's deliveries spoke of, by symbol.

        Raises
        ------
        WarehouseError
            If there is no bundle of that name.

        """
        rows = self._ask(_SYMBOLS, name=name, asset_type=asset_type)
        if not rows:
            self._refuse_unknown(name)
        return [BundleSymbol(*row) for row in rows]

    def count_symbols(self, name: str) -> int:
        """Count the instruments that a bundle's deliveries spoke of.

        Raises
        ------
        WarehouseError
            If there is no bundle of that name.

        """
        ((count,),) = self._ask("SELECT count(*) FROM bundle_symbols WHERE bundle_name = %(name)s", name=name)
        if not count:
            self._refuse_unknown(name)
        return int(count)

    def update_quality(
        self,
        name: str,
        *,
        stated_by: str,
        reason: str,
        outlier_count: int | None = None,
        validation_passed: bool | None = None,
    ) -> Bundle:
        """State what the warehouse cannot count itself, or overrule its judgement; earlier statements are kept.

        Counts of rows, days and violations cannot be stated: they are facts. A verdict ends with the next load that
        changes the bundle or is rejected.

        Parameters
        ----------
        name : str
            Bundle.
        stated_by, reason : str
            Who says so, and why; neither may be blank.
        outlier_count : int, optional
            0 or more.
        validation_passed : bool, optional
            Whether the bundle is fit for use.

        Returns
        -------
        Bundle
            As it reads now.

        Raises
        ------
        WarehouseError
            If there is no such bundle, nothing was stated, or a value is not one the column can hold.

        """
        verdict = Verdict(outlier_count, validation_passed, reason, stated_by)
        _refuse_unfit(verdict, name)
        self._refuse_unknown(name)
        with self.warehouse.connect() as connection:
            connection.execute(_STATE, {"name": name, **asdict(verdict)})
        return self.get(name)

    def list_verdicts(self, name: str) -> list[Verdict]:
        """List what was stated about a bundle, the newest first, in force or not.

        Raises
        ------
        WarehouseError
            If there is no bundle of that name.

        """
        self._refuse_unknown(name)
        rows = self._ask(
            "SELECT outlier_count, validation_passed, reason, stated_by, known_from FROM quality_verdicts"
            " WHERE bundle_name = %(name)s ORDER BY verdict_id DESC",
            name=name,
        )
        return [Verdict(*row) for row in rows]

    def find_cached(
        self, format_name: str, underlying: str, start_date: dt.date, end_date: dt.date
    ) -> CachedCatalog | None:
        """Find a published catalog that is not out of date; see `cache.find_cached`."""
        return find_cached(self.warehouse, format_name, underlying, start_date, end_date)

    def list_statistics(self, *, since: dt.date | None = None) -> list[CacheDay]:
        """List how often the cache served, by day; see `cache.list_statistics`."""
        return list_statistics(self.warehouse, since=since)

    def _refuse_unknown(self, name: str) -> None:
        rows = self._ask("SELECT DISTINCT bundle_name(source, dataset, bar_seconds) FROM loads ORDER BY 1")
        names = [known for (known,) in rows]
        if name in names:
            return
        more = f" and {len(names) - _MAX_SHOWN} more" if len(names) > _MAX_SHOWN else ""
        known = f"name one of {', '.join(names[:_MAX_SHOWN])}{more}" if names else "import something first"
        raise WarehouseError(f"there is no bundle {name!r}", next_step=known)

    def _ask(self, query: str, **values: object) -> Sequence[tuple[Any, ...]]:
        with self.warehouse.connect() as connection:
            return connection.execute(query.encode(), values).fetchall()


def _refuse_unfit(verdict: Verdict, name: str) -> None:
    if verdict.outlier_count is None and verdict.validation_passed is None:
        what, next_step = "nothing was stated", "pass outlier_count, validation_passed or both"
    elif verdict.outlier_count is not None and verdict.outlier_count < 0:
        what, next_step = f"{verdict.outlier_count} outliers, expected 0 or more", "pass the number found"
    elif not verdict.stated_by.strip() or not verdict.reason.strip():
        what, next_step = "a verdict without a name or a reason", "say who states it (stated_by) and why (reason)"
    else:
        return
    raise WarehouseError(what, where=name, next_step=next_step)


def _bundle(row: tuple[Any, ...]) -> Bundle:
    bundle = Bundle(*row)
    return bundle if bundle.missing_days is None else replace(bundle, missing_days=tuple(bundle.missing_days))
