"""What every test of several hosts needs: a log that people can read, and variables that are put back."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from pipeline_tests.servers import redis_packages
from pipeline_tests.servers.places import ServerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[str], None]]:
    """Lines of the log, on the terminal and in the file that ``PIPELINE_SCALE_OUT_LOG`` names."""
    try:
        redis_packages.installed()
    except ServerUnavailableError as error:
        pytest.skip(f"no broker can be had on this machine: {error}")
    began = time.monotonic()
    path = Path(os.environ.get("PIPELINE_SCALE_OUT_LOG") or tmp_path / "scale-out.log")
    # A cluster sets where its services are, for this process too: all of it is put back afterwards.
    with patch.dict(os.environ), path.open("a", encoding="utf-8") as file:

        def tell(text: str) -> None:
            line = f"{time.monotonic() - began:6.1f} s  {text}"
            print(line, file=file, flush=True)
            with capsys.disabled():
                sys.stdout.write(f"{line}\n")

        yield tell
