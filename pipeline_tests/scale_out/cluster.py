"""The product on several hosts: a coordinator with daemon and code server, workers, and what a person asks of them."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import yaml

from pipeline_defs.orchestration.workers.broker import RUNS_QUEUE
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.scale_out.hosts import Host, hosts
from pipeline_tests.scale_out.services import Services, services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

COORDINATOR = "coordinator"
_PORT = 4266
_BIN = Path(sys.executable).parent

LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}"""


def instance_settings(max_runs: int, lease_seconds: int = 10, start_timeout_seconds: int = 300) -> dict[str, Any]:
    """The ``dagster.yaml`` of every host: that of ``deploy/celery``, and less patience than at night."""
    database = {
        field: {"env": f"DAGSTER_POSTGRES_{variable}"}
        for field, variable in (
            ("hostname", "HOST"),
            ("port", "PORT"),
            ("db_name", "DB"),
            ("username", "USER"),
            ("password", "PASSWORD"),
        )
    }
    launcher = yaml.safe_load((PROJECT_ROOT / "deploy/celery/run_launcher.yaml").read_text(encoding="utf-8"))
    launcher["run_launcher"]["config"] = {"lease_seconds": lease_seconds}
    return {
        "storage": {"postgres": {"postgres_db": {"scheme": "postgresql+psycopg2", **database}}},
        **launcher,
        "telemetry": {"enabled": False},
        "concurrency": {
            "runs": {"max_concurrent_runs": max_runs},
            "pools": {"granularity": "run", "default_limit": 1},
        },
        "run_queue": {"dequeue_interval_seconds": 1},
        "run_retries": {"enabled": True, "max_retries": 2, "retry_on_asset_or_op_failure": False},
        "run_monitoring": {
            "enabled": True,
            "poll_interval_seconds": 2,
            "start_timeout_seconds": start_timeout_seconds,
            "max_runtime_seconds": 600,
        },
    }


