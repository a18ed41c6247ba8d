"""The servers of the tests: how they are found, verified, and put back; the runner's counts."""

from __future__ import annotations

import ast
import json
from pathlib import Path, PurePath

import psycopg
import pytest

from pipeline_tests.servers import __main__ as runner
from pipeline_tests.servers import again, full, places
from pipeline_tests.servers.apache_packages import mirror
from pipeline_tests.servers.places import ServerUnavailableError, run
from pipeline_tests.servers.pristine import Pristine

STANZA = "Types: deb\nURIs: {}\nSuites: {}\nComponents: main\nSigned-By: /usr/share/keyrings/{}\n"
DEBIAN = "debian-archive-keyring.gpg"


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def test_the_mirror_is_the_one_of_the_releases_not_of_security_or_another_vendor(apt: Path) -> None:
    stanzas = [
        STANZA.format("mirror:vendor", "nodistro", "vendor.gpg"),
        STANZA.format("mirror:security", "bookworm-security", DEBIAN),
        STANZA.format("mirror:debian", "bookworm bookworm-updates", DEBIAN),
    ]
    (apt / "sources.list.d/debian.sources").write_text("\n".join(stanzas))
    assert mirror(apt) == "mirror:debian"


def test_the_mirror_is_found_in_the_older_form_too(apt: Path) -> None:
    lines = ["deb mirror:security trixie-security main", "deb [arch=amd64] mirror:debian trixie main contrib"]
    (apt / "sources.list").write_text("\n".join(lines))
    assert mirror(apt) == "mirror:debian"


def test_without_a_mirror_the_server_cannot_be_had(apt: Path) -> None:
    with pytest.raises(ServerUnavailableError, match="names no mirror"):
        mirror(apt)


def test_a_program_that_fails_is_the_reason_why_a_server_cannot_be_had(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailableError, match=r"sh -c failed with exit code 3: no such mirror"):
        run(["sh", "-c", "echo no such mirror >&2; exit 3"], cwd=tmp_path)
    with pytest.raises(ServerUnavailableError, match="absent-program cannot be run"):
        run(["absent-program"], cwd=tmp_path)


@pytest.mark.parametrize("room", [True, False])
def test_a_database_is_kept_in_memory_only_where_there_is_room_and_removed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, room: bool
) -> None:
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(places, "_MEMORY", tmp_path / "memory")
    monkeypatch.setattr(places, "_ROOM_BYTES", 0 if room else 1 << 60)
    with places.database_folder(tmp_path) as folder:
        assert folder.parent == (tmp_path / "memory" if room else tmp_path)
        assert folder.stat().st_mode & 0o777 == 0o755
    assert not folder.exists()


def test_a_machine_without_a_folder_in_memory_uses_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_MEMORY", tmp_path / "absent")
    with places.database_folder(tmp_path) as folder:
        assert folder.parent == tmp_path


@pytest.mark.parametrize(
    "packages",
    [
        {f"node_modules/{full.PACKAGE}": {"integrity": "sha512-other"}},
        {f"node_modules/{full.PACKAGE}": {"integrity": full.INTEGRITY}, "node_modules/stowaway": {}},
        {},
    ],
)
def test_another_archive_than_the_pinned_one_is_refused(tmp_path: Path, packages: dict[str, object]) -> None:
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/.package-lock.json").write_text(json.dumps({"packages": packages}))
    with pytest.raises(ServerUnavailableError, match="not the pinned"):
        full.verify(tmp_path)


def test_the_pinned_archive_is_accepted(tmp_path: Path) -> None:
    packages = {f"node_modules/{full.PACKAGE}": {"integrity": full.INTEGRITY}}
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules/.package-lock.json").write_text(json.dumps({"packages": packages}))
    full.verify(tmp_path)


