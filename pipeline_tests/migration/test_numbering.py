"""Numbers are only believed where no other story fits."""

from __future__ import annotations

from pipeline_defs.migration.legacy import LegacySymbol
from pipeline_defs.migration.numbering import number_symbols, shared_symbol
from pipeline_defs.migration.venues import find_venue, kind_of


def test_numbers_of_one_ingestion_are_the_places_of_the_symbols() -> None:
    found = number_symbols(["A", "B", "C"], [51, 52, 53], {1, 2, 3}, {"one": {1, 2, 3}})

    assert (found.sids, found.problem) == ((1, 2, 3), None)


def test_numbers_above_the_count_of_symbols_are_ids_of_the_global_table() -> None:
    found = number_symbols(["A", "B", "C"], [51, 52, 53], {51, 53}, {"one": {51, 53}})

    assert (found.sids, found.problem) == ((51, 52, 53), None)


def test_fewer_numbers_than_symbols_may_mean_any_of_them() -> None:
    for ids in (None, [1, 2, 3], [54, 55, 56]):
        found = number_symbols(["A", "B", "C"], ids, {1}, {"one": {1}})

        assert found.sids == (None, None, None)
        assert found.problem is not None
        assert found.problem.reason == "sids_reused"
        assert "3 symbols (A, B, C) and 1 numbers (1)" in found.problem.detail


def test_numbers_that_are_neither_places_nor_ids_are_nobodys() -> None:
    found = number_symbols(["A", "B"], [51, 52], {1, 51}, {"one": {1, 51}})

    assert found.problem is not None
    assert found.problem.reason == "sids_reused"


def test_a_file_without_the_last_numbers_is_doubted() -> None:
    found = number_symbols(["A", "B", "C"], None, {1, 2, 3}, {"old": {1, 2}, "new": {1, 2, 3}, "empty": set()})

    assert found.sids == (1, 2, 3)
    assert found.problem is not None
    assert found.problem.reason == "sids_doubtful"
    assert "1 of 3 files, old for one, have no number above 2" in found.problem.detail


def test_a_file_without_another_number_had_a_symbol_without_trades() -> None:
    assert number_symbols(["A", "B", "C"], None, {1, 2, 3}, {"old": {1, 3}, "new": {1, 2, 3}}).problem is None


def test_without_symbols_nothing_can_be_told() -> None:
    found = number_symbols([], None, set(range(1, 9)), {})

    assert found.problem is not None
    assert found.problem.reason == "symbols_unknown"
    assert "1, 2, 3, 4, 5 and 3 more" in found.problem.detail


def test_a_symbol_that_two_numbers_have_is_told() -> None:
    assert shared_symbol(["A", "B"]) is None
    found = shared_symbol(["A", "B", "A"])
    assert found is not None
    assert "the symbol A" in found.detail


def _symbols(*pairs: tuple[str, str | None]) -> list[LegacySymbol]:
    return [LegacySymbol(symbol, None, "equity", exchange) for symbol, exchange in pairs]


def test_kinds_are_those_recorded_and_pairs_show_in_their_names() -> None:
    assert kind_of(LegacySymbol("BTC/USDT", None)) == "PAIR"
    assert kind_of(LegacySymbol("BTCUSDT", None, "crypto")) == "PAIR"
    assert kind_of(LegacySymbol("NIFTY", None, "index")) == "SPOT"
    assert kind_of(LegacySymbol("NSE00", None, "future")) == "EQ"


def test_the_exchange_of_each_symbol_tells_the_market() -> None:
    assert find_venue("b", _symbols(("A", "NSE"), ("B", "BSE")), "csv", None).market == "NSE"
    assert find_venue("b", _symbols(("A", "nasdaq")), "csv", None).market == "US"


def test_what_the_user_says_counts_before_all_else() -> None:
    found = find_venue("b", _symbols(("A", "NSE")), "csv", None, told="US")

    assert (found.market, found.told_by) == ("US", "named by the user")


def test_yahoos_suffixes_tell_the_market_and_others_are_not_guessed() -> None:
    for symbol, market in (("AAPL", "US"), ("BRK-B", "US"), ("RELIANCE.NS", "NSE"), ("TCS.BO", "NSE")):
        assert find_venue("b", _symbols((symbol, None)), "yfinance", None).market == market
    for symbol in ("BARC.L", "^NSEI", "EURUSD=X", "BTC-USD"):
        found = find_venue("mine", _symbols((symbol, None)), "yfinance", None)
        assert found.problem is not None
        assert found.problem.reason == "market_unknown"
        assert symbol in found.problem.detail
        assert found.problem.next_step == "name it: --market mine=NSE (one of NSE, US, CRYPTO)"


def test_a_bundle_of_several_markets_is_told() -> None:
    found = find_venue("b", _symbols(("AAPL", None), ("TCS.NS", None)), "yfinance", None)

    assert found.problem is not None
    assert (found.problem.reason, found.problem.detail) == ("market_mixed", "its symbols trade in NSE and US")


def test_a_bundle_of_which_some_markets_are_unknown_is_told() -> None:
    found = find_venue("b", _symbols(("AAPL", None), ("BARC.L", None)), "yfinance", None)

    assert found.problem is not None
    assert found.problem.reason == "market_unknown"


def test_pairs_trade_where_it_is_recorded_or_where_they_came_from() -> None:
    pair = [LegacySymbol("BTC/USDT", None, "crypto", "Binance")]
    assert find_venue("b", pair, "ccxt", None).venue == "binance"
    unrecorded = [LegacySymbol("BTC/USDT", None)]
    assert find_venue("b", unrecorded, "ccxt", "https://api.kraken.com/0").venue == "kraken"
    found = find_venue("b", unrecorded, "ccxt", None)
    assert (found.market, found.venue) == ("CRYPTO", None)


def test_the_calendar_of_a_bcolz_bundle_tells_the_market() -> None:
    assert find_venue("b", _symbols(("A", "CSVDIR")), "csv", None, calendar="XNYS").market == "US"
    assert find_venue("b", _symbols(("A", "CSVDIR")), "csv", None, calendar="XLON").market is None
