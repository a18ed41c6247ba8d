"""One entrance to the grammars: the caller declares which one a source is written in.

A grammar is never guessed name by name. `parse_auto` serves people at a command line and refuses whatever reads
two ways; imports use `parse_many` with the grammar of the source's profile.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from pipeline_defs.errors import ConfigurationError, TickerError
from pipeline_defs.markets.tickers.exchange import ExchangeReader
from pipeline_defs.markets.tickers.gdfl import SUFFIXES, GdflReader
from pipeline_defs.markets.tickers.truedata import TrueDataReader

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from pipeline_defs.markets.tickers.contract import Contract
    from pipeline_defs.markets.tickers.lexicon import Reader

Grammar = Literal["gdfl", "exchange", "truedata"]

_READERS: Final[dict[Grammar, Callable[[dt.date], Reader]]] = {
    "gdfl": GdflReader,
    "exchange": ExchangeReader,
    "truedata": TrueDataReader,
}
_AUTO_GRAMMARS: Final[tuple[Grammar, ...]] = ("gdfl", "exchange")


def parse_ticker(ticker: str, grammar: Grammar, trade_date: dt.date) -> Contract:
    """Read one name in a declared grammar.

    Parameters
    ----------
    ticker : str
        The name as the source wrote it.
    grammar : str
        ``gdfl``, ``exchange`` or ``truedata``.
    trade_date : datetime.date
        Day on which the name was used; decides expiries and refuses expired contracts.

    Returns
    -------
    Contract

    Raises
    ------
    TickerError
        If the name does not follow the grammar (the message says what was expected at which position), expired
        before the trade date, or reads two ways.
    ConfigurationError
        If there is no such grammar.

    """
    return _only(ticker, _reader(grammar, trade_date)(ticker))


def parse_many(tickers: Sequence[str], grammar: Grammar, trade_date: dt.date) -> list[Contract | TickerError]:
    """Read many names in a declared grammar; a name that cannot be read does not stop the others.

    Parameters
    ----------
    tickers : sequence of str
        Distinct names, for speed; repeated ones are read again.
    grammar : str
        ``gdfl``, ``exchange`` or ``truedata``.
    trade_date : datetime.date
        Day on which the names were used.

    Returns
    -------
    list of Contract or TickerError
        In the order of `tickers`.

    Raises
    ------
    ConfigurationError
        If there is no such grammar.

    """
    read = _reader(grammar, trade_date)
    results: list[Contract | TickerError] = []
    for ticker in tickers:
        try:
            results.append(_only(ticker, read(ticker)))
        except TickerError as error:
            results.append(error)
    return results


def parse_auto(ticker: str, trade_date: dt.date) -> Contract:
    """Read one name whose grammar nobody declared, if it can only mean one thing.

    A venue suffix decides for ``gdfl``. Otherwise ``gdfl`` and ``exchange`` are both tried; a reading that expired
    before the trade date is none.

    Parameters
    ----------
    ticker : str
        The name.
    trade_date : datetime.date
        Day on which the name was used.

    Returns
    -------
    Contract

    Raises
    ------
    TickerError
        If no grammar reads the name, or it reads two ways: the message shows both.

    """
    if ticker.endswith(SUFFIXES):
        return parse_ticker(ticker, "gdfl", trade_date)
    readings: list[tuple[str, Contract]] = []
    refusals: list[TickerError] = []
    for grammar in _AUTO_GRAMMARS:
        try:
            readings.extend((grammar, contract) for contract in _reader(grammar, trade_date)(ticker))
        except TickerError as error:
            refusals.append(error)
    if not readings:
        raise TickerError(
            "; ".join(refusal.what for refusal in refusals),
            where=f"ticker {ticker!r}",
            next_step="check the name and the trade date, or declare the grammar the name is written in",
        )
    if len({contract for _, contract in readings}) > 1:
        raise TickerError(
            f"reads {len(readings)} ways on {trade_date}: "
            + "; ".join(f"as {grammar}, {contract.describe()}" for grammar, contract in readings),
            where=f"ticker {ticker!r}",
            next_step="declare the grammar the name is written in",
        )
    return readings[0][1]


@lru_cache(maxsize=64)
def _reader(grammar: Grammar, trade_date: dt.date) -> Reader:
    if grammar not in _READERS:
        raise ConfigurationError(f"there is no ticker grammar {grammar!r}, expected one of {', '.join(_READERS)}")
    return _READERS[grammar](trade_date)


def _only(ticker: str, readings: list[Contract]) -> Contract:
    if len(readings) > 1:
        raise TickerError(
            "reads two ways: " + "; ".join(contract.describe() for contract in readings),
            where=f"ticker {ticker!r}",
            next_step="use a name that states the contract in another grammar",
        )
    return readings[0]
