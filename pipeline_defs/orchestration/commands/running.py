"""A command as a run of the persistent instance, executed in the command's own process.

It stands in the UI beside all others, with what was typed and by whom, and can be launched again from there.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import uuid
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from pipeline_defs.errors import PipelineError
from pipeline_defs.orchestration.commands.telling import Listener, listening
from pipeline_defs.orchestration.runs import open_instance

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline_defs.settings import Settings

COMMAND: Final = "pipeline/command"
USER: Final = "pipeline/user"
HOST: Final = "pipeline/host"
PROCESS: Final = "pipeline/process"
"""Tags of each run that a command made."""

_NO_RETRIES: Final = {"dagster/max_retries": "0"}
"""The daemon starts runs of died processes again; a command is typed again by who typed it."""

_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_UNFINISHED: Final = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_USER_AND_PASSWORD: Final = re.compile(r"(?<=://)[^/@\s]+@")
_SECRET_OPTION: Final = re.compile(r"(--?[\w-]*(?:key|password|secret|token)[\w-]*)(=.*)?", re.IGNORECASE)


def run_command(
    job: dg.JobDefinition,
    config: Mapping[str, Any],
    settings: Settings,
    listener: Listener,
    *,
    tags: Mapping[str, str],
) -> str:
    """Execute a job of one op here, as a run of the persistent instance, and wait for it.

    Parameters
    ----------
    job : dagster.JobDefinition
        The op's configuration is `config`.
    config : mapping
        Of the op.
    settings : Settings
        Where the instance is.
    listener : Listener
        Hears of it.
    tags : mapping
        Of the run, beside those of the machine and the user.

    Returns
    -------
    str
        The run's id, once it has succeeded.

    Raises
    ------
    PipelineError, KeyboardInterrupt, Exception
        What made the run fail, as it was raised; the run has failed then, or is cancelled.

    """
    run_id = str(uuid.uuid4())
    (op,) = job.graph.node_defs
    with open_instance(settings, captures_output=False) as instance:
        _close_abandoned(instance)
        listener.run_id = run_id
        with listening(listener):
            result = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                run_config={"ops": {op.name: {"config": dict(config)}}, **_QUIET},
                tags={**_NO_RETRIES, **_machine_tags(), **tags},
                raise_on_error=False,
            )
    if listener.error is not None:
        raise listener.error
    if not result.success:
        raise PipelineError(f"run {run_id} did not succeed", next_step="see why in the UI: 'pipeline ui'")
    return run_id


def shown_command(arguments: Sequence[str]) -> str:
    """Write a command line as one would type it, without what nobody else may read.

    Parameters
    ----------
    arguments : sequence of str
        What followed ``pipeline``.

    Returns
    -------
    str
        Quoted for a shell; users and passwords in URLs, and values of options that are called a key, password, secret
        or token, are ``***``.

    """
    shown, hide = ["pipeline"], False
    for argument in arguments:
        secret = _SECRET_OPTION.fullmatch(argument)
        if hide:
            shown.append("***")
        elif secret is not None and secret[2] is not None:
            shown.append(f"{secret[1]}=***")
        else:
            shown.append(_USER_AND_PASSWORD.sub("***@", argument))
        hide = not hide and secret is not None and secret[2] is None
    return shlex.join(shown)


def _machine_tags() -> dict[str, str]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may have no name for it
        user = f"uid {os.getuid()}"
    return {USER: user, HOST: socket.gethostname(), PROCESS: str(os.getpid())}


def _close_abandoned(instance: dg.DagsterInstance) -> None:
    """End the runs of commands of this machine that were killed: nobody else would, for hours."""
    unfinished = dg.RunsFilter(statuses=list(_UNFINISHED), tags={HOST: socket.gethostname()})
    for run in instance.get_runs(unfinished):
        process = run.tags.get(PROCESS, "")
        if process.isdigit() and not _is_alive(int(process)):
            instance.report_run_failed(run, f"process {process} ended without a word: it was killed")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
