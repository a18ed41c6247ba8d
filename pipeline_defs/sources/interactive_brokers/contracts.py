"""What to look for in TWS, and the terms of what was found there."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.sources.asking.questions import Listed

if TYPE_CHECKING:
    from collections.abc import Iterable

SECURITY_TYPES: Final = {"EQ": "STK", "SPOT": "IND", "FUT": "FUT", "OPT": "OPT"}
SMART: Final = "SMART"
_RIGHTS: Final = {"C": "CE", "CALL": "CE", "P": "PE", "PUT": "PE"}
_UNNAMEABLE: Final = re.compile(r"[^A-Z0-9&.-]+")
_UNSET: Final = Decimal("1e300")


@dataclass(frozen=True, slots=True)
class Sought:
    """A contract to look for; what is empty may be anything.

    Parameters
    ----------
    kind : str
        EQ, SPOT, FUT or OPT.
    symbol : str
        IB's symbol; of a derivative, its underlying's.
    exchange, primary, currency, trading_class : str
        In IB's words.
    expiry : str
        Last trading day, ``YYYYMMDD``.
    right : str
        ``C``, ``P`` or both.

    """

    kind: str
    symbol: str
    exchange: str = ""
    primary: str = ""
    currency: str = ""
    trading_class: str = ""
    expiry: str = ""
    right: str = ""

    def __str__(self) -> str:
        """Show it as a user would look for it."""
        parts = (self.symbol, SECURITY_TYPES[self.kind], self.expiry, self.primary or self.exchange, self.currency)
        return " ".join(part for part in parts if part)

    def contract(self) -> Any:  # noqa: ANN401 -- the client's own class
        """Give it as the client wants it."""
        from ib_async import Contract  # noqa: PLC0415 -- only a request needs the client

        return Contract(
            secType=SECURITY_TYPES[self.kind],
            symbol=self.symbol,
            exchange=self.exchange,
            primaryExchange=self.primary,
            currency=self.currency,
            tradingClass=self.trading_class,
            lastTradeDateOrContractMonth=self.expiry,
            right=self.right,
            # Futures are known for two years after they expired; options are not.
            includeExpired=self.kind == "FUT",
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A contract that TWS knows.

    Parameters
    ----------
    number : int
        IB's contract id: stays for ever.
    kind, symbol, local_symbol, trading_class, exchange, currency : str
        The contract's own.
    expiry : datetime.date or None
        The day on which it is settled: of some index options, the day after the last one on which they trade.
    strike : Decimal or None
        Of options.
    option_type : str or None
        CE or PE.
    multiplier : Decimal
        Units in one contract.
    tick_size : Decimal or None
        Smallest step of the price.
    lot_size : int or None
        Units in the smallest order, of derivatives.
    isin : str or None
        Where the user's subscriptions show it.

    """

    number: int
    kind: str
    symbol: str
    local_symbol: str
    trading_class: str
    exchange: str
    currency: str
    expiry: dt.date | None
    strike: Decimal | None
    option_type: str | None
    multiplier: Decimal
    tick_size: Decimal | None
    lot_size: int | None
    isin: str | None

    def listed(
        self,
        *,
        underlying: str | None,
        venue: str,
        first_date: dt.date | None = None,
        last_date: dt.date | None = None,
    ) -> Listed:
        """Give it as an instrument.

        Parameters
        ----------
        underlying : str or None
            Name in the warehouse; None to make it of the symbol.
        venue : str
            Name of the market in the warehouse.
        first_date, last_date : datetime.date or None
            When it is wanted.

        Returns
        -------
        Listed

        """
        terms = {
            "kind": self.kind,
            "symbol": self.local_symbol or self.symbol,
            "underlying": underlying or name_of(self.symbol),
            "expiry": self.expiry,
            "strike": self.strike,
            "option_type": self.option_type,
            "isin": self.isin,
            "lot_size": self.lot_size,
            "tick_size": self.tick_size,
            "venue": venue,
            "currency": self.currency,
        }
        return Listed(Target(self.number, self.exchange, self.multiplier).text, terms, first_date, last_date)


