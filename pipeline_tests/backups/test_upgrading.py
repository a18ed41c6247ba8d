"""A database of an older version, with data: as a backup, restored, and brought up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline_defs.backups import checksums
from pipeline_defs.backups.creating import create
from pipeline_defs.backups.places import trees
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.migrations import State, downgrade, find_drift, migration_states, upgrade
from pipeline_tests.backups.conftest import Installation
from pipeline_tests.backups.conftest import create as create_database
from pipeline_tests.backups.conftest import drop as drop_database

if TYPE_CHECKING:
    from pipeline_defs.backups.repository import Repository

OLDER = 16
"""A release ago: what came later were tables of their own, so that no row of an observation is another."""

SAME = (
    *("options_ticks", "futures_ticks", "equity_daily", "options_ticks_history", "options_hourly", "options_daily"),
    *("instruments", "instrument_terms", "load_files", "quarantine", "quality_results", "sessions"),
)


def sums(warehouse: Warehouse) -> dict[str, checksums.TableChecksum]:
    with warehouse.connect() as connection:
        found = {table.name.removeprefix("public."): table for table in checksums.compute(connection)}
    return {name: found[name] for name in SAME}


def test_a_backup_of_an_older_version_is_restored_and_migrated_with_every_observation(
    filled: Installation, empty: Installation, repository: Repository, postgres_url: str
) -> None:
    name = urlsplit(filled.warehouse.url).path.removeprefix("/")
    create_database(postgres_url, f"{name}_older", name)
    older = Warehouse(urlsplit(postgres_url)._replace(path=f"/{name}_older").geturl())
    try:
        undone = [one.version for one in downgrade(older, OLDER, accept_loss=True)]
        assert sums(older) == sums(filled.warehouse)
        create(repository, {"warehouse": older}, trees(filled.settings))
    finally:
        drop_database(postgres_url, f"{name}_older")

    empty.restore(repository)
    with empty.warehouse.connect() as connection:
        outstanding = [one.version for one in migration_states(connection) if one.state is State.OUTSTANDING]
    applied = [one.version for one in upgrade(empty.warehouse)]

    assert undone[::-1] == outstanding == applied != []
    assert sums(empty.warehouse) == sums(filled.warehouse)
    with empty.warehouse.connect() as connection:
        assert find_drift(connection).differences == ()
