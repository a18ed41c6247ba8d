from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import backtrader as bt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_defs.exports.backtrader import readback
from pipeline_defs.exports.backtrader.readback import as_backtrader_holds, read_texts, replay, text_bars
from pipeline_defs.exports.backtrader.text import HEADER

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

# At most 15 digits, as `checks` has it.
PRICES = st.integers(min_value=0, max_value=10**15 - 1).map(lambda minor: Decimal(minor).scaleb(-8))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(prices=st.lists(PRICES, min_size=1, max_size=30))
def test_every_price_that_is_exported_comes_back_from_backtrader_exactly(tmp_path: Path, prices: list[Decimal]) -> None:
    file = tmp_path / "prices.csv"
    lines = [f"2025-08-14 10:{n // 60:02}:{n % 60:02},{p:f},{p:f},{p:f},{p:f},{n},0" for n, p in enumerate(prices)]
    file.write_text("\n".join([HEADER, *lines]) + "\n")
    found = replay(bt.feeds.GenericCSVData(dataname=str(file)))
    assert found["close"].to_list() == prices
    assert found["volume"].to_list() == [Decimal(number) for number in range(len(prices))]


VOLUMES = st.decimals(min_value=0, max_value=2**53, places=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(volumes=st.lists(VOLUMES, min_size=1, max_size=30))
def test_every_volume_comes_back_from_backtrader_as_the_nearest_float_and_from_the_text_exactly(
    tmp_path: Path, volumes: list[Decimal]
) -> None:
    file = tmp_path / "volumes.csv"
    texts = [f"{volume:f}".rstrip("0").rstrip(".") for volume in volumes]
    lines = [f"2025-08-14 10:{n // 60:02}:{n % 60:02},1,1,1,1,{text},0" for n, text in enumerate(texts)]
    file.write_text("\n".join([HEADER, *lines]) + "\n")
    exact = text_bars(file.read_bytes())
    assert exact["volume"].to_list() == volumes
    (read,) = read_texts(tmp_path, [file.name])
    assert (read.defect, read.sums["volume"]) == (None, sum(volumes))
    replayed = replay(bt.feeds.GenericCSVData(dataname=str(file), timeframe=bt.TimeFrame.Seconds))
    assert as_backtrader_holds(exact).equals(replayed)


def test_a_number_that_is_missing_is_null_and_not_zero(tmp_path: Path) -> None:
    file = tmp_path / "gap.csv"
    file.write_text(f"{HEADER}\n2025-08-14 10:00:00,1,1,1,1,,\n")
    found = replay(bt.feeds.GenericCSVData(dataname=str(file)))
    assert found.select("volume", "open_interest").row(0) == (None, None)


def test_texts_read_in_many_batches_come_in_the_order_asked_for(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [path.name for path in export.glob("*.csv")]
    whole = list(read_texts(export, files))
    monkeypatch.setattr(readback, "_BATCH_BYTES", 4_000)
    assert list(read_texts(export, files)) == whole
    assert list(read_texts(export, [*reversed(files)])) == [*reversed(whole)]
    assert [text.rows for text in whole] == [60] * 8
