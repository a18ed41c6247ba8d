"""What source and warehouse tell each other about deliveries: what is known already, and what was newly got.

A source asks a `DeliveryLedger` before it reads or asks; what it then gives carries a `Delivery`, as which it will be
known again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

type Instants = Sequence[tuple[dt.datetime, dt.datetime]]
"""Stretches of time: from, exclusive, and to, inclusive; UTC."""


class DeliveryLedger(Protocol):
    """What the warehouse tells a source about deliveries it was given before."""

    def knows_date(self, trade_date: dt.date) -> bool:
        """Tell whether there is any delivery of the date to compare with; if not, a digest is not needed yet."""
        ...

    def holds(self, trade_date: dt.date, digest: str) -> bool:
        """Tell whether the warehouse holds the delivery as it would be read now; the source leaves it out then."""
        ...

    def spans(self, trade_date: dt.date, table: str, bar_seconds: int, digest: str) -> Instants:
        """List the stretches of a running session that are stored; the source leaves out what is fresh."""
        ...

    def keep_running(self, trade_date: dt.date, table: str, bar_seconds: int, digest: str) -> None:
        """Take note that a running session is fresh, so that the source leaves it out."""
        ...

    def last_observations(
        self, table: str, bar_seconds: int, after: dt.datetime, until: dt.datetime
    ) -> dict[str, dt.datetime]:
        """Give each instrument's last stored observation of a stretch (from, exclusive, to, inclusive), by symbol."""
        ...

    def answered(
        self, first: dt.date, last: dt.date, table: str, bar_seconds: int, basis: str
    ) -> dict[dt.date, frozenset[str]]:
        """Name the instruments whose final answers are stored, by trade date; days without any are left out."""
        ...

    def adopt(self, delivery: Delivery, cost: FetchCost, trade_date: dt.date, table: str, bar_seconds: int) -> None:
        """Take what is stored for a delivery whose instruments were all answered before; the source leaves it out."""
        ...


class RawArchive(Protocol):
    """Where a source has a file kept as it was delivered, before it reads it."""

    def keep(self, path: str, trade_date: dt.date | None) -> None:
        """Keep a file on disk; an archive is kept whole, whichever member is read."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """All that a source read for one trade date, as the ledger remembers it.

    Parameters
    ----------
    digest : str
        Over names and contents; equal when reading again would give the same batches.
    parts : int
        Number of batches made of it.
    basis : str or None
        What the answers of a source that was asked depend on, but for the choice of instruments.
    answered : tuple of str
        Digests of the instruments it was asked for.

    """

    digest: str
    parts: int
    basis: str | None = None
    answered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FetchCost:
    """What it took to get a batch from a source that is asked over a network.

    Parameters
    ----------
    calls : int
        Requests made for the window that the batch is a part of; 0 when none was needed.
    seconds : float
        This batch's share of the time they took.

    """

    calls: int
    seconds: float
