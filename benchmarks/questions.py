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

_FAILED: Final = ("ErrorSnap", "SerializableErrorInfo")


def of_code_server(port: int, instance: dg.DagsterInstance) -> Iterator[Step]:
    """Ask what the daemon and the web server ask of schedules, partitions and definitions."""
    from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
    from dagster._grpc.client import DagsterGrpcClient
    from dagster._grpc.types import ExternalScheduleExecutionArgs, PartitionArgs, PartitionNamesArgs

    from pipeline_defs.definitions import defs

    client = DagsterGrpcClient(port=port, host="127.0.0.1")
    location = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=port, location_name=LOCATION)
    origin = RemoteRepositoryOrigin(location, REPOSITORY)
    repository, reference = defs.get_repository_def(), instance.get_ref()
    partitioned = {job.name: job.partitions_def for job in repository.get_all_jobs() if job.partitions_def is not None}

    def evaluate(name: str) -> None:
        now = dt.datetime.now(dt.UTC).timestamp()
        args = ExternalScheduleExecutionArgs(origin, reference, name, now, "UTC", [name, str(now)])
        _check(client.external_schedule_execution(args))

    def list_partitions(job: str, key: str | None) -> None:
        named: dict[str, Any] = {"repository_origin": origin, "partition_set_name": f"{job}_partition_set"}
        _check(client.external_partition_names(PartitionNamesArgs(**named, job_name=job)))
        if key is not None:
            args = PartitionArgs(**named, partition_name=key, job_name=job, instance_ref=reference)
            _check(client.external_partition_tags(args))

    def read_definitions() -> None:
        client.list_repositories()
        client.external_repository(origin, defer_snapshots=True)

    while True:
        for schedule in repository.schedule_defs:
            yield "evaluations", partial(evaluate, schedule.name)
        for job, definition in partitioned.items():
            yield "partitions", partial(list_partitions, job, definition.get_last_partition_key())
        yield "definitions", read_definitions


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
