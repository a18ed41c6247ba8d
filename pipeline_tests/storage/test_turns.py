"""One publisher at a time, also when one dies or sleeps."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import StorageError
from pipeline_defs.storage.answers import Answer, Content
from pipeline_defs.storage.turns import Turn, turn

if TYPE_CHECKING:
    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.storage.objects import ObjectStore
    from pipeline_tests.storage.door import Door


def test_a_turn_is_renewed_while_it_lasts_and_leaves_nothing(store: ObjectStore, base: S3Location) -> None:
    lease = base / "lease"
    with turn(store, lease, lease_seconds=0.2) as mine:
        first = store.read(lease)
        time.sleep(0.3)
        second = store.read(lease)
        assert isinstance(first, Content)
        assert isinstance(second, Content)
        assert first.etag != second.etag
        mine.check()
    assert store.read(lease) is Answer.MISSING


def test_a_lease_that_nobody_renewed_is_taken_over(store: ObjectStore, base: S3Location) -> None:
    lease = base / "lease"
    store.write(lease, json.dumps({"host": "elsewhere", "pid": 1, "lease_seconds": 0.1}).encode())
    started = time.monotonic()
    with turn(store, lease, wait_seconds=20, lease_seconds=60):
        assert time.monotonic() - started < 20


@pytest.mark.parametrize("holder", [b"[not json", b"[]", b"{}"])
def test_a_lease_that_cannot_be_read_counts_for_its_time(store: ObjectStore, base: S3Location, holder: bytes) -> None:
    store.write(base / "lease", holder)
    with (
        pytest.raises(StorageError, match="another publisher is at work"),
        turn(store, base / "lease", wait_seconds=0),
    ):
        pass


def test_a_process_that_is_gone_from_this_machine_is_not_waited_for(store: ObjectStore, base: S3Location) -> None:
    dead = Turn(store, base / "lease", 600)
    claim = json.loads(dead._claim())
    store.write(base / "lease", json.dumps({**claim, "started": "1"}).encode())  # its id was given to this process
    with turn(store, base / "lease", wait_seconds=0):
        pass
    store.write(base / "lease", json.dumps({**claim, "kernel": "another machine's", "pid": os.getpid()}).encode())
    with pytest.raises(StorageError), turn(store, base / "lease", wait_seconds=0):
        pass


def test_who_lost_the_turn_is_told_and_does_not_end_that_of_the_other(store: ObjectStore, base: S3Location) -> None:
    lease = base / "lease"
    with turn(store, lease, lease_seconds=0.2) as mine:
        store.write(lease, b"another's")
        deadline = time.monotonic() + 20
        while not mine._lost:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with pytest.raises(StorageError, match="another publisher took over"):
            mine.check()
    found = store.read(lease)
    assert isinstance(found, Content)
    assert found.data == b"another's"


def test_a_store_that_fails_for_a_moment_does_not_end_a_turn(s3: Door, store: ObjectStore, base: S3Location) -> None:
    with turn(store, base / "lease", lease_seconds=0.2) as mine:
        s3.fault = lambda _method, _path: 403
        time.sleep(0.3)
        s3.fault = lambda _method, _path: None
        mine.check()
