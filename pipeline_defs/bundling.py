"""The series that an import stored, under the name of a bundle: where orders of imports and bundles meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.errors import SourceError
from pipeline_defs.warehouse.named_bundles import add_to_bundle
from pipeline_defs.warehouse.stored_series import find_series

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from pipeline_defs.ingesting import ImportOrder
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.named_bundles import BundleMember
    from pipeline_defs.warehouse.reports import LoadReport


def name_bundle(warehouse: Warehouse, order: ImportOrder, reports: Iterable[LoadReport]) -> list[BundleMember]:
    """Put the series that an import stored, or found stored, into the order's bundle.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    order : ImportOrder
        Of `PreparedImport`, with a bundle.
    reports : iterable of LoadReport
        What the import told.

    Returns
    -------
    list of BundleMember
        What is in it now because of this import.

    Raises
    ------
    SourceError
        If no row of what was asked for is stored; the bundle stays as it was.

    """
    if order.bundle is None:
        return []
    days: dict[tuple[str, int], list[dt.date]] = {}
    for report in reports:
        if report.status == "complete":
            days.setdefault((report.dataset, report.bar_seconds), []).append(report.trade_date)
    is_chain = order.kind in {"future", "option"}
    underlyings = set(order.symbols if is_chain else ()) | ({order.underlying} if order.underlying else set())
    with warehouse.connect() as connection, connection.transaction():
        members = [
            member
            for (dataset, bar_seconds), own in days.items()
            for member in find_series(
                connection,
                order.source,
                dataset,
                bar_seconds,
                (min(own), max(own)),
                symbols=order.symbols if order.symbols and not is_chain else None,
                underlyings=underlyings or None,
            )
        ]
        if not members:
            raise SourceError(
                f"no row of what was asked for is stored: bundle {order.bundle!r} stays as it was",
                where=order.source,
                next_step="choose days on which the instruments traded",
            )
        add_to_bundle(connection, order.bundle, members)
    return members
