"""What things are called in a Nautilus catalog: instrument ids, bar types, folders and files.

Names must be the same in every month and must never depend on what else a slice holds, so they are
made from a contract's own terms alone. No reading or writing here.

Ids, all on one venue so that an option finds its underlying:

=========  ===========================  ===========================================================
kind       example                      rule
=========  ===========================  ===========================================================
index      ``NIFTY.NSE``                underlying
share      ``RELIANCE.NSE``             underlying; another series than EQ is appended: ``X-BE.NSE``
future     ``NIFTY25AUGFUT.NSE``        underlying, YYMON of expiry, ``FUT``: the exchange's symbol
option     ``NIFTY250814C24500.NSE``    underlying, YYMMDD of expiry, ``C`` or ``P``, strike
pair       ``BTCUSDT.BINANCE``          underlying; the venue in capitals
=========  ===========================  ===========================================================

The exchange's own option symbols are not used: its monthly form (``NIFTY25AUG24500CE``) names no
day, and whether an expiry is the month's last cannot be told from one month's contracts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.schema.exports import MarketSlice

CLASSES: Final = {
    "SPOT": "IndexInstrument",
    "EQ": "Equity",
    "FUT": "FuturesContract",
    "OPT": "OptionContract",
    "PAIR": "CurrencyPair",
}
"""Instrument kinds to Nautilus' classes."""

VENUES: Final = {"NFO": "NSE", "BFO": "BSE"}
"""Derivative segments to the venue of their underlyings: Nautilus settles only within one venue."""

MARKET_CODES: Final = {"NSE": "XNSE", "BSE": "XBOM"}
"""Venues to ISO 10383 market identifier codes."""

_UNITS: Final = ((86_400, "DAY"), (3_600, "HOUR"), (60, "MINUTE"), (1, "SECOND"))
_UNSAFE: Final = r"[^A-Za-z0-9._-]"
_CLASHING: Final = r"[.\- ^:_]"


def all_instruments(market: MarketSlice) -> pl.DataFrame:
    """Give every instrument that a slice has bars or ticks of, once.

    Parameters
    ----------
    market : MarketSlice
        What is exported.

    Returns
    -------
    polars.DataFrame
        `INSTRUMENT_SCHEMA`; an instrument of several resolutions as the finest describes it.

    """
    parts = [part.instruments for part in market.every_resolution]
    if market.ticks is not None:
        parts.append(market.ticks.instruments)
    return pl.concat(parts).unique("instrument_id", keep="first", maintain_order=True)


def with_identifiers(instruments: pl.DataFrame) -> pl.DataFrame:
    """Name every instrument as Nautilus will know it.

    Parameters
    ----------
    instruments : polars.DataFrame
        `INSTRUMENT_SCHEMA`.

    Returns
    -------
    polars.DataFrame
        With `venue` replaced by the one venue of the catalog, and `root` (the underlying as it
        appears in ids: whatever is not a letter, a digit, ``.``, ``-`` or ``_`` becomes ``_``) and
        `engine_id` added.

    Raises
    ------
    ExportError
        If a kind or option type is unknown, the instruments lie on several venues, an id cannot be
        made because a term is missing, or two ids would share one table name in Nautilus, which
        would lose all but one of them.

    """
    kind, expiry = pl.col("kind"), pl.col("expiry").dt
    strike = pl.col("strike").cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    right = pl.col("option_type").replace_strict({"CE": "C", "PE": "P"}, default=None)
    board = pl.when(pl.col("series").fill_null("EQ") == "EQ").then(pl.lit("")).otherwise("-" + pl.col("series"))
    named = instruments.with_columns(
        venue=pl.when(kind == "PAIR")
        .then(pl.col("venue").str.to_uppercase())
        .otherwise(pl.col("venue").replace(VENUES)),
        root=pl.col("underlying").str.replace_all(_UNSAFE, "_"),
    ).with_columns(
        engine_id=pl.when(kind == "OPT")
        .then(pl.concat_str("root", expiry.strftime("%y%m%d"), right, strike))
        .when(kind == "FUT")
        .then(pl.concat_str("root", expiry.strftime("%y%b").str.to_uppercase(), pl.lit("FUT")))
        .when(kind == "EQ")
        .then(pl.concat_str("root", board))
        .when(kind == "SPOT")
        .then(pl.col("root"))
        # A pair is named by two currencies; without them Nautilus cannot keep its accounts.
        .when((kind == "PAIR") & pl.col("base_currency").is_not_null() & pl.col("currency").is_not_null())
        .then(pl.col("root"))
        + "."
        + pl.col("venue")
    )
    _refuse_unnamed(named)
    _refuse_several_venues(named)
    _refuse_collisions(named)
    return named


