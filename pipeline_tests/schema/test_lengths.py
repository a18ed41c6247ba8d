"""Lengths of bars: what is read, and what is said of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.lengths import parse_lengths


@pytest.mark.parametrize(
    ("text", "seconds"), [("1m", (60,)), ("1d, 5m,1h", (300, 3_600, 86_400)), ("60s,1m", (60,)), ("15s", (15,))]
)
def test_lengths_of_bars_are_seconds_the_shortest_first(text: str, seconds: tuple[int, ...]) -> None:
    assert parse_lengths(text) == seconds


@given(st.text(st.characters(exclude_categories=["Nd"]), max_size=6))
def test_text_without_a_number_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected e\\.g\\. 1m, 5m, 1h or 1d"):
        parse_lengths(text)


@pytest.mark.parametrize("text", ["0m", "m", "1", "1w", "-1m", "", "1m,"])
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a length of bars"):
        parse_lengths(text)
