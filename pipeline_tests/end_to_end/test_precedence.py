"""Two sources, one export: what the first lacks comes from the second, and the engine reads it back."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.publishing import export_underlying
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.exports.run import PublishedExport
    from pipeline_tests.end_to_end.conftest import CommandLine

DAY: Final = dt.date(2025, 8, 14)
OF_THE_DAY: Final = "bar_seconds = 60 AND (timestamp AT TIME ZONE 'Asia/Kolkata')::date = '2025-08-14'"

# Zerodha's rows are worth a rupee more, so that they are known again.
SECOND_LOAD: Final = """
INSERT INTO loads OVERRIDING SYSTEM VALUE
SELECT (jsonb_populate_record(l, jsonb_build_object(
    'source', 'zerodha', 'load_id', load_id + 1000, 'committed_at', stamp_knowledge()))).*
FROM loads AS l WHERE dataset = 'options_ticks' AND trade_date = '2025-08-14' AND bar_seconds = 60
"""
SECOND_SOURCE: Final = f"""
INSERT INTO options_ticks
SELECT (jsonb_populate_record(o, jsonb_build_object(
    'source', 'zerodha', 'load_id', load_id + 1000, 'open', open + 1, 'high', high + 1, 'low', low + 1,
    'close', close + 1))).*
FROM options_ticks AS o WHERE {OF_THE_DAY}
"""
BUSIEST: Final = f"""
SELECT instrument_id FROM options_ticks WHERE {OF_THE_DAY} GROUP BY instrument_id ORDER BY count(*) DESC LIMIT 3
"""
LOSE: Final = f"DELETE FROM options_ticks WHERE source = 'nse_csv' AND instrument_id = ANY (%s) AND {OF_THE_DAY}"
SUMS: Final = f"""
SELECT o.instrument_id, sum(close) FROM options_ticks AS o JOIN instrument_terms USING (instrument_id)
WHERE source = %(source)s AND underlying = 'NIFTY' AND {OF_THE_DAY}
  AND (%(ids)s::int[] IS NULL OR o.instrument_id = ANY (%(ids)s))
GROUP BY o.instrument_id
"""
READ_BACK: Final = """
SELECT r.instrument_id, r.close_sum FROM catalog_readbacks AS r JOIN instruments AS i USING (instrument_id)
WHERE i.kind = 'OPT' AND catalog_id = (SELECT max(catalog_id) FROM catalogs)
"""


@pytest.fixture
def warehouse(filled: CommandLine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """The demo's sessions, and a home without a declared order of one's own."""
    del filled
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    return Warehouse(database_url)


def add_second_source(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute(SECOND_LOAD)
        connection.execute(SECOND_SOURCE.encode())


def lose_busiest(warehouse: Warehouse) -> list[int]:
    """Take three contracts' day from the first source, and give their numbers."""
    with warehouse.connect() as connection:
        lost = sorted(instrument for (instrument,) in connection.execute(BUSIEST.encode()).fetchall())
        connection.execute(LOSE.encode(), [lost])
    return lost


def sums(warehouse: Warehouse, source: str, ids: list[int] | None = None) -> dict[int, Any]:
    with warehouse.connect() as connection:
        return dict(connection.execute(SUMS.encode(), {"source": source, "ids": ids}).fetchall())


def export(warehouse: Warehouse, format_name: str, output: Path, **wanted: Any) -> PublishedExport[Path]:
    return export_underlying(warehouse, format_name, "NIFTY", DAY, DAY, output=output, **wanted)


def read_back(warehouse: Warehouse) -> dict[int, Any]:
    """Give what the engine read of the newest catalog: options and the sum of their closes."""
    with warehouse.connect() as connection:
        return dict(connection.execute(READ_BACK).fetchall())


def contents(output: Path) -> dict[str, bytes]:
    files = (path for path in sorted(output.rglob("*")) if path.is_file())
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("format_name", ["nautilus", "csv"])
def test_contract_days_that_the_first_source_lacks_come_from_the_second(
    warehouse: Warehouse, tmp_path: Path, format_name: str
) -> None:
    add_second_source(warehouse)
    lost = lose_busiest(warehouse)

    published = export(warehouse, format_name, tmp_path / "catalog")

    assert read_back(warehouse) == sums(warehouse, "nse_csv") | sums(warehouse, "zerodha", lost)
    assert published.sources == ("nse_csv", "zerodha")
    manifest = json.loads(published.manifest.read_text())
    assert manifest["sources"]["bars"]["otherwise"] == "nse_csv"
    assert manifest["sources"]["bars"]["exceptions"] == {"zerodha": {DAY.isoformat(): lost}}
    assert {load_id > 1_000 for load_id in manifest["load_ids"]} == {True, False}


def test_the_order_decides_what_an_export_holds_and_its_manifest_says_so(warehouse: Warehouse, tmp_path: Path) -> None:
    add_second_source(warehouse)
    own = tmp_path / "precedence.yaml"
    by_default = export(warehouse, "csv", tmp_path / "catalog")
    first = contents(tmp_path / "catalog")
    assert read_back(warehouse) == sums(warehouse, "nse_csv")

    own.write_text("options_ticks: [zerodha, nse_csv]\n", encoding="utf-8")
    turned = export(warehouse, "csv", tmp_path / "catalog")
    assert read_back(warehouse) == sums(warehouse, "zerodha")
    assert turned.catalog_hash != by_default.catalog_hash
    assert contents(tmp_path / "catalog")["_manifest.json"] != first["_manifest.json"]

    forced = export(warehouse, "csv", tmp_path / "forced", source="nse_csv")
    assert forced.catalog_hash == by_default.catalog_hash
    manifest = json.loads(forced.manifest.read_text())
    assert (manifest["sources"]["asked_for"], manifest["sources"]["precedence"]) == ("nse_csv", None)

    own.unlink()
    export(warehouse, "csv", tmp_path / "catalog")
    assert contents(tmp_path / "catalog") == first

    own.write_text("options_ticks: [zerodah]\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"precedence.yaml line 1: source 'zerodah', expected one of ccxt"):
        export(warehouse, "csv", tmp_path / "catalog")


def test_as_of_before_the_preferred_source_was_known_the_export_is_what_it_was(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    (tmp_path / "precedence.yaml").write_text("options_ticks: [zerodha, nse_csv]\n", encoding="utf-8")
    first = export(warehouse, "csv", tmp_path / "first")
    add_second_source(warehouse)

    export(warehouse, "csv", tmp_path / "later")
    export(warehouse, "csv", tmp_path / "again", known_at=first.known_at)

    assert contents(tmp_path / "later") != contents(tmp_path / "first")
    assert contents(tmp_path / "again") == contents(tmp_path / "first")
