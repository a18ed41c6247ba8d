"""What the sidecar describes, as value types: a contract, its files, its terms by date, its settlement, its sessions.

Reading and writing them is the business of `contracts`. Backtrader is not imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_defs.errors import ExportError

if TYPE_CHECKING:
    import datetime as dt
    from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a contract is worth at its expiry.

    Parameters
    ----------
    price : Decimal
        Per unit: the exchange's own settlement price; or else the intrinsic value of an option, the close of the
        underlying for a future.
    basis : str
        Where it comes from: ``exchange`` or ``last underlying bar``.
    underlying_close : Decimal or None
        The price of the underlying that it is worth that much on: the exchange's (None when it gave only the value),
        or the last close up to the expiry.
    underlying_time : datetime.datetime or None
        Stamp of that close; None for the exchange's price.

    """

    price: Decimal
    basis: str
    underlying_close: Decimal | None
    underlying_time: dt.datetime | None


@dataclass(frozen=True, slots=True)
class BarFile:
    """The bars of a contract at one resolution.

    Parameters
    ----------
    bar_seconds : int
        Length of a bar.
    file : str
        Its name in the folder.
    rows : int
        Bars in it.
    first, last : datetime.datetime
        Stamps of the first and last bar.
    sha256 : str
        Of the file.

    """

    bar_seconds: int
    file: str
    rows: int
    first: dt.datetime
    last: dt.datetime
    sha256: str


@dataclass(frozen=True, slots=True)
class Session:
    """A trading day.

    Parameters
    ----------
    date : datetime.date
        Trade date.
    open, close : datetime.datetime
        Its bars are stamped after the one and up to the other: the next midnight in a market that never closes.

    """

    date: dt.date
    open: dt.datetime
    close: dt.datetime


@dataclass(frozen=True, slots=True)
class Terms:
    """What a contract was during one period.

    Parameters
    ----------
    valid_from, valid_to : datetime.date or None
        Trade dates, the last exclusive; None is open.
    symbol, underlying : str
        As called then.
    expiry : datetime.date or None
        As known then.
    lot_size : int or None
        Units in a lot; None when not known.
    tick_size : Decimal or None
        Smallest price step; None when not known.

    """

    valid_from: dt.date | None
    valid_to: dt.date | None
    symbol: str
    underlying: str
    expiry: dt.date | None
    lot_size: int | None
    tick_size: Decimal | None


@dataclass(frozen=True, slots=True)
class Contract:
    """One exported instrument.

    Parameters
    ----------
    name : str
        Name of the feed, e.g. ``NIFTY_250814_24500_CE``.
    kind : str
        ``OPT``, ``FUT``, ``EQ`` (share), ``SPOT`` (index) or ``PAIR`` (of currencies, of which one may be a coin).
    symbol : str
        The exchange's or vendor's own.
    underlying : str
        E.g. ``NIFTY``.
    expiry : datetime.date or None
        Last trading day.
    strike : Decimal or None
        Of an option.
    right : str or None
        ``CE`` or ``PE``.
    series, isin : str or None
        Of a share.
    lot_size : int or None
        Units in a lot; None when not known.
    multiplier : int
        Money per unit and point.
    tick_size : Decimal or None
        Smallest price step; None when not known.
    currency, venue : str
        As in the warehouse.
    expiry_close : datetime.datetime or None
        Close of the last session: when the contract ends.
    files : tuple of BarFile
        One per resolution, the finest first.
    settlement : Settlement or None
        None when the contract does not expire within the export, or cannot be settled.
    terms : tuple of Terms, default ()
        The periods, if anything changes within the export; ask `terms_on`. Above stand the terms of the last bar.
    base_currency : str or None, default None
        Of a pair: ``BTC`` of BTC/USDT, whose `currency` is ``USDT``.

    """

    name: str
    kind: str
    symbol: str
    underlying: str
    expiry: dt.date | None
    strike: Decimal | None
    right: str | None
    series: str | None
    isin: str | None
    lot_size: int | None
    multiplier: int
    tick_size: Decimal | None
    currency: str
    venue: str
    expiry_close: dt.datetime | None
    files: tuple[BarFile, ...]
    settlement: Settlement | None
    terms: tuple[Terms, ...] = ()
    base_currency: str | None = None

    def terms_on(self, day: dt.date) -> Terms:
        """Give the terms that were valid on a trade date; today's lot is not last year's.

        Parameters
        ----------
        day : datetime.date
            E.g. ``feed.datetime.date(0)``.

        Returns
        -------
        Terms

        Raises
        ------
        ExportError
            If the export says nothing about the date.

        """
        if not self.terms:
            return Terms(None, None, self.symbol, self.underlying, self.expiry, self.lot_size, self.tick_size)
        for terms in self.terms:
            if (terms.valid_from or day) <= day and (terms.valid_to is None or day < terms.valid_to):
                return terms
        raise ExportError(
            f"the terms on {day} are not in the export, which holds them from {self.terms[0].valid_from} to "
            f"{self.terms[-1].valid_to}",
            where=self.name,
            next_step="ask for a trade date on which the contract has bars",
        )


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What ``contracts.json`` says.

    Parameters
    ----------
    underlying : str
        E.g. ``NIFTY``.
    timezone : str
        Zone of all times, an IANA name.
    underlying_name : str or None
        Name of the contract that the derivatives are settled on; None when it is not in the export.
    sessions : tuple of Session
        Ascending; empty in an export of version 1, which did not say them.
    contracts : tuple of Contract
        Sorted by name.

    """

    underlying: str
    timezone: str
    underlying_name: str | None
    sessions: tuple[Session, ...]
    contracts: tuple[Contract, ...]

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Seconds of the bars that there are, ascending."""
        return tuple(sorted({bars.bar_seconds for contract in self.contracts for bars in contract.files}))
