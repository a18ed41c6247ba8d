"""What the processes of a world do: each a call of the product that a command, the daemon or a sensor makes, too."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

UNDERLYING: Final = "NIFTY"
SOURCE: Final = "nse_csv"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call.

    Parameters
    ----------
    kind : str
        Key of `KINDS`.
    place : str, default ""
        Folder to read, or place to publish to.
    day : datetime.date or None
        Trade date.
    last : datetime.date or None
        Last one, of several.
    format : str, default ""
        Of an export.

    """

    kind: str
    place: str = ""
    day: dt.date | None = None
    last: dt.date | None = None
    format: str = ""

    def __str__(self) -> str:
        """Tell it to a person."""
        days = "" if self.day is None else f" {self.day}" + (f"..{self.last}" if self.last else "")
        named = self.place if "://" in self.place else "/".join(Path(self.place).parts[-2:])
        return f"{self.kind}{days}{f' {self.format}' if self.format else ''}{f' {named}' if named else ''}"


def perform(operation: Operation) -> None:
    """Do it; raises what the product raises."""
    KINDS[operation.kind](operation)


def _import(operation: Operation) -> None:
    """What ``pipeline import`` does, and an import run of the daemon."""
    from pipeline_defs.ingesting import ImportOrder, prepare_import  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415
    from pipeline_defs.warehouse.loading import import_source  # noqa: PLC0415
    from pipeline_defs.warehouse.reports import refuse_damage  # noqa: PLC0415

    settings = load_settings()
    order = ImportOrder(
        source=SOURCE, path=Path(operation.place), start_date=operation.day, end_date=operation.last or operation.day
    )
    prepared = prepare_import(order, settings)
    refuse_damage(list(import_source(open_warehouse(settings), prepared.source, prepared.request)))


def _backfill(operation: Operation) -> None:
    """What a backfill of an API does: several days, each stored as its answers are complete."""
    from pipeline_defs.schema.batches import ImportRequest  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415
    from pipeline_defs.warehouse.loading import import_source  # noqa: PLC0415
    from pipeline_tests.chaos.vendor import vendor_until  # noqa: PLC0415

    assert operation.day is not None
    assert operation.last is not None
    request = ImportRequest(operation.day, operation.last, tables=frozenset({"spot_prices"}))
    for _ in import_source(open_warehouse(load_settings()), vendor_until(operation.last), request):
        pass


def _export(operation: Operation) -> None:
    """What ``pipeline export`` does, and the catalog assets."""
    from pipeline_defs.publishing import export_underlying  # noqa: PLC0415
    from pipeline_defs.storage.locations import parse_location  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    assert operation.day is not None
    export_underlying(
        open_warehouse(load_settings()),
        operation.format,
        UNDERLYING,
        operation.day,
        operation.last or operation.day,
        output=parse_location(operation.place),
        source=SOURCE,
    )


def _certify(operation: Operation) -> None:
    from pipeline_defs.publishing import certify_partition  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    assert operation.day is not None
    certify_partition(
        open_warehouse(load_settings()), UNDERLYING, operation.day, operation.day, output=Path(operation.place)
    )


def _uploads(operation: Operation) -> None:
    """What ``pipeline uploads`` and the sensor of the drop folder do."""
    from pipeline_defs.errors import SourceError  # noqa: PLC0415
    from pipeline_defs.uploads.taking import take_in  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    taken = take_in(open_warehouse(load_settings()), Path(operation.place), pause_seconds=0)
    for name, failure in taken.failures:
        sys.stderr.write(f"{name}: {failure}\n")
    if taken.failures:
        raise taken.failures[0][1]
    if taken.rejected:
        raise SourceError(f"rejected: {', '.join(one.name for one in taken.rejected)}")


def _greeks(operation: Operation) -> None:
    from pipeline_defs.greeks.parameters import GreeksParameters  # noqa: PLC0415
    from pipeline_defs.greeks.session import compute_session  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    assert operation.day is not None
    parameters = GreeksParameters(rate=0.065, dividend_yield=0.0125)
    compute_session(open_warehouse(load_settings()), SOURCE, operation.day, parameters=parameters)


def _reconcile(operation: Operation) -> None:
    from pipeline_defs.reconciliation.session import reconcile_session  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    assert operation.day is not None
    reconcile_session(open_warehouse(load_settings()), operation.day)


def _upgrade(operation: Operation) -> None:
    """What every command does first, and ``pipeline db upgrade``."""
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    del operation
    open_warehouse(load_settings())


def _maintain(operation: Operation) -> None:
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415
    from pipeline_defs.warehouse.maintenance import maintain  # noqa: PLC0415

    del operation
    maintain(open_warehouse(load_settings()))


KINDS: Final[dict[str, Callable[[Operation], None]]] = {
    "import": _import,
    "backfill": _backfill,
    "export": _export,
    "certify": _certify,
    "uploads": _uploads,
    "greeks": _greeks,
    "reconcile": _reconcile,
    "upgrade": _upgrade,
    "maintain": _maintain,
}
"""By name; a new one is a function and a line here."""
