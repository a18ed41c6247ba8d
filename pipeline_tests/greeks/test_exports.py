"""Greeks from the warehouse through every format and back out of its reader."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import backtrader as bt
import numpy as np
import polars as pl
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.loader import load_chain
from pipeline_defs.exports.backtrader.readback import replay
from pipeline_defs.exports.validating import validate_export
from pipeline_defs.greeks.parameters import GreeksParameters
from pipeline_defs.greeks.session import compute_session
from pipeline_defs.publishing import export_underlying
from pipeline_tests.greeks.conftest import TINY_DATE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.warehouse.connection import Warehouse

    type Ask = Callable[..., list[tuple[Any, ...]]]

STORED = """
SELECT t.symbol, g.timestamp, g.implied_volatility, g.delta, g.gamma, g.vega, g.theta, g.rho, g.underlying_price
FROM option_greeks AS g JOIN instrument_terms AS t USING (instrument_id)
WHERE g.implied_volatility IS NOT NULL ORDER BY t.symbol, g.timestamp
"""
SCHEMA = {
    "symbol": pl.String(),
    "timestamp": pl.Datetime("us", "UTC"),
    **dict.fromkeys(("implied_volatility", "delta", "gamma", "vega", "theta", "rho"), pl.Float64()),
    "underlying_price": pl.Decimal(20, 8),
}


@pytest.fixture
def computed(imported: Warehouse) -> Warehouse:
    """The tiny session with Greeks by the future: some bars have numbers, some have none."""
    report = compute_session(
        imported, "nse_csv", TINY_DATE, parameters=GreeksParameters(max_underlying_age_seconds=300)
    )
    assert 0 < report.with_numbers < report.rows
    return imported


@pytest.fixture
def stored(computed: Warehouse, ask: Ask) -> pl.DataFrame:
    """What the table holds."""
    return pl.DataFrame(ask(computed, STORED), schema=SCHEMA, orient="row")


@pytest.fixture
def export(computed: Warehouse, tmp_path: Path) -> Callable[..., PublishedExport[Any]]:
    def to_folder(format_name: str, name: str = "with", **options: Any) -> PublishedExport[Any]:
        given = {"with_greeks": True, "resolutions": [3600], **options}
        return export_underlying(
            computed, format_name, "NIFTY", TINY_DATE, TINY_DATE, output=tmp_path / format_name / name, **given
        )

    return to_folder


def bytes_below(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_nautilus_reads_option_greeks_in_its_own_units(
    export: Callable[..., PublishedExport[Any]], stored: pl.DataFrame
) -> None:
    from nautilus_trader.model.data import OptionGreeks  # noqa: PLC0415 -- takes seconds
    from nautilus_trader.persistence.catalog import ParquetDataCatalog  # noqa: PLC0415

    published = export("nautilus")
    catalog = ParquetDataCatalog(str(published.path))
    symbols = {one.id.value: one.raw_symbol.value for one in catalog.instruments()}
    read = [one for one in catalog.query(OptionGreeks) if one.mark_iv is not None]
    found = pl.DataFrame(
        [
            (
                symbols[one.instrument_id.value],
                dt.datetime.fromtimestamp(one.ts_event / 1e9, dt.UTC),
                one.mark_iv, one.delta, one.gamma, one.vega * 100, one.theta * 365.25, one.rho * 100,
                one.underlying_price,
            )
            for one in read
        ],
        schema={**SCHEMA, "underlying_price": pl.Float64()},
        orient="row",
    ).sort("symbol", "timestamp")  # fmt: skip

    assert published.verified
    assert published.verification.checks["option_greeks"] >= stored.height
    assert found.select("symbol", "timestamp").equals(stored.select("symbol", "timestamp"))
    for name in ("implied_volatility", "delta", "gamma"):
        assert found[name].equals(stored[name])
    for name in ("vega", "theta", "rho", "underlying_price"):
        np.testing.assert_allclose(found[name], stored[name].cast(pl.Float64()), rtol=1e-14)
    details = json.loads(published.manifest.read_text())["details"]
    assert details["greeks"]["theta"] == "per day of a year of 365.25"
    assert validate_export(published.path).failures == ()


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_generic_files_hold_the_table_as_it_is(
    export: Callable[..., PublishedExport[Any]], stored: pl.DataFrame, file_format: str
) -> None:
    published = export(file_format)
    read = pl.read_csv if file_format == "csv" else pl.read_parquet
    greeks = read(published.path / f"option_greeks.{file_format}")
    symbols = read(published.path / f"instruments.{file_format}").select("instrument_id", "symbol")
    found = greeks.join(symbols, on="instrument_id")
    if file_format == "csv":
        found = found.with_columns(pl.col("timestamp").str.to_datetime(time_unit="us", time_zone="UTC"))
    found = found.sort("symbol", "timestamp")

    assert published.counts["option_greeks"] == stored.height
    for name in ("symbol", "timestamp", "implied_volatility", "delta", "gamma", "vega", "theta", "rho"):
        assert found[name].to_list() == stored[name].to_list()
    described = json.loads((published.path / "schema.json").read_text())
    (entry,) = [file for file in described["files"] if file["content"] == "option_greeks"]
    meanings = {column["name"]: column["meaning"] for column in entry["columns"]}
    assert meanings["theta"] == "Per year of 365 days."
    assert validate_export(published.path).failures == ()


def test_backtrader_feeds_them_as_lines(export: Callable[..., PublishedExport[Any]], stored: pl.DataFrame) -> None:
    published = export("backtrader")
    feeds = load_chain(published.path, kinds={"OPT"})
    by_symbol = {feed.contract.symbol: feed for feed in feeds if feed.contract.kind == "OPT"}
    (underlying,) = [feed for feed in feeds if feed.contract.kind == "SPOT"]
    shift = dt.timedelta(hours=5, minutes=30)
    bars = 0
    for symbol, feed in by_symbol.items():
        seen = replay(feed)
        bars += seen.height
        own = stored.filter(pl.col("symbol") == symbol).drop("symbol", "underlying_price")
        found = seen.filter(pl.col("delta").is_not_null()).select(
            (pl.col("time") - shift).dt.replace_time_zone("UTC").alias("timestamp"),
            *("implied_volatility", "delta", "gamma", "vega", "theta", "rho"),
        )
        assert found.equals(own)

    assert bars > stored.height
    assert "delta" not in underlying.getlinealiases()
    hours = load_chain(published.path, kinds={"OPT"}, resolutions={"1h"})
    assert not any("delta" in feed.getlinealiases() for feed in hours)
    assert validate_export(published.path).failures == ()
    plain = bt.feeds.GenericCSVData(dataname=str(published.path / feeds[-1].bar_file.file))
    assert replay(plain).height == feeds[-1].bar_file.rows


def test_a_damaged_file_of_backtrader_is_found(export: Callable[..., PublishedExport[Any]]) -> None:
    published = export("backtrader", resolutions=[])
    intact = {path: path.read_text() for path in sorted(published.path.glob("*E_1m.csv"))}
    damages = {"another number": "0.5", "no number": "", "a word": "nan"}
    for (file, text), damage in zip(intact.items(), damages.values(), strict=False):
        lines = text.splitlines()
        row = next(index for index, line in enumerate(lines) if index and not line.endswith(",,,"))
        fields = lines[row].split(",")
        fields[7] = damage
        file.write_text("\n".join([*lines[:row], ",".join(fields), *lines[row + 1 :]]) + "\n")
    failures = "\n".join(validate_export(published.path).failures)

    for file, damage in zip(intact, damages, strict=False):
        assert file.name in failures, damage


def test_lean_universes_have_the_day_s_last_greeks(
    export: Callable[..., PublishedExport[Any]], stored: pl.DataFrame
) -> None:
    published = export("lean")
    (file,) = (published.path / "indexoption" / "india" / "universes" / "nifty").glob("*.csv")
    header, *lines = file.read_text().splitlines()
    names = header.removeprefix("#").split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines]
    last = stored.group_by("symbol").last().rows_by_key("symbol", named=True, unique=True)
    written = {f"NIFTY14AUG25{row['strike']}{row['right']}E.NFO": row for row in rows if row["strike"]}

    assert published.verified
    assert set(last) <= set(written)
    for symbol, row in written.items():
        wanted = last.get(symbol)
        if wanted is None:
            assert row["delta"] == row["implied_volatility"] == ""
            continue
        for name, divisor in (("implied_volatility", 1), ("delta", 1), ("vega", 100), ("theta", 365), ("rho", 100)):
            assert float(row[name]) == pytest.approx(wanted[name] / divisor, abs=1e-10)
    assert validate_export(published.path).failures == ()


@pytest.mark.parametrize("format_name", ["csv", "backtrader", "lean"])
def test_without_the_option_an_export_is_what_it_was(
    export: Callable[..., PublishedExport[Any]], computed: Warehouse, ask: Ask, format_name: str
) -> None:
    plain = export(format_name, "plain", with_greeks=False)
    ask(computed, "TRUNCATE option_greeks")
    again = export(format_name, "again", with_greeks=False)

    assert bytes_below(plain.path) == bytes_below(again.path)
    assert not any(b"implied" in content for name, content in bytes_below(plain.path).items() if name.endswith(".json"))


def test_greeks_that_are_missing_or_behind_are_not_exported(
    export: Callable[..., PublishedExport[Any]], computed: Warehouse, ask: Ask, tmp_path: Path
) -> None:
    ask(
        computed,
        "UPDATE options_ticks SET close = close + 0.05, high = high + 0.05 WHERE bar_seconds = 60"
        " AND (timestamp, instrument_id) = (SELECT timestamp, instrument_id FROM option_greeks LIMIT 1)",
    )
    with pytest.raises(
        ExportError, match=r"1 option bars have no Greeks, .*2025-08-13\nNext: materialise option_greeks"
    ):
        export("csv")
    with pytest.raises(ExportError, match=r"what was known earlier cannot be exported with them"):
        export("csv", known_at=dt.datetime.now(dt.UTC))
    share: dict[str, Any] = {"output": tmp_path / "share", "bar_seconds": 86_400, "with_greeks": True}
    with pytest.raises(ExportError, match="there is no option, hence no Greeks"):
        export_underlying(computed, "csv", "RELIANCE", TINY_DATE, TINY_DATE, **share)
