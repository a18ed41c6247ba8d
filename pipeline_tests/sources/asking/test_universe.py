"""The universe file says what is wanted, or which line of it cannot be."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.asking.questions import Dataset
from pipeline_defs.sources.asking.universe import Chain, SourceUniverse, read_universe
from pipeline_defs.sources.places import _sections, universe_market, universe_path

if TYPE_CHECKING:
    from pathlib import Path

FILE = """
zerodha:
  equities: [RELIANCE, {symbol: "M&M", first_date: 2025-01-01}]
  options:
    - {underlying: NIFTY, expiries: 2, strikes: [24000.5, 25000]}
    - BANKNIFTY
ccxt:
  market: CRYPTO
  pairs: [BTC/USDT]
  bars: {spot_prices: 5m}
broken:
  equities: [{symbol: X, frist_date: 2025-01-01}]
  market: MARS
"""


@pytest.fixture
def universe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "universe.yaml"
    path.write_text(FILE, encoding="utf-8")
    monkeypatch.setenv("PIPELINE_UNIVERSE", str(path))
    _sections.cache_clear()
    return path


def test_a_symbol_alone_is_enough_and_more_can_be_said(universe: Path) -> None:
    read = read_universe("zerodha")

    assert universe_path() == universe
    assert [one.symbol for one in read.equities] == ["RELIANCE", "M&M"]
    assert read.equities[1].first_date == dt.date(2025, 1, 1)
    assert read.options[0].strikes == (Decimal("24000.5"), Decimal(25000))
    assert read.options[1].expiries == 1
    assert read.kinds_named() == {"EQ", "OPT"}


@pytest.mark.usefixtures("universe")
def test_everything_wrong_is_named_by_its_place() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_universe("broken")

    assert "section broken" in str(caught.value)
    assert "equities.0.frist_date" in caught.value.what
    assert "'MARS' is none of NSE, US, CRYPTO" in caught.value.what


@pytest.mark.usefixtures("universe")
def test_a_source_without_a_section_is_told_which_there_are() -> None:
    with pytest.raises(ConfigurationError, match="says nothing of yahoo; it speaks of: zerodha, ccxt, broken"):
        read_universe("yahoo")


def test_a_file_that_is_missing_or_no_yaml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_UNIVERSE", str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigurationError, match=r"none.yaml: cannot be read.*\n.*docs/universe.md"):
        read_universe("yahoo")
    (tmp_path / "none.yaml").write_text("a: [")
    with pytest.raises(ConfigurationError, match="is no YAML"):
        read_universe("yahoo")
    (tmp_path / "none.yaml").write_text("- a")
    with pytest.raises(ConfigurationError, match="it speaks of: none"):
        read_universe("yahoo")
    _sections.cache_clear()
    assert universe_market("yahoo") is None


@pytest.mark.usefixtures("universe")
def test_definitions_know_the_market_of_a_source() -> None:
    assert universe_market("ccxt") == "CRYPTO"
    assert universe_market("zerodha") is None
    assert universe_market("broken") is None


@pytest.mark.parametrize("symbol", ["", "../../etc", "A;DROP", "x" * 65, "a\nb", "-x"])
def test_a_symbol_that_could_be_a_path_or_a_command_is_refused(symbol: str) -> None:
    with pytest.raises(ValueError, match="symbol"):
        SourceUniverse.model_validate({"equities": [symbol]})


def test_the_nearest_expiries_are_those_alive_on_the_trade_date() -> None:
    known = {dt.date(2025, 8, day) for day in (7, 14, 21, 28)}
    chain = Chain(underlying="NIFTY", expiries=2)

    assert chain.choose_expiries(known, dt.date(2025, 8, 14)) == [dt.date(2025, 8, 14), dt.date(2025, 8, 21)]
    listed = Chain(underlying="NIFTY", expiries=(dt.date(2025, 8, 7), dt.date(2025, 8, 28)))
    assert listed.choose_expiries(known, dt.date(2025, 8, 14)) == [dt.date(2025, 8, 28)]


def test_strikes_are_compared_exactly() -> None:
    chain = Chain.model_validate({"underlying": "NIFTY", "strikes": [122.5, 130]})

    assert chain.takes_strike(Decimal("122.5"))
    assert not chain.takes_strike(Decimal("122.49"))
    assert Chain(underlying="NIFTY").takes_strike(Decimal(1))
    with pytest.raises(ValueError, match="expected CE, PE or both"):
        Chain(underlying="NIFTY", option_types=("XX",))


def test_the_digest_tells_choices_of_a_dataset_apart() -> None:
    shares = Dataset("equity_daily", 86_400, 60, ("EQ",))
    one, two = (SourceUniverse.model_validate({"equities": names}) for names in (["A"], ["A", "B"]))
    with_pairs = SourceUniverse.model_validate({"equities": ["A"], "pairs": ["BTC/USDT"]})

    assert one.digest(shares) != two.digest(shares)
    assert one.digest(shares) == with_pairs.digest(shares)