@dataclass(frozen=True, slots=True)
class Target:
    """What a question for history needs of a contract; its text is the instrument's id at the vendor.

    Parameters
    ----------
    number : int
        IB's contract id.
    exchange : str
        Where TWS is to look.
    multiplier : Decimal
        Units in one contract: IB counts contracts, the warehouse counts units.

    """

    number: int
    exchange: str
    multiplier: Decimal

    @property
    def text(self) -> str:
        """Give ``number@exchange``, and ``*multiplier`` where that is not 1."""
        times = "" if self.multiplier == 1 else f"*{self.multiplier.normalize():f}"
        return f"{self.number}@{self.exchange}{times}"

    @classmethod
    def read(cls, text: str) -> Target:
        """Read what `text` gives."""
        number, _, rest = text.partition("@")
        exchange, _, times = rest.partition("*")
        return cls(int(number), exchange, Decimal(times or 1))

    def contract(self, kind: str) -> Any:  # noqa: ANN401 -- the client's own class
        """Give it as the client wants it."""
        from ib_async import Contract  # noqa: PLC0415 -- only a request needs the client

        return Contract(
            conId=self.number,
            secType=SECURITY_TYPES[kind],
            exchange=self.exchange,
            includeExpired=kind == "FUT",
        )


def name_of(symbol: str) -> str:
    """Make a name for the warehouse of IB's symbol: ``BRK B`` is ``BRK.B``."""
    return _UNNAMEABLE.sub(".", symbol.upper()).strip(".")


def read_details(details: Any, kind: str) -> Found:  # noqa: ANN401 -- the client's own class
    """Read the client's details of a contract.

    Parameters
    ----------
    details : ib_async.ContractDetails
        As TWS gave it.
    kind : str
        EQ, SPOT, FUT or OPT.

    Returns
    -------
    Found

    Raises
    ------
    SchemaDriftError
        If a derivative has no readable expiry, or an option no strike or side.

    """
    contract = details.contract
    is_derivative = kind in {"FUT", "OPT"}
    multiplier = _decimal(contract.multiplier) or Decimal(1)
    return Found(
        number=contract.conId,
        kind=kind,
        symbol=contract.symbol,
        local_symbol=contract.localSymbol,
        trading_class=contract.tradingClass,
        exchange=contract.exchange or SMART,
        currency=contract.currency,
        expiry=_expiry(details) if is_derivative else None,
        strike=_needed(_decimal(contract.strike), "strike", contract) if kind == "OPT" else None,
        option_type=_needed(_RIGHTS.get(contract.right.upper()), "right", contract) if kind == "OPT" else None,
        multiplier=multiplier if is_derivative else Decimal(1),
        tick_size=_decimal(details.minTick),
        lot_size=_lot(multiplier, _decimal(details.minSize)) if is_derivative else None,
        isin=_isin(details.secIdList),
    )


def _expiry(details: Any) -> dt.date:  # noqa: ANN401
    text = details.realExpirationDate or details.contract.lastTradeDateOrContractMonth
    try:
        return dt.datetime.strptime(text[:8], "%Y%m%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        return _needed(None, f"expiry (it says {text!r})", details.contract)


def _needed[T](value: T | None, what: str, contract: Any) -> T:  # noqa: ANN401
    if value is None:
        raise SchemaDriftError(
            f"contract {contract.conId} ({contract.localSymbol}) comes without a readable {what}",
            where="interactive_brokers",
            next_step="look the contract up in TWS; if it is right there, report it with this message",
        )
    return value


def _decimal(value: float | str) -> Decimal | None:
    """Read one of TWS's numbers; zero, nothing and its mark for a number that is not set are None."""
    try:
        number = Decimal(str(value) or "0")
    except InvalidOperation:
        return None
    return number.normalize() if number.is_finite() and 0 < number < _UNSET else None


def _lot(multiplier: Decimal, min_size: Decimal | None) -> int | None:
    size = multiplier if multiplier != 1 else (min_size or multiplier)
    return int(size) if size == size.to_integral_value() else None


def _isin(identifiers: Iterable[Any] | None) -> str | None:
    return next((one.value for one in identifiers or () if one.tag == "ISIN" and one.value), None)
