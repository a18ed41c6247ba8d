"""What a page's blocks find: names that its text speaks of, folders that its commands name."""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest

from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.docs.blocks import blocks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_tests.docs.sample import Sample

type Preparing = Callable[[Sample, dict[str, Any]], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def _nothing(_sample: Sample, _names: dict[str, Any]) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _catalogs(sample: Sample, _names: dict[str, Any]) -> Iterator[None]:
    """Catalogs of the engines, at their places in the home."""
    sample.catalog("nautilus")
    sample.catalog("backtrader")
    yield


@contextlib.contextmanager
def _acme(_sample: Sample, names: dict[str, Any]) -> Iterator[None]:
    """The vendor's server, and the names that a test of an adapter imports."""
    from pipeline_defs.schema.batches import ImportRequest  # noqa: PLC0415 -- of this page alone
    from pipeline_defs.sources.asking.calling import Patience  # noqa: PLC0415
    from pipeline_defs.sources.asking.universe import SourceUniverse  # noqa: PLC0415
    from pipeline_tests.sources.plugin.acme_server import serving  # noqa: PLC0415

    with serving() as server:
        names |= {"server": server, "SourceUniverse": SourceUniverse, "Patience": Patience}
        names |= {"ImportRequest": ImportRequest, "date": dt.date, "Decimal": Decimal}
        yield


@contextlib.contextmanager
def _backtrader(sample: Sample, names: dict[str, Any]) -> Iterator[None]:
    """The catalog below the working folder, and a strategy that does nothing."""
    import backtrader as bt  # noqa: PLC0415 -- heavy

    Path("catalogs").symlink_to(sample.catalog("backtrader").parents[2])
    names["MyStrategy"] = type("MyStrategy", (bt.Strategy,), {})
    yield


@contextlib.contextmanager
def _generic(sample: Sample, _names: dict[str, Any]) -> Iterator[None]:
    shutil.copytree(sample.catalog("parquet"), "nifty")
    yield


@contextlib.contextmanager
def _nautilus(sample: Sample, _names: dict[str, Any]) -> Iterator[None]:
    Path("DIR").symlink_to(sample.catalog("nautilus"))
    Path("catalogs").symlink_to(sample.catalog("nautilus").parents[2])
    yield


@contextlib.contextmanager
def _published(sample: Sample, _names: dict[str, Any]) -> Iterator[None]:
    Path("catalogs").symlink_to(sample.catalog("backtrader").parents[2])
    yield


@contextlib.contextmanager
def _one_instrument(sample: Sample, names: dict[str, Any]) -> Iterator[None]:
    """The nearest option of the sample."""
    with sample.warehouse.connect() as connection:
        ((instrument_id,),) = connection.execute(
            "SELECT min(instrument_id) FROM instrument_terms WHERE kind = 'OPT'"
        ).fetchall()
    names |= {"warehouse": sample.warehouse, "date": dt.date, "instrument_id": instrument_id}
    yield


@contextlib.contextmanager
def _expiries(_sample: Sample, names: dict[str, Any]) -> Iterator[None]:
    from pipeline_defs.markets.expiries import monthly_expiry  # noqa: PLC0415 -- of this page alone

    names |= {"monthly_expiry": monthly_expiry, "date": dt.date}
    yield


@contextlib.contextmanager
def _range(sample: Sample, names: dict[str, Any]) -> Iterator[None]:
    names |= {"start_date": sample.trade_dates[0], "end_date": sample.trade_dates[-1]}
    yield


@contextlib.contextmanager
def _warehouse(sample: Sample, names: dict[str, Any]) -> Iterator[None]:
    names |= {"warehouse": sample.warehouse, "pl": pl}
    yield


@contextlib.contextmanager
def _uploads(sample: Sample, _names: dict[str, Any]) -> Iterator[None]:
    """The page's own file in the folder for uploads, and one without a mapping."""
    folder = sample.home / "uploads"
    folder.mkdir()
    for block in blocks_of("docs/sources/manual-csv.md"):
        if block.file in {"drop/reliance.csv", "drop/mapping.toml"}:
            name = Path(block.file).name.replace("mapping.toml", "reliance.mapping.toml")
            (folder / name).write_text(block.text, encoding="utf-8")
    (folder / "infy.csv").write_text("Date,Time,Open\n13/08/2025,09:15,1\n", encoding="utf-8")
    yield


@contextlib.contextmanager
def _no_alerts(_sample: Sample, _names: dict[str, Any]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PIPELINE_ALERT_WEBHOOK_URL", raising=False)
        yield


@contextlib.contextmanager
def _a_clone(sample: Sample, _names: dict[str, Any]) -> Iterator[None]:
    """The examples, and the catalog that they are run over."""
    sample.catalog("nautilus")
    Path("examples").symlink_to(PROJECT_ROOT / "examples")
    yield


@contextlib.contextmanager
def _examples(_sample: Sample, _names: dict[str, Any]) -> Iterator[None]:
    Path("examples").symlink_to(PROJECT_ROOT / "examples")
    yield


PREPARED: Final[dict[str, Preparing]] = {
    "": _nothing,
    "README.md": _catalogs,
    "docs/adding-a-source.md": _acme,
    "docs/automation.md": _no_alerts,
    "docs/exports/backtrader.md": _backtrader,
    "docs/exports/generic.md": _generic,
    "docs/exports/nautilus.md": _nautilus,
    "docs/exports/overview.md": _published,
    "docs/freshness.md": _one_instrument,
    "docs/getting-started.md": _a_clone,
    "docs/markets.md": _expiries,
    "docs/portal.md": _examples,
    "docs/provenance.md": _range,
    "docs/quality.md": _warehouse,
    "docs/sources/manual-csv.md": _uploads,
}
"""By page; the empty name stands for all others."""
