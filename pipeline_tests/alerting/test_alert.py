from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.alerting.alert import MAX_CHARACTERS, MAX_LINES, Alert, compose, without_secrets
from pipeline_defs.sources.asking.credentials import remember_secret

FAILED = Alert(
    kind="run failed",
    subject="zerodha_daily",
    partition="2025-08-14",
    assets=("zerodha/options_ticks",),
    error="zerodha NIFTY: 0 bars on a trading day\nsecond line",
    next_step="run the partition again",
    run_id="6c1f",
    url="https://ui.example.org/runs/6c1f",
    at="2025-08-14T13:20:00+00:00",
)


def test_a_message_of_one_alert_says_all_of_it() -> None:
    message = compose([FAILED])

    assert message.title == "run failed: zerodha_daily [2025-08-14]"
    assert message.text == (
        "run failed: zerodha_daily [2025-08-14]\n"
        "  zerodha NIFTY: 0 bars on a trading day\n"
        "  second line\n"
        "  next: run the partition again\n"
        "  assets: zerodha/options_ticks\n"
        "  run: https://ui.example.org/runs/6c1f\n"
        "  at: 2025-08-14T13:20:00+00:00"
    )


def test_a_message_of_many_counts_them_and_those_it_leaves_out() -> None:
    message = compose([FAILED, Alert("stale", "yahoo/equity_daily")], left_out=480)

    assert message.title == "482 alerts, the first: run failed: zerodha_daily [2025-08-14]"
    assert message.text.endswith("stale: yahoo/equity_daily\n\nand 480 more: look at the runs themselves")
    assert json.loads(json.dumps(message.plain()))["left_out"] == 480


def test_of_an_error_the_beginning_is_told() -> None:
    long = Alert("run failed", "job", error="\n".join(f"line {number}" for number in range(100)))
    wide = Alert("run failed", "job", error="x" * 5_000)

    assert len(long.cleaned().error.splitlines()) == MAX_LINES
    assert long.cleaned().error.endswith(" …")
    assert len(wide.cleaned().error) == MAX_CHARACTERS + 2
    assert FAILED.cleaned() == FAILED


def test_a_run_is_told_apart_from_another_of_the_same_partition() -> None:
    assert FAILED.identity != Alert("run failed", "zerodha_daily", "2025-08-14", run_id="77").identity


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("postgresql://me:pass@host/db", "postgresql://***@host/db"),
        ("GET https://api.example/v2?apiKey=abc123&x=1", "GET https://api.example/v2?apiKey=***&x=1"),
        ("https://h/?access_token=abc", "https://h/?access_token=***"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("https://h/path?page=2", "https://h/path?page=2"),
        ("2 of 5 lines were refused", "2 of 5 lines were refused"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, cleaned: str) -> None:
    assert without_secrets(text) == cleaned


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789-_/+", min_size=8, max_size=40), st.text(max_size=200))
def test_a_secret_that_was_read_is_in_no_part_of_a_message(secret: str, around: str) -> None:
    remember_secret(f"zq{secret}qz")
    hidden = f"zq{secret}qz"
    told = Alert("run failed", f"job {hidden}", hidden, (hidden,), f"{around}{hidden}{around}", hidden, "id", hidden)
    message = compose([told])

    assert hidden not in message.title
    assert hidden not in message.text
    assert hidden not in json.dumps(message.plain())


@given(st.text(max_size=300))
def test_a_title_is_one_line(subject: str) -> None:
    assert len(compose([Alert("run failed", subject)]).title.splitlines()) == 1
