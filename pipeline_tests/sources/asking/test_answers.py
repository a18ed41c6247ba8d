"""Kept answers come back as they were, and never half or stale."""

from __future__ import annotations

import datetime as dt
import os
import time
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.sources.asking.answers import KEPT_SECONDS, Answers
from pipeline_defs.sources.asking.questions import Answer, Dataset, Listed, Question, Window, answer_rows

if TYPE_CHECKING:
    from pathlib import Path

DAY = dt.date(2025, 8, 25)
NOON = dt.datetime(2025, 8, 25, 6, 30, tzinfo=dt.UTC)


def question(symbol: str = "RELIANCE", strike: str = "100") -> Question:
    terms = {"kind": "OPT", "symbol": symbol, "strike": Decimal(strike), "expiry": DAY}
    return Question("paper", "1", Dataset("options_ticks", 60, 5, ("OPT",)), Listed(symbol, terms), Window(DAY, DAY),
                    NOON, NOON)  # fmt: skip


def answer() -> Answer:
    return Answer(answer_rows({"timestamp": [NOON], "close": [Decimal("0.00000001")]}), note="delayed")


def test_an_answer_comes_back_exactly(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "answers")
    assert answers.get(question()) is None
    answers.put(question(), answer())
    kept = answers.get(question())

    assert kept is not None
    assert kept.rows.equals(answer().rows)
    assert kept.note == "delayed"
    assert [path.suffix for path in (tmp_path / "answers").iterdir()] == [".parquet"]


def test_another_question_has_another_place_and_equal_strikes_are_equal(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    assert answers.path(question(strike="100")) == answers.path(question(strike="100.00"))
    assert answers.path(question(strike="100")) != answers.path(question(strike="100.5"))
    assert answers.path(question()) != answers.path(question("INFY"))


def test_a_damaged_answer_is_asked_for_again(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    answers.put(question(), answer())
    path = answers.path(question())
    path.write_bytes(path.read_bytes()[:100])

    assert answers.get(question()) is None


def test_an_old_answer_is_asked_for_again(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    answers.put(question(), answer())
    past = time.time() - KEPT_SECONDS - 60
    os.utime(answers.path(question()), (past, past))

    assert answers.get(question()) is None
    assert not answers.path(question()).exists()


def test_a_forgotten_answer_is_gone(tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    answers.put(question(), answer())
    answers.forget(question())
    answers.forget(question())

    assert answers.get(question()) is None


def test_no_rows_are_no_rows() -> None:
    assert answer_rows({}).is_empty()
    assert Answer(answer_rows({"close": []})).rows.is_empty()


def test_floats_are_refused_where_an_answer_is_made() -> None:
    with pytest.raises(TypeError, match="'close' holds floats"):
        answer_rows({"timestamp": [NOON], "close": [1.5]})
    with pytest.raises(ValueError, match="expected"):
        Answer(answer().rows.drop("text"))


def test_terms_that_no_contract_has_are_refused() -> None:
    with pytest.raises(ValueError, match="multiplier"):
        Listed("X", {"kind": "EQ", "multiplier": 1})


def test_what_a_killed_backfill_left_goes_when_an_answer_is_kept_a_week_later(tmp_path: Path) -> None:
    left, young = tmp_path / "left.parquet", tmp_path / "young.parquet"
    for path in (left, tmp_path / "half.0123.tmp", young):
        path.write_bytes(b"x")
    long_ago = time.time() - KEPT_SECONDS - 60
    for path in (left, tmp_path / "half.0123.tmp"):
        os.utime(path, (long_ago, long_ago))

    Answers(tmp_path).put(question(), Answer(answer_rows({})))

    assert {path.name for path in tmp_path.iterdir()} == {"young.parquet", Answers(tmp_path).path(question()).name}
