"""What was exported for rustybt, read back as a store of rustybt is when somebody moves in: the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_tests.exports.rustybt.slices import share_slice

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

planning = pytest.importorskip("pipeline_defs.migration.planning", reason="old stores are not read in this version")
reading = pytest.importorskip("pipeline_defs.migration.reading", reason="old stores are not read in this version")

VALUES = ("open", "high", "low", "close", "volume")
SYMBOLS = {7: "RELIANCE", 3: "RELIANCE-BE"}


def rows_of(part: MarketSlice) -> pl.DataFrame:
    """Give the bars of a slice as the reader of old stores has them."""
    dates = part.sessions.select("session_date", timestamp="close")
    return (
        pl.concat(part.read_bars())
        .join(dates, on="timestamp", how="left")
        .select(
            pl.col("instrument_id").replace_strict(SYMBOLS, return_dtype=pl.String).alias("symbol"),
            "timestamp",
            pl.col("session_date").alias("date"),
            *(pl.col(name).cast(pl.Decimal(38, 8)) for name in VALUES),
        )
        .sort("symbol", "timestamp")
    )


def test_both_resolutions_come_back_to_identical_rows(built_share: BuiltExport, tmp_path: Path) -> None:
    plan = planning.plan_store(
        built_share.root,
        tmp_path,
        markets={"RELIANCE": "NSE"},
        # One share begins later than the other, which alone could mean that numbers were given twice.
        accept={"RELIANCE"},
        bundles={"RELIANCE"},
    )
    (bundle,) = plan.bundles
    assert (bundle.name, bundle.decision, bundle.rows) == ("RELIANCE", "take", 84)
    market = share_slice()
    for part, stamp in ((market, "timestamp"), (market.resolutions[0], "date")):
        found = pl.concat(chunk.rows for chunk in reading.read_series(bundle, part.bar_seconds))
        wanted = rows_of(part).select("symbol", stamp, *VALUES)
        assert found.select(wanted.columns).sort("symbol", stamp).equals(wanted)


def test_the_days_of_a_run_bundle_come_back_with_their_split(built_days: BuiltExport, tmp_path: Path) -> None:
    plan = planning.plan_store(
        built_days.root, tmp_path, markets={"RELIANCE-run": "NSE"}, accept={"RELIANCE-run"}, bundles={"RELIANCE-run"}
    )
    (bundle,) = plan.bundles
    assert (bundle.decision, bundle.reason, bundle.rows) == ("take", None, 6)
    found = pl.concat(chunk.rows for chunk in reading.read_series(bundle, 86_400))
    wanted = rows_of(share_slice().resolutions[0]).select("symbol", "date", *VALUES)
    assert found.select(wanted.columns).sort("symbol", "date").equals(wanted)
    actions = reading.read_actions(bundle)
    assert actions.filter(pl.col("kind") == "split").height == 1
