from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.orchestration.display import (
    INLINE_CHARACTERS,
    PLOT_HEIGHT,
    PLOT_POINTS,
    PLOT_STEP,
    markdown_table,
    sparkline,
)


def drawn(markdown: str) -> list[int]:
    """Give the rows of pixels the line goes through, from left to right."""
    encoded = re.search(r"data:image/svg\+xml;base64,([^)]+)\)", markdown)
    assert encoded is not None
    svg = ET.fromstring(base64.b64decode(encoded[1]))  # noqa: S314 -- reads what this package wrote
    path = svg.find("{http://www.w3.org/2000/svg}path")
    assert path is not None
    start, *steps = re.split("l", path.attrib["d"].removeprefix("M0 "))
    levels = [int(start)]
    for step in steps:
        across, down = map(int, step.split())
        assert across == PLOT_STEP
        levels.append(levels[-1] + down)
    assert int(svg.attrib["width"]) == PLOT_STEP * (len(levels) - 1)
    return levels


def test_a_table_has_a_header_and_shows_large_numbers_readably() -> None:
    assert markdown_table(["reason", "lines"], [("bad_price", 12_345)]).splitlines() == [
        "| reason | lines |",
        "| --- | ---: |",
        "| bad_price | 12,345 |",
    ]


def test_a_cell_cannot_break_its_table() -> None:
    assert markdown_table(["text"], [("a|b\nc",)]).splitlines()[2] == r"| a\|b c |"


@given(st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=1_000))
def test_a_plot_stays_inside_its_picture_touches_both_extremes_and_is_shown_inline(values: list[float]) -> None:
    markdown = sparkline(values, "rows a minute")
    levels = drawn(markdown)

    assert all(0 < level < PLOT_HEIGHT for level in levels)
    assert len(levels) <= PLOT_POINTS
    assert len(markdown) < INLINE_CHARACTERS
    if min(values) < max(values):
        assert (min(levels), max(levels)) == (1, PLOT_HEIGHT - 1)


def test_one_missing_minute_of_a_session_is_seen() -> None:
    minutes = [100.0] * 375
    minutes[200] = 0

    levels = drawn(sparkline(minutes, "rows a minute"))

    assert levels.count(PLOT_HEIGHT - 1) == 1
    assert 0.4 < levels.index(PLOT_HEIGHT - 1) / len(levels) < 0.6


def test_a_higher_value_is_drawn_higher() -> None:
    low, high = drawn(sparkline([1, 2], "index"))

    assert high < low


def test_a_caption_says_the_range() -> None:
    assert sparkline([24_410.9, 24_694.05], "index").startswith("index, lowest 24,410.9, highest 24,694.05")


def test_one_value_is_no_line() -> None:
    assert sparkline([1], "index") == "index: too few values to draw"
