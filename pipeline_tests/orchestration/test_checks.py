from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.orchestration.checks import judge_findings, judge_manifest, judge_quarantine
from pipeline_defs.orchestration.evidence import Partition
from pipeline_defs.publishing import export_underlying

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse


@pytest.fixture
def published(imported: Warehouse, tmp_path: Path) -> Path:
    """A catalog on disk."""
    day = dt.date(2025, 8, 13)
    return export_underlying(imported, "backtrader", "NIFTY", day, day, output=tmp_path / "catalog").path


def test_a_catalog_as_it_was_published_passes(published: Path) -> None:
    judgement = judge_manifest(published)

    assert judgement.passed
    assert judgement.expected == judgement.found


def test_any_change_of_a_published_file_is_found_and_named(published: Path) -> None:
    changed, removed, *_ = sorted(path for path in published.rglob("*.csv"))
    changed.write_text(changed.read_text().replace("1", "2", 1))
    removed.unlink()
    (published / "stray.csv").write_text("x")

    judgement = judge_manifest(published)

    assert not judgement.passed
    assert judgement.found == "3 differences"
    for path in (changed, removed, published / "stray.csv"):
        assert path.relative_to(published).as_posix() in judgement.detail


def test_a_catalog_that_was_removed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="not one of our exports"):
        judge_manifest(tmp_path)


def test_a_partition_that_was_never_loaded_has_nothing_to_warn_of(warehouse: Warehouse) -> None:
    partition = Partition("options_ticks", "nse_csv", dt.date(2025, 8, 14))

    assert judge_quarantine(warehouse, partition).passed
    assert judge_findings(warehouse, partition).found == "no finding"
