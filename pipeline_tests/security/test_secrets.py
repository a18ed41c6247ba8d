"""Secrets by environment or file, and where they must not turn up."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline_defs import secret_files
from pipeline_defs.errors import ConfigurationError, WarehouseError
from pipeline_defs.secret_files import read_secret
from pipeline_defs.settings import PROJECT_ROOT, load_settings
from pipeline_defs.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from pathlib import Path

MARKER = "Xq7-planted-secret"

_FORMS = [
    f"postgresql://me:{MARKER}@127.0.0.1:1/market",
    f"postgresql://me@127.0.0.1:1/market?password={MARKER}",
    f"host=127.0.0.1 port=1 user=me password={MARKER} dbname=market",
    f"postgresql://me:{MARKER}%40with%2Fsigns@127.0.0.1:1/market",
    f"postgresql://me:{MARKER}@127.0.0.1:1/market?sslmode=never",
    f"postgresql://me:{MARKER}@127.0.0.1:1/market?no_such_parameter=1",
    f"postgresql://me@127.0.0.1:1/market?sslpassword={MARKER}&password={MARKER}2",
]


@pytest.mark.parametrize("url", _FORMS)
def test_the_password_of_a_database_is_in_no_text_of_a_failure(url: str) -> None:
    warehouse = Warehouse(url)

    with pytest.raises(WarehouseError) as refused:
        warehouse.connect()

    for text in (str(refused.value), repr(refused.value), warehouse.public_url, repr(warehouse)):
        assert MARKER not in text
    assert refused.value.__cause__ is None


def test_the_database_s_address_comes_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "address"
    file.write_text(f"{_FORMS[0]}\n", encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.delenv("PIPELINE_DATABASE_URL", raising=False)
    monkeypatch.setenv("PIPELINE_DATABASE_URL_FILE", str(file))

    settings = load_settings()

    assert settings.database_url == _FORMS[0]
    assert MARKER not in repr(settings)


def test_a_file_that_others_may_read_or_change_is_warned_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    file.write_text(MARKER, encoding="utf-8")
    monkeypatch.delenv("SOME_KEY", raising=False)
    monkeypatch.setenv("SOME_KEY_FILE", str(file))
    for mode, warnings in ((0o600, 0), (0o640, 0), (0o644, 1), (0o660, 1)):
        secret_files._warn.cache_clear()
        caplog.clear()
        file.chmod(mode)
        with caplog.at_level(logging.WARNING):
            assert [read_secret("SOME_KEY", "a key"), read_secret("SOME_KEY", "a key")] == [MARKER, MARKER]
        assert len(caplog.records) == warnings
        assert MARKER not in caplog.text


@pytest.mark.parametrize(("content", "said"), [(b"\xff\xfe", "is no text"), (b"x" * 70_000, "is no secret of ours")])
def test_a_file_that_is_no_secret_is_refused_without_being_shown(
    content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_bytes(content)
    monkeypatch.delenv("SOME_KEY", raising=False)
    monkeypatch.setenv("SOME_KEY_FILE", str(tmp_path / "key"))

    with pytest.raises(ConfigurationError, match=said):
        read_secret("SOME_KEY", "a key")


def test_commands_that_fail_with_planted_secrets_print_and_keep_none_of_them(tmp_path: Path) -> None:
    planted = {
        "PIPELINE_DATABASE_URL": f"postgresql://me:{MARKER}-db@127.0.0.1:1/market",
        "AWS_ACCESS_KEY_ID": f"{MARKER}-id",
        "AWS_SECRET_ACCESS_KEY": f"{MARKER}-aws",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_MAX_ATTEMPTS": "1",
        "POLYGON_API_KEY": f"{MARKER}-polygon",
        "PIPELINE_POLYGON_ENDPOINT": "http://127.0.0.1:1",
        "ZERODHA_ACCESS_TOKEN": f"{MARKER}-token",
        "PIPELINE_ALERTS": "mail,webhook",
        "PIPELINE_ALERT_WEBHOOK_URL": f"https://127.0.0.1:1/{MARKER}-hook",
        "PIPELINE_ALERT_SMTP_PASSWORD": f"{MARKER}-smtp",
        "PIPELINE_HOME": str(tmp_path / "home"),
    }
    printed = ""
    for command in (
        ("doctor",),
        ("--traceback", "gaps"),
        ("alerts",),
        ("storage", "list", "s3://bucket/prefix"),
        ("import", "--source", "polygon", "--start-date", "2025-01-02", "--end-date", "2025-01-02"),
    ):
        completed = subprocess.run(
            [sys.executable, "-m", "pipeline_defs.cli.main", *command],
            env={**os.environ, **planted}, capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        printed += completed.stdout + completed.stderr
        assert completed.returncode != 70, printed
    assert "127.0.0.1" in printed
    assert MARKER not in printed
    for path in (tmp_path / "home").rglob("*"):
        if path.is_file():
            assert MARKER.encode() not in path.read_bytes(), path


def test_no_key_lies_in_the_repository() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT_ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no clone")
    keys = re.compile(
        rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[0-9A-Za-z]{36}"
        rb"|\bxox[abp]-[0-9A-Za-z-]{20}"
    )
    found = [
        name
        for name in map(os.fsdecode, filter(None, listed.stdout.split(b"\0")))
        if (PROJECT_ROOT / name).is_file() and keys.search((PROJECT_ROOT / name).read_bytes())
    ]
    assert found == []
