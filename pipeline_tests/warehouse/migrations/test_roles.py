"""Who may do what: every table and every function, as each role, tried and compared with what is written down."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from pipeline_defs.errors import WarehouseError
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.migrations import downgrade, upgrade
from pipeline_defs.warehouse.migrations.privileges import (
    LOADER,
    MIGRATOR,
    READER,
    ROLES,
    apply_privileges,
    role_states,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline_tests.warehouse.migrations.conftest import WriteLayer

PAGE = PROJECT_ROOT / "docs" / "security" / "roles.md"
NO_RIGHT = "42501"

_OWN = """
SELECT e ->> 0, e ->> 2 FROM schema_snapshot, jsonb_array_elements(objects) AS e WHERE e ->> 1 = ''
"""
_AGGREGATES = ("hourly_tick_bars", "hourly_minute_bars", "daily_tick_bars", "daily_minute_bars")


def objects(connection: psycopg.Connection, *kinds: str) -> list[str]:
    return sorted({name for kind, name in connection.execute(_OWN).fetchall() if kind in kinds})


def declared_rights() -> dict[str, frozenset[str]]:
    """Read the table of the documentation."""
    rights: dict[str, frozenset[str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and re.search(r"`(SELECT|INSERT|DELETE)`", cells[1]):
            allowed = frozenset(re.findall(r"`([A-Z]+)`", cells[1]))
            names = re.findall(r"`([…a-z_]+)`", cells[0]) or ["*"]
            rights |= dict.fromkeys(names, allowed)
    return rights


def rights_of(table: str, declared: dict[str, frozenset[str]]) -> frozenset[str]:
    if table in declared:
        return declared[table]
    return declared["…_history"] if table.endswith("_history") else declared["*"]


def with_migration(write_layer: WriteLayer, text: str) -> Path:
    """Give the product's migrations and one more."""
    files = write_layer(m9001_more=text)
    for path in (PROJECT_ROOT / "sql").glob("*/*.sql"):
        target = files / path.parent.name / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return files


class As:
    """Tries statements as a role and undoes what they did."""

    def __init__(self, connection: psycopg.Connection, role: str) -> None:
        self.connection, self.role = connection, role

    def may(self, statement: str) -> bool:
        """Tell whether the statement was let through to where other reasons than rights may stop it."""
        with self.connection.transaction(force_rollback=True):
            self.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(self.role)))
            try:
                with self.connection.transaction():
                    self.connection.execute(statement.encode())
            except psycopg.Error as error:
                return error.sqlstate != NO_RIGHT
        return True


@pytest.fixture
def connection(warehouse: Warehouse) -> Iterator[psycopg.Connection]:
    with warehouse.connect() as opened:
        yield opened
        opened.rollback()


def test_every_object_has_the_owner_and_the_rights_that_the_schema_declares(connection: psycopg.Connection) -> None:
    states = role_states(connection)

    assert (states.declared, states.missing, states.differences) == (True, (), ())


