"""From what a strategy names to instruments: symbols, numbers, instruments, or assets of the user's own finder."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.portal.errors import PortalError, UnknownSymbolError
from pipeline_defs.portal.instruments import Instrument, of_bundle
from pipeline_defs.schema.batches import Source
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.warehouse.named_bundles import read_bundle

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from pipeline_defs.portal.finding import AssetFinder
    from pipeline_defs.portal.instruments import FindsAssets
    from pipeline_defs.warehouse.connection import Warehouse

type Assets = str | Instrument | Sequence[str | Instrument]
"""What a question is about: one, or several."""

type Members = dict[str, list[tuple[int, str, str, int]]]
"""Symbol to the series of a bundle: instrument, source, dataset, seconds."""

_PARTS: Final = 3


class Resolver:
    """Finds instruments as of a date, and remembers them.

    Parameters
    ----------
    own : AssetFinder
        By the contract master.
    finder : object or None
        The user's, with ``lookup_symbol``; it goes first.
    members : dict or None
        Of a bundle: nothing else is found then.
    date_of : callable
        Gives the trade date of an instant where an instrument trades.

    """

    def __init__(
        self,
        own: AssetFinder,
        finder: FindsAssets | None,
        members: Members | None,
        date_of: Callable[[Instrument, dt.datetime], dt.date],
    ) -> None:
        self._own = own
        self._finder = finder
        self._members = members
        self._date_of = date_of
        self._found: dict[tuple[str | int, dt.date], Instrument] = {}

    def resolve(self, assets: Any, now: dt.datetime) -> list[Instrument]:  # noqa: ANN401 -- one or many, of several types
        """Find instruments, in the order named.

        Parameters
        ----------
        assets : str, int, Instrument, object with a ``symbol``, or a sequence of them
            What is meant.
        now : datetime.datetime
            UTC; names are those of its trade date where the instrument trades.

        Returns
        -------
        list of Instrument

        Raises
        ------
        PortalError
            If none is named, or one twice.
        UnknownSymbolError
            If one is not known, or means several.

        """
        named = [assets] if is_one(assets) else list(assets)
        if self._members is None and self._finder is None:
            # Names that were not looked up yet are looked up together.
            symbols = [one for one in named if isinstance(one, str)]
            if len(symbols) > 1:
                self._own.lookup_symbols(symbols, now.date())
        found = [self._one(asset, now) for asset in named]
        if not found or len({one.symbol for one in found}) < len(found):
            raise PortalError(f"assets {[str(one) for one in named]}, expected each once and at least one")
        return found

    def forget(self) -> None:
        """Look everything up anew."""
        self._own.forget()
        self._found.clear()

    def _one(self, asset: Any, now: dt.datetime) -> Instrument:  # noqa: ANN401 -- as above
        if isinstance(asset, Instrument):
            return asset
        key = asset if isinstance(asset, str | int) else str(asset.symbol)
        found = self._look_up(key, now.date())
        there = self._date_of(found, now)
        return found if there == now.date() else self._look_up(key, there)

    def _look_up(self, key: str | int, date: dt.date) -> Instrument:
        if self._members is None and self._finder is None and isinstance(key, str):
            return self._own.lookup_symbol(key, date)
        if (key, date) not in self._found:
            self._found[key, date] = self._look_up_anew(key, date)
        return self._found[key, date]

    def _look_up_anew(self, key: str | int, date: dt.date) -> Instrument:
        if self._members is not None:
            return self._member(str(key), date, self._members)
        if isinstance(key, int):
            return self._own.retrieve_asset(key, date)
        if self._finder is None:
            return self._own.lookup_symbol(key, date)
        told = self._finder.lookup_symbol(key, date)
        if isinstance(told, Instrument):
            return told
        symbol = getattr(told, "symbol", None)
        if not isinstance(symbol, str):
            raise PortalError(
                f"the asset finder gave {told!r} for {key!r}, expected an Instrument or an object with a symbol"
            )
        return self._own.lookup_symbol(symbol, date)

    def _member(self, symbol: str, date: dt.date, members: Members) -> Instrument:
        series = members.get(symbol)
        if series is None:
            near = difflib.get_close_matches(symbol, members, n=5)
            hint = f"near it: {', '.join(near)}" if near else f"it holds {', '.join(sorted(members)[:10])}"
            raise UnknownSymbolError(f"{symbol!r} is not in the bundle; {hint}", next_step="check the spelling")
        return of_bundle(symbol, self._own.retrieve_asset(series[0][0], date), series)


def is_one(assets: object) -> bool:
    """Tell one asset from a sequence of them."""
    return isinstance(assets, str | int | Instrument) or hasattr(assets, "symbol")


def series_of(
    data_source: str | Source | None, source: str | None, dataset: str | None, bundle: str | None
) -> tuple[str | None, Source | None, str | None]:
    """Understand whose observations are meant.

    Returns
    -------
    tuple
        Name of the only source; the source itself, if it was given; the only table.

    Raises
    ------
    PortalError
        If two arguments name different ones.

    """
    given = data_source if isinstance(data_source, Source) else None
    name = given.name if given is not None else data_source
    if name is not None and not isinstance(name, str):
        raise PortalError(
            f"data_source is a {type(data_source).__name__}, expected the name of a source or a Source",
            next_step="name one of those that 'pipeline sources' lists",
        )
    named = {one.replace("-", "_") for one in (name, source) if one is not None}
    tables = {one for one in (dataset,) if one is not None}
    if bundle is not None and "/" in bundle:
        parts = bundle.split("/")
        if len(parts) != _PARTS or parts[1] not in OBSERVATION_TABLES:
            raise PortalError(f"no bundle {bundle!r}", next_step="write <source>/<dataset>/<seconds>s, or a name")
        named.add(parts[0])
        tables.add(parts[1])
    if len(named) > 1 or len(tables) > 1:
        raise PortalError(f"two arguments contradict each other: {', '.join(sorted(named | tables))}")
    return (*named, None)[0], given, (*tables, None)[0]


def read_members(warehouse: Warehouse, bundle: str | None) -> Members | None:
    """Read the series of a named bundle; None where no such bundle is meant."""
    if bundle is None or "/" in bundle:
        return None
    members: Members = {}
    for one in read_bundle(warehouse, bundle).members:
        members.setdefault(one.symbol, []).append((one.instrument_id, one.source, one.dataset, one.bar_seconds))
    return members
