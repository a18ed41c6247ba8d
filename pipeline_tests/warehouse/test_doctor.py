"""The doctor: what the server can do, what is stored, and everything that is not in order, with a next step."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.warehouse import doctor, inventory
from pipeline_defs.warehouse.doctor import describe
from pipeline_defs.warehouse.migrations import LAYERS, State, find_drift, migration_states, read_migrations
from pipeline_tests.warehouse.deliveries import Delivery, make_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

A = "NIFTY31JAN1910000CE"


@pytest.fixture
def spoil(warehouse: Warehouse) -> Iterator[Callable[..., None]]:
    """Run statements by hand, and undo them after the test."""
    ways_back: list[str] = []

    def run(statement: str, undo: str = "") -> None:
        with warehouse.connect() as connection:
            connection.execute(statement)
        ways_back.append(undo)

    yield run
    with warehouse.connect() as connection:
        for undo in filter(None, reversed(ways_back)):
            connection.execute(undo)


def edition(warehouse: Warehouse) -> str:
    with warehouse.connect() as connection:
        row = connection.execute(
            "SELECT CASE WHEN NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN 'plain'"
            " WHEN current_setting('timescaledb.license', true) = 'timescale' THEN 'full' ELSE 'apache' END"
        ).fetchone()
    assert row is not None
    return str(row[0])


def whats(findings: list[dict[str, str]]) -> list[str]:
    assert all(finding["next_step"] for finding in findings)
    return [finding["what"] for finding in findings]


def test_a_healthy_warehouse_has_no_problem_and_shows_its_content(
    warehouse: Warehouse, load: Callable[..., LoadReport]
) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))

    state = describe(warehouse)

    assert state["problems"] == []
    assert state["datasets"] == [
        {
            "dataset": "options_ticks",
            "bar_seconds": 60,
            "loads": 1,
            "first": "2019-01-01",
            "last": "2019-01-01",
            "rows_stored": 1,
        }
    ]
    assert state["pending_bar_windows"] == 0
    assert state["size_bytes"] > 1_000_000
    sizes = {table["table"]: table["size_bytes"] for table in state["tables"]}
    assert sizes["loads"] > 0
    assert sizes["options_ticks"] > 0
    assert json.loads(json.dumps(state)) == state


def test_layers_and_capabilities_are_those_of_the_server(warehouse: Warehouse) -> None:
    state = describe(warehouse)
    layers = LAYERS[: 1 + ("plain", "apache", "full").index(edition(warehouse))]

    assert tuple(state["migrations"]["layers_possible"]) == layers
    assert state["migrations"]["applied"] == {
        layer: len(read_migrations(layer)) for layer in layers if read_migrations(layer)
    }
    assert state["migrations"]["not_in_order"] == {}
    use = state["capabilities"]
    if edition(warehouse) == "plain":
        assert set(use.values()) == {"not in use: the server has no TimescaleDB extension"}
        assert state["edition"] == "plain PostgreSQL"
    else:
        assert use["hypertables"] == "in use, 5 tables"
        assert state["timescaledb"]["version"] in state["edition"]
    if edition(warehouse) == "apache":
        assert use["compression"] == "not in use: the licence of this edition (apache) does not allow it"
        assert use["continuous_aggregates"] == use["compression"]


def test_chunks_are_counted_where_there_are_any(warehouse: Warehouse, load: Callable[..., LoadReport]) -> None:
    load(make_batch(Delivery([(A, 1, "1.5")])))

    chunks = {table.pop("table"): table for table in describe(warehouse)["chunks"]}

    if edition(warehouse) == "plain":
        assert chunks == {}
    else:
        # The trade date begins on the day before in UTC, so its storage may be two chunks.
        assert chunks["options_ticks"]["chunks"] in {1, 2}
        assert chunks["options_ticks"]["compressed"] == 0
        assert chunks["options_ticks"]["oldest"] in {"2018-12-31T00:00:00+00:00", "2019-01-01T00:00:00+00:00"}
        assert chunks["options_ticks"]["newest"] == "2019-01-02T00:00:00+00:00"
        assert chunks["equity_daily"] == {"chunks": 0, "compressed": 0, "oldest": None, "newest": None}


def test_rows_without_load_or_instrument_are_problems_unless_nobody_looks(
    warehouse: Warehouse, spoil: Callable[..., None]
) -> None:
    spoil(
        "INSERT INTO spot_prices (timestamp, instrument_id, bar_seconds, sequence, source, close, load_id)"
        " SELECT now(), n, 60, 0, 'x', 1, 99 FROM generate_series(1, 2) AS n"
    )
    spoil(
        "INSERT INTO loads (load_id, source, dataset, trade_date, bar_seconds, status, source_type, source_url,"
        " api_version, fetched_at, rows_read, rows_stored, rows_unchanged, rows_corrected, rows_retired,"
        " rows_quarantined, checksum, code_version) OVERRIDING SYSTEM VALUE VALUES (98, 'x', 'spot_prices',"
        " '2019-01-01', 60, 'complete', 'x', 'x', 'x', now(), 0, 0, 0, 0, 0, 0, 'x', 'x')"
    )
    spoil("UPDATE spot_prices SET load_id = 98 WHERE instrument_id = 2")

    state = describe(warehouse)

    assert state["rows_without_load"] == {"spot_prices": 1}
    assert state["rows_without_instrument"] == {"spot_prices": 2}
    assert whats(state["problems"]) == [
        "1 rows of spot_prices name a load that does not exist",
        "2 rows of spot_prices name an instrument that does not exist",
    ]
    assert describe(warehouse, quick=True)["problems"] == []


def test_a_schema_changed_by_hand_is_a_problem_that_names_the_change(
    warehouse: Warehouse, spoil: Callable[..., None]
) -> None:
    spoil("ALTER TABLE loads ADD COLUMN foo integer", "ALTER TABLE loads DROP COLUMN foo")
    spoil("CREATE TABLE notebook (id integer)", "DROP TABLE notebook")

    state = describe(warehouse)

    assert whats(state["problems"]) == ["the schema is not as the migrations left it: column loads.foo was added"]
    assert state["migrations"]["drift"] == ["column loads.foo was added"]
    assert state["migrations"]["beside"] == ["table notebook"]


def test_outstanding_migrations_are_a_problem_and_the_doctor_applies_none(
    warehouse: Warehouse, spoil: Callable[..., None]
) -> None:
    spoil(
        "CREATE TABLE put_aside AS SELECT * FROM schema_migrations WHERE version BETWEEN 7 AND 999",
        "INSERT INTO schema_migrations SELECT * FROM put_aside; DROP TABLE put_aside",
    )
    spoil("DELETE FROM schema_migrations WHERE version BETWEEN 7 AND 999")

    for _ in range(2):
        (problem,) = describe(warehouse)["problems"]
        assert problem["what"].startswith("migrations outstanding: common/0007_")
        assert "pipeline db upgrade" in problem["next_step"]


def test_bars_that_are_behind_are_a_warning(warehouse: Warehouse, load: Callable[..., LoadReport]) -> None:
    report = load(make_batch(Delivery([(A, 1, "1.5")])))
    with warehouse.connect() as connection:
        connection.execute("INSERT INTO pending_bars VALUES ('2019-01-01', '2019-01-02', %s)", [report.load_id])

    state = describe(warehouse)

    assert state["pending_bar_windows"] == 1
    assert "the bars of 1 windows are behind their observations" in whats(state["warnings"])
    assert state["problems"] == []


def test_a_database_without_a_snapshot_is_a_warning(warehouse: Warehouse, spoil: Callable[..., None]) -> None:
    spoil("ALTER TABLE schema_snapshot RENAME TO put_aside", "ALTER TABLE put_aside RENAME TO schema_snapshot")

    state = describe(warehouse)

    assert state["migrations"]["schema_recorded"] is False
    assert any(what.startswith("no migration has recorded the schema yet") for what in whats(state["warnings"]))
    assert state["problems"] == []


@pytest.mark.parametrize(
    ("major", "extension", "licence", "warned"),
    [
        (15, None, None, None),
        (18, "2.29.2", "timescale", None),
        (14, None, None, "PostgreSQL 14.1 is none of the tested versions, 15 to 18"),
        (19, None, None, "PostgreSQL 19.1 is none of the tested versions, 15 to 18"),
        (17, "2.19.3", "apache", None),
        (17, "2.26.2", "timescale", "TimescaleDB 2.26.2 is older than 2.26.3"),
        (17, "2.23.0-dev", "timescale", "TimescaleDB 2.23.0-dev is older than 2.26.3"),
    ],
)
def test_versions_outside_of_what_is_tested_or_safe_are_warned_of(
    major: int, extension: str | None, licence: str | None, warned: str | None
) -> None:
    found = doctor._server_warnings(
        {
            "server": f"{major}.1",
            "server_major": major,
            "timescaledb": None if extension is None else {"version": extension, "license": licence},
        }
    )

    assert [finding.what.partition(":")[0] for finding in found] == ([] if warned is None else [warned])


def test_background_jobs_that_failed_since_or_never_start_are_problems(
    warehouse: Warehouse, spoil: Callable[..., None]
) -> None:
    if edition(warehouse) != "plain":
        pytest.skip("the server has job views of its own")
    spoil(
        "CREATE SCHEMA timescaledb_information;"
        "CREATE TABLE timescaledb_information.jobs (job_id integer, proc_name text, scheduled boolean,"
        " next_start timestamptz);"
        "CREATE TABLE timescaledb_information.job_stats (job_id integer, last_successful_finish timestamptz);"
        "CREATE TABLE timescaledb_information.job_errors (job_id integer, proc_name text, finish_time timestamptz,"
        " sqlerrcode text, err_message text);"
        "INSERT INTO timescaledb_information.jobs VALUES (3, 'housekeeping', true, '2020-01-01'),"
        " (1000, 'failing', true, '2020-01-01'), (1001, 'mended', true, now()), (1002, 'stuck', true, '2020-01-01'),"
        " (1003, 'switched_off', false, '2020-01-01');"
        "INSERT INTO timescaledb_information.job_stats VALUES (1000, '-infinity'), (1001, '2026-01-03');"
        "INSERT INTO timescaledb_information.job_errors VALUES (1000, 'failing', '2026-01-01', '24000', 'first'),"
        " (1000, 'failing', '2026-01-02', '24000', 'cannot drop portal'), (1001, 'mended', '2026-01-02', 'x', 'old')",
        "DROP SCHEMA timescaledb_information CASCADE",
    )
    with warehouse.connect() as connection:
        jobs = inventory.job_problems(connection)

    assert whats([asdict(finding) for finding in doctor._job_findings({"job_problems": jobs})]) == [
        "background job 1000 (failing) failed 2 times since it last succeeded: 24000 cannot drop portal",
        "background job 1002 (stuck) has been due since 2020-01-01T00:00:00+00:00 and does not start",
    ]


def test_a_server_without_background_jobs_has_no_job_problems(warehouse: Warehouse) -> None:
    assert describe(warehouse)["job_problems"] == []


def test_every_state_of_a_migration_that_is_not_applied_has_a_next_step(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        (entry, *_) = migration_states(connection)
        drift = find_drift(connection)

    for state in State:
        found = doctor._migration_problems([type(entry)(1, "common/0001_x.sql", state)], drift)
        assert [finding.what for finding in found] == (
            [] if state is State.APPLIED else [f"migrations {state.value}: common/0001_x.sql"]
        )