def test_a_reader_reads_every_table_and_view_and_writes_none(connection: psycopg.Connection) -> None:
    reader = As(connection, READER)
    tables = objects(connection, "table")

    assert len(tables) > 60
    for name in [*tables, *objects(connection, "view")]:
        assert reader.may(f'SELECT FROM "{name}" LIMIT 0'), name
    for name in tables:
        for statement in ('INSERT INTO "{}" DEFAULT VALUES', 'DELETE FROM "{}"', 'TRUNCATE "{}"', 'DROP TABLE "{}"'):
            assert not reader.may(statement.format(name)), f"{statement} of {name}"
        assert not reader.may(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")


def test_a_loader_may_do_to_each_table_what_the_page_says_and_nothing_else(connection: psycopg.Connection) -> None:
    loader, declared = As(connection, LOADER), declared_rights()
    columns: dict[str, str] = dict(
        connection.execute(
            "SELECT relname, (SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0"
            " AND NOT attisdropped AND attgenerated = '' AND attidentity = '' LIMIT 1) FROM pg_class AS c"
            " WHERE relnamespace = 'public'::regnamespace"
        ).fetchall()
    )
    statements = {
        "SELECT": 'SELECT FROM "{0}" LIMIT 0',
        "INSERT": 'INSERT INTO "{0}" ({1}) SELECT {1} FROM "{0}" LIMIT 0',
        "UPDATE": 'UPDATE "{0}" SET {1} = {1} WHERE false',
        "DELETE": 'DELETE FROM "{0}" WHERE false',
        "TRUNCATE": 'TRUNCATE "{0}"',
    }
    for name in [*objects(connection, "table"), "schema_migrations", "schema_snapshot"]:
        may = {right for right, text in statements.items() if loader.may(text.format(name, columns[name]))}
        assert may == rights_of(name, declared), name
        for change in ('DROP TABLE "{}"', 'ALTER TABLE "{}" ADD COLUMN x integer', 'CREATE INDEX ON "{}" ({})'):
            assert not loader.may(change.format(name, columns[name])), f"{change} of {name}"
    assert set(declared) - set(columns) == {"…_history", "*"}, "the page names a table that is not there"


@pytest.mark.parametrize("role", [READER, LOADER])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (x integer)",
        "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "CREATE OR REPLACE VIEW v_options_ticks AS SELECT 1",
        "ALTER FUNCTION bundle_name(text, text, integer) SECURITY DEFINER",
        "ALTER TABLE quality_verdicts DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SET ROLE pipeline_migrator",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY loads TO PROGRAM 'true'",
        "GRANT SELECT ON loads TO PUBLIC",
    ],
)
def test_neither_reader_nor_loader_reaches_beyond_the_tables(
    connection: psycopg.Connection, role: str, statement: str
) -> None:
    # A superuser's session may always become someone else: what counts is what the role itself could.
    if statement.startswith("SET ROLE"):
        (member,) = connection.execute("SELECT pg_has_role(%s, %s, 'MEMBER')", [role, MIGRATOR]).fetchone() or ("",)
        assert member is False
        return
    if statement.startswith("GRANT"):  # only a warning, and no effect, where nothing may be granted
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            connection.execute(statement.encode())
            row = connection.execute("SELECT has_table_privilege('public', 'loads', 'SELECT')").fetchone()
        assert row == (False,)
        return
    assert not As(connection, role).may(statement)


def test_functions_that_only_read_are_for_readers_and_those_of_the_owner_for_nobody_else(
    connection: psycopg.Connection,
) -> None:
    owners = {
        "apply_privileges",
        "create_observation_knowledge",
        "create_observation_table",
        "create_roles",
        "drop_observations",
        "forget_observations",
        "keep_known_versions",
        "set_type_of_sizes",
    }
    found = connection.execute(
        "SELECT p.proname, p.provolatile = 'v', p.prorettype = 'trigger'::regtype, has_function_privilege(%s, p.oid,"
        " 'EXECUTE'), has_function_privilege(%s, p.oid, 'EXECUTE'), has_function_privilege('public', p.oid, 'EXECUTE'),"
        " p.prosecdef, p.proconfig FROM pg_proc AS p WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT"
        " FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')",
        [READER, LOADER],
    ).fetchall()  # fmt: skip

    assert len(found) > 40
    for name, volatile, is_trigger, reader_may, loader_may, public_may, is_definer, configuration in found:
        assert not public_may, name
        assert reader_may == (not volatile and not is_trigger), name
        assert loader_may == (name not in owners and not is_trigger), name
        if is_definer:
            assert name in {"forget_expired_observations", "compress_observation_chunk"}
            assert configuration == ["search_path=public, pg_temp"]


def test_a_table_of_a_later_migration_is_readable_and_writable_as_declared(
    own_database: Warehouse, write_layer: WriteLayer
) -> None:
    upgrade(
        own_database,
        with_migration(write_layer, "CREATE TABLE later (x integer); CREATE TABLE later_history (x integer);"),
    )

    with own_database.connect() as connection:
        loader, reader = As(connection, LOADER), As(connection, READER)
        assert loader.may("DELETE FROM later")
        assert loader.may("INSERT INTO later_history VALUES (1)")
        assert not loader.may("DELETE FROM later_history")
        assert reader.may("SELECT FROM later_history")
        assert not reader.may("INSERT INTO later VALUES (1)")


def test_tables_of_others_in_the_same_schema_are_left_alone(own_database: Warehouse) -> None:
    with own_database.connect() as connection:
        connection.execute("CREATE TABLE somebody_elses (secret text)")
        assert apply_privileges(connection) == []
        assert not As(connection, READER).may("SELECT FROM somebody_elses")
        row = connection.execute("SELECT tableowner = current_user FROM pg_tables WHERE tablename = 'somebody_elses'")
        assert row.fetchone() == (True,)
        connection.rollback()


