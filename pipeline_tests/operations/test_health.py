"""Checks side by side: each outcome says what to do, and none keeps the others from answering."""

from __future__ import annotations

import threading

from pipeline_defs.errors import WarehouseError
from pipeline_defs.operations.health import State, UnhealthyError, is_well, run_checks


def refused() -> str:
    raise WarehouseError("the server refused", where="db", next_step="start it")


def little() -> str:
    raise UnhealthyError("2 GiB are free", next_step="make room", state=State.WARNING)


def broken() -> str:
    raise ZeroDivisionError("by\nzero")


def test_every_outcome_says_what_was_seen_and_what_to_do() -> None:
    outcomes = run_checks({"a": lambda: "fine", "b": refused, "c": little, "d": broken})

    assert [(one.name, one.state, one.what) for one in outcomes] == [
        ("a", State.WELL, "fine"),
        ("b", State.FAILED, "db: the server refused"),
        ("c", State.WARNING, "2 GiB are free"),
        ("d", State.FAILED, "the check itself failed: ZeroDivisionError: by zero"),
    ]
    assert outcomes[0].next_step is None
    assert all(one.next_step for one in outcomes[1:])
    assert not is_well(outcomes)


def test_a_warning_does_not_fail_a_probe_and_neither_does_what_cannot_be_seen() -> None:
    def hidden() -> str:
        raise UnhealthyError("not to be seen from here", next_step="look there", state=State.UNKNOWN)

    assert is_well(run_checks({"a": little, "b": hidden}))


def test_a_check_that_hangs_is_told_and_the_others_are_answered() -> None:
    forever = threading.Event()

    outcomes = run_checks({"hangs": lambda: str(forever.wait()), "fine": lambda: "fine"}, limit_seconds=0.2)

    assert [one.state for one in outcomes] == [State.FAILED, State.WELL]
    assert outcomes[0].what == "no answer within 0.2 s"
    forever.set()
