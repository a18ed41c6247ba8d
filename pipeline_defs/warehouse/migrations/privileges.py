"""Owners and rights of the product's objects, as the schema itself declares them (``privileges()`` in SQL).

They are given in the transaction of every migration, so that no object of a later one is left out.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

if TYPE_CHECKING:
    import psycopg

READER = "pipeline_reader"
LOADER = "pipeline_loader"
MIGRATOR = "pipeline_migrator"
ROLES = (READER, LOADER, MIGRATOR)

_FUNCTION = "SELECT to_regprocedure('apply_privileges()') IS NOT NULL"
_DIFFERING = """
SELECT kind, object, role, owner, wanted_owner, found, wanted FROM privileges()
WHERE owner <> wanted_owner OR (found <> wanted AND role IS DISTINCT FROM owner)
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RoleStates:
    """How the database stands by its roles.

    Parameters
    ----------
    declared : bool
        Whether the schema declares rights at all; older ones do not.
    user : str
        Who asks.
    missing : tuple of str
        Group roles that the server does not have.
    held : tuple of str
        Group roles whose rights the user has.
    differences : tuple of str
        What is not as declared, one sentence each.

    """

    declared: bool
    user: str
    missing: tuple[str, ...]
    held: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def in_order(self) -> bool:
        """Whether everything is as declared."""
        return self.declared and not self.missing and not self.differences


def apply_privileges(connection: psycopg.Connection) -> list[str]:
    """Give owners and rights where they differ from what is declared, and make the roles that are missing.

    Returns
    -------
    list of str
        What the user has no right to do. It keeps nothing from working, except for logins that rely on it.

    """
    if not _is_true(connection, _FUNCTION):
        return []
    rows = connection.execute("SELECT unnest(apply_privileges())").fetchall()
    return [str(problem) for (problem,) in rows]


def warn_of(problems: list[str]) -> None:
    """Tell what could not be done; nothing else fails for it."""
    for problem in problems:
        _log.warning("roles: %s; 'pipeline db roles --apply' does it with the rights for it", problem)


def role_states(connection: psycopg.Connection) -> RoleStates:
    """Compare the rights of every object with what is declared; writes nothing."""
    declared = _is_true(connection, _FUNCTION)
    (user,) = connection.execute("SELECT current_user::text").fetchone() or ("",)
    found = [
        str(name)
        for (name,) in connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)", [list(ROLES)]
        ).fetchall()
    ]
    held = [
        str(name)
        for (name,) in connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s) AND pg_has_role(rolname, 'USAGE')", [list(ROLES)]
        ).fetchall()
    ]
    return RoleStates(
        declared,
        str(user),
        tuple(role for role in ROLES if role not in found),
        tuple(role for role in ROLES if role in held),
        tuple(_differences(connection)) if declared else (),
    )


def become_migrator(connection: psycopg.Connection) -> None:
    """Let what a member of `pipeline_migrator` makes belong to the role, not to the one person.

    A superuser hands over afterwards: it may have to make what the role cannot, such as the roles themselves. So does
    the owner of a database that no migration has given to the role yet.
    """
    is_member = _is_true(
        connection,
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pipeline_migrator')"
        " AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)"
        " AND current_user <> 'pipeline_migrator'"
        " AND has_schema_privilege((SELECT oid FROM pg_roles WHERE rolname = 'pipeline_migrator'), current_schema(),"
        " 'CREATE')"
        " AND pg_has_role((SELECT oid FROM pg_roles WHERE rolname = 'pipeline_migrator'), 'MEMBER')",
    )
    if is_member:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(MIGRATOR)))


def _differences(connection: psycopg.Connection) -> list[str]:
    owners: dict[str, str] = {}
    rights: list[str] = []
    for kind, thing, role, owner, wanted_owner, found, wanted in connection.execute(_DIFFERING).fetchall():
        if wanted_owner is not None and owner != wanted_owner:
            owners[thing] = f"{kind} {thing} belongs to {owner}, expected {wanted_owner}"
        if found != wanted and role != owner:
            rights.append(f"{kind} {thing}: {role} has {_words(found)}, expected {_words(wanted)}")
    return [*owners.values(), *rights]


def _words(privileges: list[str]) -> str:
    return ", ".join(privileges) or "nothing"


def _is_true(connection: psycopg.Connection, query: LiteralString) -> bool:
    row = connection.execute(query).fetchone()
    return row is not None and bool(row[0])
