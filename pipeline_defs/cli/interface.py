"""``pipeline ui``: the Dagster UI and daemon over this PIPELINE_HOME."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline_defs.settings import PROJECT_ROOT, load_settings


def ui(
    *,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = 3000,
) -> None:
    """Open the Dagster UI on the same state as the command line."""
    from pipeline_defs.orchestration.instance import prepare_dagster_home  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.orchestration.pools import pool_limits  # noqa: PLC0415 -- imports dagster
    from pipeline_defs.orchestration.runs import open_instance  # noqa: PLC0415

    dagster_home = prepare_dagster_home(load_settings())
    with open_instance(load_settings()) as instance:
        pool_limits(instance)  # Dagster learns of a pool from its first run; of those queued before, all would start
    environment = {**os.environ, "DAGSTER_HOME": str(dagster_home)}
    dagster = Path(sys.executable).with_name("dagster")
    workspace = PROJECT_ROOT / "workspace.yaml"
    os.chdir(dagster_home)  # in the clone, Dagster would warn of the dagster.yaml that this home links to
    typer.echo(f"Dagster UI on http://{host}:{port} (Ctrl-C ends it)", err=True)
    os.execve(  # noqa: S606 -- the UI replaces this process, so that signals reach it
        dagster, [str(dagster), "dev", "--workspace", str(workspace), "--host", host, "--port", str(port)], environment
    )
