"""What the hosts share, at one address of the bridge: a PostgreSQL of two databases, a broker, a bucket."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg

from pipeline_defs.storage.locations import S3Location
from pipeline_defs.warehouse.embedded import cluster
from pipeline_defs.warehouse.embedded.process import find_postmaster, is_alive, wait_until_ready
from pipeline_tests.servers.places import database_folder
from pipeline_tests.servers.redis_packages import redis_running
from pipeline_tests.storage.s3_server import serving

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUCKET = "pipeline"
_START_SECONDS = 60


@dataclass
class Services:
    """Where everything is.

    Parameters
    ----------
    postgres_url : str
        Of the maintenance database.
    broker_url : str
        With its password.
    s3 : dict of str to str
        Variables by which AWS tools find the store.
    start_broker : callable
        Starts another one in the place of one that has ended; it knows nothing of what that one held.

    """

    postgres_url: str = field(repr=False)
    broker_url: str = field(repr=False)
    s3: dict[str, str] = field(repr=False)
    start_broker: Callable[[], subprocess.Popen[bytes]] = field(repr=False)

    def __post_init__(self) -> None:
        """Start the broker."""
        self.broker = self.start_broker()

    @property
    def address(self) -> str:
        """Where they listen."""
        return urlsplit(self.postgres_url).hostname or ""

    @property
    def ports(self) -> list[int]:
        """Where they listen there."""
        urls = (self.postgres_url, self.broker_url, self.s3["AWS_ENDPOINT_URL_S3"])
        return [int(urlsplit(url).port or 0) for url in urls]

    def kill_broker(self) -> None:
        """End the broker with all that it holds."""
        self.broker.kill()
        self.broker.wait()

    def replace_broker(self) -> None:
        """Start a new one at the same address."""
        self.broker = self.start_broker()

    def database(self, name: str) -> str:
        return urlsplit(self.postgres_url)._replace(path=f"/{name}").geturl()

    def environment(self, home: Path, seen_at: str | None = None) -> dict[str, str]:
        """Give what a host is told: addresses, as it sees them, and secrets, and a home of its own."""
        parts = urlsplit(self.postgres_url)
        told = {
            **self.s3,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "DAGSTER_HOME": str(home / "dagster"),
            "DAGSTER_POSTGRES_HOST": parts.hostname or "",
            "DAGSTER_POSTGRES_PORT": str(parts.port),
            "DAGSTER_POSTGRES_DB": "dagster",
            "DAGSTER_POSTGRES_USER": parts.username or "",
            "DAGSTER_POSTGRES_PASSWORD": parts.password or "",
            "PIPELINE_BROKER_URL": self.broker_url,
            "PIPELINE_DATABASE_URL": self.database("market"),
            "PIPELINE_EXECUTOR": "in_process",
            "PIPELINE_FIRST_DATE": "2025-08-01",
            "PIPELINE_HOME": str(home / "pipeline"),
            "PIPELINE_HOSTS": "many",
            "PIPELINE_LANDING": f"s3://{BUCKET}/landing",
            "PIPELINE_OBJECT_STORE": f"s3://{BUCKET}",
            "PIPELINE_UNDERLYINGS": "NIFTY",
            "TZ": "UTC",
        }
        return {name: value.replace(self.address, seen_at or self.address) for name, value in told.items()}


@contextmanager
def services(address: str, folder: Path) -> Iterator[Services]:
    """Run them, listening at `address`, and end them."""
    password = secrets.token_hex(8)
    port = _free_port(address)
    with (
        database_folder(folder) as data,
        _postgres(address, data / "postgres") as url,
        serving(address) as s3,
        ExitStack() as brokers,
    ):
        with psycopg.connect(url, autocommit=True) as connection:
            for name in ("dagster", "market"):
                connection.execute(f"CREATE DATABASE {name}")

        def start_broker() -> subprocess.Popen[bytes]:
            return brokers.enter_context(redis_running(address, port, password, folder))

        yield Services(url, f"redis://:{password}@{address}:{port}/0", s3, start_broker)


def upload_landing(store_client: object, landing: Path) -> int:
    """Put a landing folder into the bucket."""
    client: object = store_client
    client.create_bucket(Bucket=BUCKET)  # type: ignore[attr-defined] # once more changes nothing
    files = [path for path in sorted(landing.rglob("*")) if path.is_file()]
    for path in files:
        place = S3Location(BUCKET, "landing") / path.relative_to(landing).as_posix()
        client.upload_file(str(path), place.bucket, place.key)  # type: ignore[attr-defined]
    return len(files)


@contextmanager
def _postgres(address: str, directory: Path) -> Iterator[str]:
    """Run the embedded programs as a server for a network."""
    directory.mkdir(mode=0o755)
    account = cluster.prepare(directory, durable=False)
    data = directory / "data"
    with (data / "pg_hba.conf").open("a", encoding="utf-8") as rules:
        rules.write(f"\nhost all all {address}/24 scram-sha-256\n")
    patched = dict(cluster._SETTINGS)
    try:
        cluster._SETTINGS["listen_addresses"] = ",".join(sorted({"127.0.0.1", address}))
        pid = cluster.launch(directory, account, durable=False)
    finally:
        cluster._SETTINGS.update(patched)
    found = wait_until_ready(data, pid, _START_SECONDS)
    assert found is not None, cluster.log_tail(directory, 0)
    try:
        yield urlsplit(cluster.url(directory, found.port, "postgres").replace("127.0.0.1", address)).geturl()
    finally:
        running = find_postmaster(data)
        if running is not None:
            os.kill(running.pid, signal.SIGINT)
            deadline = time.monotonic() + _START_SECONDS
            while is_alive(running.pid) and time.monotonic() < deadline:
                time.sleep(0.1)


def _free_port(address: str) -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
    return port
