"""How far two sources are apart: what agrees and what does not, and every disagreement over the session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.plots.drawing import new_figure, to_svg

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from matplotlib.axes import Axes

FIELDS: Final = ("open", "high", "low", "close", "volume", "open_interest")
COLOURS: Final = {
    "agreeing": "#5a9e6f",
    "disagreeing": "#c8503c",
    "only left": "#6d83a8",
    "only right": "#c9a227",
}
_FIELD_COLOURS: Final = ("#1f77b4", "#2ca02c", "#9467bd", "#c8503c", "#7f7f7f", "#c9a227")
_SMALLEST_SHARE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Compared:
    """One comparison as a bar of the picture.

    Parameters
    ----------
    label : str
        What was compared with what.
    agreeing, disagreeing, only_left, only_right : int
        Bars.

    """

    label: str
    agreeing: int
    disagreeing: int
    only_left: int
    only_right: int


@dataclass(frozen=True, slots=True)
class Apart:
    """One disagreement as a point of the picture.

    Parameters
    ----------
    timestamp : datetime.datetime
        In the zone in which it is to be shown.
    field : str
        One of `FIELDS`.
    share : float
        The difference, of the larger value.

    """

    timestamp: dt.datetime
    field: str
    share: float


def draw_disagreement(compared: Sequence[Compared], apart: Sequence[Apart]) -> str:
    """Draw comparisons and their disagreements.

    Parameters
    ----------
    compared : sequence of Compared
        From top to bottom.
    apart : sequence of Apart
        In any order.

    Returns
    -------
    str
        SVG; the same for the same data.

    """
    figure = new_figure(height=2.2 + 0.28 * max(len(compared), 1))
    shares, differences = figure.subplots(2, 1, height_ratios=[0.28 * max(len(compared), 1) + 0.3, 1.8])
    _draw_shares(shares, compared)
    _draw_differences(differences, apart)
    return to_svg(figure)


def _draw_shares(axes: Axes, compared: Sequence[Compared]) -> None:
    labels = [f"{one.label} ({_total(one):,})" for one in compared]
    begins = [0.0] * len(compared)
    for name, colour in COLOURS.items():
        widths = [100 * getattr(one, name.replace(" ", "_")) / max(_total(one), 1) for one in compared]
        axes.barh(labels, widths, left=begins, color=colour, label=name, height=0.7)
        begins = [begin + width for begin, width in zip(begins, widths, strict=True)]
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of bars", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.invert_yaxis()
    axes.legend(fontsize=6, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def _draw_differences(axes: Axes, apart: Sequence[Apart]) -> None:
    for field, colour in zip(FIELDS, _FIELD_COLOURS, strict=True):
        of_field = [one for one in apart if one.field == field]
        if of_field:
            hours = [one.timestamp.hour + one.timestamp.minute / 60 + one.timestamp.second / 3600 for one in of_field]
            axes.scatter(
                hours,
                [100 * max(one.share, _SMALLEST_SHARE) for one in of_field],
                s=9,
                color=colour,
                label=f"{field.replace('_', ' ')} ({len(of_field):,})",
            )
    axes.set_yscale("log")
    axes.set_ylabel("apart, %", fontsize=7)
    axes.set_xlabel("hour of the bar's close", fontsize=7)
    axes.tick_params(labelsize=7)
    if apart:
        axes.legend(fontsize=6, frameon=False)
    else:
        axes.text(0.5, 0.5, "no disagreement", transform=axes.transAxes, ha="center", va="center", fontsize=8)


def _total(one: Compared) -> int:
    return one.agreeing + one.disagreeing + one.only_left + one.only_right
