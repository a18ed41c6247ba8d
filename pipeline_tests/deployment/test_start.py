"""What `start.sh` makes of the instance's configuration."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from pipeline_tests.deployment.conftest import DEPLOY

if TYPE_CHECKING:
    from pathlib import Path


def start(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start `cat` with the configuration in its folder."""
    return subprocess.run(
        [DEPLOY / "start.sh", "cat", "dagster.yaml"],
        env={"PATH": "/usr/bin:/bin", "PIPELINE_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_launcher_the_configuration_is_the_one_of_one_machine(tmp_path: Path) -> None:
    started = start(tmp_path)
    assert "run_launcher" not in yaml.safe_load(started.stdout)


@pytest.mark.parametrize("name", ["celery", "ecs", "kubernetes"])
def test_a_launcher_is_added_to_the_configuration(tmp_path: Path, name: str) -> None:
    started = start(tmp_path, PIPELINE_RUN_LAUNCHER=name)
    configured = yaml.safe_load(started.stdout)
    own = yaml.safe_load((DEPLOY / name / "run_launcher.yaml").read_text(encoding="utf-8"))
    assert configured["run_launcher"] == own["run_launcher"]
    assert configured["storage"]


def test_an_unknown_launcher_ends_with_the_known_ones(tmp_path: Path) -> None:
    started = start(tmp_path, PIPELINE_RUN_LAUNCHER="nomad")
    assert started.returncode == 1
    assert "expected celery, ecs or kubernetes" in started.stderr
