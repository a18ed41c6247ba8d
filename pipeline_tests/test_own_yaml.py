"""Files that people write: read whole, or refused by line before they unfold."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.own_yaml import DEEPEST, LONGEST_VALUE, compose_own_yaml, load_own_yaml, read_own_yaml
from pipeline_defs.settings import MOST_OWN_BYTES, read_own_text

if TYPE_CHECKING:
    from pathlib import Path


def test_what_stands_in_a_file_is_given_in_plain_values(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: [1, two]\r\nday: 2025-01-02\r\n")

    assert read_own_yaml(file) == {"a": [1, "two"], "day": dt.date(2025, 1, 2)}
    assert load_own_yaml("", "mine.yaml") is None
    assert compose_own_yaml("# nothing", "mine.yaml") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x\n", "mine.yaml line 2: uses aliases"),
        ("a: &x\n  - *x\n", "mine.yaml line 2: uses aliases"),
        ("a:\n  <<: {b: 1}\n" + "[" * (DEEPEST + 1), "mine.yaml line 3: is no YAML"),
        ("\n" + "[" * 20_000, "mine.yaml line 2: is nested too deeply"),
        ("- " * 20_000, "mine.yaml line 1: is nested too deeply"),
        ("a: " + ":".join(["59"] * LONGEST_VALUE), "mine.yaml line 1: a value has 12287 characters"),
        ("a: " + "9" * (LONGEST_VALUE + 1), "mine.yaml line 1: a value has 4097 characters"),
        ("a: 2025-02-30", "mine.yaml: is no YAML: day is out of range"),
        ("a: !!python/object/apply:os.system [true]", "mine.yaml line 1: is no YAML: could not determine"),
        ("a: !!python/name:os.system", "mine.yaml line 1: is no YAML: could not determine"),
        ("a: 1\n--- \nb: 2", "mine.yaml line 2: is no YAML: but found another document"),
        ("a: \x1b[2J", "mine.yaml: is no YAML: unacceptable character"),
        ("a: [", "mine.yaml line 1: is no YAML"),
    ],
)
def test_what_would_unfold_or_be_run_is_refused_by_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load_own_yaml(text, "mine.yaml")

    assert str(refused.value).startswith(said)
    assert refused.value.next_step
    assert refused.value.__cause__ is None


def test_nodes_that_are_named_twice_are_one_node_however_often() -> None:
    laughs = "a0: &a0 [ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))

    root = compose_own_yaml(laughs, "mine.yaml")

    assert root is not None
    assert len(root.value) == 12
    assert len({id(node) for node in root.value[-1][1].value}) == 1
    with pytest.raises(ConfigurationError, match=r"mine\.yaml line 2: uses aliases"):
        load_own_yaml(laughs, "mine.yaml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#" * (MOST_OWN_BYTES + 1), "is longer than 1024 KiB"),
        (b"a: \xff", "is no UTF-8: byte 4"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_is_too_long_missing_or_no_text_is_refused(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "mine").write_bytes(content)

    with pytest.raises(ConfigurationError, match=said):
        read_own_text(tmp_path / "mine")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Is a directory"):
        read_own_yaml(tmp_path)