def test_a_right_that_somebody_gave_by_hand_is_named_and_taken_back(own_database: Warehouse) -> None:
    with own_database.connect() as connection:
        connection.execute("GRANT UPDATE ON quarantine TO pipeline_loader; GRANT ALL ON loads TO PUBLIC")
        differences = role_states(connection).differences
        assert any("quarantine: pipeline_loader has INSERT, SELECT, UPDATE" in text for text in differences)
        assert any("loads: public has" in text for text in differences)

        assert apply_privileges(connection) == []
        assert role_states(connection).in_order
        connection.rollback()


def test_chunks_have_the_rights_of_their_table(own_database: Warehouse, load: Callable[..., Any]) -> None:
    from pipeline_tests.warehouse.deliveries import Delivery, make_batch  # noqa: PLC0415 -- one test's

    load(make_batch(Delivery([("NIFTY31JAN1910000CE", 1, "1.5")])))
    with own_database.connect() as connection:
        if connection.execute("SELECT to_regclass('timescaledb_information.chunks')").fetchone() == (None,):
            return  # a plain table has none
        chunks = connection.execute(
            "SELECT format('%I.%I', chunk_schema, chunk_name)::regclass::text FROM timescaledb_information.chunks"
            " WHERE hypertable_name = 'options_ticks'"
        ).fetchall()
        assert chunks
        for (chunk,) in chunks:
            assert As(connection, READER).may(f"SELECT FROM {chunk}")
            assert not As(connection, READER).may(f"DELETE FROM {chunk}")


def test_retention_and_compression_work_for_a_loader_by_policy_only(
    own_database: Warehouse, load: Callable[..., Any]
) -> None:
    from pipeline_tests.warehouse.deliveries import Delivery, make_batch  # noqa: PLC0415 -- one test's

    load(make_batch(Delivery([("NIFTY31JAN1910000CE", 1, "1.5")])))
    with own_database.connect(autocommit=True) as connection:
        connection.execute("DELETE FROM pending_bars")
        connection.execute("UPDATE storage_policies SET compress_after = '30 days', keep_for = NULL")
        connection.execute("SET ROLE pipeline_loader")
        connection.execute("SELECT forget_expired_observations('options_ticks')")
        connection.execute("CALL maintain_storage()")
        assert connection.execute("SELECT count(*) FROM options_ticks").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT forget_observations('options_ticks', now())")

        connection.execute("RESET ROLE")
        connection.execute("UPDATE storage_policies SET keep_for = '60 days' WHERE table_name = 'options_ticks'")
        connection.execute("SET ROLE pipeline_loader")
        connection.execute("CALL maintain_storage()")
        assert connection.execute("SELECT count(*) FROM options_ticks").fetchone() == (0,)
        connection.execute("RESET ROLE")


def test_bars_are_refreshed_by_a_loader(own_database: Warehouse, load: Callable[..., Any]) -> None:
    from pipeline_tests.warehouse.deliveries import Delivery, make_batch  # noqa: PLC0415 -- one test's

    load(make_batch(Delivery([("NIFTY31JAN1910000CE", 1, "1.5")])))
    with own_database.connect(autocommit=True) as connection:
        connection.execute("UPDATE options_ticks SET close = 7, high = 7")
        connection.execute("SET ROLE pipeline_loader")
        connection.execute("CALL refresh_bars('2019-01-01', '2019-02-01')")
        row = connection.execute("SELECT max(close) FROM options_hourly").fetchone()
        connection.execute("RESET ROLE")
    assert row == (7,)


def test_where_roles_cannot_be_made_the_upgrade_says_so_and_the_rest_works(own_database: Warehouse) -> None:
    with own_database.connect() as connection:
        connection.execute("CREATE ROLE plain_user; GRANT pipeline_migrator TO plain_user")
        connection.execute("ALTER ROLE pipeline_reader RENAME TO of_another_server")
        connection.execute("SET LOCAL ROLE plain_user")

        problems = apply_privileges(connection)

        connection.rollback()
    assert problems == ["role pipeline_reader is missing, and plain_user may not create roles"]


def test_the_way_back_takes_the_rights_away_and_leaves_the_roles(own_database: Warehouse) -> None:
    downgrade(own_database, 22, accept_loss=True)

    with own_database.connect() as connection:
        assert role_states(connection).missing == ()
        assert not role_states(connection).declared
        for role in ROLES:
            assert not As(connection, role).may("SELECT FROM loads"), role
        assert connection.execute(
            "SELECT has_function_privilege('public', 'bars_horizon()', 'EXECUTE')"
        ).fetchone() == (True,)
    upgrade(own_database)
    with own_database.connect() as connection:
        assert role_states(connection).in_order


