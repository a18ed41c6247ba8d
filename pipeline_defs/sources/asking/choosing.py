"""A universe made of symbols that somebody names for one import, in place of the universe file.

What the file says of a symbol that is named (its venue, its first date) holds, so that the same instrument is asked in
the same words, and an answer that is stored is known again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from pipeline_defs.errors import ConfigurationError, UnknownNameError
from pipeline_defs.markets.market import MARKETS
from pipeline_defs.schema.lengths import parse_lengths
from pipeline_defs.schema.tables import table_for
from pipeline_defs.sources.asking.universe import KIND_SECTIONS, SourceUniverse, explain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline_defs.sources.asking.source import ApiSource

SECTION_OF_KIND: Final = {
    "equity": "equities",
    "index": "indices",
    "pair": "pairs",
    "future": "futures",
    "option": "options",
}
"""What a person says an instrument is, to the section of a universe that names such ones."""

_CHAINS: Final = frozenset({"futures", "options"})


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be asked.

    Parameters
    ----------
    universe : SourceUniverse
        The instruments.
    tables : frozenset of str or None
        Tables that their bars of the chosen length belong to; None when no length was chosen.

    """

    universe: SourceUniverse
    tables: frozenset[str] | None


def choose(
    source: type[ApiSource],
    symbols: Sequence[str],
    *,
    base: SourceUniverse | None,
    kind: str | None = None,
    market: str | None = None,
    exchange: str | None = None,
    frequency: str | None = None,
) -> Chosen:
    """Choose the instruments of one import.

    Parameters
    ----------
    source : type of ApiSource
        Who is asked.
    symbols : sequence of str
        As the source writes them; none are those of `base`. For a chain, the underlyings.
    base : SourceUniverse or None
        What the universe file says of the source.
    kind : str, optional
        What the symbols are, one of `SECTION_OF_KIND`; default as the source tells by their spelling.
    market, exchange : str, optional
        In place of what `base` says.
    frequency : str, optional
        Length of the bars, e.g. ``1d``; default those that the source usually gives.

    Returns
    -------
    Chosen

    Raises
    ------
    ConfigurationError
        If the source has nothing of the kind, or something named cannot be.

    """
    _refuse_unknown(source, kind, market, exchange)
    universe = base or SourceUniverse()
    changes: dict[str, Any] = {}
    if symbols:
        changes |= _named(source, symbols, kind, None if exchange not in {None, universe.exchange} else base)
    if market is not None:
        changes["market"] = market
    if exchange is not None:
        changes["exchange"] = exchange
    universe = _checked(source, universe, changes)
    if frequency is None:
        return Chosen(universe, None)
    lengths = parse_lengths(frequency)
    if len(lengths) != 1:
        raise ConfigurationError(f"{frequency!r} are several lengths of bars; one import has one")
    tables = frozenset(table_for(one, lengths[0]) for one in universe.kinds_named())
    return Chosen(_checked(source, universe, {"bars": {**universe.bars, **dict.fromkeys(tables, frequency)}}), tables)


def _refuse_unknown(source: type[ApiSource], kind: str | None, market: str | None, exchange: str | None) -> None:
    if kind is not None and kind not in SECTION_OF_KIND:
        raise UnknownNameError("kind of instrument", kind, SECTION_OF_KIND)
    if market is not None and market not in MARKETS:
        raise UnknownNameError("market", market, MARKETS)
    if exchange is not None and not source.asks_exchanges:
        raise ConfigurationError(f"{source.name} has no exchanges to choose from", next_step="leave the exchange out")


def _named(
    source: type[ApiSource], symbols: Sequence[str], kind: str | None, base: SourceUniverse | None
) -> dict[str, Any]:
    """Give the sections of a universe that names just these symbols."""
    kinds = {one for dataset in source.datasets for one in dataset.kinds}
    there = [KIND_SECTIONS[one] for one in KIND_SECTIONS if one in kinds]
    sections: dict[str, list[Any]] = {section: [] for section in KIND_SECTIONS.values()}
    for symbol in dict.fromkeys(symbols):
        section = source.section_of(symbol) if kind is None else SECTION_OF_KIND[kind]
        if section not in there:
            raise ConfigurationError(
                f"{source.name} has no {section}; it has {', '.join(there)}",
                where=symbol,
                next_step="name another source",
            )
        known = [one for one in getattr(base, section, ()) if one.name == symbol]
        sections[section] += known or [{"underlying" if section in _CHAINS else "symbol": symbol}]
    return sections


def _checked(source: type[ApiSource], universe: SourceUniverse, changes: dict[str, Any]) -> SourceUniverse:
    """Make a universe with other fields, checked like a file."""
    content = {name: getattr(universe, name) for name in SourceUniverse.model_fields} | changes
    try:
        return SourceUniverse.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(
            explain(error), where=source.name, next_step="check how the source writes its symbols: docs/sources"
        ) from None
