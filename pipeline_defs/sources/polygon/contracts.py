"""The option contracts that a chain of the universe means.

A contract's ticker says what it is: ``O:AAPL240216C00185000`` is the root AAPL, the expiry, a call, and the strike in
thousandths. Contracts that a split or merger changed get a root of their own (``AAPL1``), and so do weekly options on
an index (``SPXW``). A chain means one root: so no two of its contracts share expiry, strike and side.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.sources.asking.exact import prices_of
from pipeline_defs.sources.asking.questions import Listed
from pipeline_defs.sources.polygon.numbers import check_keys, plain, text_frame
from pipeline_defs.sources.polygon.pages import all_pages, results_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from massive import RESTClient

    from pipeline_defs.sources.asking.questions import Window
    from pipeline_defs.sources.asking.universe import Chain
    from pipeline_defs.sources.polygon.connection import Connection

VENUE: Final = "OPRA"
"""All exchanges for options report to it; the vendor's bars are of all of them."""

_NEEDED: Final = (
    "ticker",
    "underlying_ticker",
    "contract_type",
    "expiration_date",
    "strike_price",
    "shares_per_contract",
)
_KNOWN: Final = {*_NEEDED, "cfi", "correction", "exercise_style", "primary_exchange", "additional_underlyings", "size"}
_OCC: Final = r"^O:(?<root>.+)(?<date>[0-9]{6})(?<side>[CP])(?<strike>[0-9]{8})$"
_WEEKLY_ROOTS: Final = {"SPXW": "SPX", "NDXP": "NDX", "RUTW": "RUT", "VIXW": "VIX", "XSPW": "XSP"}
"""Roots of an index's own, which are asked for under the index."""

_WEEK: Final = 7
_SPARE_DAYS: Final = 4
_DAYS_AN_EXPIRY: Final = 100
"""Between two expiries of the sleepiest share lie three months."""

_THOUSANDTHS: Final = Decimal("0.001")
_PAGE: Final = 1000


def contracts_of(
    connection: Connection, chain: Chain, window: Window, until: dt.date, turn: Callable[[], None], *, expired: bool
) -> pl.DataFrame:
    """List contracts of a chain that are alive in a window.

    Parameters
    ----------
    connection : Connection
        Does the requests.
    chain : Chain
        What is wanted.
    window : Window
        Trade dates; the vendor is asked for what was known on the last one.
    until : datetime.date
        Last expiry to look at.
    turn : callable
        Waits for a turn under the rate limit; called before every page but the first.
    expired : bool
        Those that were over at the window's end, or those that were alive.

    Returns
    -------
    polars.DataFrame
        ``ticker``, ``expiry``, ``option_type``, ``strike``, ``lot_size``.

    Raises
    ------
    SourceError
        If a contract's ticker and its columns say different things.

    """
    root = chain.underlying.replace(".", "")
    what = f"options of {chain.underlying} as of {window.last}"
    sides = {"CE": "call", "PE": "put"}
    low, high = chain.strikes or (None, None)

    def first(client: RESTClient) -> object:
        return client.list_options_contracts(
            underlying_ticker=_WEEKLY_ROOTS.get(chain.underlying, chain.underlying),
            contract_type=sides[chain.option_types[0]] if len(set(chain.option_types)) == 1 else None,
            expiration_date_gte=str(window.first),
            expiration_date_lte=str(until),
            strike_price_gte=_spelled(low),
            strike_price_lte=_spelled(high),
            as_of=str(window.last),
            expired=expired,
            limit=_PAGE,
            sort="ticker",
            order="asc",
            raw=True,
        )

    pages = all_pages(connection, first, what, turn)
    rows = [row for number, page in enumerate(pages, start=1) for row in results_of(page, number, what)]
    check_keys(rows, set(_NEEDED), _KNOWN, what)
    frame = text_frame(rows, _NEEDED, what).with_columns(pl.col("ticker").str.extract_groups(_OCC).alias("said"))
    frame = frame.filter((pl.col("said").struct.field("root") == root) & pl.col("contract_type").is_in(["call", "put"]))
    return _read(frame, what).filter(pl.col("option_type").is_in(list(chain.option_types)))


