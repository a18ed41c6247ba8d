"""Messages of TWS, field by field, in the order in which the client's decoder takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_tests.sources.interactive_brokers.frames import frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline_tests.sources.interactive_brokers.world import Bar, OptionOffer, Security

CONTRACT_FIELDS = (
    "conId",
    "symbol",
    "secType",
    "lastTradeDateOrContractMonth",
    "strike",
    "right",
    "multiplier",
    "exchange",
    "primaryExchange",
    "currency",
    "localSymbol",
    "tradingClass",
)
EVERY_REQUEST = -1


def managed_accounts() -> bytes:
    return frame(15, 1, "DU0000001")


def next_valid_id() -> bytes:
    return frame(9, 1, 1)


def error(request: object, code: int, text: str, version: int = 178) -> bytes:
    return frame(4, 2, request, code, text, *([""] if version >= 166 else []))


def contract_details(request: object, one: Security, version: int = 178) -> bytes:
    fields: list[object] = [10]
    if version < 164:
        fields += [8]
    fields += [
        request, one.symbol, one.security_type, one.last_trade, one.strike, one.right, one.exchange, one.currency,
        one.local_symbol, one.trading_class, one.trading_class, one.number, one.min_tick,
    ]  # fmt: skip
    if version < 164:
        fields += [100]  # the size's multiplier of old
    identifiers = ["ISIN", one.isin] if one.isin else []
    fields += [
        one.multiplier, "LMT,MKT", one.exchange, 1, 0, f"{one.symbol} of the tests", one.primary, one.last_trade[:6],
        "", "", "", "US/Eastern", "", "", "", 0, len(identifiers) // 2, *identifiers,
        1, one.symbol, "", "26", one.expires, "COMMON",
    ]  # fmt: skip
    if version == 163:
        fields += ["1"]
    if version >= 164:
        fields += [one.min_size, "1", "100"]
    return frame(*fields)


def contract_details_end(request: object) -> bytes:
    return frame(52, 1, request)


def historical_data(request: object, bars: Sequence[Bar], first: str = "", last: str = "") -> bytes:
    return frame(17, request, first, last, len(bars), *(cell for bar in bars for cell in bar))


def historical_data_update(request: object, bar: Bar) -> bytes:
    date, opens, high, low, closes, volume, average, count = bar
    return frame(90, request, count, date, opens, closes, high, low, average, volume)


def historical_ticks(kind: int, request: object, ticks: Sequence[Sequence[str]], *, done: bool) -> bytes:
    return frame(kind, request, len(ticks), *(cell for tick in ticks for cell in tick), done)


def option_offer(request: object, offer: OptionOffer) -> bytes:
    return frame(
        75, request, offer.exchange, offer.underlying, offer.trading_class, offer.multiplier,
        len(offer.expirations), *offer.expirations, len(offer.strikes), *offer.strikes,
    )  # fmt: skip


def option_offers_end(request: object) -> bytes:
    return frame(76, request)


def symbol_samples(request: object, found: Iterable[Security]) -> bytes:
    found = list(found)
    cells: list[object] = []
    for one in found:
        cells += [one.number, one.symbol, one.security_type, one.primary, one.currency, 1, "OPT", one.symbol, ""]
    return frame(79, request, len(found), *cells)
