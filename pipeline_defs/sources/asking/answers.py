"""Answers on disk, from their arrival until their days are stored and a while beyond.

A backfill that is killed has paid for answers that no partition shows yet; it finds them here. An answer is written
beside its place and moved there, so that half of one is never read. They serve one machine, and are worth nothing more
than the requests they save: whoever deletes the folder asks again.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
import time
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.sources.asking.questions import ANSWER_SCHEMA, Action, Answer

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.sources.asking.questions import Question

KEPT_SECONDS: Final = 7 * 86_400
"""Older answers are asked for again, and removed when somebody looks or keeps another."""


class Answers:
    """The kept answers of one source.

    Parameters
    ----------
    folder : Path
        Made when it is needed.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_tidy = False

    def path(self, question: Question) -> Path:
        """Where the answer of a question lies."""
        return self._folder / f"{question.digest}.parquet"

    def get(self, question: Question) -> Answer | None:
        """Give a kept answer, or None.

        Parameters
        ----------
        question : Question
            What is asked.

        Returns
        -------
        Answer or None

        """
        path = self.path(question)
        try:
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()
                return None
            frame = pl.read_parquet(path)
            told = pl.read_parquet_metadata(path)
            note, actions = json.loads(told["note"]), _read_actions(told["actions"])
        # A file that was damaged on the disk may make Polars panic, which is no Exception.
        except (
            *(OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException),
            *(ValueError, KeyError, TypeError, ArithmeticError, RecursionError),
        ):
            return None
        if not isinstance(note, str) or frame.schema != pl.Schema(ANSWER_SCHEMA):
            return None
        return Answer(frame, note, actions)

    def put(self, question: Question, answer: Answer) -> None:
        """Keep an answer.

        Parameters
        ----------
        question : Question
            What was asked.
        answer : Answer
            Whole, and of days that are over: it will not change.

        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._remove_old()
        path = self.path(question)
        staging = path.with_suffix(f".{secrets.token_hex(8)}.tmp")
        told = {"note": json.dumps(answer.note), "actions": _write_actions(answer.actions), "question": question.where}
        answer.rows.write_parquet(staging, metadata=told)
        staging.replace(path)

    def _remove_old(self) -> None:
        """Remove, once, what killed processes left: nobody asks for it again once its days are stored."""
        if self._is_tidy:
            return
        self._is_tidy = True
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink()

    def forget(self, question: Question) -> None:
        """Remove an answer, if there is one."""
        with suppress(FileNotFoundError):
            self.path(question).unlink()


def _write_actions(actions: tuple[Action, ...] | None) -> str:
    return json.dumps(actions, default=str)


def _read_actions(text: str) -> tuple[Action, ...] | None:
    found = json.loads(text)
    if found is None:
        return None
    return tuple(Action(dt.date.fromisoformat(day), kind, Decimal(value)) for day, kind, value in found)