def bar_specification(bar_seconds: int) -> str:
    """Write a bar length as Nautilus does.

    Parameters
    ----------
    bar_seconds : int
        Length of a bar in seconds.

    Returns
    -------
    str
        E.g. ``1-MINUTE-LAST-EXTERNAL``: the tail of a bar type.

    Raises
    ------
    ExportError
        If the length is not positive, or is not one that Nautilus can aggregate: less than a day,
        and a divisor of the next larger unit.

    """
    for seconds, unit in _UNITS:
        steps, rest = divmod(bar_seconds, seconds)
        if steps >= 1 and rest == 0:
            limit = {"DAY": 1, "HOUR": 24}.get(unit, 60)
            if (unit == "DAY" and steps == 1) or (steps < limit and limit % steps == 0):
                return f"{steps}-{unit}-LAST-EXTERNAL"
            break
    raise ExportError(
        f"bars of {bar_seconds} seconds have no form in Nautilus",
        next_step="export bars of 60, 300, 3600 or 86400 seconds; ticks go beside bars, not in their place",
    )


def folder_name(identifier: str) -> str:
    """Name the folder of an instrument id or bar type.

    Parameters
    ----------
    identifier : str
        Instrument id or bar type.

    Returns
    -------
    str
        The identifier without slashes, as Nautilus' own writer has it.

    """
    return identifier.replace("/", "")


def file_name(start: dt.datetime, end: dt.datetime) -> str:
    """Name a data file after the interval for which it is complete.

    Parameters
    ----------
    start, end : datetime.datetime
        Bounds of the partition, UTC.

    Returns
    -------
    str
        E.g. ``2025-08-01T03-45-00-000000000Z_2025-08-29T10-00-00-000000000Z.parquet``.

    """
    bounds = (f"{instant:%Y-%m-%dT%H-%M-%S}-{instant.microsecond * 1000:09d}Z" for instant in (start, end))
    return f"{'_'.join(bounds)}.parquet"


def _refuse_unnamed(named: pl.DataFrame) -> None:
    for row in named.filter(pl.col("engine_id").is_null()).head(1).iter_rows(named=True):
        said = ("kind", "underlying", "expiry", "strike", "option_type", "base_currency", "currency")
        terms = ", ".join(f"{name} {row[name]}" for name in said)
        raise ExportError(
            f"terms do not name a contract: {terms}; expected kind OPT, FUT, SPOT, EQ or PAIR with its terms complete",
            where=f"instrument {row['instrument_id']} ({row['symbol']})",
            next_step="a rolling future is resolved to its contract before export; complete the instrument's terms",
        )


def _refuse_several_venues(named: pl.DataFrame) -> None:
    venues = named["venue"].unique().sort().to_list()
    if len(venues) > 1:
        raise ExportError(
            f"instruments lie on venues {', '.join(venues)}, expected one: Nautilus settles an option only by an "
            "underlying on its own venue",
            next_step="export each venue by itself",
        )


def _refuse_collisions(named: pl.DataFrame) -> None:
    table_name = pl.col("engine_id").str.to_lowercase().str.replace_all(_CLASHING, "_")
    clashing = named.filter(table_name.is_duplicated()).sort(table_name).head(2)
    if clashing.height > 0:
        (first, second) = clashing.select(pl.format("{} (instrument {}, {})", "engine_id", "instrument_id", "symbol"))[
            :, 0
        ].to_list()
        raise ExportError(
            f"ids {first} and {second} are one to Nautilus, which would drop all bars of one of them",
            next_step="export the two apart, or merge them if they are one contract",
        )
