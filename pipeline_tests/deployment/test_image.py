"""The image's definition: linted, and in step with what it copies."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.deployment.conftest import DEPLOY

DOCKERFILE = DEPLOY / "Dockerfile"


@pytest.fixture(scope="module")
def stages() -> list[str]:
    """The text of each stage, without comments and with long lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:]


def test_hadolint_finds_nothing() -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), "--no-color", "--failure-threshold", "style", DOCKERFILE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (linted.returncode, linted.stdout) == (0, "")


def test_packages_come_by_their_hashes_and_no_tool_that_builds_is_left(stages: list[str]) -> None:
    first, last = stages
    assert "--require-hashes" in first
    assert "--only-binary :all:" in first
    assert "uninstall --yes setuptools" in first
    assert "pip uninstall --yes pip" in last
    assert not re.search(r"apt-get|gcc|build-essential|curl|git ", last)


def test_what_it_imports_is_compiled_where_it_can_still_be_written(stages: list[str]) -> None:
    first, last = stages
    assert "PYTHONDONTWRITEBYTECODE" not in first
    assert first.index("compile_imports.py && ") > first.rindex("pip --python")
    assert "PYTHONDONTWRITEBYTECODE=1" in last


def test_it_runs_as_a_user_of_its_own_and_says_how_it_is(stages: list[str]) -> None:
    last = stages[-1]
    assert re.search(r"^USER 10001:10001$", last, flags=re.MULTILINE)
    assert last.index("USER ") > last.rindex("COPY ")
    assert "HEALTHCHECK" in last


def test_both_stages_have_one_pinned_base(stages: list[str]) -> None:
    bases = {stage.split()[1] for stage in stages}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.12\.\d+-slim-[a-z]+", bases.pop())


def test_whatever_it_copies_is_there_and_is_let_through_and_nothing_else_is(stages: list[str]) -> None:
    copied = {
        source.rstrip("/")
        for stage in stages
        for line in re.findall(r"^COPY (?!--from)(.*)$", stage, flags=re.MULTILINE)
        for source in line.split()[:-1]
    }
    allowed = {
        line.removeprefix("!") for line in (DEPLOY / "Dockerfile.dockerignore").read_text().split() if line[0] == "!"
    }
    assert copied == allowed
    assert [name for name in copied if not (PROJECT_ROOT / name).exists()] == []
