"""Volumes with parts of a share: from the vendor's text to the database and into every format, exact or counted."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pytest

from pipeline_defs.exports.registry import EXPORTERS
from pipeline_defs.publishing import certify_partition, export_underlying
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.polygon.adapter import PolygonSource
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.loading import import_source
from pipeline_tests.sources.polygon.offline import bar, stamp
from pipeline_tests.sources.polygon.questions import QUICK
from pipeline_tests.sources.polygon.server import KEY, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.warehouse.reports import LoadReport

type Ask = Callable[..., list[tuple[Any, ...]]]
type Import = Callable[[], list[LoadReport]]

MONDAY, TUESDAY = dt.date(2026, 3, 2), dt.date(2026, 3, 3)
FORMATS: Final = sorted(EXPORTERS)

MINUTES: Final = {
    (MONDAY, 30): "100.25",
    (MONDAY, 31): "0.000001",
    (MONDAY, 32): "1.23456789e+06",
    (MONDAY, 33): "500",
    (TUESDAY, 30): "7.99999999",
}
DAILY: Final = {MONDAY: "65603041.123456", TUESDAY: "70000000"}
EXACT: Final = [Decimal(text) for text in ("100.25", "0.000001", "1234567.89", "500", "7.99999999")]
WHOLE: Final = [Decimal(text) for text in ("100", "0", "1234567", "500", "7")]


def prices(cents: int) -> tuple[str, str, str, str]:
    return "182.16", f"182.{50 + cents}", "182", f"182.{20 + cents}"


@pytest.fixture
def warehouse(database_url: str) -> Warehouse:
    return Warehouse(database_url)


@pytest.fixture
def import_again(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Import]:
    """A database that holds two days of a share, as the vendor tells them since it counts parts."""
    monkeypatch.setenv("POLYGON_API_KEY", KEY)
    monkeypatch.setenv("POLYGON_REQUESTS_PER_MINUTE", "60000")
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    with running() as server:
        minutes = [bar(stamp(14, minute, day), prices(minute - 30), text) for (day, minute), text in MINUTES.items()]
        minutes.append(bar(stamp(14, 34, TUESDAY), prices(4), "1.123456789"))
        server.bars |= {
            ("AAPL", 1, "minute"): minutes,
            ("AAPL", 1, "day"): [bar(stamp(5, 0, day), prices(day.day), text) for day, text in DAILY.items()],
        }
        server.details["AAPL"] = '{"ticker":"AAPL"}'
        server.listings |= {"/v3/reference/splits": [], "/v3/reference/dividends": []}
        wanted = SourceUniverse.model_validate({"equities": ["AAPL"]})

        def fetch() -> list[LoadReport]:
            source = PolygonSource(universe=wanted, patience=QUICK, endpoint=server.url)
            return list(import_source(warehouse, source, ImportRequest(MONDAY, TUESDAY), reread=True))

        fetch()
        yield fetch


@pytest.fixture
def export(warehouse: Warehouse, import_again: Import, tmp_path: Path) -> Callable[..., PublishedExport[Path]]:
    """Publish the share's days in a format, at bar lengths of seconds."""
    del import_again

    def run(name: str, *lengths: int) -> PublishedExport[Path]:
        return export_underlying(
            warehouse, name, "AAPL", MONDAY, TUESDAY,
            output=tmp_path / name, bar_seconds=lengths[0], resolutions=lengths[1:],
        )  # fmt: skip

    return run


def test_parts_of_a_share_are_stored_digit_for_digit_and_more_digits_are_refused(
    import_again: Import, ask: Ask
) -> None:
    assert ask("SELECT volume FROM spot_prices ORDER BY timestamp") == [(volume,) for volume in EXACT]
    assert ask("SELECT volume FROM equity_daily ORDER BY timestamp") == [(Decimal(text),) for text in DAILY.values()]
    ((reason, text),) = ask("SELECT reason, text FROM quarantine")
    assert reason == "bad_quantity"
    assert "1.123456789" in text

    again = import_again()

    assert {(load.stored, load.corrected, load.retired) for load in again} == {(0, 0, 0)}
    assert sum(load.unchanged for load in again) == len(EXACT) + len(DAILY)


def test_every_format_gives_what_was_traded_or_says_how_much_of_it_its_engine_cannot_hold(
    export: Callable[..., PublishedExport[Path]], warehouse: Warehouse, ask: Ask
) -> None:
    published = {name: export(name, 60, 3600, 86_400) for name in FORMATS}

    certificate = certify_partition(warehouse, "AAPL", MONDAY, TUESDAY)

    assert certificate.passed, certificate.differences
    assert [(part.bar_seconds, list(part.formats), part.rows) for part in certificate.resolutions] == [
        (60, FORMATS, 5),
        (3600, FORMATS, 2),
        (86_400, FORMATS, 2),
    ]
    (note,) = certificate.notes
    assert note == "nautilus: volume of 8 bars rounded down to whole shares; compared with the part that was taken off"
    assert note in certificate.to_text()
    assert certificate.to_json()["notes"] == [note]
    read = ask(
        "SELECT format, volume_sum, volume_rounded_off FROM catalog_readbacks JOIN catalogs USING (catalog_id)"
        " WHERE bar_seconds = 60 ORDER BY 1"
    )
    exact, whole = sum(EXACT), sum(WHOLE)
    assert read == [(name, *((whole, exact - whole) if name == "nautilus" else (exact, 0))) for name in FORMATS]
    details = json.loads(published["nautilus"].manifest.read_text(encoding="utf-8"))["details"]
    assert details["sizes_rounded_down"] == {"bars": 8}
    assert details["notes"][-1].startswith("the volume of 8 bars was rounded down to whole shares")
    others = [json.loads(one.manifest.read_text("utf-8")) for name, one in published.items() if name != "nautilus"]
    assert not [one for one in others if "rounded" in json.dumps(one["details"])]


def test_daily_bars_of_shares_are_exported_by_their_own_market_s_days(
    export: Callable[..., PublishedExport[Path]],
) -> None:
    published = export("parquet", 86_400)

    bars = pl.read_parquet(published.path / "bars_1d.parquet")
    assert bars["timestamp"].dt.convert_time_zone("America/New_York").dt.strftime("%F %R").to_list() == [
        "2026-03-02 16:00",
        "2026-03-03 16:00",
    ]
    assert bars["volume"].to_list() == [Decimal(text) for text in DAILY.values()]
