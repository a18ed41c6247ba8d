"""What our instruments are in LEAN: security type, market, ticker, and the contract that names an entry.

==========  ================================  ==========================================================
kind        LEAN                              told apart by
==========  ================================  ==========================================================
``SPOT``    ``index/india``                   ticker
``EQ``      ``equity/india``                  ticker; another series than EQ follows a dot (``x.be``)
``FUT``     ``future/india``                  contract month
``OPT``     ``indexoption/`` or ``option/``   style, right, strike, expiry
``PAIR``    ``crypto/<venue>``                ticker
==========  ================================  ==========================================================

Names depend on a contract's own terms alone, so they are the same in every month.
"""

from __future__ import annotations

import re
from typing import Any, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.lean.entries import Contract, scaled_text
from pipeline_defs.exports.lean.kinds import OptionRight, OptionStyle, SecurityType
from pipeline_defs.exports.lean.paths import MARKET, TICKER
from pipeline_defs.markets.tickers.index_names import index_names

MARKET_OF_ZONE: Final = {"Asia/Kolkata": "india", "America/New_York": "usa"}
"""LEAN's market of instruments that are no currency pairs, by the zone of their exchange."""

KNOWN_VENUES: Final = frozenset(
    {"binance", "binanceus", "bitfinex", "bybit", "coinbase", "dydx", "ftx", "ftxus", "kraken", "oanda", "fxcm"}
)
"""Markets that LEAN has a number for; any other must be added in the algorithm (``Market.add``)."""

_SECURITY: Final = {"SPOT": SecurityType.INDEX, "EQ": SecurityType.EQUITY, "FUT": SecurityType.FUTURE}
_RIGHTS: Final = {"CE": OptionRight.CALL, "PE": OptionRight.PUT}


def with_symbols(instruments: pl.DataFrame, timezone: str, option_style: OptionStyle) -> pl.DataFrame:
    """Name every instrument as LEAN does.

    Parameters
    ----------
    instruments : polars.DataFrame
        `INSTRUMENT_SCHEMA`.
    timezone : str
        Zone of the exchange: decides on the market.
    option_style : OptionStyle
        Of options on shares; those on an index are European.

    Returns
    -------
    polars.DataFrame
        With `security`, `market`, `ticker`, `style`, `contract` (its key, empty without contracts) and `engine_id`
        added, in the order in which entries are written: by `engine_id`.

    Raises
    ------
    ExportError
        If a kind is unknown, a term that the name needs is missing, LEAN has no market for the zone, a name holds a
        character that LEAN's names cannot hold, or two instruments would share an entry.

    """
    of_index = _options_are_on_an_index(instruments)
    rows = [_symbol(row, timezone, option_style, is_on_index=of_index) for row in instruments.iter_rows(named=True)]
    schema = dict.fromkeys(("security", "market", "ticker", "style", "contract"), pl.String())
    named = instruments.hstack(pl.DataFrame(rows, schema=schema, orient="row")).with_columns(
        engine_id=engine_id(pl.col("security"), pl.col("market"), pl.col("ticker"), pl.col("contract"))
    )
    clashing = named.filter(pl.col("engine_id").is_duplicated()).sort("engine_id", "instrument_id").head(2)
    if clashing.height > 0:
        first, second = clashing.select(pl.format("instrument {} ({})", "instrument_id", "symbol")).to_series()
        raise ExportError(
            f"two instruments would share the entries of {clashing.item(0, 'engine_id')}: {first} and {second}",
            where="futures of one month are one contract to LEAN" if clashing.item(0, "kind") == "FUT" else None,
            next_step="export the two apart, or merge them if they are one contract",
        )
    return named.sort("engine_id")


def engine_id(security: pl.Expr, market: pl.Expr, ticker: pl.Expr, contract: pl.Expr) -> pl.Expr:
    """Name an instrument by what its files and entries are named by.

    Parameters
    ----------
    security, market, ticker, contract : polars.Expr
        Columns of strings; `contract` is empty where there are no contracts.

    Returns
    -------
    polars.Expr
        E.g. ``indexoption/india/nifty/european_call_245000000_20250814``.

    """
    whole = pl.concat_str(security, market, ticker, separator="/")
    return pl.when(contract == "").then(whole).otherwise(pl.concat_str(whole, contract, separator="/"))


