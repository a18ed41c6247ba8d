"""The pictures that are drawn by hand: what they show, that words do not touch, and that they stay small."""

from __future__ import annotations

import datetime as dt
import re
import xml.etree.ElementTree as ET
from itertools import combinations
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.plots.coverage import MOST_ROWS, Coverage, draw_coverage
from pipeline_defs.plots.quality_trend import Trend, draw_quality_trend
from pipeline_defs.plots.session_profile import Minutes, draw_session_profile
from pipeline_defs.plots.svg import BLUE, GREEN, GREY, ORANGE, Picture, number, shortened, spaced, text_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

SVG = "{http://www.w3.org/2000/svg}"
IST = ZoneInfo("Asia/Kolkata")
OPEN = dt.datetime(2025, 8, 14, 9, 15, tzinfo=IST)
CLOSE = dt.datetime(2025, 8, 14, 15, 30, tzinfo=IST)
LARGEST_BYTES = 60_000


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 -- our own picture


def words(svg: str) -> list[str]:
    return [element.text or "" for element in parsed(svg).iter(f"{SVG}text")]


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    """Where words stand, by the width that every letter is allowed."""
    found = []
    for element in parsed(svg).iter(f"{SVG}text"):
        x, y, wide = float(element.attrib["x"]), float(element.attrib["y"]), text_pixels(element.text or "")
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[element.attrib.get("text-anchor", "start")]
        found.append((left, y - 9, left + wide, y + 2))
    return found


def assert_well_laid_out(svg: str) -> None:
    width, height = (float(parsed(svg).attrib[name]) for name in ("width", "height"))
    for left, top, right, bottom in boxes(svg):
        assert left >= 0
        assert right <= width
        assert top >= 0
        assert bottom <= height
    for one, other in combinations(boxes(svg), 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1], (one, other)
    assert len(svg) < LARGEST_BYTES
    assert parsed(svg).findtext(f"{SVG}title")


def minutes(rows: Sequence[int], volume: Sequence[float] = ()) -> Minutes:
    return Minutes(OPEN - dt.timedelta(minutes=5), rows, volume, OPEN, CLOSE)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=1500), st.booleans())
def test_any_session_is_drawn_small_with_words_apart(rows: list[int], with_volume: bool) -> None:  # noqa: FBT001 -- from hypothesis
    svg = draw_session_profile(minutes(rows, [float(count) for count in rows] if with_volume else ()), "t s 2025-08-14")

    assert_well_laid_out(svg)
    assert svg == draw_session_profile(
        minutes(rows, [float(count) for count in rows] if with_volume else ()), "t s 2025-08-14"
    )


def test_open_and_close_are_marked_on_the_exchanges_clock() -> None:
    svg = draw_session_profile(minutes([0] * 5 + [7] * 100 + [0] * 10 + [7] * 265), "options_ticks nse_csv 2025-08-14")

    assert {"open 09:15", "close 15:30", "IST", "10:00"} <= set(words(svg))
    assert parsed(svg).findtext(f"{SVG}title") == (
        "options_ticks nse_csv 2025-08-14: 2,555 rows, 10 minutes of the session without one"
    )


def test_a_short_hole_in_a_session_is_a_hole_in_the_picture() -> None:
    whole = draw_session_profile(minutes([7] * 375), "x")
    holed = draw_session_profile(minutes([7] * 100 + [0] + [7] * 274), "x")

    def bars(svg: str) -> int:
        return next(e.attrib["d"].count("M") for e in parsed(svg).iter(f"{SVG}path") if e.attrib.get("fill") == BLUE)

    assert (bars(whole), bars(holed)) == (1, 2)


def test_nothing_to_draw_is_an_error_and_not_an_empty_picture() -> None:
    with pytest.raises(ValueError, match="no minute"):
        draw_session_profile(minutes([]), "x")
    with pytest.raises(ValueError, match="no cell"):
        draw_coverage(Coverage([], [], []), "x")
    with pytest.raises(ValueError, match="one value for each"):
        draw_coverage(Coverage(["a"], ["b"], [[1.0, 1.0]]), "x")
    with pytest.raises(ValueError, match="no check"):
        draw_quality_trend([], "a", "b")
    with pytest.raises(ValueError, match="same sessions"):
        draw_quality_trend([Trend("a", [True]), Trend("b", [True, True])], "a", "b")


shares = st.none() | st.floats(0, 1)


@given(st.data())
def test_any_heat_map_is_drawn_small_with_words_apart(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 12))
    rows = data.draw(st.lists(st.text("AZ<&09 ", max_size=60), min_size=height, max_size=height))
    cells = data.draw(st.lists(st.lists(shares, min_size=width, max_size=width), min_size=height, max_size=height))
    months = [f"2025-{at // 3 + 1:02}" for at in range(width)]

    assert_well_laid_out(draw_coverage(Coverage(rows, months, cells), "what"))


