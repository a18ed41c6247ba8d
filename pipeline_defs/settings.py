"""Where state lives: one home folder, and one database URL.

Only environment variables and defaults belong here; nothing is created or opened on import.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.secret_files import read_secret

PROJECT_ROOT = Path(__file__).resolve().parent.parent

GIB: Final = 1 << 30
DEFAULT_CACHE_BYTES: Final = 10 * GIB
MOST_OWN_BYTES: Final = 1 << 20
"""Of a file that a person wrote."""

FORMAT_VARIABLE: Final = "PIPELINE_LOG_FORMAT"
JSON: Final = "json"
"""The value that has runs and the command line write lines that programs parse."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Resolved locations of everything the pipeline keeps.

    Parameters
    ----------
    home : Path
        ``PIPELINE_HOME``; default ``.pipeline`` in the clone (ignored by git).
    database_url : str or None
        ``PIPELINE_DATABASE_URL``, or what the file holds that ``PIPELINE_DATABASE_URL_FILE`` names; None selects the
        embedded PostgreSQL below `home`.
    object_store : str or None
        ``PIPELINE_OBJECT_STORE``: ``s3://bucket/prefix`` below which catalogs (and, if asked for, raw files) are kept;
        None keeps them below `home`.
    raw_archive : str or None
        ``PIPELINE_RAW_ARCHIVE``: the base, a folder or ``s3://`` URL, below whose ``raw/`` deliveries are kept before
        they are parsed; ``on`` takes the object store or else `home`; None, or ``off``, keeps nothing.
    landing : str or None
        ``PIPELINE_LANDING``: the drop folder of the NSE files, a path or an ``s3://`` URL; None for the one in `home`.
    cache_bytes : int
        ``PIPELINE_CACHE_GIB`` (default 10): how much the read cache of catalogs may hold.

    """

    home: Path
    database_url: str | None
    object_store: str | None = None
    raw_archive: str | None = None
    cache_bytes: int = DEFAULT_CACHE_BYTES
    landing: str | None = None

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
    def cache_dir(self) -> Path:
        """Local copies of catalogs that were read from an object store."""
        return self.home / "cache"

    @property
    def landing_dir(self) -> Path:
        """Drop folder of the NSE files, watched by the sensor."""
        return self.home / "landing"

    @property
    def uploads_dir(self) -> Path:
        """Drop folder of people's own files with their mappings, taken in and moved to ``done`` or ``rejected``."""
        return self.home / "uploads"


def load_settings() -> Settings:
    """Read the settings from the environment.

    Returns
    -------
    Settings
        With an absolute home.

    Raises
    ------
    ConfigurationError
        If ``PIPELINE_CACHE_GIB`` is not a positive number, or the file with the database's address cannot be read.

    """
    home = Path(os.environ.get("PIPELINE_HOME") or PROJECT_ROOT / ".pipeline").expanduser().resolve()
    object_store = os.environ.get("PIPELINE_OBJECT_STORE") or None
    raw_archive = os.environ.get("PIPELINE_RAW_ARCHIVE") or "off"
    if raw_archive == "on":
        raw_archive = object_store or str(home)
    return Settings(
        home=home,
        database_url=read_secret("PIPELINE_DATABASE_URL", "the database's address"),
        object_store=object_store,
        raw_archive=None if raw_archive == "off" else raw_archive,
        landing=os.environ.get("PIPELINE_LANDING") or None,
        cache_bytes=_cache_bytes(os.environ.get("PIPELINE_CACHE_GIB") or ""),
    )


def read_own_text(path: Path, *, most_bytes: int = MOST_OWN_BYTES, next_step: str | None = None) -> str:
    """Read a file that a person wrote, such as one in ``PIPELINE_HOME``; a byte order mark is left out.

    Parameters
    ----------
    path : Path
        The file.
    most_bytes : int, default 1 MiB
        A longer one is not what it should be, and is refused.
    next_step : str, optional
        What to do if it cannot be read.

    Raises
    ------
    ConfigurationError
        If it cannot be read, is longer, or is no UTF-8.

    """
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise ConfigurationError(
                f"is longer than {most_bytes >> 10} KiB", where=str(path), next_step="check that it is the right file"
            )
        return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", where=str(path), next_step=next_step) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"is no UTF-8: byte {error.start + 1} of it cannot be read", where=str(path), next_step="save it as UTF-8"
        ) from None


def whole_number(variable: str, default: int, most: int, unit: str) -> int:
    """Read a bound from the environment.

    Parameters
    ----------
    variable : str
        Its name.
    default : int
        What holds where it is not set.
    most : int
        The largest that is accepted; 1 is the smallest.
    unit : str
        What is counted, for the message.

    Returns
    -------
    int

    Raises
    ------
    ConfigurationError
        If it is no whole number from 1 to `most`, in ASCII digits.

    """
    text = os.environ.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and 0 < int(text) <= most):
        raise ConfigurationError(
            f"is {text!r}, expected a whole number of {unit} from 1 to {most}",
            where=variable,
            next_step=f"leave it out for {default}",
        )
    return int(text)


def _cache_bytes(text: str) -> int:
    if not text:
        return DEFAULT_CACHE_BYTES
    try:
        size = int(float(text) * GIB)
    except (ValueError, OverflowError):
        size = 0
    if size <= 0:
        raise ConfigurationError(
            f"PIPELINE_CACHE_GIB is {text!r}, expected a positive number of GiB", next_step="set it to, say, 10"
        )
    return size
