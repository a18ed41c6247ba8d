"""Secrets as `make-secrets.sh` makes them."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from pathlib import Path

DEPLOY = PROJECT_ROOT / "deploy"


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of secrets, and what was told when they were made."""
    if shutil.which("openssl") is None:
        pytest.skip("make-secrets.sh needs openssl, which is not on this machine")
    folder = tmp_path_factory.mktemp("deployment") / "secrets"
    made = subprocess.run([DEPLOY / "make-secrets.sh", folder, "trader"], capture_output=True, text=True, check=True)
    return folder, made.stderr