# What follows needs a server with logins and several databases of its own.


@pytest.fixture
def login(server: str, warehouse: Warehouse) -> Iterator[Callable[..., Warehouse]]:
    """Make logins; gives the warehouse as each sees it."""
    if server == "full":
        pytest.skip("the full edition's server has one session, and one user")
    made: list[str] = []

    def make(name: str, attributes: str = "", url: str = warehouse.url) -> Warehouse:
        with psycopg.connect(warehouse.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'open' {attributes}".encode())
        made.append(name)
        parts = urlsplit(url)
        return Warehouse(parts._replace(netloc=f"{name}:open@{parts.hostname}:{parts.port}").geturl())

    yield make
    with psycopg.connect(warehouse.url, autocommit=True) as connection:
        for name in made:
            connection.execute(
                f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}; DROP ROLE {name}".encode()
            )


def test_a_loader_s_login_opens_a_current_database_and_is_told_who_may_upgrade_an_old_one(
    login: Callable[..., Warehouse], warehouse: Warehouse, write_layer: WriteLayer
) -> None:
    loader = login("some_loader", "IN ROLE pipeline_loader")
    assert upgrade(loader) == []

    newer = with_migration(write_layer, "CREATE TABLE later (x integer)")
    with pytest.raises(WarehouseError, match="a login that is in pipeline_migrator"):
        upgrade(loader, newer)

    downgrade(warehouse, 22)
    with pytest.raises(WarehouseError, match=r"permission denied for table schema_migrations(?s:.)*pipeline_migrator"):
        upgrade(loader)


def test_a_reader_s_login_is_told_to_have_new_market_rules_seeded(
    login: Callable[..., Warehouse], warehouse: Warehouse
) -> None:
    reader = login("some_reader", "IN ROLE pipeline_reader")
    assert upgrade(reader) == []
    with warehouse.connect() as connection:
        connection.execute("UPDATE market_rules_ledger SET checksum = 'of an older version'")

    with pytest.raises(WarehouseError, match="market rules: the database refused"):
        upgrade(reader)
    assert upgrade(login("some_loader", "IN ROLE pipeline_loader")) == []
    assert upgrade(reader) == []


def test_what_a_migrator_s_login_makes_belongs_to_the_role(
    login: Callable[..., Warehouse], warehouse: Warehouse
) -> None:
    migrator = login("some_migrator", "IN ROLE pipeline_migrator")
    downgrade(migrator, 21, accept_loss=True)
    applied = [migration.version for migration in upgrade(migrator)]

    assert {22, 23} <= set(applied)
    with warehouse.connect() as connection:
        owners = connection.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'pg%'"
        ).fetchall()
        assert role_states(connection).in_order
    assert owners == [(MIGRATOR,)]


def test_two_databases_of_one_server_are_upgraded_at_once(postgres_url: str, warehouse: Warehouse, server: str) -> None:
    """Each makes the roles if they are not there, and each gives memberships: nobody stumbles over the other."""
    if server != "embedded":
        pytest.skip("takes a minute there, and the roles are the same server's")
    names = ("twin_one", "twin_two")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    failures: list[Exception] = []

    def run(name: str) -> None:
        try:
            upgrade(Warehouse(urlsplit(warehouse.url)._replace(path=f"/{name}").geturl()))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it fails the test
            failures.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert failures == []
        for name in names:
            with Warehouse(urlsplit(warehouse.url)._replace(path=f"/{name}").geturl()).connect() as connection:
                assert role_states(connection).in_order
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            for name in names:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_an_owner_without_superpowers_upgrades_his_own_database(
    login: Callable[..., Warehouse], postgres_url: str, server: str
) -> None:
    """He may create roles, and hands his objects over to the role of which he becomes a member."""
    if server != "embedded":
        pytest.skip("an extension may need a superuser")
    owner = login("plain_owner", "CREATEROLE")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE his_own TEMPLATE template0 OWNER plain_owner")
        # The roles are there already, of an administrator who trusts him with them.
        connection.execute("GRANT pipeline_migrator TO plain_owner WITH ADMIN OPTION")
    try:
        his = Warehouse(urlsplit(owner.url)._replace(path="/his_own").geturl())
        upgrade(his)
        assert upgrade(his) == []
        with his.connect() as connection:
            assert role_states(connection).differences == ()
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("DROP DATABASE his_own WITH (FORCE)")
