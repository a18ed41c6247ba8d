from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pipeline_defs.definitions import defs
from pipeline_defs.orchestration.checks.quality import failing_rows
from pipeline_defs.quality.results import list_results
from pipeline_defs.quality.specs import Failure, Outcome, specs_of
from pipeline_defs.sources.registry import SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.orchestration.runs import CheckOutcome, PartitionRun
    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_tests.orchestration.conftest import CleanRun

    type Materialize = Callable[[str, str], PartitionRun]

DAY = "2025-08-13"


def outcome(run: PartitionRun, asset: str, name: str) -> CheckOutcome:
    (found,) = [check for check in run.checks if (check.asset, check.name) == (asset, name)]
    return found


def test_every_table_of_every_source_has_the_checks_for_it() -> None:
    graph = defs.resolve_asset_graph()
    keys = {(key.asset_key.to_user_string(), key.name) for key in graph.asset_check_keys}

    expected = {
        (f"{source}/{table}", spec.name)
        for source, entry in SOURCES.items()
        for table in entry.tables
        for spec in specs_of(table)
    }
    assert expected <= keys


def test_a_clean_session_passes_and_its_results_are_stored(clean: CleanRun) -> None:
    told = {(check.asset, check.name): check for check in clean.run.checks}
    stored = list_results(clean.warehouse)

    assert len(stored) == sum(len(specs_of(table)) for table in SOURCES["nse_csv"].tables)
    for result in stored:
        check = told[f"{result.source}/{result.dataset}", result.check_name]
        assert check.passed
        assert result.passed, result
        assert check.blocking == (result.severity == "error")
        assert (check.metadata["examined"], check.metadata["found"]) == (result.examined, result.found)
        assert "failing_rows" not in check.metadata


def test_wrong_data_stops_the_bars_and_shows_its_rows(imported: Warehouse, materialize: Materialize) -> None:
    with imported.connect() as connection:
        ((symbol, stamp),) = connection.execute(
            "WITH damaged AS (UPDATE options_ticks SET open = NULL WHERE ctid = (SELECT ctid FROM options_ticks"
            ' WHERE bar_seconds = 60 ORDER BY "timestamp" LIMIT 1) RETURNING instrument_id, "timestamp")'
            ' SELECT t.symbol, d."timestamp" FROM damaged AS d JOIN instrument_terms AS t USING (instrument_id)'
        ).fetchall()
        locked = connection.execute("UPDATE options_ticks SET bid_price = 1, ask_price = 1").rowcount

    run = materialize('key:"nse_csv/options_ticks" or group:bars', DAY)

    assert not run.succeeded
    assert set(run.metadata) == {"nse_csv/options_ticks"}
    wrong = outcome(run, "nse_csv/options_ticks", "ohlc")
    assert (wrong.passed, wrong.blocking, wrong.metadata["failing"]) == (False, True, 1)
    local = stamp + dt.timedelta(hours=5, minutes=30)
    assert f"| {symbol} | {local:%Y-%m-%d %H:%M:%S} | 60 s |" in wrong.metadata["failing_rows"]
    assert "import it again" in wrong.metadata["next_step"]
    # What is only worth knowing is told, and fails nothing.
    known = outcome(run, "nse_csv/options_ticks", "locked_quotes")
    assert locked > 0
    assert (known.passed, known.metadata["failing"]) == (True, locked)
    (stored,) = list_results(imported, dataset="options_ticks", check="locked_quotes")
    assert (stored.passed, stored.severity) == (False, "info")


def test_failing_rows_are_told_on_the_clock_of_their_market() -> None:
    stamp = dt.datetime(2024, 7, 3, 13, 31, tzinfo=dt.UTC)
    rows = (Failure("close 1", 7, stamp, 60), Failure("close 2", 8, stamp, 0), Failure("file.csv line 3: duplicate"))

    table = failing_rows(Outcome(9, 5, "", "", failures=rows), {7: "AAPL"}, "America/New_York")

    assert table.splitlines() == [
        "| symbol | time (America/New_York) | bar | what |",
        "| --- | --- | --- | --- |",
        "| AAPL | 2024-07-03 09:31:00 | 60 s | close 1 |",
        "| 8 | 2024-07-03 09:31:00 | tick | close 2 |",
        "|  |  |  | file.csv line 3: duplicate |",
        "",
        "and 2 more",
    ]