def test_a_year_of_sessions_whose_every_neighbour_differs_stays_small() -> None:
    cells = [[(row + column) % 5 / 4 for column in range(400)] for row in range(100)]
    coverage = Coverage([f"row {row}" for row in range(100)], [f"2025-{at // 34 + 1:02}" for at in range(400)], cells)
    svg = draw_coverage(coverage, "what")

    assert len(svg) < 5 * LARGEST_BYTES
    assert len([word for word in words(svg) if word.startswith("row")]) == MOST_ROWS


@pytest.mark.parametrize(
    ("share", "color", "opacity"),
    [
        (0.0, ORANGE, None),
        (0.1, BLUE, "0.25"),
        (0.5, BLUE, "0.45"),
        (0.9, BLUE, "0.7"),
        (0.989, BLUE, "0.7"),
        (0.99, BLUE, None),
        (1.0, BLUE, None),
    ],
)
def test_the_fuller_the_stronger_and_nothing_is_orange(share: float, color: str, opacity: str | None) -> None:
    svg = draw_coverage(Coverage(["r"], ["c"], [[share]]), "what")
    widest = max(
        (element for element in parsed(svg).iter(f"{SVG}path") if "stroke" not in element.attrib),
        key=lambda element: max(float(found) for found in re.findall(r"h([\d.]+)", element.attrib["d"])),
    )

    assert (widest.attrib["fill"], widest.attrib.get("fill-opacity")) == (color, opacity)


def test_where_nothing_was_due_nothing_is_drawn() -> None:
    svg = draw_coverage(Coverage(["r"], ["c"], [[None]]), "what")
    widths = [float(wide) for wide in re.findall(r"h([\d.]+)v", svg)]

    assert max(widths) == 12, "the legend alone"


@given(st.lists(st.lists(st.sampled_from([True, False, None]), min_size=7, max_size=7), min_size=1, max_size=60))
def test_any_trend_is_drawn_small_with_words_apart(passed: list[list[Any]]) -> None:
    svg = draw_quality_trend(
        [Trend(f"check {at} <of>", own) for at, own in enumerate(passed)], "2025-08-01", "2025-08-11"
    )

    assert_well_laid_out(svg)


def test_a_failure_is_a_high_mark_and_counted() -> None:
    svg = draw_quality_trend([Trend("outliers", [True, False, None, False, False, True])], "2025-08-01", "2025-08-08")
    paths = {element.attrib.get("fill"): element.attrib["d"] for element in parsed(svg).iter(f"{SVG}path")}

    assert paths[ORANGE].count("M") == 2
    assert paths[ORANGE].count("v16") == 2
    assert paths[GREEN].count("v4") == 2
    assert "3 of 5" in words(svg)


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("ground", ["#ffffff", "#0d0f12"])
def test_colours_stand_out_on_light_and_dark_ground(ground: str) -> None:
    assert all(contrast(color, ground) >= 3 for color in (BLUE, ORANGE, GREEN))
    assert contrast(GREY, ground) >= 4


@given(st.floats(-1e6, 1e6), st.integers(1, 3))
def test_a_coordinate_is_written_short_and_near(value: float, digits: int) -> None:
    written = number(value, digits)

    assert abs(float(written) - value) <= 0.5001 * 10**-digits
    assert not re.fullmatch(r"-0|.*\.0*", written)


def test_labels_that_would_touch_are_left_out_and_long_ones_cut() -> None:
    assert spaced([(10, "one"), (20, "two"), (60, "six")]) == [(10, "one"), (60, "six")]
    assert shortened("BANKNIFTY", 5 * 7) == "BANK…"
    assert shortened("NIFTY", 5 * 7) == "NIFTY"


def test_words_in_a_picture_are_words() -> None:
    picture = Picture(10, 10, "a < b")
    picture.text(0, 9, "<script>&")
    picture.rectangles([], BLUE)

    assert words(picture.to_svg()) == ["<script>&"]
    assert parsed(picture.to_svg()).findtext(f"{SVG}title") == "a < b"


def test_a_day_without_a_close_is_thinned_and_keeps_its_spike() -> None:
    rows = [1] * 1440
    rows[777] = 20_000_000_000
    svg = draw_session_profile(minutes(rows), "spot_prices ccxt 2025-08-14")

    assert "20G" in words(svg)
    assert "v70h" in svg.replace("v-", "v"), "the spike is as high as the panel"
    assert len(svg) < LARGEST_BYTES
