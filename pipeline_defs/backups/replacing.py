"""A database beside another one, under whose name it is put in the end; the other one is kept under a new name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

_TRIES: Final = 5
_LONGEST_BEGINNING: Final = 25
"""A name holds 63 bytes; the server cuts a longer one off."""


class Replacement:
    """A new, empty database that may take the name of an old one.

    Parameters
    ----------
    old : Warehouse
        The database that may be replaced.
    token : str
        What tells this restore from others.

    """

    def __init__(self, old: Warehouse, token: str) -> None:
        self._name = unquote(urlsplit(old.url).path.removeprefix("/"))
        beginning = self._name[:_LONGEST_BEGINNING]
        self._new_name = f"{beginning}_restoring_{token}"
        self.former_name = f"{beginning}_before_{token}"
        self._server = Warehouse(_renamed(old.url, "postgres"))
        self.warehouse = Warehouse(_renamed(old.url, self._new_name))
        self._is_done = False

    def take_over(self) -> None:
        """Give both databases their new names in one transaction, ending the sessions of the old one.

        Raises
        ------
        WarehouseError
            If somebody keeps connecting to it.

        """
        import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

        with self._server.connect(autocommit=True) as connection:
            for attempt in range(_TRIES):
                self._allow_connections(connection, allowed=False)
                try:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = ANY(%s)",
                        [[self._name, self._new_name]],
                    )
                    with connection.transaction():
                        connection.execute(_sql("ALTER DATABASE {} RENAME TO {}", self._name, self.former_name))
                        connection.execute(_sql("ALTER DATABASE {} RENAME TO {}", self._new_name, self._name))
                except psycopg.errors.ObjectInUse as error:
                    self._allow_connections(connection, allowed=True)
                    if attempt == _TRIES - 1:
                        raise WarehouseError(
                            f"sessions keep using the database: {error}",
                            where=self._server.public_url,
                            next_step="stop whatever uses it, and restore again",
                        ) from None
                except BaseException:
                    self._allow_connections(connection, allowed=True)
                    raise
                else:
                    connection.execute(_sql("ALTER DATABASE {} ALLOW_CONNECTIONS true", self.former_name))
                    self._is_done = True
                    return

    def create(self) -> None:
        """Make the new database."""
        with self._server.connect(autocommit=True) as connection:
            connection.execute(_sql("CREATE DATABASE {} TEMPLATE template0", self._new_name))

    def drop_unless_done(self) -> None:
        """Remove the new database if it did not take over."""
        if not self._is_done:
            with self._server.connect(autocommit=True) as connection:
                connection.execute(_sql("DROP DATABASE IF EXISTS {} WITH (FORCE)", self._new_name))

    def _allow_connections(self, connection: psycopg.Connection, *, allowed: bool) -> None:
        connection.execute(_sql("ALTER DATABASE {} ALLOW_CONNECTIONS " + str(allowed).lower(), self._name))


@contextmanager
def replacement(old: Warehouse, token: str) -> Iterator[Replacement]:
    """Make an empty database beside an old one, and remove it in the end unless it took over."""
    new = Replacement(old, token)
    new.create()
    try:
        yield new
    finally:
        new.drop_unless_done()


def _renamed(url: str, database: str) -> str:
    return urlsplit(url)._replace(path=f"/{quote(database, safe='')}").geturl()


def _sql(text: str, *names: str) -> bytes:
    return text.format(*('"' + name.replace('"', '""') + '"' for name in names)).encode()
