"""A disk that is full: said so with what to do, nothing half there, and all is well once there is room."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pipeline_tests.chaos import invariants
from pipeline_tests.chaos.operations import Operation
from pipeline_tests.chaos.readers import read_catalog
from pipeline_tests.chaos.world import CORRECTED, DAYS, FIRST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_tests.chaos.running import Engine

DAY = DAYS[0]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mount a disk of its own; skips the test where that cannot be done."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4_096))
        except OSError:
            return filler


def test_an_export_into_a_full_disk_leaves_the_old_catalog_and_succeeds_once_there_is_room(engine: Engine) -> None:
    with engine.workshop() as shop, small_disk(shop.places.root / "disk", "2m"):
        disk = shop.places.root / "disk"
        operation = Operation("export", str(disk / "published"), DAY, format="csv")
        shop.must(Operation("import", str(engine.deliveries.landing(FIRST)), DAY))
        shop.must(operation)
        shop.must(Operation("import", str(engine.deliveries.landing(CORRECTED)), DAY))
        filler = fill(disk)

        code, output = shop.run(operation)

        assert code == 1, output
        assert "No space left on device" in output
        assert "Traceback" not in output
        assert read_catalog(disk / "published") == ""
        filler.unlink()
        assert list(invariants.check_litter(disk)) == []
        shop.must(operation)
        assert read_catalog(disk / "published") == ""
        assert list(invariants.check_readbacks(shop.url)) == []


def test_a_full_archive_of_deliveries_stores_nothing_and_says_what_to_do(engine: Engine) -> None:
    with engine.workshop(keeps_raw=True) as shop, small_disk(shop.places.home / "raw", "64k"):
        filler = fill(shop.places.home / "raw")
        operation = Operation("import", str(engine.deliveries.landing(FIRST)), DAY)

        code, output = shop.run(operation)

        assert code == 1, output
        assert "No space left on device" in output
        assert "Next: make room" in output
        filler.unlink()
        assert list(invariants.check_litter(shop.places.root)) == []
        shop.must(Operation("upgrade"))
