"""Shares of which parts are traded: formats whose readers take decimals get every digit, and whole volumes as ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.exports.run import export_slice
from pipeline_tests.exports.nautilus.test_shares import shares

if TYPE_CHECKING:
    from pathlib import Path

KEEP_PARTS = ("backtrader", "lean", "csv", "parquet")


@pytest.mark.parametrize("name", KEEP_PARTS)
def test_every_digit_is_kept_and_read_back(name: str, tmp_path: Path) -> None:
    market = shares("0.12345678")
    published = export_slice(name, market, tmp_path / name)

    assert published.verified
    readback = published.verification.readback
    assert readback is not None
    expected: dict[int, Any] = {
        part.bar_seconds: sum(bars["volume"].sum() for bars in part.read_bars() if bars.height)
        for part in market.every_resolution
    }
    assert dict(readback.select("bar_seconds", "volume_sum").iter_rows()) == expected
    assert all(total % 1 for total in expected.values())
    assert "volume_rounded_off" not in readback.columns


@pytest.mark.parametrize("name", ["backtrader", "lean"])
def test_whole_volumes_that_come_as_decimals_make_the_same_files_byte_for_byte(name: str, tmp_path: Path) -> None:
    made = {}
    for form, as_decimals in (("whole", False), ("decimal", True)):
        root = tmp_path / form
        root.mkdir()
        built = get_exporter(name).build(shares("0", as_decimals=as_decimals), root)
        files = {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        made[form] = files, built.details, built.counts
    assert made["whole"][0]
    assert made["whole"] == made["decimal"]
