"""``pipeline alerts`` and ``pipeline pools``: what the daemon tells to whom, and how many runs ask a source at once."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline_defs.settings import load_settings


def alerts(
    *,
    is_test: Annotated[bool, typer.Option("--test", help="Send a message through each of them now.")] = False,
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
    if not names:
        typer.echo(f"alerts are off ({VARIABLE})")
        return
    message = compose([Alert("test", "pipeline alerts --test", error="nothing is wrong: somebody tries the notifiers")])
    failed = False
    for name in names:
        try:
            make_notifier(name)
            error = deliver(name, message).error if is_test else None
        except PipelineError as trouble:
            error = str(trouble)
        failed = failed or error is not None
        typer.echo(f"{name}: {error or ('took the message' if is_test else 'ready')}", err=error is not None)
    typer.echo(f"at most one message in {every_seconds():.0f} s; the log file is {log_path()}")
    if failed:
        raise SystemExit(1)


def pools(
    *,
    setting: Annotated[
        tuple[str, str] | None,
        typer.Option("--set", help="Let so many runs ask a source at once.", metavar="SOURCE LIMIT"),
    ] = None,
    reset: Annotated[str | None, typer.Option("--reset", help="Take a setting back.", metavar="SOURCE")] = None,
) -> None:
    """Show how many runs may ask each API source at once; the limit holds on the instance of this PIPELINE_HOME."""
    from pipeline_defs.errors import ConfigurationError  # noqa: PLC0415
    from pipeline_defs.orchestration.pools import pool_limits, set_pool_limit  # noqa: PLC0415 -- imports dagster
    from pipeline_defs.orchestration.runs import open_instance  # noqa: PLC0415

    with open_instance(load_settings()) as instance:
        if setting is not None:
            name, limit = setting
            if not limit.isdecimal():
                raise ConfigurationError(f"limit {limit!r} is no number", next_step="e.g. --set polygon 4")
            set_pool_limit(instance, name, int(limit))
        if reset is not None:
            set_pool_limit(instance, reset, None)
        for pool, (runs, is_set) in pool_limits(instance).items():
            typer.echo(f"{pool:<22} {runs:>3} at once{'' if is_set else ', by default'}")
