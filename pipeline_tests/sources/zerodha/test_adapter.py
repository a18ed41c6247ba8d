from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_tests.sources.zerodha.offline import EXPECTED, TRADE_DATE, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.sources.zerodha.adapter import ZerodhaSource
    from pipeline_tests.sources.zerodha.server import KiteServer

type Make = Callable[..., ZerodhaSource]
type Fetch = Callable[..., dict[tuple[str, dt.date], ImportBatch]]

MEASURED = ("symbol", "timestamp", "open", "high", "low", "close", "volume")


def rows(batch: ImportBatch) -> set[tuple[object, ...]]:
    joined = batch.observations.join(batch.contracts, on="contract_key")
    return set(joined.select(MEASURED).rows())


def test_every_table_has_the_rows_that_were_written_by_hand(source: Make, fetch: Fetch) -> None:
    batches = fetch(source())
    assert {table for table, _ in batches} == set(EXPECTED)
    for table, expected in EXPECTED.items():
        assert rows(batches[table, TRADE_DATE]) == set(expected)


def test_what_is_offered_to_the_shared_tests_runs() -> None:
    with start() as offline:
        assert offline.expected is EXPECTED
        assert offline.requests() == []


def test_a_request_names_times_in_india_and_asks_for_open_interest_of_derivatives_only(
    source: Make, fetch: Fetch, kite: KiteServer
) -> None:
    fetch(source(), "spot_prices", "futures_ticks")
    asked = {urlsplit(path).path: parse_qs(urlsplit(path).query) for path in kite.history}
    share = asked["/instruments/historical/738561/minute"]
    assert (share["from"], share["to"], share["oi"]) == (["2025-08-20 00:00:00"], ["2025-08-20 23:59:59"], ["0"])
    assert asked["/instruments/historical/13238786/minute"]["oi"] == ["1"]


def test_contracts_carry_the_terms_of_the_dump(source: Make, fetch: Fetch) -> None:
    contracts = fetch(source(), "options_ticks")["options_ticks", TRADE_DATE].contracts
    (call,) = contracts.filter(option_type="CE").rows(named=True)
    assert call == {
        "contract_key": 0,
        "kind": "OPT",
        "symbol": "NIFTY30DEC24500CE",
        "underlying": "NIFTY",
        "expiry": dt.date(2030, 12, 31),
        "strike": Decimal(24500),
        "option_type": "CE",
        "rank": None,
        "series": None,
        "isin": None,
        "lot_size": 75,
        "tick_size": Decimal("0.05"),
        "venue": "NSE",
        "currency": "INR",
        "base_currency": None,
    }


def test_open_interest_of_a_future_is_kept(source: Make, fetch: Fetch) -> None:
    batch = fetch(source(), "futures_ticks")["futures_ticks", TRADE_DATE]
    assert batch.observations["open_interest"].to_list() == [7500, 7575, 7650]


def test_an_index_has_no_volume_rather_than_zero(source: Make, fetch: Fetch) -> None:
    batch = fetch(source(indices=["NIFTY 50"]), "spot_prices")["spot_prices", TRADE_DATE]
    assert batch.observations["volume"].to_list() == [None] * 3


def test_sixty_days_of_minutes_are_one_request_and_a_day_more_are_two(
    source: Make, fetch: Fetch, kite: KiteServer
) -> None:
    first = dt.date(2025, 5, 2)
    fetch(source(indices=["NIFTY 50"]), first=first, last=first + dt.timedelta(days=59))
    assert len(kite.history) == 1
    fetch(source(indices=["NIFTY 50"]), first=first, last=first + dt.timedelta(days=60))
    assert len(kite.history) == 3


def test_another_length_of_bars_has_its_own_range(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    first = dt.date(2024, 7, 1)
    of = source(indices=["NIFTY 50"], bars={"spot_prices": "5m"})
    batches = fetch(of, first=first, last=first + dt.timedelta(days=99))
    assert len(kite.history) == 1
    assert "/5minute?" in kite.history[0]
    assert {batch.bar_seconds for batch in batches.values()} == {300}


def test_the_last_hour_of_a_session_ends_with_it(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.candles["256265"] = [["2025-08-20T15:15:00+0530", 24420, 24421.5, 24419.55, 24420.35, 0]]
    batch = fetch(source(indices=["NIFTY 50"], bars={"spot_prices": "1h"}))["spot_prices", TRADE_DATE]
    assert batch.observations["timestamp"].to_list() == [dt.datetime(2025, 8, 20, 10, tzinfo=dt.UTC)]


def test_daily_bars_of_an_index_are_spot_prices_and_those_of_a_share_are_not(source: Make, fetch: Fetch) -> None:
    of = source(equities=["RELIANCE"], indices=["NIFTY 50"], bars={"spot_prices": "1d"})
    batch = fetch(of, "spot_prices")["spot_prices", TRADE_DATE]
    assert batch.contracts["symbol"].to_list() == ["NIFTY 50"]
    assert batch.observations["timestamp"].to_list() == [dt.datetime(2025, 8, 20, 10, tzinfo=dt.UTC)]


def test_a_length_that_kite_has_not_is_refused_before_anything_is_asked(
    source: Make, fetch: Fetch, kite: KiteServer
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        fetch(source(indices=["NIFTY 50"], bars={"spot_prices": "2m"}))
    assert str(caught.value) == (
        "zerodha spot_prices: Kite has no bars of 120 s\n"
        "Next: choose one of 1m, 3m, 5m, 10m, 15m, 30m, 1h, 1d in the universe's bars"
    )
    assert kite.paths == []


def test_the_daily_table_takes_no_bars_within_the_day(source: Make, fetch: Fetch) -> None:
    with pytest.raises(ConfigurationError, match="equity_daily holds sessions, not bars of 300 s"):
        fetch(source(equities=["RELIANCE"], bars={"equity_daily": "5m"}), "equity_daily")


def test_a_holiday_is_confirmed_without_a_request(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    independence = dt.date(2025, 8, 15)
    batch = fetch(source(indices=["NIFTY 50"]), first=independence)["spot_prices", independence]
    assert (batch.empty_reason or "").startswith("holiday")
    assert kite.history == []


def test_the_source_describes_itself(source: Make, monkeypatch: pytest.MonkeyPatch, kite: KiteServer) -> None:
    assert source().get_metadata().source_url == kite.url
    monkeypatch.delenv("PIPELINE_ZERODHA_ENDPOINT")
    metadata = source().get_metadata()
    assert (metadata.source, metadata.source_url, metadata.source_type) == ("zerodha", "https://api.kite.trade", "api")


def test_importing_the_adapter_does_not_import_the_client(home: Path) -> None:
    code = (
        "import sys, pipeline_defs.sources.zerodha.adapter\n"
        "print([name for name in ('kiteconnect', 'twisted', 'requests') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=home.cwd())
    assert shown.stdout.strip() == "[]"
