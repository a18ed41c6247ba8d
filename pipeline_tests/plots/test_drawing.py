from __future__ import annotations

import base64
import xml.etree.ElementTree as ET

from pipeline_defs.plots.drawing import new_figure, to_markdown, to_svg


def drawn() -> str:
    figure = new_figure()
    axes = figure.subplots()
    axes.plot([1, 3, 2])
    axes.set_title("three <values> & more")
    return to_svg(figure)


def test_equal_figures_give_equal_bytes_that_are_one_svg_element() -> None:
    svg = drawn()
    assert svg == drawn()
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 -- our own picture


def test_text_stays_text() -> None:
    assert "three &lt;values&gt; &amp; more" in drawn()


def test_a_picture_in_markdown_can_be_taken_out_again() -> None:
    markdown = to_markdown("<svg/>", "nothing drawn")
    caption, _, picture = markdown.partition("\n\n![](data:image/svg+xml;base64,")
    assert (caption, base64.b64decode(picture.removesuffix(")"))) == ("nothing drawn", b"<svg/>")
