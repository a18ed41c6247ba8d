"""Terms that change within an export: which, from when, and whether an engine can be told.

An engine knows one definition of an instrument for a whole run. The definition is that of the last bar, since it is
what a position is settled by; what was otherwise before is written beside it, by date. A change that would make the
engine's profit and loss wrong is refused: nothing here is ever averaged or guessed. Polars only.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.exports import TERM_PERIOD_SCHEMA

if TYPE_CHECKING:
    from pipeline_defs.schema.exports import MarketSlice

_SAID: Final = ("symbol", "underlying", "expiry", "lot_size", "tick_size")
"""What may differ between the periods of an instrument."""

_NAMES_SHOWN: Final = 5


def changing_terms(market: MarketSlice) -> pl.DataFrame:
    """Give the periods of the instruments whose terms change between their first and last bar.

    Parameters
    ----------
    market : MarketSlice
        What is exported.

    Returns
    -------
    polars.DataFrame
        `TERM_PERIOD_SCHEMA` without `strike` and `multiplier`, sorted by instrument and date, cut to the dates of
        the slice; only what an engine is told counts as a change.

    Raises
    ------
    ExportError
        If money per unit and point is not 1 (quantities are units), or a strike changes: the engine would settle
        positions from before on the wrong number of units. Or if the periods do not join, or the last is not what the
        slice says of the instrument.

    """
    if market.term_periods is None:
        return pl.DataFrame(schema=TERM_PERIOD_SCHEMA).drop("strike", "multiplier")
    periods = market.term_periods.sort("instrument_id", "valid_from", nulls_last=False)
    _refuse_unfit(periods, market.instruments)
    told = periods.with_columns(
        # Periods that differ in nothing an engine is told are one.
        part=pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in ("instrument_id", *_SAID))
        .fill_null(value=True)
        .cum_sum()
    )
    joined = told.group_by("instrument_id", "part", maintain_order=True).agg(
        pl.col("valid_from").first(), pl.col("valid_to").last(), pl.col(_SAID).first()
    )
    several = joined.filter(pl.len().over("instrument_id") > 1)
    # Cut to the slice: what happens before or after it must not change the bytes of the export.
    after_end = market.end_date + dt.timedelta(days=1)
    return several.select(
        "instrument_id",
        pl.max_horizontal("valid_from", pl.lit(market.start_date)).alias("valid_from"),
        pl.min_horizontal("valid_to", pl.lit(after_end)).alias("valid_to"),
        *_SAID,
    )


def terms_as_text(changes: pl.DataFrame) -> pl.DataFrame:
    """Write the periods of each instrument as a JSON list, decimals as text.

    Parameters
    ----------
    changes : polars.DataFrame
        What `changing_terms` returned.

    Returns
    -------
    polars.DataFrame
        `instrument_id` and `terms`: objects with ``valid_from``, ``valid_to`` (exclusive), ``symbol``,
        ``underlying``, ``expiry``, ``lot_size`` and ``tick_size``, in the order of time.

    """
    tick = pl.col("tick_size").cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    dates = (pl.col(name).dt.to_string("%Y-%m-%d") for name in ("valid_from", "valid_to", "expiry"))
    text = changes.with_columns(*dates, tick_size=tick)
    period = pl.struct("valid_from", "valid_to", *_SAID).struct.json_encode()
    return text.group_by("instrument_id", maintain_order=True).agg(terms=pl.format("[{}]", period.str.join(",")))


def change_notes(changes: pl.DataFrame, names: pl.DataFrame, where: str) -> list[str]:
    """Say what an engine is not told by itself.

    Parameters
    ----------
    changes : polars.DataFrame
        What `changing_terms` returned.
    names : polars.DataFrame
        `instrument_id` and `name` in the engine.
    where : str
        Where the periods are found.

    Returns
    -------
    list of str
        One sentence, or none.

    """
    changed = names.join(changes.select("instrument_id").unique(), on="instrument_id", how="semi")["name"].sort()
    if changed.is_empty():
        return []
    shown = ", ".join(changed.head(_NAMES_SHOWN)) + (", ..." if changed.len() > _NAMES_SHOWN else "")
    note = (
        f"the terms of {changed.len()} instruments change within the export: {shown}; the engine holds those of the "
        f"last bar for the whole run, the earlier ones are in {where}"
    )
    return [note]


def _refuse_unfit(periods: pl.DataFrame, instruments: pl.DataFrame) -> None:
    own = pl.col("instrument_id") == pl.col("instrument_id").shift()
    last = periods.group_by("instrument_id", maintain_order=True).last()
    both = instruments.join(last, on="instrument_id", how="left", suffix="_last")
    differs: pl.Expr = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_last")) for name in (*_SAID, "strike"))
    rules = (
        (periods, pl.col("multiplier") != 1, "a multiplier other than 1, which the format has no place for"),
        (periods, own & pl.col("strike").ne_missing(pl.col("strike").shift()), "a strike that changes at {valid_from}"),
        (periods, own & pl.col("valid_from").ne_missing(pl.col("valid_to").shift()), "a gap before {valid_from}"),
        (both, differs, "other terms at its last bar than the slice says"),
    )
    for frame, is_bad, what in rules:
        for row in frame.filter(is_bad).head(1).iter_rows(named=True):
            raise ExportError(
                f"the instrument has {what.format(**row)}",
                where=f"instrument {row['instrument_id']} ({row['symbol']})",
                next_step="export the dates before and after apart, or correct the terms ('pipeline terms show')",
            )
