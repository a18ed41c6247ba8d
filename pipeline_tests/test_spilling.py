from __future__ import annotations

import datetime as dt
import gzip
import mmap
import os
import resource
import subprocess
import sys
import tempfile
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipeline_defs import spilling
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.batches import OBSERVATION_SCHEMA
from pipeline_defs.spilling import PackedFrame, hold, map_frames, pieces_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def observations(count: int, *, first: int = 0) -> pl.DataFrame:
    """Rows of every type that rows have, nulls among them."""
    start = dt.datetime(2025, 8, 12, 4, tzinfo=dt.UTC)
    numbers = range(first, first + count)
    values = {
        "contract_key": list(numbers),
        "timestamp": [start + dt.timedelta(seconds=number) for number in numbers],
        "close": [None if number % 7 == 3 else Decimal(number) / 20 for number in numbers],
        "volume": [None if number % 5 == 2 else number for number in numbers],
    }
    return pl.DataFrame({name: values.get(name, [None] * count) for name in OBSERVATION_SCHEMA}, OBSERVATION_SCHEMA)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_frames_come_back_from_the_disk_as_one_value_by_value_and_type_by_type(heights: list[int]) -> None:
    frames = [observations(height, first=1000 * place) for place, height in enumerate(heights)]
    assert_frame_equal(map_frames(iter(frames)), pl.concat(frames))


def test_a_mapped_frame_is_used_as_any_other_and_is_not_held_in_memory() -> None:
    code = (
        "import polars as pl, re, pyarrow\n"
        "from pathlib import Path\n"
        "from pipeline_defs.spilling import map_frames\n"
        "def anonymous():\n"
        "    return int(re.search(r'RssAnon:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1024\n"
        "numbers = pl.int_range(500_001, eager=True)\n"
        "one = pl.DataFrame({'odd': numbers.cast(pl.UInt32), 'price': numbers.cast(pl.Decimal(18, 4))})\n"
        "map_frames([one])\n"
        "before = anonymous()\n"
        "mapped = map_frames(one for _ in range(20))\n"  # 191 MiB
        "assert mapped['price'].sum() == 20 * 125_000_250_000\n"
        "assert mapped.filter(pl.col('odd') < 3).height == 60\n"
        "print(anonymous() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 60


def test_no_frame_at_all_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no frame"):
        map_frames([])


def test_a_packed_frame_of_texts_comes_back_as_often_as_it_is_asked_for() -> None:
    frame = pl.DataFrame({"line": [1, 2, 3], "text": ["a", None, "\u20b9 " + "x" * 100]})
    packed = PackedFrame(frame)
    assert_frame_equal(packed.read(), frame)
    assert_frame_equal(packed.read(), frame)


@pytest.mark.parametrize(("size", "held_as"), [(0, bytes), (64, bytes), (65, mmap.mmap), (1000, mmap.mmap)])
def test_a_content_is_held_on_disk_from_a_size_on_and_is_the_same_bytes(
    size: int, held_as: type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(spilling, "LARGE_BYTES", 64)
    monkeypatch.setattr(spilling, "_PIECE_BYTES", 7)
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        held = hold(pieces_of(file.read))
    assert isinstance(held, held_as)
    assert held[:] == data


def test_nothing_is_left_in_the_folder_even_while_it_is_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mapped, packed = map_frames([observations(5)]), PackedFrame(observations(5))
    assert list(tmp_path.iterdir()) == []
    assert mapped.height == packed.read().height == 5


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 4 KiB: what a full disk says, said by the kernel."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("what", ["mapped", "packed", "held"])
def test_a_disk_without_room_is_told_with_its_folder_and_what_to_do(what: str) -> None:
    rows = observations(1000)
    ways: dict[str, Callable[[], object]] = {
        "mapped": lambda: map_frames([rows]),
        "packed": lambda: PackedFrame(pl.DataFrame({"text": [os.urandom(16).hex() for _ in range(1000)]})),
        "held": lambda: hold(bytes(1 << 20) for _ in range(65)),
    }
    with pytest.raises(ConfigurationError, match=r"cannot be written there.*\n.*TMPDIR") as raised:
        ways[what]()
    assert raised.value.where == f"temporary folder {tempfile.gettempdir()}"


def test_what_fails_while_a_large_content_is_read_keeps_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spilling, "LARGE_BYTES", 64)

    def pieces() -> Iterator[bytes]:
        yield bytes(65)
        raise gzip.BadGzipFile("CRC check failed")

    with pytest.raises(gzip.BadGzipFile, match="CRC check failed"):
        hold(pieces())
