"""Secrets that come from files, as container platforms mount them: ``NAME_FILE`` names the file, ``NAME`` the value.

A file that every user of the machine may read, or that others may change, is warned of, once a process; what a platform
mounts below ``/run/secrets`` is its own to guard.
"""

from __future__ import annotations

import logging
import os
import stat
from functools import cache
from pathlib import Path
from typing import Final

from pipeline_defs.errors import ConfigurationError

MOST_BYTES: Final = 1 << 16
_MOUNTED: Final = "/run/secrets/"

_log = logging.getLogger(__name__)


def read_secret(name: str, purpose: str) -> str | None:
    """Read a secret from the environment, or from the file that it names.

    Parameters
    ----------
    name : str
        Environment variable; ``<name>_FILE`` names a file.
    purpose : str
        What it is, for messages.

    Returns
    -------
    str or None
        None if neither is set or the value is empty.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, or is no such file.

    """
    value = os.environ.get(name)
    file = os.environ.get(f"{name}_FILE")
    if value or not file:
        return value or None
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 -- one handle, looked at and read
            status = os.fstat(opened.fileno())
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ConfigurationError(
                f"{file} holds more than {MOST_BYTES} bytes, which is no secret of ours",
                where=f"{name}_FILE",
                next_step=f"put {purpose} there",
            )
        value = content.decode("utf-8").strip()
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error.strerror}", where=f"{name}_FILE", next_step=f"put {purpose} there"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} is no text", where=f"{name}_FILE", next_step=f"put {purpose} there") from None
    if status.st_mode & (stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH) and not file.startswith(_MOUNTED):
        _warn(name, str(Path(file)), stat.S_IMODE(status.st_mode))
    return value or None


@cache
def _warn(name: str, file: str, mode: int) -> None:
    _log.warning("%s_FILE: other users may read or change %s (mode %o); 'chmod 600' it", name, file, mode)
