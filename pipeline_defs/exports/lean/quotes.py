"""Quote bars from ticks: bid and ask of each minute, by instrument.

LEAN's quote bars carry four prices of each side and the last size. Ticks without a quote add nothing; a side without a
price in a bar is absent, which LEAN writes as empty fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.lean.grid import Sessions, with_tick_starts
from pipeline_defs.schema.tables import MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline_defs.schema.exports import TickSlice

QUOTE_SECONDS: Final = MINUTE

SIDES: Final = ("bid", "ask")


def quote_frames(
    ticks: TickSlice, schema: Mapping[str, pl.DataType], grid: Sessions, instrument_ids: list[int]
) -> Iterator[pl.DataFrame]:
    """Read the quote bars of some instruments.

    Parameters
    ----------
    ticks : TickSlice
        Of the slice.
    schema : dict
        `MarketSlice.tick_schema`.
    grid : polars.DataFrame
        Of `pipeline_defs.exports.lean.grid.session_grid`.
    instrument_ids : list of int
        Which.

    Yields
    ------
    polars.DataFrame
        See `quote_bars`.

    """
    for frame in ticks.read(instrument_ids):
        yield quote_bars(frame.select(list(schema)), grid)


def quote_bars(ticks: pl.DataFrame, grid: Sessions) -> pl.DataFrame:
    """Aggregate ticks into bars of a minute.

    Parameters
    ----------
    ticks : polars.DataFrame
        `TICK_SCHEMA`, sorted.
    grid : polars.DataFrame
        Of the sessions; ticks outside of them are left out.

    Returns
    -------
    polars.DataFrame
        `instrument_id`, `session_date`, `start`, `timestamp` (the close), ``bid_open`` to ``ask_close`` (null when the
        side is absent), `bid_size` and `ask_size` (the last, 0 when unknown); sorted by instrument and time.

    """
    quoted = ticks.with_columns(
        # No price is said by null, or by 0 where a feed has a fixed place for it.
        pl.when(pl.col(f"{side}_price") > 0).then(pl.col(f"{side}_price")).alias(f"{side}_price")
        for side in SIDES
    ).filter(pl.any_horizontal(pl.col(f"{side}_price").is_not_null() for side in SIDES))
    bars = with_tick_starts(quoted, grid, QUOTE_SECONDS)
    aggregates = [
        aggregate
        for side in SIDES
        for price in (pl.col(f"{side}_price").drop_nulls(),)
        for aggregate in (
            price.first().alias(f"{side}_open"),
            price.max().alias(f"{side}_high"),
            price.min().alias(f"{side}_low"),
            price.last().alias(f"{side}_close"),
            pl.col(f"{side}_size").filter(pl.col(f"{side}_price").is_not_null()).last().fill_null(0),
        )
    ]
    return bars.group_by("instrument_id", "session_date", "start", "timestamp", maintain_order=True).agg(aggregates)
