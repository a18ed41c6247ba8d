"""What to do when the server fails: try again where that is right, else say what happened and what to do.

A unit of work is one transaction that gives the same state when it is repeated, so repeating it is right even if the
connection was lost in the middle of the commit and nobody knows on which side of it.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import psycopg

from pipeline_defs.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pipeline_defs.warehouse.connection import Warehouse

WAITS_SECONDS: Final = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Between attempts: half a minute in all, in which a server restarts."""

_PASSING: Final = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "55P03": "lock not available",
    "53300": "too many connections",
    "57P01": "the server shut down",
    "57P02": "the server crashed",
    "57P03": "the server is starting or stopping",
}

_EXPLAINED: Final = {
    "53100": (
        "the database server's disk is full",
        "make room on the server's disk and run the import again: nothing of this partition was stored",
    ),
    "53200": (
        "the database server is out of memory",
        "give the server more memory and run the import again: nothing of this partition was stored",
    ),
    "57014": (
        "the database cancelled a statement (statement_timeout, or a cancel request)",
        "raise statement_timeout for this database user and run the import again: nothing of this partition was stored",
    ),
    "25006": (
        "the database is read-only",
        "point PIPELINE_DATABASE_URL to the primary server, with a login of pipeline_loader",
    ),
    "42501": (
        "the database user lacks a privilege",
        (
            "use a login that is in pipeline_loader for imports and exports, in pipeline_migrator for upgrades,"
            " retention and taking a moved-in bundle out; 'pipeline db roles' shows who holds which role"
        ),
    ),
}

_log = logging.getLogger(__name__)


def is_passing(error: BaseException) -> bool:
    """Tell whether the same work can succeed in a moment: lost connections, restarts, lock conflicts."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        # The client noticed by itself that the connection is gone.
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate in _PASSING or error.sqlstate.startswith("08")


def explain(error: psycopg.Error, where: str) -> WarehouseError:
    """Turn a server's refusal into what a user needs to know.

    Parameters
    ----------
    error : psycopg.Error
        What the server or the client library said.
    where : str
        The partition that was worked on.

    Returns
    -------
    WarehouseError

    """
    said = str(error).strip().partition("\n")[0]
    if is_passing(error):
        reason = _PASSING.get(error.sqlstate or "", "the connection was lost")
        return WarehouseError(
            f"the database failed {len(WAITS_SECONDS) + 1} times in a row ({reason}): {said}",
            where=where,
            next_step="see that the server runs and run the command again: it takes up where it was",
        )
    what, next_step = _EXPLAINED.get(
        error.sqlstate or "",
        ("the database refused", "mend the cause and run the command again: what was committed before is kept"),
    )
    state = f", SQLSTATE {error.sqlstate}" if error.sqlstate else ""
    return WarehouseError(f"{what}: {said}{state}", where=where, next_step=next_step)


def next_step(error: psycopg.Error) -> str | None:
    """Say what to do about a refusal that people meet; None of others."""
    _, step = _EXPLAINED.get(error.sqlstate or "", ("", None))
    return step


@dataclass(slots=True)
class PersistentConnection:
    """A connection that outlives its server's restarts.

    Parameters
    ----------
    warehouse : Warehouse
        Where to connect.

    """

    warehouse: Warehouse
    _connection: psycopg.Connection | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        """Connect; a server that is not there from the start is an error at once."""
        self._connection = self.warehouse.connect(autocommit=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self._close()

    def run[Result](self, work: Callable[[psycopg.Connection], Result], where: str) -> Result:
        """Do a unit of work, again if the server failed in passing.

        Parameters
        ----------
        work : callable
            Takes a connection in autocommit mode; opens its own transaction, and may be repeated.
        where : str
            Named in messages.

        Returns
        -------
        Result
            What `work` gave.

        Raises
        ------
        WarehouseError
            If the server refused for good, or failed in passing more often than we wait.

        """
        for wait_seconds in (*WAITS_SECONDS, None):
            try:
                return work(self._open())
            except psycopg.Error as error:
                self._drop_if_broken()
                if wait_seconds is None or not is_passing(error):
                    raise explain(error, where) from error
                _log.warning("%s: %s; trying again in %.1f s", where, str(error).strip(), wait_seconds)
            except WarehouseError:
                # Only a connection that was lost and cannot be had again yet is worth waiting for.
                if self._connection is not None or wait_seconds is None:
                    raise
            time.sleep(wait_seconds * random.uniform(0.75, 1.25))  # noqa: S311 -- spreads competitors, guards nothing
        raise AssertionError  # pragma: no cover -- the last attempt returns or raises

    def _open(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = self.warehouse.connect(autocommit=True)
        return self._connection

    def _drop_if_broken(self) -> None:
        if self._connection is not None and (self._connection.closed or self._connection.broken):
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
