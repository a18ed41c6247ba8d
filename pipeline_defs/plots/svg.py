"""A picture drawn by hand: rectangles, lines and words as SVG, without a plotting library.

Matplotlib would cost each run that shows a plot most of a second, and a heat map of thousands of cells in its SVG takes
hundreds of kilobytes. What is drawn here is a path for all cells of one kind. Colours are of Okabe and Ito's palette,
told apart by the colour-blind, and stand out (3 to 1 and more) on white and on nearly black; words are of a grey that
can be read on both. Numbers are rounded to a tenth of a pixel, so the same data give the same bytes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

BLUE: Final = "#0072B2"
ORANGE: Final = "#D55E00"
GREEN: Final = "#009E73"
GREY: Final = "#767676"

FONT_PIXELS: Final = 11
CHARACTER_PIXELS: Final = 6.9
"""Wider than the mean character of any common face without serifs at that size: what is laid out by it fits."""


@dataclass(slots=True)
class Picture:
    """An SVG that grows by what is drawn.

    Parameters
    ----------
    width, height : float
        Pixels.
    title : str
        What is seen, for those who cannot see it.

    """

    width: float
    height: float
    title: str
    _parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, *, anchor: str = "start") -> None:
        """Write words with their baseline at `y`; `anchor` is start, middle or end."""
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._parts.append(f'<text x="{number(x)}" y="{number(y)}"{place}>{escape(words)}</text>')

    def rectangles(self, boxes: Iterable[tuple[float, float, float, float]], color: str, opacity: float = 1.0) -> None:
        """Fill rectangles (x, y, width, height) of one kind, as one path."""
        path = "".join(f"M{number(x)} {number(y)}h{number(w)}v{number(h)}h{number(-w)}z" for x, y, w, h in boxes)
        if path:
            faint = "" if opacity >= 1 else f' fill-opacity="{number(opacity, 2)}"'
            self._parts.append(f'<path fill="{color}"{faint} shape-rendering="crispEdges" d="{path}"/>')

    def line(
        self, points: Iterable[tuple[float, float]], color: str = GREY, *, width: float = 1, dash: str = ""
    ) -> None:
        """Draw a line through points."""
        path = "L".join(f"{number(x)} {number(y)}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(f'<path fill="none" stroke="{color}" stroke-width="{number(width)}"{dashed} d="M{path}"/>')

    def to_svg(self) -> str:
        """Give the element, which can stand in a page or be a file."""
        width, height = number(self.width), number(self.height)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="{FONT_PIXELS}" fill="{GREY}">'
            f"<title>{escape(self.title)}</title>{''.join(self._parts)}</svg>"
        )


def number(value: float, digits: int = 1) -> str:
    """Write a coordinate: at most so many decimals (one or more), no trailing zeros, no minus before nothing."""
    written = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written


def text_pixels(words: str) -> float:
    """Give the width that words take at most."""
    return CHARACTER_PIXELS * len(words)


def shortened(words: str, pixels: float) -> str:
    """Cut words to a width, with an ellipsis in the place of what is cut."""
    room = int(pixels / CHARACTER_PIXELS)
    return words if len(words) <= room else f"{words[: max(room - 1, 0)]}…"


def spaced(places: Iterable[tuple[float, str]], gap: float = 8.0) -> list[tuple[float, str]]:
    """Leave out labels that would touch the one before; places are the middles, ascending."""
    kept: list[tuple[float, str]] = []
    free = float("-inf")
    for middle, words in places:
        half = text_pixels(words) / 2
        if middle - half >= free:
            kept.append((middle, words))
            free = middle + half + gap
    return kept
