"""Bombs, read one after another by a process with a gibibyte of room: each is refused in words, none by its memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from pipeline_tests.security.bombs import MAKERS

if TYPE_CHECKING:
    from pathlib import Path

SAID: Final = {
    "nse zip, ratio": "refused as an archive bomb: .* more than 200 to 1",
    "nse zip, nested": "refused as an archive bomb: archives are nested",
    "nse zip, members": "refused as an archive bomb: it holds 2001 members",
    "nse zip, overlapping": "members share their packed bytes",
    "nse zip, bzip2": "packed with bzip2, expected deflate or none",
    "nse zip, lzma": "packed with lzma, expected deflate or none",
    "nse gzip, ratio": "refused as an archive bomb",
    "terms, long": "is longer than 256 MiB",
    "terms, zip": "unpacks to more than 256 MiB",
    "terms, bzip2": "packed with bzip2, expected deflate or none",
    "upload, endless line": "has a line of more than",
    "upload, endless field": "has a line of more than",
    "upload, columns": "has 200001 columns, more than 4096",
    "upload, workbook cells": "reaches to row 1048576 and column 16384",
    "upload, workbook entities": "cannot be read|nothing says|no fields",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place: Path = tmp_path_factory.mktemp("bombs")
    completed = subprocess.run(
        [sys.executable, "-m", "pipeline_tests.security.bombs", str(place)],
        env={**os.environ, "PIPELINE_HOME": str(place / "home"), "POLARS_MAX_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stderr[-3000:]
    found: dict[str, str] = json.loads(completed.stdout)
    return found


@pytest.mark.parametrize("bomb", MAKERS)
def test_a_bomb_is_refused_in_words_within_bounded_memory(bomb: str, answers: dict[str, str]) -> None:
    assert re.match(r"(Source|Configuration|SchemaDrift)Error: ", answers[bomb]), answers[bomb]
    assert re.search(SAID[bomb], answers[bomb]), answers[bomb]
    assert "Next: " in answers[bomb]
