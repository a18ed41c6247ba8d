"""The comparison of sources as an asset: what it tells, and checks that warn without stopping anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_tests.orchestration.conftest import TINY_DATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.orchestration.runs import CheckOutcome, PartitionRun
    from pipeline_defs.warehouse.connection import Warehouse

    type Materialize = Callable[[str, str], PartitionRun]

SELECTION = 'key:"reconciliation"'
HOLIDAY_FREE = "2025-08-12"


def checks(run: PartitionRun) -> dict[str, CheckOutcome]:
    return {check.name: check for check in run.checks if check.asset == "reconciliation"}


def test_a_session_is_compared_with_the_exchange_in_numbers_a_table_and_a_picture(
    imported: Warehouse, materialize: Materialize
) -> None:
    del imported
    run = materialize(SELECTION, TINY_DATE)

    assert run.succeeded, run.failures
    metadata = run.metadata["reconciliation"]
    assert metadata["compared"] == metadata["agreeing"] > 0
    assert (metadata["disagreeing"], metadata["agreeing_share"], metadata["worst_difference"]) == (0, 1.0, 0.0)
    assert metadata["contract_days_agrees"] == metadata["compared"]
    assert "options_ticks 1d: nse_csv \\| nse_bhavcopy" in metadata["comparisons"]
    assert "data:image/svg+xml;base64," in metadata["picture"]
    found = checks(run)
    assert {name: check.passed for name, check in found.items()} == {"sources_agree": True, "bhavcopy_agrees": True}
    assert found["sources_agree"].metadata["found"] == "0 bars agree"


def test_a_lost_minute_warns_names_the_contract_and_changes_nothing(
    imported: Warehouse, materialize: Materialize
) -> None:
    lost = """
        DELETE FROM options_ticks WHERE bar_seconds = 60 AND (instrument_id, volume) =
            (SELECT instrument_id, volume FROM options_ticks WHERE bar_seconds = 60 ORDER BY volume DESC LIMIT 1)"""
    with imported.connect() as connection:
        connection.execute(lost)
        before = connection.execute("SELECT count(*), sum(volume) FROM options_ticks").fetchone()

    run = materialize(SELECTION, TINY_DATE)

    assert run.succeeded, run.failures
    check = checks(run)["bhavcopy_agrees"]
    assert (check.passed, check.blocking) == (False, False)
    assert check.metadata["disagreeing"] == 1
    assert 0 < check.metadata["agreeing_share"] < 1
    assert check.metadata["worst_difference_volume"] > 0.001
    assert "| volume |" in check.metadata["worst"]
    assert checks(run)["sources_agree"].passed
    with imported.connect() as connection:
        assert connection.execute("SELECT count(*), sum(volume) FROM options_ticks").fetchone() == before


def test_a_session_of_which_nothing_is_stored_has_nothing_to_compare(materialize: Materialize) -> None:
    run = materialize(SELECTION, HOLIDAY_FREE)

    assert run.succeeded, run.failures
    assert run.metadata["reconciliation"]["compared"] == 0
    assert "agreeing_share" not in run.metadata["reconciliation"]
