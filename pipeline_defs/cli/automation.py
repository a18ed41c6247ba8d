"""``pipeline alerts`` and ``pipeline pools``: what the daemon tells to whom, and how many runs ask a source at once."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.options import AsJson
from pipeline_defs.settings import load_settings


def alerts(
    *,
    is_test: Annotated[bool, typer.Option("--test", help="Send a message through each of them now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show which notifiers PIPELINE_ALERTS switches on, and whether each can be made.

    Exit code 0 only if all of them work (with --test: took the message).
    """
    from pipeline_defs.alerting.alert import Alert, compose  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.alerting.collecting import every_seconds  # noqa: PLC0415
    from pipeline_defs.alerting.delivering import deliver  # noqa: PLC0415
    from pipeline_defs.alerting.log_file import log_path  # noqa: PLC0415
    from pipeline_defs.alerting.registry import VARIABLE, chosen_names, make_notifier  # noqa: PLC0415
    from pipeline_defs.errors import PipelineError  # noqa: PLC0415

    names = chosen_names()
    if not names and not as_json:
        typer.echo(f"alerts are off ({VARIABLE})")
        return
    message = compose([Alert("test", "pipeline alerts --test", error="nothing is wrong: somebody tries the notifiers")])
    told: dict[str, str | None] = {}
    for name in names:
        try:
            make_notifier(name)
            error = deliver(name, message).error if is_test else None
        except PipelineError as trouble:
            error = str(trouble)
        told[name] = error
        if not as_json:
            typer.echo(f"{name}: {error or ('took the message' if is_test else 'ready')}", err=error is not None)
    if as_json:
        notifiers = [{"name": name, "works": error is None, "error": error} for name, error in told.items()]
        typer.echo(json.dumps({"notifiers": notifiers, "log_file": str(log_path())}))
    else:
        typer.echo(f"at most one message in {every_seconds():.0f} s; the log file is {log_path()}")
    if any(error is not None for error in told.values()):
        raise typer.Exit(ExitCode.FAILED)


def pools(
    *,
    setting: Annotated[
        tuple[str, str] | None,
        typer.Option("--set", help="Let so many runs ask a source at once.", metavar="SOURCE LIMIT"),
    ] = None,
    reset: Annotated[str | None, typer.Option("--reset", help="Take a setting back.", metavar="SOURCE")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how many runs may ask each API source at once; the limit holds on the instance of this PIPELINE_HOME."""
    from pipeline_defs.errors import ConfigurationError  # noqa: PLC0415 -- keeps --help quick

    if setting is not None and not setting[1].isdecimal():
        raise ConfigurationError(f"limit {setting[1]!r} is no number", next_step="e.g. --set polygon 4")
    from pipeline_defs.orchestration.pools import pool_limits, set_pool_limit  # noqa: PLC0415 -- imports dagster
    from pipeline_defs.orchestration.runs import open_instance  # noqa: PLC0415

    with open_instance(load_settings()) as instance:
        if setting is not None:
            set_pool_limit(instance, setting[0], int(setting[1]))
        if reset is not None:
            set_pool_limit(instance, reset, None)
        limits = pool_limits(instance)
        if as_json:
            pools_told = [{"pool": pool, "limit": runs, "is_set": is_set} for pool, (runs, is_set) in limits.items()]
            typer.echo(json.dumps({"pools": pools_told}))
            return
        for pool, (runs, is_set) in limits.items():
            typer.echo(f"{pool:<22} {runs:>3} at once{'' if is_set else ', by default'}")
