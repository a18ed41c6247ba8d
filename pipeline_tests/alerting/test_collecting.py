from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.alerting.alert import Alert
from pipeline_defs.alerting.collecting import MAX_WAITING, Queue, every_seconds
from pipeline_defs.errors import ConfigurationError


def alert(number: int) -> Alert:
    return Alert("run failed", "job", run_id=str(number), assets=("a/b", "c"))


def test_the_first_alert_is_due_at_once_and_later_ones_together() -> None:
    queue, sent = Queue(), []
    for second in range(0, 3_600, 30):
        queue.add([alert(second)])
        if queue.is_due(second):
            sent.append((second, len(queue.waiting) + queue.left_out))
            queue.was_sent(second, 900)

    assert sent == [(0, 1), (900, 30), (1800, 30), (2700, 30)]


def test_a_broken_night_is_a_handful_of_messages_in_which_every_failure_is_counted() -> None:
    queue, messages, counted = Queue(), 0, 0
    for number in range(500):
        now = number * 20.0
        queue.add([alert(number)])
        assert len(queue.waiting) <= MAX_WAITING
        if queue.is_due(now):
            messages += 1
            counted += len(queue.waiting) + queue.left_out
            queue.was_sent(now, 900)

    assert messages == 12
    assert counted + len(queue.waiting) + queue.left_out == 500


def test_an_alert_that_waits_already_is_not_added_again() -> None:
    queue = Queue()
    queue.add([alert(1), alert(1)])
    queue.add([alert(1), alert(2)])

    assert [one.run_id for one in queue.waiting] == ["1", "2"]


def test_what_was_not_taken_is_kept_and_tried_less_and_less_often() -> None:
    queue, now, waits = Queue(), 0.0, []
    queue.add([alert(1)])
    for _ in range(8):
        queue.has_failed(now)
        assert not queue.is_due(queue.not_before - 1)
        assert queue.is_due(queue.not_before)
        waits.append(queue.not_before - now)
        now = queue.not_before

    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert queue.waiting == [alert(1)]
    queue.was_sent(now, 900)
    assert queue.failures == 0


@given(st.lists(st.integers(0, 60)), st.integers(0, 5), st.floats(0, 2e9))
def test_a_queue_is_remembered_as_it_is(numbers: list[int], failures: int, now: float) -> None:
    queue = Queue()
    queue.add(map(alert, numbers))
    for _ in range(failures):
        queue.has_failed(now)

    assert Queue.read(json.loads(json.dumps(queue.plain()))) == queue


def test_the_pace_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPELINE_ALERT_EVERY_SECONDS", raising=False)
    assert every_seconds() == 900
    monkeypatch.setenv("PIPELINE_ALERT_EVERY_SECONDS", "60")
    assert every_seconds() == 60


@pytest.mark.parametrize("text", ["soon", "-1", "inf", "nan"])
def test_a_pace_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PIPELINE_ALERT_EVERY_SECONDS", text)
    with pytest.raises(ConfigurationError, match="no number of seconds"):
        every_seconds()


@pytest.mark.parametrize(
    "plain",
    [
        " ",
        {},
        {"waiting": [], "left_out": 0, "not_before": float("nan"), "failures": 0},
        {"waiting": [{"kind": "test", "subject": "x", "error": 1}], "left_out": 0, "not_before": 0, "failures": 0},
    ],
)
def test_what_is_no_queue_is_refused_in_one_way(plain: object) -> None:
    with pytest.raises(ValueError, match=r"no queue|no alert|not_before"):
        Queue.read(plain)  # type: ignore[arg-type] # what a memory may hold
