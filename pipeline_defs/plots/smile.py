"""Implied volatility by strike, a line for each expiry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_defs.plots.drawing import new_figure, to_svg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def draw_smile(curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw smiles.

    Parameters
    ----------
    curves : mapping of str to sequence of tuple
        By expiry, the nearest first: strike and implied volatility (a fraction a year), ascending.

    Returns
    -------
    str
        SVG.

    """
    figure = new_figure()
    axes = figure.subplots()
    for expiry, points in curves.items():
        axes.plot(
            [strike for strike, _ in points],
            [100 * volatility for _, volatility in points],
            marker=".",
            linewidth=1,
            label=expiry,
        )
    axes.set_xlabel("strike")
    axes.set_ylabel("implied volatility, %")
    axes.spines[["top", "right"]].set_visible(False)
    if curves:
        axes.legend(title="expiry", frameon=False, fontsize="small")
    return to_svg(figure)
