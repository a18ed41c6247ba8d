"""Where state lives: one home folder, and one database URL.

Only environment variables and defaults belong here; nothing is created or opened on import.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Settings:
    """Resolved locations of everything the pipeline keeps.

    Parameters
    ----------
    home : Path
        ``PIPELINE_HOME``; default ``.pipeline`` in the clone (ignored by git).
    database_url : str or None
        ``PIPELINE_DATABASE_URL``; None selects the embedded PostgreSQL below `home`.

    """

    home: Path
    database_url: str | None

    def __repr__(self) -> str:
        """Leave the URL out: it may carry a password."""
        database = "embedded" if self.database_url is None else "server"
        return f"Settings(home={str(self.home)!r}, database={database})"

    @property
    def postgres_dir(self) -> Path:
        """Folder of the embedded server: data, log, password."""
        return self.home / "postgres"

    @property
    def dagster_home(self) -> Path:
        """``DAGSTER_HOME`` of the local instance."""
        return self.home / "dagster"

    @property
    def catalogs_dir(self) -> Path:
        """Published exports: ``<format>/<UNDERLYING>/<YYYY-MM>/``."""
        return self.home / "catalogs"

    @property
    def landing_dir(self) -> Path:
        """Drop folder of the NSE files, watched by the sensor."""
        return self.home / "landing"


def load_settings() -> Settings:
    """Read the settings from the environment.

    Returns
    -------
    Settings
        With an absolute home.

    """
    home = Path(os.environ.get("PIPELINE_HOME") or PROJECT_ROOT / ".pipeline").expanduser().resolve()
    return Settings(home=home, database_url=os.environ.get("PIPELINE_DATABASE_URL") or None)
