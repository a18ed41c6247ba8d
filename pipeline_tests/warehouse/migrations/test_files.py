"""Migration files: numbers, layers, and the way back beside each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.migrations.files import BASELINE, FLOOR, LAYERS, Migration, read_layers, read_migrations

if TYPE_CHECKING:
    from pipeline_tests.warehouse.migrations.conftest import WriteLayer


@pytest.mark.parametrize("files", [{"first": "SELECT 1"}, {"m0001_a": "SELECT 1", "m01_b": "SELECT 1"}])
def test_file_names_must_start_with_a_number_of_their_own(write_layer: WriteLayer, files: dict[str, str]) -> None:
    with pytest.raises(WarehouseError, match="number of their own"):
        read_migrations("common", write_layer(**files))


def test_two_layers_cannot_share_a_number(write_layer: WriteLayer) -> None:
    write_layer(m0007_a="SELECT 1")

    with pytest.raises(WarehouseError, match="exists twice, here and as common/0007_a"):
        read_layers(LAYERS, write_layer("timescaledb", m0007_b="SELECT 1"))


def test_the_way_back_belongs_to_its_migration_and_is_none_itself(write_layer: WriteLayer) -> None:
    migrations = read_migrations("common", write_layer(m0001_a="SELECT 1", m0001_a_back="SELECT 2", m0002_b="SELECT 3"))

    assert [(m.version, m.name, m.back) for m in migrations] == [
        (1, "common/0001_a.sql", "SELECT 2"),
        (2, "common/0002_b.sql", None),
    ]
    assert migrations[1].back_name == "common/0002_b.back.sql"


def test_mending_the_way_back_does_not_change_the_migration() -> None:
    assert Migration(7, "x", "SELECT 1", "a").checksum == Migration(7, "x", "SELECT 1", "b").checksum


def test_first_lines_say_what_a_file_loses_and_that_it_bears_no_transaction() -> None:
    plain = Migration(7, "x", "CREATE TABLE a ()\n-- no transaction", "SELECT 1\n-- loses: nothing")
    special = Migration(7, "x", "-- no transaction\nVACUUM", "-- loses: every a\nDROP TABLE a")

    assert (plain.in_transaction, plain.loses) == (True, None)
    assert (special.in_transaction, special.loses) == (False, "every a")


def test_every_migration_after_the_baseline_has_a_way_back() -> None:
    migrations = read_layers(LAYERS)

    assert {m.version for m in migrations} >= BASELINE
    assert [m.name for m in migrations if m.version not in BASELINE and not (m.back or "").strip()] == []
    assert max(m.version for m in migrations if m.version in BASELINE and m.layer == "common") == FLOOR


def test_numbers_ascend_from_layer_to_layer() -> None:
    versions = [m.version for m in read_layers(LAYERS)]

    assert versions == sorted(versions)
