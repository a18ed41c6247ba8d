"""Real hours of a pair, five days of Binance: what is read back is what the exchange said, to the last digit."""

from __future__ import annotations

import datetime as dt
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
from pipeline_defs.schema.columns import PRICE, SIZE, TIMESTAMP
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.exports.backtrader.slices import instrument, make_slice, utc_day, with_resolutions

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

SAMPLE = PROJECT_ROOT / "pipeline_tests" / "fixtures" / "crypto" / "binance_BTCUSDT_1h_2018.lean.csv"
DAYS = [dt.date(2018, 5, day) for day in range(1, 6)]


@pytest.fixture(scope="module")
def lines() -> list[list[str]]:
    """Start of the hour, open, high, low, close, volume: as the exchange gave them."""
    return [line.split(",") for line in SAMPLE.read_text().split("\n") if line]


@pytest.fixture(scope="module")
def days(lines: list[list[str]]) -> MarketSlice:
    starts = [dt.datetime.strptime(line[0], "%Y%m%d %H:%M").replace(tzinfo=dt.UTC) for line in lines]
    stamps = [start + dt.timedelta(hours=1) for start in starts]
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
        1, "PAIR", underlying="BTCUSDT", symbol="BTC/USDT", base_currency="BTC", currency="USDT", venue="BINANCE"
    )
    market = make_slice([pair], [frame], bar_seconds=3_600, underlying="BTCUSDT", timezone="UTC", fractional=True)
    closes = [utc_day(day + dt.timedelta(days=1)) for day in DAYS]
    sessions = pl.DataFrame(
        {"session_date": DAYS, "open": list(map(utc_day, DAYS)), "close": closes}, schema=market.sessions.schema
    )
    return with_resolutions(replace(market, start_date=DAYS[0], end_date=DAYS[-1], sessions=sessions), 86_400)


def test_every_line_of_the_exchange_is_in_the_file_and_in_backtrader(
    days: MarketSlice, lines: list[list[str]], tmp_path: Path
) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "truth").mkdir()
    built = build_files(days, tmp_path / "export")
    assert write_truth(built, days, tmp_path / "truth", 100_000) == []
    report = verify_export(tmp_path / "export", tmp_path / "truth")
    assert report.failures == []
    assert report.readback is not None
    volume = sum(Decimal(line[5]) for line in lines)
    assert report.readback.select("bar_seconds", "rows", "volume_sum").rows() == [
        (3_600, 120, volume),
        (86_400, 5, volume),
    ]
    assert report.readback.row(0, named=True)["close_sum"] == sum(Decimal(line[4]) for line in lines)

    text = (tmp_path / "export" / "BTCUSDT_PAIR_60m.csv").read_text().splitlines()[1:]
    assert [[Decimal(value) for value in line.split(",")[1:6]] for line in text] == [
        [Decimal(value) for value in line[1:]] for line in lines
    ]
    (daily,) = load_chain(tmp_path / "export", resolutions={"1d"}, start_date=DAYS[1], end_date=DAYS[1])
    (seen,) = replay(daily).iter_rows(named=True)
    of_day = [line for line in lines if line[0].startswith("20180502")]
    assert (seen["open"], seen["close"]) == (Decimal(of_day[0][1]), Decimal(of_day[-1][4]))
    assert seen["high"] == max(Decimal(line[2]) for line in of_day)
    assert seen["low"] == min(Decimal(line[3]) for line in of_day)
    assert seen["volume"] == sum(Decimal(line[5]) for line in of_day)
