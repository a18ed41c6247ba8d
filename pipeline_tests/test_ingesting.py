"""From what a person says to a source and a request: names, dates that nobody named, and the universe file's words."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError, MarketRuleError
from pipeline_defs.ingesting import ImportOrder, list_questions, prepare_import
from pipeline_defs.settings import Settings, load_settings
from pipeline_defs.sources.asking.source import ApiSource
from pipeline_defs.sources.registry import SOURCES, canonical_name

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
"""A Friday, before New York opens; the day before was Thanksgiving."""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.delenv("PIPELINE_UNIVERSE", raising=False)
    return load_settings()


def asked(settings: Settings, order: ImportOrder, now: dt.datetime = NOW) -> ApiSource:
    source = prepare_import(order, settings, now).source
    assert isinstance(source, ApiSource)
    return source


@pytest.mark.parametrize(
    ("order", "now", "dates"),
    [
        (ImportOrder(source="yahoo", symbols=("AAPL",), frequency="1d"), NOW, ("2025-11-26", "2026-11-25")),
        (ImportOrder(source="yahoo", symbols=("AAPL",), frequency="1m"), NOW, ("2026-11-19", "2026-11-25")),
        # The close of the 25th is final four hours later.
        (
            ImportOrder(source="yahoo", symbols=("AAPL",), frequency="1d"),
            dt.datetime(2026, 11, 26, 0, 59, tzinfo=dt.UTC),
            ("2025-11-25", "2026-11-24"),
        ),
        (ImportOrder(source="ccxt", symbols=("BTC/USDT",), frequency="1d"), NOW, ("2025-11-27", "2026-11-26")),
        (
            ImportOrder(source="ccxt", symbols=("BTC/USDT",), frequency="1d", end_date=dt.date(2026, 3, 1)),
            NOW,
            ("2025-03-02", "2026-03-01"),
        ),
        (
            ImportOrder(source="ccxt", symbols=("BTC/USDT",), start_date=dt.date(2026, 11, 1)),
            NOW,
            ("2026-11-01", "2026-11-26"),
        ),
    ],
)
def test_dates_that_nobody_named_end_with_the_last_final_session(
    settings: Settings, order: ImportOrder, now: dt.datetime, dates: tuple[str, str]
) -> None:
    request = prepare_import(order, settings, now).request

    assert (str(request.start_date), str(request.end_date)) == dates


@pytest.mark.parametrize(
    ("source", "symbol", "section"),
    [
        ("yahoo", "AAPL", "equities"),
        ("yahoo", "^NSEI", "indices"),
        ("polygon", "I:SPX", "indices"),
        ("polygon", "SPY", "equities"),
        ("zerodha", "NIFTY 50", "indices"),
        ("zerodha", "M&M", "equities"),
        ("ccxt", "ETH/USDT", "pairs"),
        ("interactive-brokers", "AAPL", "equities"),
    ],
)
def test_what_a_symbol_is_shows_in_its_spelling(settings: Settings, source: str, symbol: str, section: str) -> None:
    universe = asked(settings, ImportOrder(source=source, symbols=(symbol,))).wanted

    assert [one.name for one in getattr(universe, section)] == [symbol]
    assert len(universe.kinds_named()) == 1


def test_a_chain_is_named_by_its_underlying(settings: Settings) -> None:
    order = ImportOrder(source="zerodha", symbols=("NIFTY",), kind="option", frequency="1m")
    prepared = prepare_import(order, settings, NOW)

    (question,) = list_questions(prepared)
    assert (question.table, question.names, prepared.is_narrowed) == ("options_ticks", ("NIFTY",), True)


def test_days_of_shares_and_of_indices_go_to_tables_of_their_own(settings: Settings) -> None:
    order = ImportOrder(source="yahoo", symbols=("^NSEI", "TCS.NS"), market="NSE", frequency="1d")
    questions = {one.table: one for one in list_questions(prepare_import(order, settings, NOW))}

    assert {table: one.names for table, one in questions.items()} == {
        "equity_daily": ("TCS.NS",),
        "spot_prices": ("^NSEI",),
    }
    assert {one.bar_seconds for one in questions.values()} == {86_400}
    assert asked(settings, order).market.name == "NSE"


def test_what_the_universe_file_says_of_a_symbol_holds(settings: Settings) -> None:
    (settings.home / "universe.yaml").write_text(
        "ccxt:\n  exchange: kraken\n  pairs: [{symbol: BTC/USDT, underlying: XBT}, ETH/USDT]\n"
        "yahoo:\n  equities: [AAPL]\n"
    )
    same = asked(settings, ImportOrder(source="ccxt", symbols=("BTC/USDT",))).wanted
    elsewhere = asked(settings, ImportOrder(source="ccxt", symbols=("BTC/USDT",), exchange="binance")).wanted
    file_alone = asked(settings, ImportOrder(source="yfinance", frequency="1d")).wanted

    assert (same.exchange, [one.underlying for one in same.pairs]) == ("kraken", ["XBT"])
    assert (elsewhere.exchange, [one.underlying for one in elsewhere.pairs]) == ("binance", [None])
    assert [one.symbol for one in file_alone.equities] == ["AAPL"]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (ImportOrder(source="yahoo", symbols=("A",), tables=("spot_prices",), frequency="1d"), "are in equity_daily"),
        (ImportOrder(source="yahoo", symbols=("A",), frequency="1m,1d"), "several lengths"),
        (ImportOrder(source="manual_csv", exchange="binance"), "exchange cannot be chosen"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_asked(
    settings: Settings, order: ImportOrder, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        prepare_import(order, settings, NOW)


def test_a_market_whose_calendar_has_ended_asks_for_dates(settings: Settings) -> None:
    order = ImportOrder(source="yahoo", symbols=("AAPL",), frequency="1d")
    with pytest.raises(MarketRuleError, match="calendar of US"):
        prepare_import(order, settings, dt.datetime(2090, 1, 1, tzinfo=dt.UTC))


def test_what_users_call_a_source_is_no_sources_own_name() -> None:
    called = {
        "yfinance": "yahoo",
        "ib": "interactive_brokers",
        "kite": "zerodha",
        "csv": "manual_csv",
        "nse": "nse_csv",
    }

    assert {name: canonical_name(name) for name in called} == called
    assert {name: canonical_name(name.replace("_", "-")) for name in SOURCES} == {name: name for name in SOURCES}
