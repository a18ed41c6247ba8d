"""An instance as `deploy/dagster.yaml` describes it, on a real PostgreSQL and a real object store."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3
import dagster as dg
import psycopg
import pytest

from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.storage.s3_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.samples.generate import GeneratedSample

BUCKET = "dagster-logs"
PASSWORD = "a secret of the database"  # noqa: S105 -- the server of the tests asks for none

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def dagster_database(postgres_url: str) -> Iterator[str]:
    """An empty database for runs and events."""
    name = f"dagster_{os.getpid()}_{next(_NUMBERS)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield urlsplit(postgres_url)._replace(path=f"/{name}").geturl()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def server_environment(dagster_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What `pipeline.env` and the secrets of a server say, with this session's database and object store."""
    home = tmp_path_factory.mktemp("server")
    parts = urlsplit(dagster_database)
    with serving() as store:
        client = boto3.client(
            "s3", endpoint_url=store["AWS_ENDPOINT_URL_S3"], region_name="us-east-1",
            aws_access_key_id=store["AWS_ACCESS_KEY_ID"], aws_secret_access_key=store["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip
        client.create_bucket(Bucket=BUCKET)
        secrets = home / "secrets"
        secrets.mkdir()
        for name, value in {
            "dagster_password": parts.password or PASSWORD,
            "s3_access_key": store.pop("AWS_ACCESS_KEY_ID"),
            "s3_secret_key": store.pop("AWS_SECRET_ACCESS_KEY"),
        }.items():
            (secrets / name).write_text(f"{value}\n")
        yield {
            "PATH": os.environ["PATH"],
            "CREDENTIALS_DIRECTORY": str(secrets),
            "PIPELINE_HOME": str(home / "state"),
            "DAGSTER_POSTGRES_HOST": parts.hostname or "",
            "DAGSTER_POSTGRES_PORT": str(parts.port),
            "DAGSTER_POSTGRES_DB": parts.path.removeprefix("/"),
            "DAGSTER_POSTGRES_USER": parts.username or "",
            "PIPELINE_LOGS_BUCKET": BUCKET,
            "PIPELINE_LOGS_PREFIX": "dagster",
            "PIPELINE_LOGS_LOCAL_DIR": str(home / "waiting"),
            "PIPELINE_MAX_RUNS": "7",
            "PIPELINE_MAX_BACKFILL_RUNS": "5",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            **store,
        }


@pytest.fixture(scope="session")
def server_started(server_environment: dict[str, str]) -> dict[str, str]:
    """What a process of the server has for its environment, after `start.sh` made its Dagster home."""
    started = subprocess.run(
        [PROJECT_ROOT / "deploy/start.sh", "env", "-0"], env=server_environment, capture_output=True, check=True
    )
    return dict(line.split("=", 1) for line in started.stdout.decode().split("\0") if line)


@pytest.fixture
def server_instance(server_started: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The server's instance, loaded by Dagster itself."""
    for name, value in server_started.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(server_started["DAGSTER_HOME"]) as instance:
        yield instance


@pytest.fixture
def landed(server_started: dict[str, str], tiny_sample: GeneratedSample) -> Path:
    """The tiny session's files in the server's landing folder."""
    from pathlib import Path  # noqa: PLC0415 -- needed when it runs, too

    return Path(shutil.copytree(tiny_sample.landing, f"{server_started['PIPELINE_HOME']}/landing", dirs_exist_ok=True))
