"""What the tests of the exchanges' rules share."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.fixture(scope="session")
def loaded_modules() -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after importing the whole room."""
    code = (
        "import sys, pipeline_defs.markets.sessions, pipeline_defs.markets.expiries,"
        " pipeline_defs.markets.tickers.grammars, pipeline_defs.markets.tickers.filenames;"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
