"""Volumes of shares of which parts were traded: Nautilus counts shares in whole units (`Equity` has no size precision).

Each bar's volume is rounded down to whole shares by itself, also at lengths that were made of shorter bars; its prices
stay, even where nothing is left of the volume. Other formats keep the parts. Polars only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDED_OFF: Final = "volume_rounded_off"
"""Column of sums: what was taken from the volumes of a series."""

DETAIL: Final = "sizes_rounded_down"
"""Key of the manifest's details and of a verification's checks: how many bars, and ticks, were touched."""


def shares_of(named: pl.DataFrame) -> list[int]:
    """List the instruments that are rounded.

    Parameters
    ----------
    named : polars.DataFrame
        With `instrument_id` and `kind`.

    Returns
    -------
    list of int

    """
    return named.filter(pl.col("kind") == "EQ")["instrument_id"].to_list()


def round_down(frame: pl.DataFrame, shares: list[int], sizes: Sequence[str]) -> tuple[pl.DataFrame, int]:
    """Round sizes of shares down to whole units.

    Parameters
    ----------
    frame : polars.DataFrame
        Bars or ticks, with `instrument_id`.
    shares : list of int
        Instruments, from `shares_of`.
    sizes : sequence of str
        Columns; those of whole numbers are left as they are.

    Returns
    -------
    tuple of polars.DataFrame and int
        The same rows, and how many of them were touched.

    """
    decimal = [name for name in sizes if frame.schema[name].is_decimal()]
    parts = {name: pl.col(name) % 1 for name in decimal}
    is_share = pl.col("instrument_id").is_in(shares)
    touched = is_share & pl.any_horizontal(False, *((part != 0).fill_null(value=False) for part in parts.values()))  # noqa: FBT003 -- a value
    count = int(frame.select(touched.sum()).item())
    if not count:
        return frame, 0
    rounded = [
        pl.when(is_share).then(pl.col(name) - part).otherwise(name).cast(frame.schema[name]).alias(name)
        for name, part in parts.items()
    ]
    return frame.with_columns(rounded), count


def rounding_notes(counts: dict[str, int]) -> list[str]:
    """Say what was rounded.

    Parameters
    ----------
    counts : dict
        Rows touched, by ``bars`` and ``ticks``.

    Returns
    -------
    list of str
        Empty when nothing was.

    """
    sentences = {
        "bars": "the volume of {} bars was rounded down to whole shares: Nautilus knows no parts of a share",
        "ticks": "sizes of {} ticks were rounded down to whole shares; a trade of less than one share is left out",
    }
    return [sentence.format(counts[what]) for what, sentence in sentences.items() if counts.get(what, 0)]
