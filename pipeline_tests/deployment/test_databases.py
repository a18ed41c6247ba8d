"""What the database's first start makes: two databases, and logins that may do what their group may."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.embedded.cluster import binary_directory
from pipeline_defs.warehouse.migrations import upgrade
from pipeline_tests.deployment.conftest import DEPLOY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = binary_directory()
GROUPS = ["pipeline_reader", "pipeline_loader", "pipeline_migrator"]
LOGINS = {"pipeline_admin": "admin_password", "pipeline_app": "warehouse_password", "dagster": "dagster_password"}
AWKWARD = 'it\'s a "secret" \\ of $1 :x'


@pytest.fixture
def made(postgres_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a server after the script; all it made is removed."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        before = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
        for secret in LOGINS.values():
            (tmp_path / secret).write_text(f"{AWKWARD} {secret}\n")
        parts = urlsplit(postgres_url)
        environment = {
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(PROGRAMS.parent / "lib"),
            "PGHOST": parts.hostname or "",
            "PGPORT": str(parts.port),
            "PGPASSWORD": parts.password or "",
            "POSTGRES_USER": parts.username or "",
            "SECRETS": str(tmp_path),
        }
        try:
            subprocess.run([DEPLOY / "postgres/make-databases.sh"], env=environment, check=True)
            yield postgres_url
        finally:
            for name in ("market", "dagster"):
                connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            after = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for role in sorted(after - before, key=lambda role: role in GROUPS):
                connection.execute(f"DROP ROLE {role}")


def as_login(url: str, login: str, database: str) -> str:
    parts = urlsplit(url)
    password = quote(f"{AWKWARD} {LOGINS[login]}", safe="")
    return f"postgresql://{login}:{password}@{parts.hostname}:{parts.port}/{database}"


def test_logins_are_members_of_the_groups_and_reach_their_own_database_only(made: str) -> None:
    with psycopg.connect(made) as connection:
        members = connection.execute(
            "SELECT m.rolname, g.rolname FROM pg_auth_members JOIN pg_roles AS m ON m.oid = member"
            " JOIN pg_roles AS g ON g.oid = roleid WHERE m.rolname = ANY(%s)",
            [list(LOGINS)],
        ).fetchall()
        powers = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s) AND (rolsuper OR rolcreaterole OR rolcreatedb)",
            [[*LOGINS, *GROUPS]],
        ).fetchall()
    assert sorted(members) == [
        ("pipeline_admin", "pipeline_migrator"),
        ("pipeline_app", "pipeline_loader"),
        ("pipeline_app", "pipeline_reader"),
    ]
    assert powers == []
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(as_login(made, "dagster", "market"))
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(as_login(made, "pipeline_app", "dagster"))
    with psycopg.connect(as_login(made, "dagster", "dagster")) as connection:
        connection.execute("CREATE TABLE runs_of_dagster (id integer)")


def test_the_migrators_login_makes_the_schema(made: str) -> None:
    upgrade(Warehouse(as_login(made, "pipeline_admin", "market")))

    with psycopg.connect(as_login(made, "pipeline_app", "market")) as connection:
        assert connection.execute("SELECT current_database()").fetchall() == [("market",)]