def contract_key(style: OptionStyle | None, contract: Contract) -> str:
    """Give the end of an entry's name, which tells contracts apart.

    Parameters
    ----------
    style : OptionStyle or None
        Of an option.
    contract : Contract
        What the name says.

    Returns
    -------
    str
        E.g. ``european_call_245000000_20250814`` or ``202508``; empty without contracts.

    """
    if contract.right is not None and contract.strike is not None:
        return f"{style}_{contract.right}_{scaled_text(contract.strike)}_{contract.expiry:%Y%m%d}"
    return contract.month or ""


def contract_of(row: dict[str, Any]) -> Contract:
    """Give the contract that an instrument's entries are named by.

    Parameters
    ----------
    row : dict
        One of `with_symbols`.

    Returns
    -------
    Contract

    """
    if row["kind"] == "OPT":
        return Contract(_RIGHTS[row["option_type"]], row["strike"], row["expiry"])
    return Contract(month=f"{row['expiry']:%Y%m}") if row["kind"] == "FUT" else Contract()


def _symbol(
    row: dict[str, Any], timezone: str, option_style: OptionStyle, *, is_on_index: bool
) -> tuple[str, str, str, str | None, str]:
    kind, where = row["kind"], f"instrument {row['instrument_id']} ({row['symbol']})"
    needed = {"OPT": ("strike", "option_type", "expiry"), "FUT": ("expiry",)}.get(str(kind), ())
    missing = [name for name in needed if row[name] is None or (name == "option_type" and row[name] not in _RIGHTS)]
    if missing or kind not in {*_SECURITY, "OPT", "PAIR"}:
        raise ExportError(
            f"terms do not name a contract: kind {kind}, "
            + ", ".join(f"{name} {row[name]}" for name in ("underlying", "expiry", "strike", "option_type"))
            + "; expected kind OPT, FUT, SPOT, EQ or PAIR with its terms complete",
            where=where,
            next_step="a rolling future is resolved to its contract before export; complete the instrument's terms",
        )
    if kind == "PAIR":
        security, market = SecurityType.CRYPTO, str(row["venue"]).lower()
    elif timezone in MARKET_OF_ZONE:
        of_option = SecurityType.INDEX_OPTION if is_on_index else SecurityType.OPTION
        security, market = _SECURITY.get(str(kind), of_option), MARKET_OF_ZONE[timezone]
    else:
        raise ExportError(
            f"LEAN has no market for exchanges in {timezone}, expected one of {', '.join(sorted(MARKET_OF_ZONE))}",
            where=where,
        )
    series = row["series"] if kind == "EQ" else None
    ticker = "".join([str(row["underlying"]), "" if series in {None, "", "EQ"} else f".{series}"]).lower()
    _refuse_unsafe(ticker, TICKER, "lower case letters, digits, '&', '.' and '-'", where)
    _refuse_unsafe(market, MARKET, "lower case letters, digits and '-'", where)
    style = None
    if security.is_option:
        style = OptionStyle.EUROPEAN if security is SecurityType.INDEX_OPTION else option_style
    contract = contract_of(row)
    if contract.strike is not None and contract.strike <= 0:
        raise ExportError(f"the strike was {contract.strike}, expected more than 0", where=where)
    return security.value, market, ticker, style, contract_key(style, contract)


def _options_are_on_an_index(instruments: pl.DataFrame) -> bool:
    """Ask the underlying if it is there, and else the list of indices."""
    kinds = set(instruments["kind"])
    if "EQ" in kinds or "SPOT" in kinds:
        return "SPOT" in kinds
    known = set(index_names().values())
    return not instruments.is_empty() and set(instruments["underlying"]) <= known


def _refuse_unsafe(name: str, pattern: str, expected: str, where: str) -> None:
    if re.fullmatch(pattern, name, re.ASCII):
        return
    raise ExportError(
        f"the name {name!r} cannot stand in a name of LEAN's files, expected {expected}",
        where=where,
        next_step="correct the underlying, the series or the venue in the instrument's terms",
    )
