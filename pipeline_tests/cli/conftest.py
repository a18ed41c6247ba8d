"""The command as the console script runs it, in this process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from pipeline_defs.cli import main as cli

if TYPE_CHECKING:
    from collections.abc import Callable


class Ended(NamedTuple):
    """Exit code, and what was printed on either stream."""

    code: int
    out: str
    err: str


type Pipeline = Callable[..., Ended]


@pytest.fixture
def pipeline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """Run ``pipeline`` with arguments."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["pipeline", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run
