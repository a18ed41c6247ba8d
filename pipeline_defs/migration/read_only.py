"""SQLite files of an old store, read without leaving a trace in it."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import SourceError
from pipeline_defs.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

type Row = dict[str, Any]

MAX_ROWS: Final = 5_000_000
"""Of one table. A store with more is none."""

_SIDE_FILES: Final = ("-wal", "-journal")
_MICROSECONDS: Final = 1_000_000
_NOT_A_TIME: Final = -(2**63)
"""How NaT is stored as an integer."""


@contextmanager
def tables_of(path: Path) -> Iterator[Tables]:
    """Open a database, read-only and immutable, so that no file is made beside it.

    A database with pages in a write-ahead log, or with a journal of a write that was cut off, is only right together
    with those; both are copied away first, and the copy is read.

    Parameters
    ----------
    path : Path
        SQLite file.

    Yields
    ------
    Tables

    Raises
    ------
    SourceError
        If it is missing, may not be read, or is no SQLite file, whenever that is found out.

    """
    try:
        if not any(_holds_something(_beside(path, end)) for end in _SIDE_FILES):
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
                yield Tables(connection, path)
            return
        with scratch("migration") as folder:
            copy = folder / path.name
            for end in ("", *_SIDE_FILES):
                if _beside(path, end).exists():
                    shutil.copyfile(_beside(path, end), _beside(copy, end))
            with closing(sqlite3.connect(copy)) as connection:
                yield Tables(connection, path)
    # Damage may show in the words of the error itself, or ask for more memory than SQLite takes.
    except (sqlite3.Error, OSError, UnicodeError, MemoryError) as error:
        raise SourceError(
            f"the database cannot be read: {str(error) or type(error).__name__}",
            where=str(path),
            next_step="check that the file is whole and may be read; a backup of it will do",
        ) from error


class Tables:
    """Tables of an open database.

    Parameters
    ----------
    connection : sqlite3.Connection
        Open.
    path : Path
        Whose, for messages.

    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._connection.row_factory = sqlite3.Row
        self._connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        self._path = path
        # Only tables: a view may compute for ever.
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        self.names = frozenset(str(row["name"]) for row in found)

    def rows(self, table: str) -> list[Row]:
        """Read a table, with columns by name.

        Parameters
        ----------
        table : str
            Its name, one of ours.

        Returns
        -------
        list of dict
            Empty when there is no such table.

        Raises
        ------
        SourceError
            If it has more than `MAX_ROWS`.

        """
        if table not in self.names:
            return []
        found = self._connection.execute(f'SELECT * FROM "{table}" LIMIT {MAX_ROWS + 1}').fetchall()
        if len(found) > MAX_ROWS:
            raise SourceError(f"table {table} has more than {MAX_ROWS:,} rows", where=str(self._path))
        return [dict(row) for row in found]


def text(row: Row, *columns: str) -> str | None:
    """Give the first of some columns that is there and not empty, as text."""
    return next((str(row[name]) for name in columns if row.get(name) not in {None, ""}), None)


def whole(row: Row, *columns: str) -> int | None:
    """Give the first of some columns that is a whole number."""
    for name in columns:
        value = row.get(name)
        if isinstance(value, int):
            return value
        if isinstance(value, float | str):
            try:
                return int(value)
            except (ValueError, OverflowError):
                continue
    return None


def instant(value: object) -> dt.datetime | None:
    """Read a time: epoch in seconds, milliseconds, microseconds or nanoseconds, or ISO text.

    Parameters
    ----------
    value : object
        As stored.

    Returns
    -------
    datetime.datetime or None
        UTC; a text without zone is UTC. None for what is no time, NaT among them.

    """
    if isinstance(value, str):
        try:
            parsed = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
        return parsed.replace(tzinfo=dt.UTC) if parsed.tzinfo is None else parsed.astimezone(dt.UTC)
    if not isinstance(value, int | float) or isinstance(value, bool) or value == _NOT_A_TIME:
        return None
    try:
        # Seconds up to the year 5138, milliseconds up to 5138, and so on: each unit begins where the one before ends.
        scale = next(power for power in (0, 3, 6, 9) if abs(value) < 10 ** (11 + power))
        microseconds = int(value) * _MICROSECONDS // 10**scale
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)
    except (StopIteration, OverflowError, ValueError):
        return None


def day(value: object) -> dt.date | None:
    """Read a day as `instant` reads a time; the day in UTC."""
    found = instant(value)
    return None if found is None else found.date()


def _beside(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _holds_something(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0