def listed_of(chain: Chain, contracts: pl.DataFrame, sessions: list[dt.date], currency: str) -> list[Listed]:
    """Give the contracts that are wanted, each with the days on which its expiry is among those chosen.

    Parameters
    ----------
    chain : Chain
        What is wanted.
    contracts : polars.DataFrame
        Of `contracts_of`.
    sessions : list of datetime.date
        Of `wanted_days`.
    currency : str
        Where the chain says none.

    Returns
    -------
    list of Listed

    """
    known = set(contracts["expiry"])
    days: dict[dt.date, list[dt.date]] = {}
    for day in sessions:
        for expiry in chain.choose_expiries(known, day):
            days.setdefault(expiry, []).append(day)
    found = []
    for row in contracts.unique("ticker", maintain_order=True).iter_rows(named=True):
        chosen = days.get(row["expiry"])
        if chosen and chain.takes_strike(row["strike"]):
            terms: dict[str, Any] = {
                "kind": "OPT",
                "symbol": row["ticker"],
                "underlying": chain.underlying,
                "expiry": row["expiry"],
                "strike": row["strike"],
                "option_type": row["option_type"],
                "lot_size": row["lot_size"],
                "venue": chain.venue or VENUE,
                "currency": chain.currency or currency,
            }
            found.append(Listed(row["ticker"], terms, chosen[0], chosen[-1]))
    return found


def wanted_days(chain: Chain, sessions: list[dt.date]) -> list[dt.date]:
    """Give the sessions on which a chain is wanted: within its own dates, and before its named expiries are over."""
    first, last = chain.first_date, chain.last_date
    over = None if isinstance(chain.expiries, int) else max(chain.expiries, default=dt.date.min)
    return [
        day
        for day in sessions
        if (first is None or day >= first) and (last is None or day <= last) and (over is None or day <= over)
    ]


def merged(listed: list[Listed]) -> list[Listed]:
    """Put instruments that are named twice together: wanted from the first day of either to the last."""
    found: dict[str, Listed] = {}
    for one in listed:
        other = found.get(one.vendor_id)
        if other is None:
            found[one.vendor_id] = one
            continue
        first = None if None in {one.first_date, other.first_date} else min(one.first_date, other.first_date)  # type: ignore[type-var]
        last = None if None in {one.last_date, other.last_date} else max(one.last_date, other.last_date)  # type: ignore[type-var]
        found[one.vendor_id] = replace(other, first_date=first, last_date=last)
    return list(found.values())


def last_expiries(chain: Chain, window: Window) -> tuple[dt.date, ...]:
    """Say how far to look for the expiries that a chain means: near first, then as far as there can be any."""
    if not isinstance(chain.expiries, int):
        return (max((*chain.expiries, window.first)),)
    days = (_WEEK * chain.expiries + _SPARE_DAYS, _DAYS_AN_EXPIRY * chain.expiries)
    return tuple(window.last + dt.timedelta(days=number) for number in days)


def has_enough(chain: Chain, contracts: pl.DataFrame, window: Window) -> bool:
    """Tell whether all expiries that a chain means are among those that were found."""
    if not isinstance(chain.expiries, int):
        return True
    return contracts.filter(pl.col("expiry") >= window.last)["expiry"].n_unique() >= chain.expiries


def no_contract(chain: Chain, window: Window) -> SourceError:
    """Give the error for a chain of which the vendor has no contract."""
    return SourceError(
        f"Polygon knows no option of {chain.underlying} that the universe's chain means in {window}",
        where="universe, section polygon, options",
        next_step="check underlying, expiries and strikes; options of an index are of a root such as SPX or SPXW",
    )


def _read(frame: pl.DataFrame, what: str) -> pl.DataFrame:
    said = pl.col("said").struct
    read = frame.with_columns(
        expiry=pl.col("expiration_date").str.to_date("%Y-%m-%d", strict=False),
        option_type=pl.col("contract_type").replace_strict({"call": "CE", "put": "PE"}, default=None),
        strike=prices_of(plain(frame["strike_price"])),
        lot_size=plain(frame["shares_per_contract"]).cast(pl.Int64, strict=False),
        # A whole number of thousandths times one thousandth: exact.
        said_strike=(said.field("strike").cast(pl.Decimal(38, 0)) * pl.lit(_THOUSANDTHS)).cast(PRICE),
        said_expiry=said.field("date").str.to_date("%y%m%d", strict=False),
        said_type=said.field("side").replace_strict({"C": "CE", "P": "PE"}, default=None),
    )
    agrees = (
        (pl.col("expiry") == pl.col("said_expiry"))
        & (pl.col("strike") == pl.col("said_strike"))
        & (pl.col("option_type") == pl.col("said_type"))
        & (pl.col("lot_size") > 0)
    ).fill_null(value=False)
    odd = read.filter(~agrees)
    if odd.height:
        row = odd.row(0, named=True)
        raise SourceError(
            f"Polygon {what}: {odd.height} contracts contradict their own ticker, such as {row['ticker']} with expiry"
            f" {row['expiration_date']}, {row['contract_type']}, strike {row['strike_price']},"
            f" {row['shares_per_contract']} shares",
            next_step="nothing was stored; narrow the chain to leave it out, and report it to the vendor",
        )
    return read.select("ticker", "expiry", "option_type", "strike", "lot_size")


def _spelled(strike: Decimal | None) -> Any:  # noqa: ANN401 -- the client says float, and puts any text into the query
    return None if strike is None else format(strike, "f")
