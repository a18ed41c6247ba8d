"""Where the broker is, and how launcher, executor and workers speak to it.

The broker only carries what is about to start: the queue of runs is Dagster's, in its database. So a broker that loses
everything loses no run.
"""

from __future__ import annotations

import os
import socket
from typing import Any, Final
from urllib.parse import urlsplit

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.asking.credentials import read_credential, remember_secret

BROKER_VARIABLE: Final = "PIPELINE_BROKER_URL"
RESULTS_VARIABLE: Final = "PIPELINE_RESULT_BACKEND_URL"

RUNS_QUEUE: Final = "runs"
"""Whole runs; any worker may take them."""

STEP_TIMEOUT_SECONDS: Final = 7200
"""A step that was taken by a worker and not finished after so long is given to another one."""

_REDIS: Final = frozenset({"redis", "rediss"})
_RABBITMQ: Final = frozenset({"amqp", "amqps", "pyamqp"})
_MARGIN_SECONDS: Final = 300

_KEEPALIVE: Final = {
    # A host that was cut off answers nothing at all: found out after 10 + 3 * 5 seconds, and not after hours.
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 25_000))
    if hasattr(socket, name)
}

_COMMON: Final[dict[str, Any]] = {
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "worker_prefetch_multiplier": 1,
    "task_default_priority": 5,
    "worker_hijack_root_logger": True,
    "worker_send_task_events": False,
    "worker_cancel_long_running_tasks_on_connection_loss": True,  # those that the broker will give to another
}

RUN_SETTINGS: Final[dict[str, Any]] = {
    **_COMMON,
    # A message is gone when its run begins: from then on Dagster alone decides whether the partition is run again, so
    # that never two workers have one run.
    "task_acks_late": False,
    "task_ignore_result": True,
    "worker_disable_prefetch": True,  # a message that waits behind a long run would wait there, with others idle
    "worker_max_tasks_per_child": 1,  # a run leaves no memory behind, and finds the imports of its parent
}
"""Of a worker that executes runs, and of its launcher."""

STEP_SETTINGS: Final[dict[str, Any]] = {
    **_COMMON,
    # A step is taken over when its worker dies; its own time limit is shorter than that of the broker, so that the one
    # who was cut off has ended before another begins.
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_time_limit": STEP_TIMEOUT_SECONDS - _MARGIN_SECONDS,
    "broker_transport_options": {"visibility_timeout": STEP_TIMEOUT_SECONDS},
    "result_expires": 86_400,
}
"""Of the executor that sends single steps, and of the workers that execute them."""


def broker_url() -> str:
    """Read where the broker is, from ``PIPELINE_BROKER_URL`` or a file that ``PIPELINE_BROKER_URL_FILE`` names.

    Returns
    -------
    str
        With its password, which `redact` hides from now on.

    Raises
    ------
    ConfigurationError
        If it is not set, or neither Redis nor RabbitMQ.

    """
    return _checked(read_credential(BROKER_VARIABLE, "the address of the broker"), BROKER_VARIABLE, _REDIS | _RABBITMQ)


def result_url() -> str:
    """Read where steps leave their results: ``PIPELINE_RESULT_BACKEND_URL``, default the broker itself.

    Returns
    -------
    str

    Raises
    ------
    ConfigurationError
        If it is no Redis, or the broker is not understood.

    """
    if os.environ.get(RESULTS_VARIABLE) or os.environ.get(f"{RESULTS_VARIABLE}_FILE"):
        return _checked(read_credential(RESULTS_VARIABLE, "the address of the results"), RESULTS_VARIABLE, _REDIS)
    url = broker_url()
    return url if urlsplit(url).scheme in _REDIS else "rpc://"


def run_settings() -> dict[str, Any]:
    """Give `RUN_SETTINGS` with what the broker in use understands."""
    if urlsplit(broker_url()).scheme in _RABBITMQ:
        return {**RUN_SETTINGS, "worker_disable_prefetch": False, "broker_heartbeat": 15}
    options = {
        "visibility_timeout": STEP_TIMEOUT_SECONDS,
        "socket_keepalive": True,
        "socket_keepalive_options": _KEEPALIVE,
        "socket_connect_timeout": 10,
        "health_check_interval": 10,
    }
    return {**RUN_SETTINGS, "broker_transport_options": options}


def _checked(url: str, variable: str, schemes: frozenset[str]) -> str:
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        # The text itself may hold a password.
        raise ConfigurationError(
            f"is no address of a broker, expected one of {', '.join(f'{name}://' for name in sorted(schemes))}",
            where=variable,
            next_step="write it as redis://:password@host:6379/0 or amqps://user:password@host//",
        )
    if parts.password:
        remember_secret(parts.password)
    return url