class Cluster:
    """Hosts that run the product.

    Parameters
    ----------
    shared : Services
        What they have in common.
    members : dict of str to Host
        By name; one of them is the coordinator.
    settings : dict
        The ``dagster.yaml`` of all.
    variables : dict of str to str
        Of the environment of every host.

    """

    def __init__(
        self, shared: Services, members: dict[str, Host], settings: dict[str, Any], variables: dict[str, str]
    ) -> None:
        self.shared = shared
        self.members = members
        self._settings = settings
        self._variables = variables

    def start_coordinator(self, definitions: str = "pipeline_defs.definitions") -> None:
        """Start code server and daemon, and wait until the code server answers."""
        host = self.members[COORDINATOR]
        code = ["api", "grpc", "--host", host.address, "--port", str(_PORT), "-m", definitions]
        self._start(host, "code-server", [str(_BIN / "dagster"), *code])
        _wait(lambda: _answers(host.address, _PORT), 300, host.log("code-server"))
        workspace = yaml.safe_dump(
            {"load_from": [{"grpc_server": {"host": host.address, "port": _PORT, "location_name": "market"}}]}
        )
        run = f"exec {_BIN}/dagster-daemon run --workspace $DAGSTER_HOME/workspace.yaml"
        daemon = f'printf "%s" "$WORKSPACE" > $DAGSTER_HOME/workspace.yaml && {run}'
        self._start(host, "daemon", ["sh", "-c", daemon], WORKSPACE=workspace)

    def start_worker(self, name: str, queue: str = RUNS_QUEUE) -> None:
        """Start a worker as the unit of ``deploy/celery`` does, with one place."""
        host = self.members[name]
        app = ["-A", "pipeline_defs.orchestration.workers.app", "worker", "-Q", queue, "-c", "1"]
        self._start(host, "worker", [str(_BIN / "celery"), *app, "-n", name, "--loglevel", "info"])

    def wait_for_workers(self, names: Sequence[str]) -> None:
        """Wait until all of them take runs."""
        for name in names:
            log = self.members[name].log("worker")
            _wait(lambda log=log: f"{name} ready" in log.read_text(errors="replace"), 300, log)  # type: ignore[misc] # noqa: B023

    @contextmanager
    def instance(self, home: Path) -> Iterator[dg.DagsterInstance]:
        """Open Dagster's instance from outside of all hosts, to look and to ask."""
        (home / "dagster").mkdir(parents=True, exist_ok=True)
        (home / "dagster/dagster.yaml").write_text(yaml.safe_dump(self._settings), encoding="utf-8")
        os.environ.update(self.shared.environment(home))
        with dg.DagsterInstance.get() as opened:
            yield opened

    def backfill(self, instance: dg.DagsterInstance, assets: Sequence[Sequence[str]], partitions: list[str]) -> str:
        """Ask for partitions as the UI does; each becomes a run."""
        from dagster._core.workspace.context import WorkspaceProcessContext  # noqa: PLC0415 -- as a web server does
        from dagster._core.workspace.load_target import GrpcServerTarget  # noqa: PLC0415
        from dagster_graphql.cli import execute_query  # noqa: PLC0415

        target = GrpcServerTarget(
            host=self.members[COORDINATOR].address, port=_PORT, socket=None, location_name="market"
        )
        with WorkspaceProcessContext(instance, target) as context:
            params = {"assetSelection": [{"path": list(path)} for path in assets], "partitionNames": partitions}
            answer = execute_query(context, LAUNCH, {"params": params})
        launched = answer["data"]["launchPartitionBackfill"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        backfill: str = launched["backfillId"]
        return backfill

    def is_waited_for(self, connection: psycopg.Connection[Any], lock: str) -> bool:
        """Tell whether a load has come as far as a partition's lock, which `connection` holds."""
        found = connection.execute(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND ((classid::bigint << 32) | objid::bigint) = hashtextextended(%s, 0)",
            [lock],
        ).fetchone()
        return found is not None

    def logs(self) -> Path:
        return self.members[COORDINATOR].log("daemon")

    def _start(self, host: Host, program: str, command: list[str], **more: str) -> None:
        seen = self.shared.environment(host.home, host.gateway)
        environment = {**seen, "PYTHONPATH": str(PROJECT_ROOT), **self._variables, **more}
        environment["INSTANCE"] = yaml.safe_dump(self._settings)
        prepare = 'mkdir -p $DAGSTER_HOME $PIPELINE_HOME && printf "%s" "$INSTANCE" > $DAGSTER_HOME/dagster.yaml'
        host.start(program, command, environment, prepare)


@contextmanager
def cluster(
    workers: Sequence[str],
    folder: Path,
    tell: Callable[[str], None],
    *,
    settings: dict[str, Any] | None = None,
    variables: dict[str, str] | None = None,
    namespaces: bool = True,
) -> Iterator[Cluster]:
    """Make hosts and what they share; nothing of the product runs yet.

    Parameters
    ----------
    workers : sequence of str
        Names of the hosts beside the coordinator.
    folder : Path
        For logs, and for what does not fit into memory.
    tell : callable
        Takes lines of the log.
    settings : dict, optional
        The ``dagster.yaml`` of all; default `instance_settings` with a place for each worker.
    variables : dict of str to str, optional
        Of the environment of every host.
    namespaces : bool, default True
        False has plain processes where namespaces are permitted, too.

    """
    with (
        hosts([COORDINATOR, *workers], folder / "hosts", tell, namespaces=namespaces) as (address, members),
        services(address, folder) as shared,
        ExitStack() as cables,
    ):
        for host in members.values():
            if host.cable is not None:
                cables.enter_context(host.cable.laid(shared.ports))
        yield Cluster(shared, members, settings or instance_settings(len(workers)), variables or {})


def wait_until(done: Callable[[], bool], seconds: float, made: Cluster) -> None:
    """Wait; what the daemon wrote is the message when it takes too long."""
    _wait(done, seconds, made.logs())


def _wait(done: Callable[[], bool], seconds: float, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-6_000:]
        time.sleep(1)


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
