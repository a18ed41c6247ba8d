"""A real day of a pair, 1,440 minutes of Binance: what is read back is what the exchange said, to the last digit."""

from __future__ import annotations

import datetime as dt
import zipfile
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.exports.backtrader.build import build_files
from pipeline_defs.exports.backtrader.loader import load_chain
from pipeline_defs.exports.backtrader.readback import replay
from pipeline_defs.exports.backtrader.truth import write_truth
from pipeline_defs.exports.backtrader.verify import verify_export
from pipeline_defs.schema.columns import PRICE, TIMESTAMP
from pipeline_defs.schema.exports import SIZE
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.exports.backtrader.slices import instrument, make_slice, utc_day, with_resolutions

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

SAMPLE = PROJECT_ROOT.parent / "shared" / "data" / "ccxt" / "binance_BTCBUSD_1m_20221213.lean.zip"
DAY = dt.date(2022, 12, 13)

pytestmark = pytest.mark.skipif(
    not SAMPLE.is_file(), reason="the samples of exchanges (../shared/data/ccxt) do not lie beside this clone"
)


@pytest.fixture(scope="module")
def lines() -> list[list[str]]:
    """Open in milliseconds, open, high, low, close, volume: as the exchange gave them."""
    with zipfile.ZipFile(SAMPLE) as archive:
        (entry,) = archive.namelist()
        return [line.split(",") for line in archive.read(entry).decode().split()]


@pytest.fixture(scope="module")
def day(lines: list[list[str]]) -> MarketSlice:
    stamps = [utc_day(DAY) + dt.timedelta(milliseconds=int(line[0]), minutes=1) for line in lines]
    frame = pl.DataFrame(
        {
            "instrument_id": pl.repeat(1, len(lines), dtype=pl.Int32, eager=True),
            "timestamp": pl.Series(stamps, dtype=TIMESTAMP),
            **{
                name: pl.Series([Decimal(line[at]) for line in lines], dtype=PRICE)
                for at, name in enumerate(("open", "high", "low", "close"), start=1)
            },
            "volume": pl.Series([Decimal(line[5]) for line in lines], dtype=SIZE),
            "open_interest": pl.Series([None] * len(lines), dtype=pl.Int64),
        }
    )
    pair = instrument(
        1, "PAIR", underlying="BTCBUSD", symbol="BTC/BUSD", base_currency="BTC", currency="BUSD", venue="BINANCE"
    )
    market = make_slice([pair], [frame], underlying="BTCBUSD", timezone="UTC", fractional=True)
    sessions = pl.DataFrame(
        {"session_date": [DAY], "open": [utc_day(DAY)], "close": [utc_day(DAY + dt.timedelta(days=1))]},
        schema=market.sessions.schema,
    )
    return with_resolutions(replace(market, start_date=DAY, end_date=DAY, sessions=sessions), 3_600, 86_400)


def test_every_line_of_the_exchange_is_in_the_file_and_in_backtrader(
    day: MarketSlice, lines: list[list[str]], tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "truth").mkdir()
    built = build_files(day, tmp_path / "export")
    assert write_truth(built, day, tmp_path / "truth", 100_000) == []
    report = verify_export(tmp_path / "export", tmp_path / "truth")
    assert report.failures == []
    assert report.readback is not None
    volume = sum(Decimal(line[5]) for line in lines)
    assert report.readback.select("bar_seconds", "rows", "volume_sum").rows() == [
        (60, 1_440, volume),
        (3_600, 24, volume),
        (86_400, 1, volume),
    ]
    assert report.readback.row(0, named=True)["close_sum"] == sum(Decimal(line[4]) for line in lines)

    text = (tmp_path / "export" / "BTCBUSD_PAIR_1m.csv").read_text().splitlines()[1:]
    assert [[Decimal(value) for value in line.split(",")[1:6]] for line in text] == [
        [Decimal(value) for value in line[1:]] for line in lines
    ]
    (daily,) = load_chain(tmp_path / "export", resolutions={"1d"}, start_date=DAY, end_date=DAY)
    seen = replay(daily).row(0, named=True)
    assert (seen["open"], seen["close"]) == (Decimal(lines[0][1]), Decimal(lines[-1][4]))
    assert seen["high"] == max(Decimal(line[2]) for line in lines)
    assert seen["low"] == min(Decimal(line[3]) for line in lines)
