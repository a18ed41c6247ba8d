"""A request waits its turn, is tried again where that helps, and ends in time; no secret leaves it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.sources.asking.calling import Caller, Patience, TryAgainError
from pipeline_defs.sources.asking.credentials import remember_secret
from pipeline_defs.sources.asking.limiting import SharedLimits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK = Patience(tries=3, total_seconds=3, first_wait_seconds=0.01)


@pytest.fixture
def caller(tmp_path: Path) -> Caller:
    return Caller(SharedLimits(tmp_path, "paper", ()), QUICK)


class Flaky:
    """Fails so often, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "reply"


def test_what_passes_is_tried_again(caller: Caller) -> None:
    request = Flaky(TryAgainError("lost"), TryAgainError("lost"))

    assert caller(request, "paper X") == "reply"
    assert request.calls == 3


def test_it_gives_up_after_its_tries_and_says_how_many_and_how_long(caller: Caller) -> None:
    request = Flaky(*[TryAgainError("Paper rate limit", next_step="ask less")] * 9)
    with pytest.raises(SourceError, match=r"paper X: Paper rate limit; gave up after 3 tries / 0 s") as caught:
        caller(request, "paper X")

    assert caught.value.next_step == "ask less"
    assert request.calls == 3


def test_it_waits_as_long_as_the_vendor_says(caller: Caller) -> None:
    started = time.monotonic()
    caller(Flaky(TryAgainError("429", wait_seconds=0.6)), "paper X")

    assert time.monotonic() - started >= 0.6


def test_a_wait_beyond_its_patience_is_not_begun(caller: Caller) -> None:
    started = time.monotonic()
    with pytest.raises(SourceError, match="gave up after 1 try"):
        caller(Flaky(TryAgainError("429", wait_seconds=3600)), "paper X")

    assert time.monotonic() - started < 60


@pytest.mark.parametrize("refusal", [SourceError("no such symbol"), ConfigurationError("no key", where="KEY")])
def test_a_refusal_is_not_tried_again_and_keeps_its_kind(caller: Caller, refusal: Exception) -> None:
    request = Flaky(refusal)
    with pytest.raises(type(refusal)) as caught:
        caller(request, "paper X")

    assert request.calls == 1
    assert str(caught.value) == (
        "KEY: no key" if isinstance(refusal, ConfigurationError) else "paper X: no such symbol"
    )


@pytest.mark.parametrize(
    "error",
    [
        ValueError("url https://x/?token=tOpSeCrEt"),
        SourceError("key tOpSeCrEt refused"),
        TryAgainError("tOpSeCrEt", wait_seconds=9e9),
    ],
)
def test_no_secret_is_in_an_error_or_in_one_behind_it(caller: Caller, error: Exception) -> None:
    remember_secret("tOpSeCrEt")
    with pytest.raises(SourceError) as caught:
        caller(Flaky(error), "paper X")

    behind: BaseException | None = caught.value
    while behind is not None:
        assert "tOpSeCrEt" not in str(behind)
        assert behind.__suppress_context__ or behind.__context__ is None
        behind = behind.__cause__


def test_an_unknown_error_of_a_client_is_named(caller: Caller) -> None:
    with pytest.raises(SourceError, match="paper X: the client failed with KeyError: 'chart'"):
        caller(Flaky(KeyError("chart")), "paper X")


def test_further_pages_wait_their_turn(tmp_path: Path, limited: Callable[[Path], SharedLimits]) -> None:
    caller = Caller(limited(tmp_path), QUICK)
    started = time.monotonic()
    for _ in range(4):
        caller.turn()

    assert time.monotonic() - started >= 0.2
