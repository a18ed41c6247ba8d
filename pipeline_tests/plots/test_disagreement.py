from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET

from pipeline_defs.plots.disagreement import FIELDS, Apart, Compared, draw_disagreement

AT = dt.datetime(2025, 8, 13, 9, 16)  # noqa: DTZ001 -- of the exchange's clock
COMPARED = [Compared("options_ticks 1m: zerodha | nse_csv", 990, 8, 2, 0), Compared("nothing", 0, 0, 0, 0)]


def test_every_comparison_and_every_field_that_differs_is_named_and_the_picture_is_the_same_again() -> None:
    apart = [Apart(AT, field, share) for field, share in zip(FIELDS, (0.5, 0.1, 0.01, 0.0, 1.0, 0.2), strict=True)]

    svg = draw_disagreement(COMPARED, apart)

    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 -- our own picture
    for text in ("options_ticks 1m: zerodha | nse_csv (1,000)", "nothing (0)", "open interest (1)", "only left"):
        assert text in svg
    assert svg == draw_disagreement(COMPARED, apart)


def test_without_disagreement_the_picture_says_so() -> None:
    assert "no disagreement" in draw_disagreement(COMPARED, [])
    assert "no disagreement" in draw_disagreement([], [])
