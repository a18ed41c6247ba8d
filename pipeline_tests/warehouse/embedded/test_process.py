"""A running server is recognised by more than its lock file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.warehouse.embedded import process
from pipeline_defs.warehouse.embedded.process import (
    command_line,
    find_postmaster,
    is_alive,
    of_ps,
    serves,
    wait_until_ready,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pretender(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a server's command line, which never becomes ready."""
    script = "import time; print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", script, "postgres", "-D", str(tmp_path), "-p", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.stdout.close()
    process.wait()


def lock_file(data: Path, pid: int, state: str | None = None, started_in: Path | None = None) -> None:
    lines = [str(pid), str(started_in or data), "1793000000", "4711", "", "127.0.0.1", " 1 2"]
    (data / "postmaster.pid").write_text("\n".join([*lines, *([] if state is None else [state])]) + "\n")


def test_no_lock_file_means_no_server(tmp_path: Path) -> None:
    assert find_postmaster(tmp_path) is None


@pytest.mark.parametrize("text", ["", "garbage\n", "12\n", "12\n/\n1\nport\n"])
def test_a_damaged_lock_file_means_no_server(tmp_path: Path, text: str) -> None:
    (tmp_path / "postmaster.pid").write_text(text)
    assert find_postmaster(tmp_path) is None


def test_a_living_process_that_is_no_server_means_no_server(tmp_path: Path) -> None:
    lock_file(tmp_path, os.getpid(), "ready")
    assert find_postmaster(tmp_path) is None


def test_a_lock_file_copied_from_another_folder_means_no_server(
    tmp_path: Path, pretender: subprocess.Popen[bytes]
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    lock_file(copy, pretender.pid, "ready   ", started_in=tmp_path)
    assert find_postmaster(copy) is None


@pytest.mark.parametrize(("state", "is_ready"), [(None, False), ("starting", False), ("ready   ", True)])
def test_a_server_is_ready_when_it_says_so(
    tmp_path: Path, pretender: subprocess.Popen[bytes], state: str | None, *, is_ready: bool
) -> None:
    lock_file(tmp_path, pretender.pid, state)
    found = find_postmaster(tmp_path)
    assert found is not None
    assert (found.pid, found.port, found.is_ready) == (pretender.pid, 4711, is_ready)


def test_waiting_ends_with_an_error_when_the_time_is_over(tmp_path: Path, pretender: subprocess.Popen[bytes]) -> None:
    lock_file(tmp_path, pretender.pid, "starting")
    with pytest.raises(WarehouseError, match="not ready after 0 s"):
        wait_until_ready(tmp_path, pretender.pid, 0.05)


def test_waiting_ends_when_the_process_becomes_a_zombie(tmp_path: Path, pretender: subprocess.Popen[bytes]) -> None:
    assert serves(pretender.pid, tmp_path)
    pretender.kill()
    assert wait_until_ready(tmp_path, pretender.pid, 10) is None


def test_a_folder_whose_name_merely_begins_alike_is_another_one(
    tmp_path: Path, pretender: subprocess.Popen[bytes]
) -> None:
    assert not serves(pretender.pid, tmp_path.with_name(tmp_path.name[:-1]))


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="no ps on this machine")
def test_ps_tells_the_same_as_proc(pretender: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    told = command_line(pretender.pid).split()
    monkeypatch.setattr(process, "_PROC", Path("/missing"))
    assert command_line(pretender.pid).split() == told != []
    assert is_alive(pretender.pid)
    pretender.kill()
    while of_ps(pretender.pid, "stat")[:1] != "Z":
        pass
    assert not is_alive(pretender.pid)


def test_a_process_that_is_gone_is_not_alive(pretender: subprocess.Popen[bytes]) -> None:
    pretender.kill()
    pretender.wait()
    assert not is_alive(pretender.pid)
    assert command_line(pretender.pid) == ""
