from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLDING = (
    "import sys, time\n"
    "from pipeline_defs.scratch import scratch\n"
    "with scratch('export-truth') as folder:\n"
    "    (folder / 'rows').write_text('some')\n"
    "    print(folder, flush=True)\n"
    "    time.sleep(60)\n"
)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The system's temporary folder."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield tmp_path
    tempfile.tempdir = None


def start_holder() -> tuple[subprocess.Popen[str], Path]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDING], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    return holder, Path(holder.stdout.readline().strip())


def below(temporary: Path) -> list[Path]:
    return [path for path in temporary.rglob("*") if path.is_file() and path.name != ".lock"]


def test_a_folder_is_this_users_alone_and_gone_afterwards(temporary: Path) -> None:
    with scratch("work") as folder:
        (folder / "rows").write_text("some")
        assert folder.is_relative_to(temporary)
        assert folder.parent.stat().st_mode & 0o077 == 0
    assert not folder.exists()


def test_what_a_killed_process_left_goes_with_the_next_and_a_living_ones_stays(temporary: Path) -> None:
    killed, left = start_holder()
    living, held = start_holder()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert left.exists()
    try:
        with scratch("work"):
            assert not left.exists()
            assert below(temporary) == [held / "rows"]
    finally:
        living.kill()
        living.wait()
    with scratch("work"):
        assert below(temporary) == []


def test_a_place_that_another_user_has_put_there_is_not_used(temporary: Path) -> None:
    (temporary / "elsewhere").mkdir()
    (temporary / f"market-data-pipeline-{os.getuid()}").symlink_to(temporary / "elsewhere")

    with scratch("work") as folder:
        assert not folder.resolve().is_relative_to(temporary / "elsewhere")
