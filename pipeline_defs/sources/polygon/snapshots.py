"""A chain as it stands now: quotes, open interest, implied volatility, greeks.

The vendor keeps no history of these; who wants one asks again and again, and keeps what was given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.schema.columns import PRICE, SIZE, TIMESTAMP
from pipeline_defs.sources.asking.exact import prices_of, sizes_of
from pipeline_defs.sources.polygon.adapter import PolygonSource
from pipeline_defs.sources.polygon.numbers import check_keys, plain, text_frame
from pipeline_defs.sources.polygon.pages import all_pages, results_of
from pipeline_defs.sources.polygon.tickers import checked_ticker

if TYPE_CHECKING:
    from massive import RESTClient

RATIO: Final = pl.Decimal(38, 20)
"""Greeks and volatilities, which the vendor writes with up to twenty decimals."""

SNAPSHOT_SCHEMA: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "option_type": pl.String(),
    "strike": PRICE,
    "lot_size": SIZE,
    "quoted_at": TIMESTAMP,
    "bid_price": PRICE,
    "bid_size": SIZE,
    "ask_price": PRICE,
    "ask_size": SIZE,
    "last_price": PRICE,
    "open_interest": SIZE,
    "implied_volatility": RATIO,
    "delta": RATIO,
    "gamma": RATIO,
    "theta": RATIO,
    "vega": RATIO,
    "underlying_price": PRICE,
}
"""One row a contract. Sizes of quotes and open interest are in contracts, as the vendor counts them. What it does not
give, such as greeks of an option deep in the money, or quotes outside the plan, is null."""

_PLACES: Final[dict[str, tuple[str, ...]]] = {
    "symbol": ("details", "ticker"),
    "expiry": ("details", "expiration_date"),
    "option_type": ("details", "contract_type"),
    "strike": ("details", "strike_price"),
    "lot_size": ("details", "shares_per_contract"),
    "quoted_at": ("last_quote", "last_updated"),
    "bid_price": ("last_quote", "bid"),
    "bid_size": ("last_quote", "bid_size"),
    "ask_price": ("last_quote", "ask"),
    "ask_size": ("last_quote", "ask_size"),
    "last_price": ("last_trade", "price"),
    "open_interest": ("open_interest",),
    "implied_volatility": ("implied_volatility",),
    "delta": ("greeks", "delta"),
    "gamma": ("greeks", "gamma"),
    "theta": ("greeks", "theta"),
    "vega": ("greeks", "vega"),
    "underlying": ("underlying_asset", "ticker"),
    "underlying_price": ("underlying_asset", "price"),
    "index_value": ("underlying_asset", "value"),
}
"""Column to where it lies in a result; an index has a value in place of a price."""

_NEEDED: Final = ("symbol", "expiry", "option_type", "strike", "lot_size")
_KNOWN: Final = {place[0] for place in _PLACES.values()} | {"break_even_price", "day", "fmv", "fmv_last_updated"}
_RATIO_FORM: Final = r"^-?[0-9]{1,18}(\.[0-9]+)?$"
_RATIO_DECIMALS: Final = 20
_NS: Final = 1000


def chain_snapshot(underlying: str, source: PolygonSource | None = None) -> pl.DataFrame:
    """Ask how the options of an underlying stand.

    Parameters
    ----------
    underlying : str
        Ticker of a share, or of an index: ``I:SPX``.
    source : PolygonSource, optional
        Whose key, endpoint and rate limit are used; default one made of the environment. It needs no universe.

    Returns
    -------
    polars.DataFrame
        `SNAPSHOT_SCHEMA`, ordered by expiry, strike and type; numbers are exact, but that decimals beyond the
        twentieth of a ratio are cut off.

    Raises
    ------
    SourceError
        If it cannot be had, or a number cannot be read: nothing is given then.

    """
    asked = PolygonSource() if source is None else source
    ticker = checked_ticker(underlying)
    what = f"chain of {ticker}"

    def first(client: RESTClient) -> object:
        return client.list_snapshot_options_chain(ticker, params={"limit": 250}, raw=True)

    try:
        connection = asked.connection
        pages = asked.call(lambda: all_pages(connection, first, what, asked.call.turn), f"{asked.name} {what}")
    finally:
        if source is None:
            asked.close()
    rows = [row for number, page in enumerate(pages, start=1) for row in results_of(page, number, what)]
    check_keys(rows, {"details"}, _KNOWN, what)
    flat = [{name: _at(row, place) for name, place in _PLACES.items()} for row in rows]
    return _read(text_frame(flat, tuple(_PLACES), what), what)


def _at(row: dict[str, Any], place: tuple[str, ...]) -> Any:  # noqa: ANN401 -- whatever JSON holds
    value: Any = row
    for key in place:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _read(texts: pl.DataFrame, what: str) -> pl.DataFrame:
    texts = texts.with_columns(
        underlying_price=pl.coalesce("underlying_price", "index_value"),
        option_type=pl.col("option_type").replace({"call": "CE", "put": "PE"}),
    )
    read = pl.DataFrame(
        {name: _column(texts[name], dtype) for name, dtype in SNAPSHOT_SCHEMA.items()}, schema=SNAPSHOT_SCHEMA
    )
    for name in SNAPSHOT_SCHEMA:
        is_null = read[name].is_null()
        odd = texts.filter(is_null if name in _NEEDED else is_null & texts[name].is_not_null())
        if odd.height:
            raise SchemaDriftError(
                f"Polygon {what}: {name} {odd[name][0]!r} of {odd['symbol'][0]} cannot be read",
                next_step="nothing was given; report it with this message",
            )
    return read.sort("expiry", "strike", "option_type")


def _column(texts: pl.Series, dtype: pl.DataType) -> pl.Series:
    if dtype == PRICE:
        return prices_of(plain(texts))
    if dtype == SIZE:
        return sizes_of(plain(texts))
    if dtype == RATIO:
        return _ratios(plain(texts))
    if dtype == TIMESTAMP:
        return (texts.cast(pl.Int64, strict=False) // _NS).cast(TIMESTAMP)
    if dtype == pl.Date():
        return texts.str.to_date("%Y-%m-%d", strict=False)
    return texts


def _ratios(texts: pl.Series) -> pl.Series:
    """Read ratios; decimals beyond the twentieth, which say nothing, are cut off rather than rounded."""
    texts = texts.set(~texts.str.contains(_RATIO_FORM), None)
    cut = texts.str.replace(rf"(\.[0-9]{{{_RATIO_DECIMALS}}})[0-9]+$", "${1}")
    return cut.cast(RATIO)
