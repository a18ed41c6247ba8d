"""Builds the catalog of one slice: checks, names, encodes and writes, frame by frame.

The order of things belongs here; the things themselves live in `naming`, `series`, `instruments`, `settlement` and
`details`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.exports.nautilus import naming
from pipeline_defs.exports.nautilus.details import catalog_details
from pipeline_defs.exports.nautilus.instruments import check_expiries, instrument_files, instrument_rows
from pipeline_defs.exports.nautilus.place import place_of
from pipeline_defs.exports.nautilus.series import SeriesWriter
from pipeline_defs.exports.nautilus.settlement import SETTLEMENT_FILE, official_settlements, settlement_file
from pipeline_defs.exports.nautilus.targets import get_target
from pipeline_defs.exports.periods import changing_terms, terms_as_text
from pipeline_defs.schema.exports import BuiltExport

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

_BOUNDS = ("row_count", "first_timestamp", "last_timestamp")


def build_catalog(market: MarketSlice, root: Path, target_name: str = "1.231") -> BuiltExport:
    """Write the catalog of a slice.

    Parameters
    ----------
    market : MarketSlice
        What to export.
    root : Path
        Existing, empty directory.
    target_name : str, default "1.231"
        Format, see `targets.get_target`. For 1.231, Nautilus is imported.

    Returns
    -------
    BuiltExport
        `details` says what cannot be read off the files: versions, conventions, the price on which
        each expiry will be settled, and under `notes` every shortcoming a user must know of.

    Raises
    ------
    ConfigurationError
        If there is no such target.
    ExportError
        If the slice has no sessions or no bars, its reader gives other rows than it announces, or
        `checks`, `naming` or `instruments` refuses it.

    """
    place = place_of(market, root, get_target(target_name))
    named = naming.with_identifiers(naming.all_instruments(market))
    for announced in _announced(market):
        check_expiries(named.drop(_BOUNDS).join(announced.select("instrument_id", *_BOUNDS), on="instrument_id"))
    changes = changing_terms(market)
    writer = SeriesWriter(place, named, market.fractional)
    sums = [writer.write_bars(part, is_finest=part is market) for part in market.every_resolution]
    if market.ticks is not None:
        writer.write_ticks(market, market.ticks)
    for class_name, instrument_id, file in instrument_files(
        instrument_rows(writer.terms, place.start, terms_as_text(changes)), place.target
    ):
        place.write(file, class_name, instrument_id)
    official = official_settlements(market, writer.terms, place.end)
    (root / SETTLEMENT_FILE).write_text(settlement_file(official), encoding="utf-8")
    bars = pl.concat(sums)
    return BuiltExport(
        root=root,
        counts={"bars": int(bars["rows"].sum()), "instruments": writer.terms.height, **writer.counts},
        instruments=writer.terms.select("instrument_id", "engine_id")
        .join(bars, on="instrument_id")
        .select(
            "instrument_id",
            "engine_id",
            "bar_seconds",
            "rows",
            "first_timestamp",
            "last_timestamp",
            "close_sum",
            "volume_sum",
        )
        .sort("instrument_id", "bar_seconds"),
        engine=place.target.engine,
        details=catalog_details(market, place, writer, changes, official),
    )


def _announced(market: MarketSlice) -> list[pl.DataFrame]:
    """Give what the slice says of its bars at each resolution, and of its ticks."""
    parts = [part.instruments for part in market.every_resolution]
    return parts if market.ticks is None else [*parts, market.ticks.instruments]
