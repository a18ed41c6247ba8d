"""The local Dagster home: where runs and events are kept, and with which settings.

Only the folder and its configuration are made here; no instance is opened.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.settings import Settings

CONFIGURATION: Final = "dagster.yaml"


def prepare_dagster_home(settings: Settings) -> Path:
    """Make the Dagster home; safe to call at every start, and from two processes at once.

    Parameters
    ----------
    settings : Settings
        Where state lives.

    Returns
    -------
    Path
        For ``DAGSTER_HOME``. Its configuration is a link to the project's; a file that a person put in its place
        stays as it is.

    Raises
    ------
    ConfigurationError
        If the project's configuration is not there.

    """
    source = PROJECT_ROOT / CONFIGURATION
    if not source.is_file():
        raise ConfigurationError(
            "the configuration of the local Dagster instance is missing",
            where=str(source),
            next_step="run from a complete clone of the project",
        )
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    target = home / CONFIGURATION
    is_own_file = target.exists() and not target.is_symlink()
    if not is_own_file and not (target.is_symlink() and target.readlink() == source):
        link = home / f".{CONFIGURATION}.{secrets.token_hex(4)}"
        link.symlink_to(source)
        link.replace(target)
    return home
