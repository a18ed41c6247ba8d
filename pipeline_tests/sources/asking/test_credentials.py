"""Secrets come from the environment and appear nowhere."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.asking.credentials import guard_logger, read_credential, redact

if TYPE_CHECKING:
    from pathlib import Path


def test_a_variable_or_the_file_it_names_gives_the_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PAPER_API_KEY", "from-environment")
    assert read_credential("PAPER_API_KEY", "the key of Paper") == "from-environment"
    monkeypatch.delenv("PAPER_API_KEY")
    (tmp_path / "key").write_text("from-a-file\n")
    monkeypatch.setenv("PAPER_API_KEY_FILE", str(tmp_path / "key"))
    assert read_credential("PAPER_API_KEY", "the key of Paper") == "from-a-file"


def test_a_missing_secret_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAPER_API_KEY", raising=False)
    with pytest.raises(
        ConfigurationError, match=r"PAPER_API_KEY: the key of Paper is missing\nNext: set PAPER_API_KEY"
    ):
        read_credential("PAPER_API_KEY", "the key of Paper")
    monkeypatch.setenv("PAPER_API_KEY_FILE", "/nowhere/key")
    with pytest.raises(ConfigurationError, match="/nowhere/key cannot be read"):
        read_credential("PAPER_API_KEY", "the key of Paper")


def test_a_secret_that_was_read_is_hidden_plain_and_in_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_API_KEY", "a+b/c=plain")
    read_credential("PAPER_API_KEY", "the key")

    assert redact("wss://x?k=a%2Bb%2Fc%3Dplain&v=a+b/c=plain") == "wss://x?k=***&v=***"


def test_a_guarded_logger_hides_secrets(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("PAPER_API_KEY", "hush-hush")
    read_credential("PAPER_API_KEY", "the key")
    guard_logger("paper.client", "paper.client")
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("paper.client").debug("GET /?key=%s", "hush-hush")
        logging.getLogger("paper.client").debug("GET /?page=%s", 2)

    assert caplog.messages == ["GET /?key=***", "GET /?page=2"]
    assert len(logging.getLogger("paper.client").filters) == 1


def test_a_secret_is_hidden_as_paths_forms_json_and_quoted_texts_spell_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_TOKEN", 's3c/r e"t+é')
    read_credential("ACME_TOKEN", "the token")
    spellings = ("s3c/r%20e%22t%2B%C3%A9", "s3c%2Fr+e%22t%2B%C3%A9", 's3c/r e\\"t+\\u00e9', 's3c/r e"t+é')
    assert [redact(f"said {text}!") for text in spellings] == ["said ***!"] * len(spellings)
