"""`deploy/dagster.yaml`, loaded by Dagster itself: where a run with the real definitions leaves its traces."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psycopg
import pytest
import yaml
from dagster_aws.s3.compute_log_manager import S3ComputeLogManager
from dagster_postgres import PostgresEventLogStorage

from pipeline_defs.definitions import defs
from pipeline_defs.orchestration.operations import event_retention
from pipeline_defs.orchestration.operations.event_retention import prune_log_lines
from pipeline_defs.orchestration.runs import materialize_partition
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.orchestration.conftest import TINY_DATE
from pipeline_tests.orchestration.operations.conftest import BUCKET
from pipeline_tests.orchestration.operations.knowledge import known

if TYPE_CHECKING:
    import dagster as dg

START = PROJECT_ROOT / "deploy/start.sh"


def test_a_run_ends_in_postgresql_and_in_the_bucket_and_pruning_forgets_nothing_of_it(
    server_instance: dg.DagsterInstance,
    landed: Path,
    database_url: str,
    dagster_database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIPELINE_DATABASE_URL", database_url)
    assert landed.is_dir()
    server_instance.wipe()  # of what other tests ran on it

    run = materialize_partition("group:ingestion or group:bars", TINY_DATE, server_instance, on_progress=print)

    assert run.succeeded
    with psycopg.connect(dagster_database) as connection:
        rows: dict[str, int] = dict(
            connection.execute(
                "SELECT coalesce(dagster_event_type, 'log line'), count(*) FROM event_logs"
                " WHERE run_id = %s GROUP BY 1",
                [run.run_id],
            ).fetchall()
        )
    assert rows["ASSET_MATERIALIZATION"] > 3
    assert rows["PIPELINE_SUCCESS"] == 1
    listed = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"dagster/storage/{run.run_id}/")
    assert ".out" in {Path(found["Key"]).suffix for found in listed["Contents"]}  # and parts of it, on a slow machine

    keys = sorted(defs.resolve_asset_graph().materializable_asset_keys)
    before = known(server_instance, keys, run.run_id)
    _age(dagster_database)
    server_instance.run_storage.set_cursor_values({event_retention._DONE_UNTIL: "2020-01-01T00:00:00+00:00"})
    pruned = prune_log_lines(server_instance)

    assert pruned.runs == 1
    assert pruned.rows > sum(rows.values()) // 2, rows
    with psycopg.connect(dagster_database) as connection:
        assert connection.execute("SELECT count(*) FROM event_logs").fetchall() == [(sum(rows.values()) - pruned.rows,)]
    assert known(server_instance, keys, run.run_id) == before
    assert any(before["partitions"].values())
    assert before["checks"]


def _age(dagster_database: str) -> None:
    with psycopg.connect(dagster_database) as connection:
        connection.execute("UPDATE runs SET update_timestamp = update_timestamp - interval '31 days'")


def test_the_queue_the_retries_and_the_places_are_as_the_environment_says(server_instance: dg.DagsterInstance) -> None:
    queue = server_instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.max_concurrent_runs == 7
    assert list(queue.tag_concurrency_limits) == [{"key": "dagster/backfill", "limit": 5}]
    assert server_instance.get_concurrency_config().pool_config.default_pool_limit == 1
    assert server_instance.run_retries_enabled
    assert not server_instance.run_retries_retry_on_asset_or_op_failure
    assert server_instance.run_monitoring_enabled
    assert not server_instance.telemetry_enabled
    assert isinstance(server_instance.compute_log_manager, S3ComputeLogManager)
    storage = server_instance.event_log_storage
    assert isinstance(storage, PostgresEventLogStorage)
    assert storage.postgres_url.startswith("postgresql+psycopg2://")


def test_secrets_come_from_files_and_are_in_no_file_of_the_instance(
    server_environment: dict[str, str], server_started: dict[str, str]
) -> None:
    secrets = {
        path.name: path.read_text().strip() for path in Path(server_environment["CREDENTIALS_DIRECTORY"]).iterdir()
    }
    assert server_started["DAGSTER_POSTGRES_PASSWORD"] == secrets["dagster_password"]
    assert server_started["AWS_SECRET_ACCESS_KEY"] == secrets["s3_secret_key"]
    text = Path(server_started["DAGSTER_HOME"], "dagster.yaml").read_text()
    assert not any(value in text for value in secrets.values())
    assert set(yaml.safe_load(text)) == set(yaml.safe_load((PROJECT_ROOT / "deploy/dagster.yaml").read_text()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"PIPELINE_MAX_RUNS": "many"}, "PIPELINE_MAX_RUNS is 'many', expected a positive number"),
        ({"PIPELINE_HOME": ""}, "set PIPELINE_HOME"),
    ],
)
def test_a_wrong_setting_stops_the_start(server_environment: dict[str, str], change: dict[str, str], told: str) -> None:
    started = subprocess.run(
        [START, "true"], env={**server_environment, **change}, capture_output=True, text=True, check=False
    )

    assert started.returncode != 0
    assert told in started.stderr


def test_an_empty_secret_stops_the_start(server_environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "dagster_password").write_text("\n")
    environment = {**server_environment, "CREDENTIALS_DIRECTORY": str(tmp_path)}

    started = subprocess.run([START, "true"], env=environment, capture_output=True, text=True, check=False)

    assert started.returncode == 1
    assert "the secret dagster_password is empty" in started.stderr
