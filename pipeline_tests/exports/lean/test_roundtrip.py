"""LEAN's own files, read by our reader, made into a slice, exported: the same text must come out."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.exports.lean.kinds import SECONDS_OF_RESOLUTION
from pipeline_defs.exports.lean.paths import parse_path
from pipeline_defs.exports.lean.reading import read_zip
from pipeline_tests.exports.lean.samples import SAMPLES, SHARED, needs_samples
from pipeline_tests.exports.lean.slices import entries, instrument, make_slice, session_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.exports.lean.paths import DataFile
    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


def bars_of_sample(root: Path, file: DataFile, path: str, timezone: str) -> pl.DataFrame:
    (content,) = read_zip(root, file, path)
    assert content.findings == []
    length = pl.duration(seconds=SECONDS_OF_RESOLUTION[file.resolution])
    start = pl.col("time")
    if file.date is not None:
        start = pl.lit(dt.datetime.combine(file.date, dt.time())) + pl.duration(milliseconds="time")
    closes = start.dt.replace_time_zone(timezone).dt.convert_time_zone("UTC").dt.cast_time_unit("us") + length
    return content.rows.with_columns(
        timestamp=closes, instrument_id=pl.lit(1), open_interest=pl.lit(None, pl.Int64)
    ).drop("entry", "time")


def lines(zip_file: Path) -> dict[str, list[str]]:
    return {name: text.splitlines() for name, text in entries(zip_file).items()}


@needs_samples
@pytest.mark.parametrize("day", ["20190709", "20190710", "20190711"])
def test_an_indian_share_comes_out_as_it_is_in_leans_own_file(
    day: str, build: Callable[[MarketSlice], BuiltExport]
) -> None:
    path = f"equity/india/minute/yesbank/{day}_trade.zip"
    bars = bars_of_sample(SAMPLES, parse_path(path), path, "Asia/Kolkata")
    # The sample has a bar after the close, at 15:30; so the session is made to last until it ends.
    sessions = session_frame((dt.datetime.strptime(day, "%Y%m%d").date(),), closes=dt.time(10, 31))  # noqa: DTZ007 -- a date
    share = instrument(1, "EQ", underlying="YESBANK")
    root = build(make_slice([share], [bars], sessions=sessions, underlying="YESBANK")).root
    assert lines(root / path) == lines(SAMPLES / path)


@needs_samples
@pytest.mark.parametrize(
    ("sample", "path", "first", "days"),
    [
        ("binance_BTCUSDT_1h_2018", "crypto/binance/hour/btcusdt_trade.zip", dt.date(2018, 5, 1), 5),
        ("binance_BTCBUSD_1m_20221213", "crypto/binance/minute/btcbusd/20221213_trade.zip", dt.date(2022, 12, 13), 1),
    ],
)
def test_a_pair_comes_out_as_it_is_in_leans_own_file(
    sample: str, path: str, first: dt.date, days: int, build: Callable[[MarketSlice], BuiltExport]
) -> None:
    name = f"ccxt/{sample}.lean.zip"
    file = parse_path(path)
    bars = bars_of_sample(SHARED, file, name, "UTC")
    dates = tuple(first + dt.timedelta(days=offset) for offset in range(days))
    sessions = session_frame(dates, dt.time(0), dt.time(0)).with_columns(pl.col("close") + pl.duration(days=1))
    ticker = file.ticker.upper()
    pair = instrument(1, "PAIR", underlying=ticker, venue="binance", currency=ticker[3:], base_currency="BTC")
    seconds = SECONDS_OF_RESOLUTION[file.resolution]
    market = make_slice([pair], [bars], sessions=sessions, underlying=ticker, bar_seconds=seconds, fractional=True)
    assert lines(build(replace(market, timezone="UTC")).root / path) == lines(SHARED / name)
