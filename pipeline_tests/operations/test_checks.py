"""Each check on the real thing, well and unwell."""

from __future__ import annotations

import datetime as dt
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import boto3
import psycopg
import pytest

from pipeline_defs.errors import ConfigurationError, StorageError, WarehouseError
from pipeline_defs.operations import checks
from pipeline_defs.operations.health import State, UnhealthyError
from pipeline_defs.settings import GIB
from pipeline_defs.storage.locations import S3Location
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

NOTHING = Warehouse("postgresql://nobody:a-secret@127.0.0.1:9/nothing")


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_home_that_can_be_written_and_has_room_is_well(home: Path) -> None:
    assert "are free at" in checks.check_home(0)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(("free", "state"), [(4, State.FAILED), (9, State.WARNING), (11, None)])
def test_a_full_disk_fails_and_a_filling_one_warns(
    home: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State | None
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * GIB, (100 - free) * GIB, free * GIB))
    if state is None:
        assert f"{free}.0 of 100.0 GiB are free at {home}" in checks.check_home(5 * GIB)
        return
    with pytest.raises(UnhealthyError) as found:
        checks.check_home(5 * GIB)
    assert found.value.state is state


def test_a_home_that_cannot_be_made_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "file" / "home"))

    with pytest.raises(UnhealthyError, match="cannot be written: Not a directory"):
        checks.check_home(0)


def test_a_database_that_answers_is_well_and_its_password_is_nowhere(warehouse: Warehouse) -> None:
    assert checks.check_database(warehouse).startswith("PostgreSQL ")
    with pytest.raises(WarehouseError) as found:
        checks.check_database(NOTHING)
    assert "a-secret" not in str(found.value)


def test_a_database_of_another_version_is_unwell(warehouse: Warehouse) -> None:
    assert "migrations, the newest" in checks.check_schema(warehouse)
    with warehouse.connect() as connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = 22")

    with pytest.raises(UnhealthyError, match=r"1 of .* are not as this version has them: .*0022.* is outstanding"):
        checks.check_schema(warehouse)


def test_the_databases_disk_is_measured_where_it_is_this_machines(warehouse: Warehouse) -> None:
    assert "are free at" in checks.check_database_disk(warehouse, 0)


def test_a_disk_that_cannot_be_seen_is_told_as_unknown(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_is_here", lambda _: False)

    with pytest.raises(UnhealthyError, match="cannot be seen from here") as found:
        checks.check_database_disk(warehouse, 0)
    assert found.value.state is State.UNKNOWN


@pytest.mark.parametrize(("seconds", "state"), [(-30, State.FAILED), (30, State.FAILED), (2, State.WARNING)])
def test_clocks_that_differ_are_told_with_their_direction(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, seconds: int, state: State
) -> None:
    assert "the database" in checks.check_clock(warehouse)

    class Shifted(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Shifted:
            moved = dt.datetime.now(tz) + dt.timedelta(seconds=seconds)
            return cls.combine(moved.date(), moved.timetz())

    monkeypatch.setattr("pipeline_defs.operations.checks.dt", SimpleNamespace(datetime=Shifted, UTC=dt.UTC))
    with pytest.raises(UnhealthyError, match="ahead of" if seconds > 0 else "behind") as found:
        checks.check_clock(warehouse)
    assert found.value.state is state


@pytest.mark.usefixtures("object_store")
def test_a_bucket_is_written_read_and_left_as_it_was() -> None:
    store = boto3.client("s3")
    store.create_bucket(Bucket="healthy")

    assert checks.check_bucket(S3Location("healthy", "market data")).startswith("s3://healthy/market data")
    assert store.list_objects_v2(Bucket="healthy")["KeyCount"] == 0
    with pytest.raises(StorageError, match="no such bucket"):
        checks.check_bucket(S3Location("absent", ""))


def test_the_buckets_in_use_are_those_that_something_is_written_to(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home
    assert checks.buckets_in_use() == []
    monkeypatch.setenv("PIPELINE_OBJECT_STORE", "s3://market/data")
    monkeypatch.setenv("PIPELINE_RAW_ARCHIVE", "on")
    monkeypatch.setenv("PIPELINE_LOGS_BUCKET", "logs")

    assert [str(place) for place in checks.buckets_in_use()] == ["s3://market/data", "s3://logs/dagster"]


def test_nothing_is_overdue_without_a_universe(warehouse: Warehouse, home: Path) -> None:
    assert home
    assert checks.check_sessions(warehouse, dt.datetime.now(dt.UTC)) == "the universe names no session of an API"


def test_a_session_that_is_due_and_not_stored_is_named(warehouse: Warehouse, home: Path) -> None:
    home.mkdir()
    (home / "universe.yaml").write_text("yahoo:\n  equities: [AAPL]\n  market: US\n")

    with pytest.raises(UnhealthyError, match=r"\d+ sessions are due and not stored: yahoo/\w+ 2025-08-0") as found:
        checks.check_sessions(warehouse, dt.datetime(2025, 8, 13, tzinfo=dt.UTC))
    assert found.value.state is State.WARNING


@pytest.mark.parametrize("text", ["much", "-1", "inf"])
def test_no_number_of_gib_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no number of GiB"):
        checks.parse_gib(text)
    assert checks.parse_gib("0.5") == GIB // 2


def test_a_standby_takes_no_writes_and_is_unwell(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    class Standby(psycopg.Connection[tuple[object, ...]]):
        def execute(self, *_: object, **__: object) -> Standby:  # type: ignore[override]
            return self

        def fetchall(self) -> list[tuple[str, bool]]:
            return [("18.0", True)]

    monkeypatch.setattr(
        Warehouse,
        "connect",
        lambda self, **_: Standby.connect(self.url),  # a second server would be a minute's work
    )
    with pytest.raises(UnhealthyError, match="is a standby and takes no writes"):
        checks.check_database(warehouse)
