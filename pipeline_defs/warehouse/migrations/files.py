"""The files of the migrations: which layer they belong to, in which order, and the way back beside each.

``sql/common`` runs on every server; ``sql/timescaledb`` only where the extension can be had; ``sql/timescaledb_full``
only where its licence allows continuous aggregates and compression, too. Nothing here knows a database.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_defs.errors import WarehouseError
from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SQL_DIR = PROJECT_ROOT / "sql"
LAYERS = ("common", "timescaledb", "timescaledb_full")
"""In the order in which they build on one another; their numbers ascend in the same order."""

FLOOR = 6
"""The newest common migration of the first release; nothing leads below it."""

BASELINE = frozenset({*range(1, FLOOR + 1), 1001})
"""What the first release shipped, on every layer: it is never undone and never left out."""

_BACK = ".back.sql"
_NO_TRANSACTION = "-- no transaction"
_LOSES = "-- loses:"


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file.

    Parameters
    ----------
    version : int
        The number the file name starts with.
    name : str
        Layer and file name, e.g. ``common/0001_instruments_and_rules.sql``.
    sql : str
        Content.
    back : str, optional
        Content of the file that restores the schema before it; None if there is none.

    """

    version: int
    name: str
    sql: str
    back: str | None = None

    @property
    def checksum(self) -> str:
        """SHA-256 of the content; the way back may be mended without touching it."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def layer(self) -> str:
        """The first part of the name."""
        return self.name.partition("/")[0]

    @property
    def in_transaction(self) -> bool:
        """False if the file says in its first line that the server allows its statements only one by one."""
        return _first_line(self.sql) != _NO_TRANSACTION

    @property
    def back_name(self) -> str:
        """Name of the file with the way back, whether it exists or not."""
        return self.name.removesuffix(".sql") + _BACK

    @property
    def loses(self) -> str | None:
        """What the way back destroys, by the first line of its file; None if it keeps everything."""
        line = _first_line(self.back or "")
        return line.removeprefix(_LOSES).strip() if line.startswith(_LOSES) else None


def read_migrations(layer: str, directory: Path = SQL_DIR) -> list[Migration]:
    """Read the migrations of a layer.

    Parameters
    ----------
    layer : str
        ``common``, ``timescaledb`` or ``timescaledb_full``.
    directory : Path, default the project's ``sql``
        Where the layers lie.

    Returns
    -------
    list of Migration
        By version.

    Raises
    ------
    WarehouseError
        If a file does not start with a number, or two share one.

    """
    migrations: dict[int, Migration] = {}
    for path in sorted((directory / layer).glob("*.sql")):
        if path.name.endswith(_BACK):
            continue
        number = path.name.partition("_")[0]
        if not number.isdecimal() or int(number) in migrations:
            raise WarehouseError(
                f"migration file names start with a number of their own, this one with {number!r}",
                where=f"{layer}/{path.name}",
                next_step="rename the file",
            )
        back = path.with_name(path.stem + _BACK)
        migrations[int(number)] = Migration(
            int(number),
            f"{layer}/{path.name}",
            path.read_text(encoding="utf-8"),
            back.read_text(encoding="utf-8") if back.exists() else None,
        )
    return [migrations[version] for version in sorted(migrations)]


def read_layers(layers: Iterable[str], directory: Path = SQL_DIR) -> list[Migration]:
    """Read the migrations of several layers, one layer after the other.

    Raises
    ------
    WarehouseError
        If two files share a number.

    """
    migrations: dict[int, Migration] = {}
    for migration in (migration for layer in layers for migration in read_migrations(layer, directory)):
        if migration.version in migrations:
            raise WarehouseError(
                f"migration {migration.version} exists twice, here and as {migrations[migration.version].name}",
                where=migration.name,
                next_step="give one of them a number of its own",
            )
        migrations[migration.version] = migration
    return list(migrations.values())


def _first_line(text: str) -> str:
    return text.partition("\n")[0].strip()
