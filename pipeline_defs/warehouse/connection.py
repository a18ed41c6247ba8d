"""How the rest of the room reaches the database: one value that opens connections.

No SQL of the product belongs here, only what every connection needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pipeline_defs.encrypted import check_database
from pipeline_defs.errors import WarehouseError

if TYPE_CHECKING:
    import psycopg

    from pipeline_defs.settings import Settings

SESSION_OPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        *("timezone=UTC", "datestyle=ISO", "jit=off", "work_mem=64MB", "client_connection_check_interval=2s"),
        *("tcp_keepalives_idle=10", "tcp_keepalives_interval=5", "tcp_keepalives_count=3", "tcp_user_timeout=25s"),
    )
)
"""UTC everywhere, written the ISO way; no JIT, which costs seconds on many small chunks; a day of groups in memory;
a killed client's statement ends by itself, and that of a machine that was cut off within half a minute: until then it
holds its partition's lock."""

_KEEPALIVES: Final[dict[str, Any]] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""The same from this side: who was cut off waits no longer for an answer. In seconds; the last in milliseconds."""

_PASSWORD = re.compile(r"(?<=://)([^:/@]+):[^/\s]*@")
_MASK = "***"
_SECRET_PARAMETERS = ("password", "sslpassword", "passfile")


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A database that holds the product's tables.

    Parameters
    ----------
    url : str
        ``postgresql://…``; kept out of the repr, since it may carry a password.

    """

    url: str = field(repr=False)

    @property
    def public_url(self) -> str:
        """The URL with its password masked, in whichever form libpq takes it."""
        return self._masked(self.url)

    def connect(self, *, autocommit: bool = False) -> psycopg.Connection:
        """Open a connection.

        Parameters
        ----------
        autocommit : bool, default False
            Needed to call `refresh_bars`, which owns its transactions.

        Returns
        -------
        psycopg.Connection
            To be used as a context manager.

        Raises
        ------
        WarehouseError
            If the server does not answer or refuses the login.

        """
        import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

        check_database(_parameters(self.url), "PIPELINE_DATABASE_URL")
        try:
            return psycopg.connect(
                self.url, autocommit=autocommit, options=SESSION_OPTIONS, connect_timeout=10, **_KEEPALIVES
            )
        except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
            message = self._masked(str(error)).strip()
            raise WarehouseError(
                f"the database did not accept a connection: {message}",
                where=self.public_url,
                next_step="check PIPELINE_DATABASE_URL, or unset it to use the embedded server",
            ) from None

    def _masked(self, text: str) -> str:
        """Leave out the password, as it is written in the address and as it is."""
        secrets = {value for name, value in _parameters(self.url).items() if name in _SECRET_PARAMETERS and value}
        for secret in sorted({form for one in secrets for form in (one, quote(one, safe=""), quote(one))}, key=len):
            text = text.replace(secret, _MASK)
        return _PASSWORD.sub(rf"\1:{_MASK}@", text)


@lru_cache(maxsize=8)
def _parameters(url: str) -> dict[str, str]:
    """Take an address apart as libpq does; empty for what is none, which connecting then says."""
    from psycopg import Error  # noqa: PLC0415 -- a client library is loaded where it is used
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except Error:
        return {}


def open_warehouse(settings: Settings) -> Warehouse:
    """Give a warehouse that is running and migrated.

    Starts the embedded server when no URL is configured, and applies outstanding migrations.

    Parameters
    ----------
    settings : Settings
        Where state lives.

    Returns
    -------
    Warehouse

    Raises
    ------
    WarehouseError
        If the server cannot be reached or the migrations do not match the database.

    """
    from pipeline_defs.warehouse.migrations import upgrade  # noqa: PLC0415 -- migrations import this module

    warehouse = Warehouse(database_url(settings))
    upgrade(warehouse)
    return warehouse


def database_url(settings: Settings) -> str:
    """Give the URL of the configured server, or of the embedded one after starting it."""
    if settings.database_url is not None:
        return settings.database_url
    from pipeline_defs.warehouse.embedded import ensure_running  # noqa: PLC0415 -- only without a server of one's own

    return ensure_running(settings.postgres_dir)
