"""What is asked of an installation all day, as endless steps: each the name of its kind, and the question.

Used by `benchmarks.leaks_of_processes`, which says how often a day has each kind.
"""

# ruff: noqa: INP001, PLC0415 -- beside scripts, not in a package; Dagster is loaded when its home is set

from __future__ import annotations

import datetime as dt
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.load_month import ASSETS, QUERIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import dagster as dg

type Step = tuple[str, Callable[[], object]]

LOCATION: Final = "market_data_pipeline"
REPOSITORY: Final = "__repository__"

OVERVIEW: Final = {
    "server": "{version instance{daemonHealth{id allDaemonStatuses{id daemonType healthy lastHeartbeatTime}}}}",
    "automation": "{repositoriesOrError{... on RepositoryConnection{nodes{id name sensors{id name sensorState{id status"
    " ticks(limit:20){id status timestamp skipReason}}} schedules{id name scheduleState{id status}"
    " futureTicks(limit:5){results{timestamp}}}}}}}",
    "definitions": "{workspaceOrError{... on Workspace{locationEntries{id name loadStatus}}}}",
}
"""What the UI asks besides `QUERIES`."""

_LOOKS: Final = 10
"""How often each sensor is evaluated before the schedules are."""
_FAILED: Final = ("ErrorSnap", "SerializableErrorInfo")


class CodeServer:
    """What the daemon and the web server ask of a code server.

    Parameters
    ----------
    port : int
        On loopback.
    instance : dagster.DagsterInstance
        Which the code server opens for an evaluation, as the daemon tells it to.

    """

    def __init__(self, port: int, instance: dg.DagsterInstance) -> None:
        from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
        from dagster._grpc.client import DagsterGrpcClient

        location = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=port, location_name=LOCATION)
        self._client = DagsterGrpcClient(port=port, host="127.0.0.1")
        self._origin = RemoteRepositoryOrigin(location, REPOSITORY)
        self._instance = instance.get_ref()
        self._cursors: dict[str, str | None] = {}

    def steps(self) -> Iterator[Step]:
        """Ask, the sensors more often than the schedules; no run that is requested is launched."""
        from dagster._core.definitions.sensor_definition import SensorType

        from pipeline_defs.definitions import defs

        repository = defs.get_repository_def()
        # Dagster's own sensor, of automation, is evaluated by the daemon itself.
        sensors = [one.name for one in repository.sensor_defs if one.sensor_type is SensorType.STANDARD]
        jobs = {one.name: one.partitions_def for one in repository.get_all_jobs() if one.partitions_def is not None}
        while True:
            for name in sensors * _LOOKS:
                yield "evaluations", partial(self._look, name)
            for schedule in repository.schedule_defs:
                yield "evaluations", partial(self._evaluate, schedule.name)
            for name, partitions in jobs.items():
                yield "partitions", partial(self._list_partitions, name, partitions.get_last_partition_key())
            yield "definitions", self._read_definitions

    def _look(self, name: str) -> None:
        from dagster._core.definitions.sensor_definition import SensorExecutionData
        from dagster._grpc.types import SensorExecutionArgs
        from dagster._serdes import deserialize_value

        now = dt.datetime.now(dt.UTC).timestamp()
        args = SensorExecutionArgs(
            self._origin, self._instance, name, now, None, self._cursors.get(name), [name, str(now)]
        )
        answer = self._client.external_sensor_execution(args)
        _check(answer)
        self._cursors[name] = deserialize_value(answer, SensorExecutionData).cursor

    def _evaluate(self, name: str) -> None:
        from dagster._grpc.types import ExternalScheduleExecutionArgs

        now = dt.datetime.now(dt.UTC).timestamp()
        args = ExternalScheduleExecutionArgs(self._origin, self._instance, name, now, "UTC", [name, str(now)])
        _check(self._client.external_schedule_execution(args))

    def _list_partitions(self, job: str, key: str | None) -> None:
        from dagster._grpc.types import PartitionArgs, PartitionNamesArgs

        named: dict[str, Any] = {"repository_origin": self._origin, "partition_set_name": f"{job}_partition_set"}
        _check(self._client.external_partition_names(PartitionNamesArgs(**named, job_name=job)))
        if key is not None:
            args = PartitionArgs(**named, partition_name=key, job_name=job, instance_ref=self._instance)
            _check(self._client.external_partition_tags(args))

    def _read_definitions(self) -> None:
        self._client.list_repositories()
        self._client.external_repository(self._origin, defer_snapshots=True)


def pings(port: int) -> Iterator[Step]:
    """Ask the code server whether it is still the same, and now and then whether it is well."""
    from dagster._grpc.client import DagsterGrpcClient

    client = DagsterGrpcClient(port=port, host="127.0.0.1")
    while True:
        for _ in range(59):
            yield "pings", client.get_server_id
        yield "pings", client.health_check_query


def pages(ask: Callable[..., Any], web: str) -> Iterator[Step]:
    """Ask the web server what its pages ask, of one asset and run after the other."""
    at = 0
    while True:
        runs = ask(QUERIES["runs"])["runsOrError"]["results"]
        for query in (QUERIES | OVERVIEW).values():
            variables: dict[str, object] = {}
            if "$key" in query:
                variables = {"key": {"path": ASSETS[at % len(ASSETS)].split("/")}}
            if "$run" in query:
                variables = {"run": runs[at % len(runs)]["runId"]}
            yield "queries", partial(ask, query, **variables)
        yield "queries", partial(read, f"{web}/server_info")
        at += 1


def scrapes(url: str) -> Iterator[Step]:
    """Scrape the metrics; one of whose parts could not be read has failed."""

    def scrape() -> None:
        unread = [
            line for line in read(url).splitlines() if line.startswith("pipeline_collector_success") and "} 0" in line
        ]
        if unread:
            raise RuntimeError(str(unread))

    while True:
        yield "scrapes", scrape


def read(url: str) -> str:
    """Get a page of our own servers."""
    with urllib.request.urlopen(url, timeout=120) as answer:  # noqa: S310 -- on loopback
        text: str = answer.read().decode()
        return text


def _check(answer: str) -> None:
    """Refuse an answer that tells of an error."""
    if any(word in answer[:2000] for word in _FAILED):
        raise RuntimeError(answer[:280])
