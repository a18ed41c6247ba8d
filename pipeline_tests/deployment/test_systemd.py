"""The units, as systemd itself reads them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from configparser import ConfigParser
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.deployment.conftest import DEPLOY

if TYPE_CHECKING:
    from pathlib import Path

UNITS = sorted(DEPLOY.glob("systemd/pipeline*.*"))
SERVICES = [path for path in UNITS if path.suffix == ".service"]
MOST_EXPOSURE = 20
"""In tenths, as systemd counts it: 100 is a process that may do everything."""


def settings(unit: Path, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), flags=re.MULTILINE)


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The units, with this clone in the place of /opt/pipeline: systemd looks whether programs exist."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    folder = tmp_path_factory.mktemp("units")
    for unit in UNITS:
        if unit.suffix != ".env":
            (folder / unit.name).write_text(unit.read_text().replace("/opt/pipeline/", f"{PROJECT_ROOT}/"))
    return folder


def test_systemd_verifies_every_unit(placed: Path) -> None:
    units = [path for path in placed.iterdir() if path.suffix != ".env"]
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert len(units) >= 8


def test_every_service_is_as_closed_as_it_can_be(placed: Path) -> None:
    services = [path for path in placed.iterdir() if path.suffix == ".service"]
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={MOST_EXPOSURE}", *services],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "unrecognized option" in judged.stderr:
        pytest.skip("this systemd-analyze cannot judge units that are not installed")
    assert judged.returncode == 0, judged.stdout[-2000:]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_a_service_is_nobodys_root_and_has_its_secrets_from_systemd(unit: Path) -> None:
    assert settings(unit, "User") == ["pipeline"]
    assert settings(unit, "NoNewPrivileges") == ["yes"]
    assert settings(unit, "ProtectSystem") == ["strict"]
    credentials = {entry.partition(":")[0] for entry in settings(unit, "LoadCredential")}
    read = set(re.findall(r"^read_secret \w+ (\w+)$", (DEPLOY / "start.sh").read_text(), flags=re.MULTILINE))
    assert credentials == read
    assert settings(unit, "Environment") == []


def environment() -> dict[str, str]:
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(f"[all]\n{(DEPLOY / 'systemd/pipeline.env').read_text()}")
    return dict(parser["all"])


def test_the_environment_names_all_that_the_instance_and_the_workspace_read_and_no_secret() -> None:
    named = environment()
    wanted = set()
    for file in ("dagster.yaml", "workspace.yaml"):
        wanted |= set(re.findall(r"env: (\w+)", (DEPLOY / file).read_text()))
    assert wanted - named.keys() == {"DAGSTER_POSTGRES_PASSWORD"}
    assert [name for name in named if re.search("PASSWORD|SECRET|KEY", name)] == []
    for unit in SERVICES:
        assert set(re.findall(r"\$\{(\w+)\}", unit.read_text())) <= named.keys(), unit.name


@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.stem)
def test_what_a_service_starts_exists(unit: Path) -> None:
    for command in [*settings(unit, "ExecStart"), *settings(unit, "ExecStartPre")]:
        start, program, *_ = shlex.split(command)
        assert start == "/opt/pipeline/deploy/start.sh"
        assert (PROJECT_ROOT / ".venv/bin" / program).exists()


OF_PYTHON = {"MPLCONFIGDIR", "PYTHONDONTWRITEBYTECODE"}
"""Which the image sets for its containers."""


def test_the_compose_file_gives_its_containers_the_same_variables() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    assert [name for name in environment().keys() - OF_PYTHON if not re.search(rf"\b{name}\b", text)] == []
