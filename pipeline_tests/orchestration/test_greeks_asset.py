from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.definitions import defs
from pipeline_defs.greeks.rate_files import read_rates
from pipeline_defs.greeks.rates import load_rates
from pipeline_defs.orchestration.assets.greeks import GreeksConfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.orchestration.runs import PartitionRun
    from pipeline_defs.warehouse.connection import Warehouse

DAY = "2025-08-13"


@pytest.fixture
def rated(imported: Warehouse, tmp_path: Path) -> Warehouse:
    """The tiny session, with a rate and a yield."""
    for name, text in (
        ("rates", "currency,valid_from,rate,source\nINR,2025-01-01,0.065,T-bill\n"),
        ("yields", "underlying,valid_from,dividend_yield,source\nNIFTY,2025-01-01,0.0125,factsheet\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        load_rates(imported, read_rates(tmp_path / name))
    return imported


def test_a_session_is_computed_checked_and_drawn(
    rated: Warehouse, materialize: Callable[[str, str], PartitionRun]
) -> None:
    run = materialize("option_greeks", DAY)
    told = run.metadata["option_greeks"]
    with rated.connect() as connection:
        rows = connection.execute("SELECT count(*), count(implied_volatility) FROM option_greeks").fetchone()

    assert run.succeeded, run.failures
    assert rows == (told["dagster/partition_row_count"], told["rows_with_numbers"])
    assert rows[1] > 0
    masked = {name: count for name, count in told.items() if name.startswith("masked_")}
    assert rows[0] - rows[1] == sum(masked.values())
    assert len(masked) == 7
    assert 0.05 < told["median_implied_volatility"] < 0.3
    assert told["rows_per_second"] > 0
    assert told["smile"].startswith(
        "Last implied volatility of the session's options out of the money: NIFTY\n\n![](data:"
    )
    assert {(check.name, check.passed, check.blocking) for check in run.checks} == {
        ("greeks_within_bounds", True, True),
        ("volatility_reprices", True, True),
    }


def test_without_a_rate_the_step_fails_and_says_what_to_do(
    imported: Warehouse, materialize: Callable[[str, str], PartitionRun]
) -> None:
    run = materialize("option_greeks", DAY)

    assert not run.succeeded
    assert "no interest rate of INR counts on 2025-08-13" in run.failures[0]
    assert "Next: load a file with 'pipeline rates load FILE'" in run.failures[0]
    with imported.connect() as connection:
        assert connection.execute("SELECT count(*) FROM option_greeks").fetchone() == (0,)


def test_the_data_version_follows_the_inputs_and_the_choices_of_a_run(
    imported: Warehouse, instance: dg.DagsterInstance
) -> None:
    del imported

    def version(**choices: object) -> str:
        config = {"forward_method": "spot", "rate": 0.065, "dividend_yield": 0.0125, **choices}
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey("option_greeks")],
            partition_key=DAY,
            run_config={"ops": {"option_greeks": {"config": config}}},
        )
        (event,) = result.get_asset_materialization_events()
        tags = event.step_materialization_data.materialization.tags
        assert tags is not None
        return tags["dagster/data_version"]

    first = version()

    assert version() == first
    assert version(rate=0.05) != first
    assert version() == first


def test_a_check_that_fails_names_the_rows(
    rated: Warehouse, materialize: Callable[[str, str], PartitionRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    del rated
    monkeypatch.setattr("pipeline_defs.greeks.reading.REPRICE_TOLERANCE", -1.0)
    run = materialize("option_greeks", DAY)
    failed = {check.name: check for check in run.checks if not check.passed}

    assert set(failed) == {"volatility_reprices"}
    assert failed["volatility_reprices"].blocking
    assert failed["volatility_reprices"].metadata["found"].startswith("0 of ")
    assert failed["volatility_reprices"].metadata["detail"].count("\n- NIFTY14AUG25") == 9


def test_choices_have_the_core_s_defaults() -> None:
    from pipeline_defs.greeks.parameters import GreeksParameters  # noqa: PLC0415 -- beside what it is compared with

    assert GreeksConfig().parameters() == GreeksParameters()