def test_putting_back_restores_rows_and_sequences_past_all_triggers_and_drops_leftovers(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("""
            CREATE TABLE seeds (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,
                                size integer GENERATED ALWAYS AS (length(name)) STORED);
            CREATE TABLE facts (id integer GENERATED ALWAYS AS IDENTITY, seed integer REFERENCES seeds);
            INSERT INTO seeds (name) VALUES ('one'), ('three');
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE 'never'; END $$;
            CREATE TRIGGER guard BEFORE TRUNCATE ON facts FOR EACH STATEMENT EXECUTE FUNCTION refuse();
        """)
        before = Pristine.of(database_url)
        connection.execute("""
            INSERT INTO facts (seed) VALUES (2), (2);
            INSERT INTO seeds (name) VALUES ('four');
            UPDATE seeds SET name = 'changed' WHERE id = 1;
            CREATE TYPE mood AS ENUM ('bad');
            CREATE TABLE left_behind (mood mood);
        """)
        assert Pristine.of(database_url) != before

        before.put_back(database_url)

        assert Pristine.of(database_url) == before
        assert connection.execute("SELECT * FROM seeds ORDER BY id").fetchall() == [(1, "one", 3), (2, "three", 5)]
        connection.execute("INSERT INTO seeds (name) VALUES ('next')")
        assert connection.execute("INSERT INTO facts (seed) VALUES (3) RETURNING id, seed").fetchall() == [(1, 3)]


def test_what_no_transaction_has_touched_is_left_alone_when_the_state_is_put_back(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS id; CREATE TABLE changed AS SELECT 1 AS id")
        before = Pristine.of(database_url)
        files = "SELECT pg_relation_filenode('kept'), pg_relation_filenode('changed')"
        ((kept, changed),) = connection.execute(files).fetchall()
        for round_ in range(2):
            connection.execute("UPDATE changed SET id = id + %s", [round_])
            before.put_back(database_url)

        ((kept_now, changed_now),) = connection.execute(files).fetchall()
        assert kept_now == kept
        assert changed_now != changed
        assert connection.execute("SELECT id FROM changed").fetchall() == [(1,)]


@pytest.mark.parametrize("server", again.ROOMS)
def test_what_is_run_again_is_there_and_in_the_folders_that_are_collected_for_the_server(server: str) -> None:
    tests = Path(__file__).parent
    for place, names in again.FILES[server].items():
        functions = {
            node.name for node in ast.walk(ast.parse((tests / place).read_text())) if isinstance(node, ast.FunctionDef)
        }
        assert set(names) <= functions, place
        assert any(map(Path(place).is_relative_to, again.ROOMS[server])), place


def test_a_test_is_run_again_by_its_name_or_its_file_and_thoroughly_by_its_room() -> None:
    def told(place: str, name: str) -> tuple[bool, bool]:
        return (
            again.is_run_again("full", PurePath(place), name, thorough=False),
            again.is_run_again("full", PurePath(place), name, thorough=True),
        )

    assert told("warehouse/test_bars.py", "test_of_any_name") == (True, True)
    assert told("warehouse/test_loading.py", "test_a_first_load_stores_every_row_exactly") == (True, True)
    assert told("warehouse/test_loading.py", "test_of_any_name") == (False, True)
    assert told("warehouse/test_bundles.py", "test_of_any_name") == (False, True)
    assert told("warehouse/embedded/test_server.py", "test_of_any_name") == (False, False)
    assert told("cli/test_main.py", "test_of_any_name") == (False, False)


def test_the_summary_counts_what_passed_failed_and_was_skipped(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="9" failures="2" errors="1" skipped="3"/></testsuites>')
    assert runner.counts(report) == "3 passed, 2 failed, 1 errors, 3 skipped"


@pytest.mark.parametrize(("strict", "passed"), [(False, True), (True, False)])
def test_a_server_that_cannot_be_had_is_named_with_the_reason_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, *, strict: bool, passed: bool
) -> None:
    def unavailable(server: str) -> None:
        raise ServerUnavailableError(f"no {server} today")

    monkeypatch.setattr(runner, "prepare", unavailable)
    outcome = runner.run("apache", [], strict=strict)
    assert (str(outcome), outcome.passed) == ("apache: not run: no apache today", passed)
