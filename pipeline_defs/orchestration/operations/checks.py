"""What is asked of Dagster: whether its daemons are at work, and whether the definitions can be loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from dagster._daemon.controller import get_daemon_statuses  # the UI's own judgement of a heartbeat

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.operations.health import UnhealthyError

if TYPE_CHECKING:
    import dagster as dg

CODE_SERVER_VARIABLES: Final = ("PIPELINE_CODE_SERVER_HOST", "PIPELINE_CODE_SERVER_PORT")
SHOWN: Final = 3
"""Daemons that are named; they are one process, and mostly end together."""

TOLERANCE_SECONDS: Final = 180.0
"""A daemon tells every half minute that it is there; Dagster's own tolerance of half an hour is too long for a desk."""


def check_instance(instance: dg.DagsterInstance) -> str:
    """See that the storage of runs and events answers."""
    return f"{instance.get_runs_count():,} runs are recorded in {type(instance.run_storage).__name__}"


def check_daemons(instance: dg.DagsterInstance) -> str:
    """See that each daemon that this instance needs had a heartbeat lately, and no error since."""
    needed = sorted(instance.get_required_daemon_types())
    statuses = get_daemon_statuses(instance, needed, heartbeat_tolerance_seconds=TOLERANCE_SECONDS)
    silent = []
    for name, status in statuses.items():
        heartbeat = status.last_heartbeat
        if status.healthy:
            continue
        if heartbeat is None:
            silent.append(f"{name} never ran")
        elif heartbeat.errors:
            said = " ".join((heartbeat.errors[0].message or "").split())
            silent.append(f"{name} reports an error: {said[:200]}")
        else:
            silent.append(f"{name} was last seen at {_utc(heartbeat.timestamp)}")
    if silent:
        more = f"; and {len(silent) - SHOWN} more" if len(silent) > SHOWN else ""
        raise UnhealthyError(
            f"{len(silent)} of {len(statuses)} daemons do not work: {'; '.join(silent[:SHOWN])}{more}",
            next_step="start dagster-daemon, or read its log; until then no schedule, sensor or queued run goes on",
        )
    return f"{len(statuses)} daemons had a heartbeat"


def check_code_location() -> str:
    """See that the definitions load: at the code server, if one is named, else in this process."""
    host, port = (os.environ.get(name) or "" for name in CODE_SERVER_VARIABLES)
    if not host:
        from pipeline_defs.definitions import defs  # noqa: PLC0415 -- takes seconds, and imports this wing

        return f"{len(defs.resolve_asset_graph().get_all_asset_keys())} assets load in this process"
    if not port.isdecimal():
        raise ConfigurationError(
            f"{CODE_SERVER_VARIABLES[1]} is {port!r}, expected the port of {host}", next_step="e.g. 4000"
        )
    from dagster._core.errors import DagsterUserCodeProcessError, DagsterUserCodeUnreachableError  # noqa: PLC0415
    from dagster._grpc.client import DagsterGrpcClient  # noqa: PLC0415 -- a probe may leave it out
    from dagster._grpc.types import ListRepositoriesResponse  # noqa: PLC0415
    from dagster_shared.serdes import deserialize_value  # noqa: PLC0415

    client = DagsterGrpcClient(host=host, port=int(port))
    try:
        answer = deserialize_value(client.list_repositories())
    except (DagsterUserCodeUnreachableError, DagsterUserCodeProcessError) as error:
        raise UnhealthyError(
            f"the code server at {host}:{port} does not answer: {str(error).splitlines()[0]}",
            next_step="start it, or read its log",
        ) from None
    if not isinstance(answer, ListRepositoriesResponse):
        said = " ".join(str(getattr(answer, "message", answer)).split())
        raise UnhealthyError(
            f"the code server at {host}:{port} cannot load the definitions: {said[:300]}",
            next_step="mend what its log shows, and restart it",
        )
    return f"the code server at {host}:{port} has loaded {len(answer.repository_symbols)} repository"


def _utc(timestamp: float) -> str:
    import datetime as dt  # noqa: PLC0415 -- only when something is wrong

    return f"{dt.datetime.fromtimestamp(timestamp, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
