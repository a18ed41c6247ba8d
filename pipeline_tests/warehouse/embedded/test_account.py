"""Who runs the server, and with how little privilege it reaches its files."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.warehouse.embedded.account import ENVIRONMENT, ServerAccount, account_reaching, owner_for
from pipeline_defs.warehouse.embedded.cluster import binary_directory

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")


def test_the_callers_own_account_needs_no_change() -> None:
    account = ServerAccount(os.geteuid(), os.getegid())
    assert account.is_caller
    assert account.command("initdb", Path("data")) == ["initdb", "data"]
    assert account.identity() == {}


def test_an_account_without_a_capability_is_assumed_by_subprocess_itself() -> None:
    account = ServerAccount(54321, 54322)
    assert account.command("initdb") == ["initdb"]
    assert account.identity() == {"user": 54321, "group": 54322, "extra_groups": []}


def test_an_account_with_a_capability_is_assumed_by_setpriv() -> None:
    account = ServerAccount(54321, 54322, "dac_override")
    assert account.command("initdb")[0] == "setpriv"
    assert account.command("initdb")[-1] == "initdb"
    assert account.identity() == {}


@needs_root
def test_a_new_cluster_of_root_belongs_to_nobody(tmp_path: Path) -> None:
    assert owner_for(tmp_path / "data").user_id == pwd.getpwnam("nobody").pw_uid


@needs_root
def test_an_existing_cluster_keeps_its_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 54321, 54322)
    assert owner_for(tmp_path) == ServerAccount(54321, 54322)


@needs_root
def test_files_that_belong_to_root_are_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="chown -R nobody"):
        owner_for(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every user's files")
def test_files_of_another_user_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"belong(s to user 0| to root)"):
        owner_for(Path("/"))


def test_a_folder_out_of_reach_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    owner = owner_for(tmp_path / "data")
    with pytest.raises(ConfigurationError, match="set PIPELINE_HOME to a folder that every user may enter"):
        account_reaching(owner, tmp_path / "missing", binary_directory() / "postgres")


def test_an_account_that_cannot_be_assumed_reaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENT, "PATH", str(tmp_path))
    assert not ServerAccount(54321, 54322, "dac_override").reaches(tmp_path, binary_directory() / "postgres")
