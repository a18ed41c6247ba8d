"""What all pictures share: a figure of a given size, and its SVG, the same bytes for the same data.

Matplotlib takes most of a second to import, so it is imported where a picture is drawn and nowhere else.
"""

from __future__ import annotations

import base64
import io
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES_WIDE: Final = 8.0
INCHES_HIGH: Final = 2.5

_HASH_SALT: Final = "market-data-pipeline"
_PROLOGUE: Final = re.compile(r"^.*?(?=<svg )", re.DOTALL)


def new_figure(width: float = INCHES_WIDE, height: float = INCHES_HIGH) -> Figure:
    """Make an empty figure without a window system.

    Parameters
    ----------
    width, height : float
        In inches of 72 points.

    Returns
    -------
    matplotlib.figure.Figure
        Lays out its own axes; call `subplots` on it.

    """
    from matplotlib.figure import Figure  # noqa: PLC0415 -- takes most of a second

    return Figure(figsize=(width, height), layout="constrained")


def to_svg(figure: Figure) -> str:
    """Write a figure as an SVG element that can stand in a page: no prologue, no date, text kept as text.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        As drawn.

    Returns
    -------
    str
        ``<svg …>…</svg>``; equal figures give equal text.

    """
    import matplotlib as mpl  # noqa: PLC0415 -- as above

    written = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": _HASH_SALT, "svg.fonttype": "none"}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return _PROLOGUE.sub("", written.getvalue(), count=1)


def to_markdown(svg: str, caption: str) -> str:
    """Put a picture into Markdown, as Dagster's UI shows it.

    Parameters
    ----------
    svg : str
        From `to_svg`.
    caption : str
        One line above it.

    Returns
    -------
    str
        Markdown that holds the picture itself.

    """
    picture = base64.b64encode(svg.encode()).decode()
    return f"{caption}\n\n![](data:image/svg+xml;base64,{picture})"
