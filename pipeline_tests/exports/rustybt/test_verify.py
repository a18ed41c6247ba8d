"""Roots as rustybt itself reads them, whole and damaged."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.exports.rustybt.bcolz import CHUNK_ROWS
from pipeline_defs.exports.rustybt.exporter import RustybtExporter
from pipeline_defs.exports.rustybt.reading import ENVIRONMENT
from pipeline_defs.exports.rustybt.truth import write_truth
from pipeline_defs.exports.rustybt.verify import main, verify_root
from pipeline_defs.exports.validating import validate_export
from pipeline_defs.exports.verifying import REPORT_FILE
from pipeline_defs.schema.exports import READBACK_SCHEMA
from pipeline_tests.exports.rustybt.slices import share_slice

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.exports.run import PublishedExport
    from pipeline_defs.schema.exports import BuiltExport

type Published = PublishedExport[Path]


def copy(built: BuiltExport, folder: Path) -> BuiltExport:
    """Copy a root that a test damages."""
    return dataclasses.replace(built, root=shutil.copytree(built.root, folder / "root"))


def test_rustybt_confirms_every_bar_of_both_bundles_and_what_its_portals_make_of_them(
    published_share: Published,
) -> None:
    found = published_share.verification
    assert found.engine == published_share.engine == "rustybt 0.3.3"
    # It assumes the New York calendar, which has no session on that Saturday; the run bundle has.
    assert found.checks.pop("bundles.load of the decimal bundle").startswith("NotSessionError")
    assert found.checks == {
        "minute bars": 78,
        "daily bars": 6,
        "PolarsDataPortal, 1d close": 6,
        "run bundle, minute bars": 78,
        "run bundle, daily bars": 6,
        "DataPortal, 1d close": 6,
        # Of the last 30 minutes of the last session, one has a bar of each share.
        "DataPortal, 1m close": 2,
        "sessions": 4,
        "adjustments": {"splits": 1, "dividends": 1},
    }


def test_what_was_read_back_is_what_other_formats_give(published_share: Published, tmp_path: Path) -> None:
    market = share_slice()
    csv = get_exporter("csv")
    other = csv.verify(csv.build(market, tmp_path), market).readback
    found = published_share.verification.readback

    assert found is not None
    assert other is not None
    assert dict(found.schema) == READBACK_SCHEMA
    assert found.equals(other.cast(pl.Schema(READBACK_SCHEMA)).sort("instrument_id", "bar_seconds"))


def test_pairs_keep_eight_decimals_and_have_no_run_bundle(published_pair: Published) -> None:
    readback = published_pair.verification.readback

    assert published_pair.verification.checks["minute bars"] == 7
    assert "sessions" not in published_pair.verification.checks
    assert readback is not None
    assert readback["volume_sum"].to_list() == [Decimal("0.00086415")]


def test_an_index_without_volume_is_confirmed(published_index: Published) -> None:
    assert published_index.verification.checks["DataPortal, 1d close"] == 4


def test_a_published_root_is_validated_without_its_slice(published_share: Published, tmp_path: Path) -> None:
    assert validate_export(published_share.path).passed

    damaged = shutil.copytree(published_share.path, tmp_path / "root")
    (damaged / "extension.py").write_text("raise SystemExit('the extension was run')\n")
    found = validate_export(damaged)
    assert not found.passed
    assert any(line.startswith("extension.py: expected ") for line in found.failures)
    assert not any("the extension was run" in line for line in found.failures)
    assert any("so rustybt was not started" in line for line in found.failures)


@pytest.mark.usefixtures("rustybt")
def test_every_kind_of_damage_is_found_by_what_rustybt_reads(built_share: BuiltExport, tmp_path: Path) -> None:
    built = copy(built_share, tmp_path)
    bundle = built.root / "data" / "bundles" / "RELIANCE"
    daily = bundle / "daily_bars" / "year=2024" / "month=10" / "data.parquet"
    pl.read_parquet(daily, hive_partitioning=False).with_columns(
        volume=pl.lit(Decimal(1)).cast(pl.Decimal(18, 8))
    ).write_parquet(daily)
    (bundle / "minute_bars" / "year=2024" / "month=11" / "day=4" / "data.parquet").unlink()
    (run,) = (built.root / "data" / "RELIANCE-run").iterdir()
    close = run / "daily_equities.bcolz" / "close" / "data" / "__0.blp"
    # A thousandth of the first close, behind the two headers.
    content = bytearray(close.read_bytes())
    content[32] += 1
    close.write_bytes(content)
    database = sqlite3.connect(built.root / "assets-10.db")
    database.execute("UPDATE bundle_symbols SET symbol = 'RELIANCF' WHERE id = 1")
    database.commit()
    database.close()
    found = RustybtExporter().verify(built, share_slice())

    assert not found.passed
    told = "\n".join(found.failures)
    for expected in (
        "symbols by sid, found both ways: expected [[1, 'RELIANCE', 1]",
        "daily bars, sid 1 at 2024-10-31: expected open 2800.05000000",
        "minute bars, rows: expected 78, found 52",
        "run bundle, daily bars, sid 1 at 2024-10-31 00:00:00: expected open 2800050",
        "DataPortal, 1d close, sid 1 at 2024-10-31",
        "symbols of both bundles",
        "bars in bundle_metadata: expected 58, found 84",
    ):
        assert expected in told


@pytest.mark.usefixtures("rustybt")
def test_a_file_that_rustybt_cannot_open_is_a_failure_with_what_it_said(
    built_share: BuiltExport, tmp_path: Path
) -> None:
    built = copy(built_share, tmp_path)
    (built.root / "assets-10.db").write_bytes(b"not a database")
    found = RustybtExporter().verify(built, share_slice())
    assert not found.passed
    assert "rustybt ended with exit code 1" in found.failures[0]
    assert "file is not a database" in found.failures[0]


def test_without_the_environment_the_verification_says_how_to_make_it(
    built_share: BuiltExport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT.variable, str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"make it with 'sh tools/rustybt.sh'"):
        ENVIRONMENT.interpreter()
    assert write_truth(built_share, share_slice(), tmp_path) == []
    assert main([str(built_share.root), str(tmp_path)]) == 1
    assert "whose environment does not exist" in (tmp_path / REPORT_FILE).read_text()


def test_a_folder_without_a_manifest_is_no_export(built_share: BuiltExport, tmp_path: Path) -> None:
    (failure,) = verify_root(built_share.root, tmp_path).failures
    assert "holds no _manifest.json" in failure


def test_a_false_count_of_the_builder_is_found_without_rustybt(built_share: BuiltExport, tmp_path: Path) -> None:
    false = dataclasses.replace(built_share, counts={"bars": CHUNK_ROWS})
    assert write_truth(false, share_slice(), tmp_path) == ["bars: expected 84, built 65536"]
