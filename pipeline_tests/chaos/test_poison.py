"""Files that no vendor meant to send are refused with a word, and change nothing."""

from __future__ import annotations

import gzip
import os
import threading
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import PipelineError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.registry import get_source
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.reports import refuse_damage
from pipeline_tests.chaos.poison import POISONS, poison_with
from pipeline_tests.chaos.world import DAYS, FIRST, Deliveries, look, make_deliveries

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.warehouse.connection import Warehouse

MINUTES = f"gdfl_fo_minute/GFDLNFO_BACKADJUSTED_{DAYS[0]:%d%m%Y}.csv"


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> Deliveries:
    return make_deliveries(tmp_path_factory.mktemp("deliveries"))


def take(warehouse: Warehouse, folder: Path) -> None:
    reports = list(import_source(warehouse, get_source("nse_csv"), ImportRequest(DAYS[0], DAYS[0], path=folder)))
    refuse_damage(reports)


def stored(warehouse: Warehouse) -> Any:
    with warehouse.connect() as connection:
        return look(connection)


def test_every_poison_is_refused_by_name_and_the_day_stays_as_it_was(
    warehouse: Warehouse, deliveries: Deliveries, tmp_path: Path
) -> None:
    take(warehouse, deliveries.landing(FIRST))
    before = stored(warehouse)
    assert before
    for name, (file, _) in POISONS.items():
        folder = poison_with(tmp_path / "poison", name, deliveries)

        with pytest.raises(PipelineError) as caught:
            take(warehouse, folder)

        assert file.rpartition("/")[2] in str(caught.value) or str(DAYS[0]) in str(caught.value), name
        assert stored(warehouse) == before, name


def test_mixed_line_ends_are_read_as_lines(warehouse: Warehouse, deliveries: Deliveries, tmp_path: Path) -> None:
    plain, mixed = deliveries.landing(FIRST) / MINUTES, tmp_path / MINUTES
    mixed.parent.mkdir(parents=True)
    lines = plain.read_bytes().splitlines()
    mixed.write_bytes(b"".join(line + (b"\r\n", b"\n")[number % 2] for number, line in enumerate(lines)))
    take(warehouse, mixed)
    found = stored(warehouse)

    take(warehouse, plain)

    assert stored(warehouse) == found
    assert sum(rows for rows, _ in found.values()) == len(lines) - 1


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_an_archive_that_ends_early_is_named_and_nothing_of_it_is_stored(
    warehouse: Warehouse, deliveries: Deliveries, tmp_path: Path, kind: str
) -> None:
    content = (deliveries.landing(FIRST) / MINUTES).read_bytes()
    whole = tmp_path / f"{MINUTES}.{kind}"
    whole.parent.mkdir(parents=True)
    if kind == "gz":
        whole.write_bytes(gzip.compress(content))
    else:
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(whole.name.removesuffix(".zip"), content)
    os.truncate(whole, whole.stat().st_size - 200)

    with pytest.raises(PipelineError, match=whole.name):
        take(warehouse, whole)

    assert stored(warehouse) == {}


def test_a_file_that_is_still_being_copied_is_never_stored_for_whole(
    warehouse: Warehouse, deliveries: Deliveries, tmp_path: Path
) -> None:
    """The drop folder of files looks twice; a path that a person names is read as it is, and once more when whole."""
    from pipeline_defs.uploads.taking import take_in  # noqa: PLC0415 -- only here

    folder, aside = tmp_path / "uploads", tmp_path / "aside"
    Deliveries.upload(aside, DAYS[0])
    Deliveries.upload(folder, DAYS[0])
    whole = (aside / f"{DAYS[0]}.csv").read_bytes()
    arriving = folder / f"{DAYS[0]}.csv"
    arriving.write_bytes(whole[: len(whole) // 2])
    is_done = threading.Event()

    def copy() -> None:
        for position in range(len(whole) // 2, len(whole), 20):
            with arriving.open("ab") as file:
                file.write(whole[position : position + 20])
            time.sleep(0.03)
        is_done.set()

    copier = threading.Thread(target=copy)
    copier.start()
    while not is_done.is_set():
        taken = take_in(warehouse, folder, pause_seconds=0.5)
        assert not taken.outcomes or is_done.is_set()
    copier.join()
    take_in(warehouse, folder, pause_seconds=0)

    (state,) = stored(warehouse).values()
    assert state[0] == 30
    with warehouse.connect() as connection:
        assert connection.execute("SELECT count(*) FROM spot_prices_history").fetchone() == (0,)
    del deliveries
