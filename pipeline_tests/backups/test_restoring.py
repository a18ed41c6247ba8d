"""A backup brought back equals what was backed up, as a whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from pipeline_defs.backups import checksums, loading
from pipeline_defs.backups.creating import create
from pipeline_defs.backups.places import trees
from pipeline_defs.backups.placing import placing
from pipeline_defs.errors import ConfigurationError, StorageError, WarehouseError
from pipeline_defs.exports.published import validate_below
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.migrations import find_drift, upgrade
from pipeline_tests.backups.conftest import Installation, load, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.backups.repository import Repository
    from pipeline_defs.storage.locations import S3Location

type Read = Callable[[Path], dict[str, bytes]]


def back_up(repository: Repository, installation: Installation) -> None:
    create(repository, {"warehouse": installation.warehouse}, trees(installation.settings))


def sums(installation: Installation) -> list[checksums.TableChecksum]:
    with installation.warehouse.connect() as connection:
        return checksums.compute(connection)


def relations(installation: Installation) -> int:
    return len(installation.ask(loading._OWN_RELATIONS))


def test_an_empty_server_becomes_equal_to_the_original(
    filled: Installation, empty: Installation, repository: Repository, files_below: Read
) -> None:
    back_up(repository, filled)

    done = empty.restore(repository)

    before = {table.name: table for table in sums(filled)}
    after = {table.name: table for table in sums(empty)}
    # The words in which the server prints the schema are written down anew by the next migration.
    assert before.pop("public.schema_snapshot") != after.pop("public.schema_snapshot")
    assert after == before
    held = {name.removeprefix("public."): table.rows for name, table in before.items()}
    for table in ("options_ticks", "futures_ticks", "spot_prices", "equity_daily", "options_ticks_history"):
        assert held[table] > 0, table
    for table in ("quarantine", "catalogs", "catalog_readbacks", "certificates", "loads", "load_files"):
        assert held[table] > 0, table
    assert done.rows == sum(table.rows for table in before.values()) + 1
    for tree in ("catalogs", "raw"):
        assert files_below(empty.settings.home / tree) == files_below(filled.settings.home / tree)
    found = list(validate_below(empty.settings.catalogs_dir))
    assert [(one.verification.passed, bool(one.verification.engine)) for one in found] == [(True, True)] * 2
    assert upgrade(empty.warehouse) == []
    with empty.warehouse.connect() as connection:
        assert find_drift(connection).differences == ()


def test_a_restored_warehouse_goes_on_where_the_original_was(
    filled: Installation, empty: Installation, repository: Repository
) -> None:
    back_up(repository, filled)
    empty.restore(repository)
    before = empty.ask("SELECT count(*), max(load_id) FROM loads")

    load(empty.warehouse, filled.settings.home / "sample" / "landing")

    after = empty.ask("SELECT count(*), max(load_id) FROM loads")
    assert after[0][1] > before[0][1]
    assert empty.ask("SELECT count(*) FROM options_ticks") == filled.ask("SELECT count(*) FROM options_ticks")


def test_what_commits_during_a_backup_is_in_neither_dump_nor_checksums(
    small: Installation, empty: Installation, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.ask("CREATE TABLE desk (note text); INSERT INTO desk VALUES ('before') RETURNING note")
    compute = checksums.compute

    def compute_after_a_write(connection: psycopg.Connection) -> list[checksums.TableChecksum]:
        small.ask("INSERT INTO desk VALUES ('meanwhile') RETURNING note")
        return compute(connection)

    monkeypatch.setattr(checksums, "compute", compute_after_a_write)
    back_up(repository, small)
    monkeypatch.undo()
    empty.restore(repository)

    assert empty.ask("SELECT note FROM desk") == [("before",)]


@pytest.mark.parametrize("harm", ["a bit", "the end", "all of it"])
@pytest.mark.parametrize("what", ["dump", "file", "manifest"])
def test_a_damaged_backup_is_refused_and_the_file_is_named(
    small: Installation, empty: Installation, repository: Repository, harm: str, what: str
) -> None:
    back_up(repository, small)
    pattern = {"dump": "warehouse.dump", "file": "[0-9a-f]" * 64, "manifest": "manifest.json"}[what]
    (path,) = Path(str(repository.shelf.place)).rglob(pattern)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    if harm == "all of it":
        path.unlink()
    else:
        path.write_bytes(data if harm == "a bit" else data[:-1])

    expected = path.name if (what, harm) != ("manifest", "all of it") else "there is no complete backup"
    with pytest.raises((StorageError, ConfigurationError), match=expected):
        empty.restore(repository)

    assert relations(empty) == 0
    assert not empty.settings.home.exists() or not any(path.is_file() for path in empty.settings.home.rglob("*"))


def test_rows_that_are_not_what_was_backed_up_are_not_kept(
    small: Installation, empty: Installation, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.ask("CREATE TABLE desk (note text); INSERT INTO desk VALUES ('before') RETURNING note")
    compute = checksums.compute

    def compute_something_else(connection: psycopg.Connection) -> list[checksums.TableChecksum]:
        return [
            checksums.TableChecksum(one.name, one.rows, "1 2") if one.name == "public.desk" else one
            for one in compute(connection)
        ]

    monkeypatch.setattr(checksums, "compute", compute_something_else)
    back_up(repository, small)

    with pytest.raises(WarehouseError, match=r"public\.desk: 1 rows as expected, but not the same ones"):
        empty.restore(repository)

    assert relations(empty) == 0
    assert not (empty.settings.home / "catalogs").exists()


def test_a_database_that_holds_anything_is_not_touched(
    small: Installation, empty: Installation, repository: Repository
) -> None:
    back_up(repository, small)
    empty.ask("CREATE TABLE somebodys (one integer); SELECT 1")

    with pytest.raises(WarehouseError, match=r"not empty.*public\.somebodys"):
        empty.restore(repository)

    assert relations(empty) == 1
    assert not (empty.settings.home / "catalogs").exists()


def test_a_folder_that_holds_other_files_is_not_touched(
    small: Installation, empty: Installation, repository: Repository
) -> None:
    back_up(repository, small)
    empty.settings.catalogs_dir.mkdir(parents=True)
    (empty.settings.catalogs_dir / "notes.txt").write_text("mine\n")

    with pytest.raises(StorageError, match=r"is not empty.*notes\.txt"):
        empty.restore(repository)

    assert relations(empty) == 0
    assert (empty.settings.catalogs_dir / "notes.txt").read_text() == "mine\n"


def test_a_restore_that_was_broken_off_before_its_commit_can_be_run_again(
    small: Installation, empty: Installation, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(repository, small)

    def unplugged(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loading.Restoring, "commit", unplugged)
    with pytest.raises(KeyboardInterrupt):
        empty.restore(repository)
    monkeypatch.undo()

    assert relations(empty) == 0
    assert (empty.settings.catalogs_dir / "notes.txt").exists()
    empty.restore(repository)
    assert relations(empty) > 1


def test_replacing_sets_database_and_folders_aside(
    small: Installation, empty: Installation, repository: Repository
) -> None:
    back_up(repository, small)
    empty.ask("CREATE TABLE somebodys (one integer); SELECT 1")
    empty.settings.catalogs_dir.mkdir(parents=True)
    (empty.settings.catalogs_dir / "notes.txt").write_text("mine\n")

    done = empty.restore(repository, replace=True)

    assert empty.ask("SELECT to_regclass('somebodys')::text, to_regclass('loads')::text") == [(None, "loads")]
    assert (empty.settings.catalogs_dir / "notes.txt").read_text() == "kept\n"
    former = next(one for one in done.set_aside if one.startswith("database ")).removeprefix("database ")
    beside = Warehouse(urlsplit(empty.warehouse.url)._replace(path=f"/{former}").geturl())
    assert Installation(beside, empty.settings).ask("SELECT to_regclass('somebodys')::text") == [("somebodys",)]
    (folder,) = (Path(one) for one in done.set_aside if "catalogs" in one)
    assert (folder / "notes.txt").read_text() == "mine\n"


def test_groups_with_rights_are_made_again_where_they_are_missing(
    small: Installation, empty: Installation, repository: Repository, postgres_url: str
) -> None:
    small.ask("CREATE ROLE backup_test_reader NOLOGIN; GRANT SELECT ON loads TO backup_test_reader; SELECT 1")
    back_up(repository, small)
    small.ask("DROP OWNED BY backup_test_reader; DROP ROLE backup_test_reader; SELECT 1")

    empty.restore(repository)

    assert empty.ask("SELECT has_table_privilege('backup_test_reader', 'loads', 'SELECT')") == [(True,)]
    empty.ask("DROP OWNED BY backup_test_reader; SELECT 1")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE backup_test_reader")


def test_a_backup_of_a_newer_pipeline_is_refused_before_anything_is_done(
    small: Installation, empty: Installation, repository: Repository
) -> None:
    small.ask("INSERT INTO schema_migrations VALUES (9001, 'common/9001_later.sql', 'x') RETURNING 1")
    back_up(repository, small)

    with pytest.raises(ConfigurationError, match="migrations that this version does not have: 9001"):
        empty.restore(repository)

    assert relations(empty) == 0


def test_catalogs_of_a_bucket_come_back_as_publications(
    filled: Installation, empty: Installation, repository: Repository, base: S3Location, tmp_path: Path
) -> None:
    published = Installation(filled.warehouse, settings_of(filled.settings.home, str(base / "from")))
    back_up(repository, filled)
    at_home = repository.manifest()
    # The home's catalogs go into the bucket, as a restore of them would put them there.
    into_bucket = {"home_catalogs": base / "from" / "catalogs", "raw": base / "from" / "raw"}
    for tree in at_home.trees:
        on_its_way = placing(repository, tree, into_bucket[tree.name], set_aside=None)
        on_its_way.stage()
        on_its_way.place()
        on_its_way.discard()

    in_bucket = type(repository).open(base / "backups")
    create(in_bucket, {"warehouse": filled.warehouse}, trees(published.settings))
    target = Installation(empty.warehouse, settings_of(tmp_path / "other", str(base / "to")))
    target.restore(in_bucket)

    restored = list(validate_below(base / "to" / "catalogs", manifest_only=True))
    assert [one.verification.passed for one in restored] == [True, True]
    assert {tree.name: tree.files for tree in in_bucket.manifest().trees}["raw"] == at_home.trees[1].files
