"""``pipeline metrics``: numbers for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    import dagster as dg
    from prometheus_client import CollectorRegistry


def metrics(
    *,
    listen: Annotated[
        str | None, typer.Option("--listen", help="Serve them over HTTP until interrupted, e.g. 127.0.0.1:9464.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write them to this .prom file, for node_exporter.")
    ] = None,
) -> None:
    """Print the state of data, database, runs and daemons in Prometheus' text form.

    Without an option, one reading on standard output. A part that cannot be read is told by
    pipeline_collector_success, and the others are printed all the same.
    """
    from pipeline_defs.operations import metrics as operations  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.orchestration.runs import open_instance  # noqa: PLC0415 -- imports dagster

    address = None if listen is None else operations.parse_address(listen)
    with open_instance(load_settings(), captures_output=False) as instance:
        registry = _registry(instance)
        if output is not None:
            operations.write_file(registry, output)
        if address is not None:
            server, thread = operations.serve(registry, *address)
            typer.echo(f"metrics on http://{listen}/metrics (Ctrl-C ends it)", err=True)
            try:
                thread.join()
            finally:
                server.shutdown()
        elif output is None:
            typer.echo(operations.render(registry), nl=False)


def _registry(instance: dg.DagsterInstance) -> CollectorRegistry:
    from pipeline_defs.operations import metrics as operations  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.operations.warehouse_metrics import warehouse_parts  # noqa: PLC0415
    from pipeline_defs.orchestration.operations.metrics import instance_parts  # noqa: PLC0415
    from pipeline_defs.warehouse.connection import Warehouse, database_url  # noqa: PLC0415

    warehouse = Warehouse(database_url(load_settings()))
    return operations.registry_of(warehouse_parts(warehouse) | instance_parts(instance))
