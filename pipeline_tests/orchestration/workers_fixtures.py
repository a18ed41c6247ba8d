"""Runs as a daemon hands them to a launcher, made without a code server."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.dagster_run import RunOpConcurrency
from dagster._core.test_utils import instance_for_test

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = "market-data-pipeline:latest"


def a_run(
    instance: dg.DagsterInstance,
    *,
    pools: set[str] | None = None,
    job_name: str = "nse_daily",
    tags: dict[str, str] | None = None,
) -> dg.DagsterRun:
    """Put a run into the instance that is about to be launched."""
    repository = RepositoryPythonOrigin(
        executable_path=sys.executable,
        code_pointer=ModuleCodePointer("pipeline_defs.definitions", "defs"),
        container_image=IMAGE,
        entry_point=["dagster"],
        container_context={},
    )
    location = GrpcServerCodeLocationOrigin(host="code", port=4000, location_name="market")
    return instance.add_run(
        dg.DagsterRun(
            job_name=job_name,
            status=dg.DagsterRunStatus.STARTING,
            job_code_origin=JobPythonOrigin(job_name=job_name, repository_origin=repository),
            remote_job_origin=RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), job_name),
            tags={"dagster/partition": "2025-08-14", **(tags or {})},
            run_op_concurrency=RunOpConcurrency(
                root_key_counts={}, has_unconstrained_root_nodes=not pools, all_pools=pools or set()
            ),
        )
    )


def launch(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    """Hand a run to the instance's launcher, and give what the instance holds of it then."""
    instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


@contextmanager
def instance_with(settings: dict[str, Any]) -> Iterator[dg.DagsterInstance]:
    """Open an instance with a part of a ``dagster.yaml``, as the daemon does: by the launcher's own schema."""
    with instance_for_test(overrides=settings) as instance:
        yield instance
