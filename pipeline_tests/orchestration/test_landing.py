from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.orchestration.landing import expected_name_dates, judge_arrivals, landed_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.samples.generate import GeneratedSample

DAY = dt.date(2025, 8, 14)


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, content: str = "x", changed_ns: int = 1_000_000_000) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, ns=(changed_ns, changed_ns))
        return path

    return write


def test_dates_come_from_names_of_files_and_folders(tmp_path: Path, put: Callable[..., Path]) -> None:
    put("GFDLNFO_BACKADJUSTED_14082025.csv")
    put("GFDLNFO_13082025/NIFTY-I.NFO.csv")
    put("deep/BhavCopy_NSE_FO_0_0_0_20250812_F_0000.csv.zip")

    assert list(landed_files(tmp_path).fingerprints) == [dt.date(2025, 8, 12), dt.date(2025, 8, 13), DAY]


def test_every_generated_file_names_its_date(tiny_sample: GeneratedSample) -> None:
    landed = landed_files(tiny_sample.landing)

    assert list(landed.fingerprints) == [dt.date(2025, 8, 13)]
    assert landed.undated == 0


def test_files_without_a_date_are_counted(tmp_path: Path, put: Callable[..., Path]) -> None:
    put("NIFTY.csv")

    assert landed_files(tmp_path).undated == 1


@pytest.mark.parametrize(
    "name",
    [
        ".GFDLNFO_14082025.csv.swp",
        "GFDLNFO_14082025.csv.part",
        "__MACOSX/._GFDLNFO_14082025.csv",
        ".hidden/GFDLNFO_14082025.csv",
    ],
)
def test_what_is_no_delivery_is_not_seen(name: str, tmp_path: Path, put: Callable[..., Path]) -> None:
    put(name)

    landed = landed_files(tmp_path)

    assert (landed.fingerprints, landed.undated) == ({}, 0)


def test_a_folder_that_is_not_there_yet_holds_nothing(tmp_path: Path) -> None:
    assert landed_files(tmp_path / "landing").fingerprints == {}


@pytest.mark.parametrize("change", ["size", "time", "added", "removed"])
def test_any_change_of_a_dates_files_changes_its_fingerprint(
    change: str, tmp_path: Path, put: Callable[..., Path]
) -> None:
    put("GFDLNFO_14082025.csv")
    other = put("GFDLCM_INDICES_14082025.csv")
    before = landed_files(tmp_path).fingerprints
    if change == "size":
        put("GFDLNFO_14082025.csv", content="xx")
    elif change == "time":
        put("GFDLNFO_14082025.csv", changed_ns=1_000_000_001)
    elif change == "added":
        put("GFDLCM_STOCK_14082025.csv")
    else:
        other.unlink()

    assert landed_files(tmp_path).fingerprints[DAY] != before[DAY]


def test_a_date_is_settled_at_the_second_equal_look_and_given_once(tmp_path: Path, put: Callable[..., Path]) -> None:
    put("GFDLNFO_14082025.csv")
    first = judge_arrivals(landed_files(tmp_path), {})
    second = judge_arrivals(landed_files(tmp_path), first.memory)
    again = judge_arrivals(landed_files(tmp_path), second.memory)
    second.remember_request(DAY)
    after = judge_arrivals(landed_files(tmp_path), second.memory)

    assert (first.arriving, first.settled) == ([DAY], {})
    assert list(second.settled) == list(again.settled) == [DAY]
    assert (after.arriving, after.settled) == ([], {})


def test_a_file_that_still_grows_is_not_settled(tmp_path: Path, put: Callable[..., Path]) -> None:
    memory: dict[str, list[str]] = {}
    for size in range(1, 4):
        put("GFDLNFO_14082025.csv", content="x" * size)
        arrivals = judge_arrivals(landed_files(tmp_path), memory)
        memory = arrivals.memory
        assert (arrivals.arriving, arrivals.settled) == ([DAY], {})


def test_a_corrected_delivery_is_given_again(tmp_path: Path, put: Callable[..., Path]) -> None:
    put("GFDLNFO_14082025.csv")
    memory = judge_arrivals(landed_files(tmp_path), {}).memory
    asked = judge_arrivals(landed_files(tmp_path), memory)
    asked.remember_request(DAY)
    put("GFDLNFO_14082025.csv", content="corrected")
    changed = judge_arrivals(landed_files(tmp_path), asked.memory)
    settled = judge_arrivals(landed_files(tmp_path), changed.memory)

    assert changed.arriving == [DAY]
    assert list(settled.settled) == [DAY]


def test_a_date_whose_files_are_gone_is_forgotten(tmp_path: Path, put: Callable[..., Path]) -> None:
    path = put("GFDLNFO_14082025.csv")
    memory = judge_arrivals(landed_files(tmp_path), {}).memory
    path.unlink()

    assert judge_arrivals(landed_files(tmp_path), memory).memory == {}


def test_vendors_ways_to_write_a_date_are_told() -> None:
    assert expected_name_dates(DAY) == ["14082025", "14AUG2025", "20250814"]
