"""The universe's instruments, each found in TWS.

What was found is kept as long as the adapter lives: a contract's number stays, and asking for a chain takes long. Only
which expiries are wanted depends on the day.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final, Protocol

from pipeline_defs.errors import SourceError
from pipeline_defs.sources.interactive_brokers.contracts import SMART, Found, Sought, name_of, read_details
from pipeline_defs.sources.interactive_brokers.errors import UNKNOWN_CONTRACT, UnknownContractError
from pipeline_defs.sources.interactive_brokers.expiries import (
    choose_option_expiries,
    choose_trading_class,
    read_expiry,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from pipeline_defs.markets.market import Market
    from pipeline_defs.sources.asking.questions import Dataset, Listed, Window
    from pipeline_defs.sources.asking.universe import Chain, Named, SourceUniverse
    from pipeline_defs.sources.interactive_brokers.session import Reply

_MAX_NEAR: Final = 6
_SHORTEST_PATTERN: Final = 3
_SIDES: Final[dict[tuple[str, ...], str]] = {("CE",): "C", ("PE",): "P"}


class Ask(Protocol):
    """Sends a request that is not for history, under its limit and with retries."""

    def __call__(self, send: Callable[[Any, int], None], where: str) -> Reply:
        """Give the reply."""
        ...


class Listing:
    """Finds instruments.

    Parameters
    ----------
    wanted : SourceUniverse
        What is wanted.
    market : Market
        Whose days, currency and venue hold where the universe names none.
    ask : Ask
        Sends requests.

    """

    def __init__(self, wanted: SourceUniverse, market: Market, ask: Ask) -> None:
        self._wanted, self._market, self._ask = wanted, market, ask
        self._found: dict[Sought, list[Found]] = {}
        self._chains: dict[int, list[Any]] = {}

    def instruments(self, dataset: Dataset, window: Window, today: dt.date) -> list[Listed]:
        """List the instruments of a dataset.

        Parameters
        ----------
        dataset : Dataset
            Whose kinds are wanted.
        window : Window
            Whose days choose the expiries of chains.
        today : datetime.date
            In the market's zone.

        Returns
        -------
        list of Listed

        Raises
        ------
        SourceError
            If TWS does not know one, or knows several where one is meant.

        """
        listed: list[Listed] = []
        if "EQ" in dataset.kinds:
            listed += [self._named(one, "EQ") for one in self._wanted.equities]
        if "SPOT" in dataset.kinds:
            listed += [self._named(one, "SPOT") for one in self._wanted.indices]
        if "FUT" in dataset.kinds:
            listed += [one for chain in self._wanted.futures for one in self._futures(chain, window)]
        if "OPT" in dataset.kinds:
            listed += [one for chain in self._wanted.options for one in self._options(chain, window, today)]
        return listed

    # Shares and indices. -----------------------------------------------------------------------------------------

    def _named(self, one: Named, kind: str) -> Listed:
        found = self._one(self._sought(one, kind))
        return found.listed(
            underlying=one.underlying,
            venue=one.venue or self._market.venue,
            first_date=one.first_date,
            last_date=one.last_date,
        )

    def _sought(self, one: Named, kind: str) -> Sought:
        currency = one.currency or self._market.currency
        if kind == "SPOT":
            return Sought("SPOT", one.symbol, exchange=one.venue or "", currency=currency)
        if currency == "USD":
            # American shares trade in many places: SMART gives the trades of all of them.
            return Sought("EQ", one.symbol, exchange=SMART, primary=one.venue or "", currency=currency)
        return Sought("EQ", one.symbol, exchange=one.venue or self._market.venue, currency=currency)

    def _one(self, sought: Sought) -> Found:
        found = {one.number: one for one in self._look_up(sought)}
        if len(found) > 1:
            places = ", ".join(sorted({f"{one.exchange} {one.currency} (id {one.number})" for one in found.values()}))
            raise SourceError(
                f"{sought} is the name of {len(found)} contracts: {places}",
                where="interactive_brokers",
                next_step="name the venue and the currency in the universe",
            )
        return next(iter(found.values()))

    def _look_up(self, sought: Sought) -> list[Found]:
        known = self._found.get(sought)
        if known is None:
            contract = sought.contract()
            try:
                reply = self._ask(
                    lambda client, number: client.reqContractDetails(number, contract),
                    f"interactive_brokers contract {sought}",
                )
            except UnknownContractError:
                raise self._unknown(sought) from None
            known = [read_details(one, sought.kind) for one in reply.objects]
            if not known:
                raise self._unknown(sought)
            self._found[sought] = known
        return known

    def _unknown(self, sought: Sought) -> UnknownContractError:
        near = self._near(sought.symbol)
        meant = f"; TWS knows: {', '.join(near)}" if near else ""
        return UnknownContractError(
            f"TWS knows no contract {sought} ({UNKNOWN_CONTRACT}){meant}",
            where="interactive_brokers",
            next_step="check symbol, venue and currency in the universe; expired options are not served",
        )

    def _near(self, symbol: str) -> list[str]:
        """Ask for names like a wrong one; a failure here must not hide that it is wrong."""
        shown: list[str] = []
        for pattern in dict.fromkeys((symbol, symbol[:_SHORTEST_PATTERN])):
            try:
                reply = self._ask(_send_pattern(pattern), f"interactive_brokers symbols like {pattern}")
            except SourceError:
                break
            contracts = [one.contract for one in reply.objects]
            close = difflib.get_close_matches(symbol, [one.symbol for one in contracts], n=_MAX_NEAR, cutoff=0.4)
            shown += [
                f"{one.symbol} ({one.secType} {one.primaryExchange} {one.currency})"
                for name in dict.fromkeys(close)
                for one in contracts
                if one.symbol == name
            ]
        return list(dict.fromkeys(shown))[:_MAX_NEAR]

    # Chains. -----------------------------------------------------------------------------------------------------

    def _futures(self, chain: Chain, window: Window) -> list[Listed]:
        symbol, wanted_class = _parts(chain)
        sought = Sought(
            "FUT",
            symbol,
            exchange=chain.venue or self._default_exchange(),
            currency=chain.currency or self._market.currency,
            trading_class=wanted_class,
        )
        found = self._look_up(sought)
        trading_class = choose_trading_class(symbol, wanted_class, [one.trading_class for one in found])
        found = [one for one in found if one.trading_class == trading_class]
        places = sorted({one.exchange for one in found})
        if len(places) > 1:
            raise SourceError(
                f"futures of {chain.underlying} trade at several places: {', '.join(places)}",
                where=f"interactive_brokers {chain.underlying}",
                next_step="name one of them as the venue of the chain in the universe",
            )
        by_expiry = {one.expiry: one for one in found if one.expiry is not None}
        chosen = chain.choose_expiries(set(by_expiry), window.first)
        if not chosen:
            raise SourceError(
                f"no future of {chain.underlying} that is wanted for {window.first} is known; there are:"
                f" {', '.join(str(day) for day in sorted(by_expiry)[-8:])}",
                where=f"interactive_brokers {chain.underlying}",
                next_step="correct the expiries in the universe; futures are served for two years after they expired",
            )
        return [self._of_chain(by_expiry[day], chain) for day in chosen]

    def _options(self, chain: Chain, window: Window, today: dt.date) -> list[Listed]:
        symbol, wanted_class = _parts(chain)
        underlying = self._underlying(symbol, chain)
        offers = [one for one in self._offers(underlying) if one.exchange == (chain.venue or self._options_exchange())]
        if not offers:
            places = ", ".join(sorted({one.exchange for one in self._offers(underlying)})) or "nowhere"
            raise SourceError(
                f"no options on {symbol} at {chain.venue or self._options_exchange()}; there are some at: {places}",
                where=f"interactive_brokers {chain.underlying}",
                next_step="name one of these as the venue of the chain in the universe",
            )
        trading_class = choose_trading_class(symbol, wanted_class, [one.tradingClass for one in offers])
        offer = next(one for one in offers if one.tradingClass == trading_class)
        known = {read_expiry(text) for text in offer.expirations}
        listed: list[Listed] = []
        for expiry in choose_option_expiries(chain, known, window.first, today):
            sought = Sought(
                "OPT",
                symbol,
                exchange=offer.exchange,
                currency=underlying.currency,
                trading_class=trading_class,
                expiry=f"{expiry:%Y%m%d}",
                right=_SIDES.get(chain.option_types, ""),
            )
            listed += [
                self._of_chain(one, chain)
                for one in self._look_up(sought)
                if one.trading_class == trading_class
                and one.option_type in chain.option_types
                and one.strike is not None
                and chain.takes_strike(one.strike)
            ]
        if not listed:
            raise SourceError(
                f"no option of {chain.underlying} has a strike that is wanted; there are"
                f" {min(offer.strikes, default=0):g} to {max(offer.strikes, default=0):g}",
                where=f"interactive_brokers {chain.underlying}",
                next_step="correct the strikes in the universe",
            )
        return listed

    def _underlying(self, symbol: str, chain: Chain) -> Found:
        """Find the share or the index that options are on: an index where the universe names it among these."""
        currency = chain.currency or self._market.currency
        index = next((one for one in self._wanted.indices if one.symbol == symbol), None)
        if index is not None:
            return self._one(self._sought(index, "SPOT"))
        exchange = SMART if currency == "USD" else chain.venue or self._market.venue
        try:
            return self._one(Sought("EQ", symbol, exchange=exchange, currency=currency))
        except UnknownContractError:
            return self._one(Sought("SPOT", symbol, currency=currency))

    def _offers(self, underlying: Found) -> list[Any]:
        known = self._chains.get(underlying.number)
        if known is None:
            kind = "IND" if underlying.kind == "SPOT" else "STK"
            reply = self._ask(
                lambda client, number: client.reqSecDefOptParams(
                    number, underlying.symbol, "", kind, underlying.number
                ),
                f"interactive_brokers option chain {underlying.symbol}",
            )
            known = self._chains[underlying.number] = reply.objects
        return known

    def _of_chain(self, found: Found, chain: Chain) -> Listed:
        symbol, wanted_class = _parts(chain)
        # A class that was named keeps its own name: its contracts may settle otherwise on the same expiry.
        return found.listed(
            underlying=name_of(wanted_class or symbol),
            venue=chain.venue or self._market.venue,
            first_date=chain.first_date,
            last_date=chain.last_date,
        )

    def _default_exchange(self) -> str:
        return "" if self._market.currency == "USD" else self._market.venue

    def _options_exchange(self) -> str:
        return SMART if self._market.currency == "USD" else self._market.venue


def _send_pattern(pattern: str) -> Callable[[Any, int], None]:
    def send(client: Any, number: int) -> None:  # noqa: ANN401 -- the client's own class
        client.reqMatchingSymbols(number, pattern)

    return send


def _parts(chain: Chain) -> tuple[str, str]:
    """Read ``SPX.SPXW``: the underlying, and the trading class of its contracts."""
    symbol, _, trading_class = chain.underlying.partition(".")
    return symbol, trading_class
