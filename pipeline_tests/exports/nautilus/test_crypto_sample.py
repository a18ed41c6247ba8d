"""Real minutes of a pair, from a sample that lies beside the clone, through both versions of the engine."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import zipfile
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.exports.run import export_slice
from pipeline_defs.schema.columns import SIZE
from pipeline_defs.schema.exports import BAR_SCHEMA, INSTRUMENT_SCHEMA, MarketSlice
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.warehouse.resampling import resample
from pipeline_tests.exports.nautilus.slices import make_slice

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = PROJECT_ROOT.parent / "shared" / "data" / "ccxt" / "binance_BTCBUSD_1m_20221213.lean.zip"
DAY = dt.datetime(2022, 12, 13, tzinfo=dt.UTC)


def _rows() -> list[list[str]]:
    """Give milliseconds of the open, open, high, low, close and volume, as the file has them."""
    if not SAMPLE.exists():
        pytest.skip(f"{SAMPLE} is not there")
    with zipfile.ZipFile(SAMPLE) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return list(csv.reader(io.StringIO(text)))


def _instrument() -> dict[str, object]:
    return dict.fromkeys(INSTRUMENT_SCHEMA) | {
        "instrument_id": 1,
        "kind": "PAIR",
        "symbol": "BTC/BUSD",
        "underlying": "BTCBUSD",
        "venue": "binance",
        "currency": "BUSD",
        "base_currency": "BTC",
    }


@pytest.fixture(scope="module")
def day() -> MarketSlice:
    columns = zip(*_rows(), strict=True)
    names = ("milliseconds", "open", "high", "low", "close", "volume")
    text = pl.DataFrame(dict(zip(names, columns, strict=True)), schema=dict.fromkeys(names, pl.String))
    sessions = pl.DataFrame(
        {"session_date": [DAY.date()], "open": [DAY], "close": [DAY + dt.timedelta(days=1)]},
        schema_overrides={"open": pl.Datetime("us", "UTC"), "close": pl.Datetime("us", "UTC")},
    )

    def part(bars: pl.DataFrame, seconds: int) -> MarketSlice:
        whole = make_slice([_instrument()], [bars], bar_seconds=seconds, underlying="BTCBUSD")
        return MarketSlice(
            "BTCBUSD",
            DAY.date(),
            DAY.date(),
            seconds,
            sessions,
            whole.instruments,
            whole.read_bars,
            (1,),
            DAY,
            timezone="UTC",
            fractional=True,
        )

    minutes = text.select(
        instrument_id=pl.lit(1),
        timestamp=pl.lit(DAY) + pl.duration(milliseconds=pl.col("milliseconds").cast(pl.Int64) + 60_000),
        open="open",
        high="high",
        low="low",
        close="close",
        volume="volume",
        open_interest=pl.lit(None, pl.Int64),
    ).cast(pl.Schema(BAR_SCHEMA | {"volume": SIZE}))
    finest = part(minutes, 60)
    coarser = (
        part(resample(minutes, sessions, from_seconds=60, to_seconds=seconds), seconds) for seconds in (3_600, 86_400)
    )
    return dataclasses.replace(finest, resolutions=tuple(coarser))


@pytest.fixture(params=["nautilus", "nautilus-2"])
def format_name(request: pytest.FixtureRequest) -> str:
    if request.param == "nautilus-2":
        request.getfixturevalue("nautilus_2")
    return str(request.param)


def test_a_day_of_real_minutes_is_confirmed_at_three_resolutions(
    day: MarketSlice, format_name: str, tmp_path: Path
) -> None:
    published = export_slice(format_name, day, tmp_path / "catalog")
    readback = published.verification.readback
    assert readback is not None
    assert readback["rows"].to_list() == [1_440, 24, 1]
    assert readback["volume_sum"].n_unique() == 1
    if format_name == "nautilus":
        bars = ParquetDataCatalog(str(published.path)).bars(bar_types=["BTCBUSD.BINANCE-1-MINUTE-LAST-EXTERNAL"])
        found = [
            [Decimal(str(value)) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume)] for bar in bars
        ]
        assert found == [[Decimal(value) for value in row[1:]] for row in _rows()]
        assert bars[-1].ts_init == (int(DAY.timestamp()) + 86_400) * 10**9
