"""How long an engine's process may take: one that hangs would keep its partition and its place among the runs for ever.

``PIPELINE_ENGINE_SECONDS`` says it. An engine that reads back the largest month measured takes minutes.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ExportError
from pipeline_defs.settings import whole_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

VARIABLE: Final = "PIPELINE_ENGINE_SECONDS"
DEFAULT_SECONDS: Final = 4 * 3600
_MOST_SECONDS: Final = 7 * 86_400


class TooSlowError(ExportError):
    """An engine's process took longer than it may, and was ended."""


def run_engine(
    command: Sequence[str], *, where: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run an engine's process and wait for it, but not for ever.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; no shell.
    where : str
        The export that it looks at, for the message.
    cwd : Path, optional
        Where it runs; here without it.
    env : mapping, optional
        Its environment; ours without it.

    Returns
    -------
    subprocess.CompletedProcess
        With what it said; any exit code.

    Raises
    ------
    ConfigurationError
        If ``PIPELINE_ENGINE_SECONDS`` is no whole number from 1 to 604800.
    TooSlowError
        If it was not done after so many seconds; it is killed first.

    """
    seconds = whole_number(VARIABLE, DEFAULT_SECONDS, _MOST_SECONDS, "seconds")
    try:
        return subprocess.run(  # noqa: S603 -- our own modules and scripts, no shell
            command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        raise TooSlowError(
            f"the engine's process was not done after {seconds} s and was ended; nothing is published",
            where=where,
            next_step=f"raise {VARIABLE} if the export is that large, or export fewer days at once",
        ) from error
