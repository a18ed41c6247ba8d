"""Minute and tick rows to canonical rows: contracts, close stamps in UTC, exact numbers.

Daily files, whose contracts are columns, are read by `bhavcopy`. What is judged here is each row by
itself; rows against each other (duplicates, order) are judged by `validate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.tables import MINUTE
from pipeline_defs.sources.nse_csv.checks import (
    PLACED_REJECT_SCHEMA,
    line_texts,
    positive_check,
    range_checks,
    refused,
    select_flags,
    without,
)
from pipeline_defs.sources.nse_csv.contracts import TERMS, read_tickers, unify
from pipeline_defs.sources.nse_csv.fields import Distinct, dates, is_price, is_whole, price, seconds_of_day, whole
from pipeline_defs.sources.nse_csv.parts import Part, india_midnight_us, session_bounds
from pipeline_defs.sources.nse_csv.reasons import (
    AFTER_CLOSE,
    BAD_BAR_TIME,
    BAD_PRICE,
    BAD_QUANTITY,
    BAD_TICKER,
    BAD_TIME,
    BEFORE_OPEN,
    EXPIRED_CONTRACT,
    NOT_A_SESSION,
    PADDED_BAR,
)

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.sources.nse_csv.layouts import Layout

_BAR_PRICES: Final = ("open", "high", "low", "close")
_QUOTE_PRICES: Final = ("bid_price", "ask_price")
_QUANTITIES: Final = ("volume", "open_interest", "bid_size", "ask_size")
_SEPARATOR: Final = "\x1f"
_TRADED: Final = "0"
_MINUTE_SECONDS: Final = 60


def normalize(layout: Layout, fields: pl.DataFrame, trade_date: dt.date, underlying: str | None) -> Part:
    """Turn the lines of one trade date into canonical rows.

    Parameters
    ----------
    layout : Layout
        Of family ``stream``.
    fields : polars.DataFrame
        Lines as text, all of the trade date.
    trade_date : datetime.date
        A day the calendar covers.
    underlying : str or None
        Leave out contracts known to be of another underlying.

    Returns
    -------
    Part

    """
    names = _names(layout, fields)
    terms = _read_names(layout, names.texts, trade_date)
    if underlying is not None:
        wanted = names.spread(
            ((terms["underlying"] == underlying) | (terms["reason"] == BAD_TICKER)).fill_null(value=False)
        )
        if not wanted.all():
            fields = fields.filter(wanted)
            return normalize(layout, fields, trade_date, None) if fields.height else _nothing(layout, fields)
    terms = terms.hstack(session_bounds(terms["kind"], trade_date))
    contracts, positions = unify(terms.filter(pl.col("underlying").is_not_null()))
    known = terms["underlying"].is_not_null()
    contract = (
        pl.Series("contract", [None], pl.UInt32()).new_from_index(0, len(terms)).scatter(known.arg_true(), positions)
    )
    values = _values(layout, fields)
    clock = _clock(layout, fields, names, terms)
    flags = [_flags(layout, fields, values), _contract_flags(names, terms), clock.drop("stamp")]
    bad = refused(flags)
    rows = pl.concat(
        [
            fields.select("file_index", "line"),
            names.spread(contract).to_frame("contract"),
            clock.select(timestamp=_timestamp(trade_date)),
            values,
        ],
        how="horizontal",
    )
    return Part(
        layout,
        fields,
        contracts,
        without(rows, bad["row"]),
        _rejects(layout, fields, bad, names.spread(terms["table"])),
    )


def _names(layout: Layout, fields: pl.DataFrame) -> Distinct:
    """Find what names a contract: the ticker, with the expiry column where there is one."""
    if not layout.has("expiry"):
        return Distinct.of(fields["ticker"])
    return Distinct.of(fields.select(pl.concat_str("ticker", "expiry", separator=_SEPARATOR)).to_series())


def _read_names(layout: Layout, texts: pl.Series, trade_date: dt.date) -> pl.DataFrame:
    tickers, expiries, is_damaged = texts, None, None
    if layout.has("expiry"):
        pair = texts.str.split_exact(_SEPARATOR, 1).struct.unnest()
        tickers, said = pair.to_series(0), pair.to_series(1)
        expiries = dates(said, layout.date_format)
        is_damaged = expiries.is_null() & (said != "")
    terms = read_tickers(
        tickers.to_list(), expiries, grammar=layout.grammar, trade_date=trade_date, bar_seconds=layout.bar_seconds
    )
    if is_damaged is None or not is_damaged.any():
        return terms
    nothing = {name: pl.when(~is_damaged).then(name) for name in TERMS}
    return terms.with_columns(**nothing, reason=pl.when(is_damaged).then(pl.lit(BAD_TICKER)).otherwise("reason"))


def _values(layout: Layout, fields: pl.DataFrame) -> pl.DataFrame:
    """Convert numbers. A tick's one price is its open, high, low and close; a quote of zero is no quote."""
    prices = [price(name) for name in (*_BAR_PRICES, *_QUOTE_PRICES) if layout.has(name)]
    values = fields.select(*prices, *(whole(name) for name in _QUANTITIES if layout.has(name)))
    if not layout.has("open"):
        values = values.with_columns(open="close", high="close", low="close")
    if layout.has("bid_price"):
        quotes = [f"{side}_{what}" for side in ("bid", "ask") for what in ("price", "size")]
        values = values.with_columns(pl.when(pl.col(f"{name[:3]}_price") != 0).then(name) for name in quotes)
    return values


def _flags(layout: Layout, fields: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """Judge padding, prices and quantities."""
    prices = [name for name in (*_BAR_PRICES, *_QUOTE_PRICES) if layout.has(name)]
    quantities = [name for name in _QUANTITIES if layout.has(name)]
    forms = {
        BAD_PRICE: ~pl.all_horizontal(is_price(name) for name in prices),
        BAD_QUANTITY: ~pl.all_horizontal(is_whole(name) for name in quantities),
    }
    if layout.has("padding"):
        forms[PADDED_BAR] = pl.col("padding").str.strip_chars() != _TRADED
    checks = positive_check(prices) | (range_checks() if layout.has("open") else {})
    return pl.concat([select_flags(fields, forms), select_flags(values, checks)], how="horizontal")


def _contract_flags(names: Distinct, terms: pl.DataFrame) -> pl.DataFrame:
    reasons = terms["reason"]
    return pl.DataFrame({reason: names.spread(reasons == reason) for reason in (BAD_TICKER, EXPIRED_CONTRACT)})


def _clock(layout: Layout, fields: pl.DataFrame, names: Distinct, terms: pl.DataFrame) -> pl.DataFrame:
    """Give the stamp of each row in seconds of the day, and judge it against the session.

    The vendor stamps a minute bar with its last second (``09:15:59``); the bar was complete a second later.
    Any other second is no bar end, and is not shifted.
    """
    times = Distinct.of(fields["time"])
    seconds = seconds_of_day(times.texts)
    is_bar_end = pl.Series([True]).new_from_index(0, len(seconds))
    if layout.bar_seconds == MINUTE:
        is_bar_end = (seconds % _MINUTE_SECONDS) == _MINUTE_SECONDS - 1
        seconds = seconds + is_bar_end.fill_null(value=False).cast(pl.Int32())
    table = pl.DataFrame(
        {
            "stamp": times.spread(seconds),
            "is_bar_end": times.spread(is_bar_end),
            "open_second": names.spread(terms["open_second"]),
            "close_second": names.spread(terms["close_second"]),
        }
    )
    # A bar that ends at the open lies before it; a tick at the open does not.
    is_bar = pl.lit(layout.bar_seconds > 0) & pl.col("is_bar_end")
    before = (pl.col("stamp") < pl.col("open_second")) | (is_bar & (pl.col("stamp") == pl.col("open_second")))
    return table.select(
        "stamp",
        pl.col("stamp").is_null().alias(BAD_TIME),
        pl.col("open_second").is_null().alias(NOT_A_SESSION),
        before.alias(BEFORE_OPEN),
        (pl.col("stamp") > pl.col("close_second")).alias(AFTER_CLOSE),
        (~pl.col("is_bar_end")).alias(BAD_BAR_TIME),
    )


def _timestamp(trade_date: dt.date) -> pl.Expr:
    return (pl.col("stamp").cast(pl.Int64()) * 1_000_000 + india_midnight_us(trade_date)).cast(TIMESTAMP)


def _rejects(layout: Layout, fields: pl.DataFrame, bad: pl.DataFrame, tables: pl.Series) -> pl.DataFrame:
    if bad.is_empty():
        return pl.DataFrame(schema=PLACED_REJECT_SCHEMA)
    lines = fields[bad["row"]].with_columns(bad["reason"], tables.gather(bad["row"]).alias("table"))
    return line_texts(lines, layout.columns).select(list(PLACED_REJECT_SCHEMA))


def _nothing(layout: Layout, fields: pl.DataFrame) -> Part:
    contracts = pl.DataFrame(schema=TERMS)
    return Part(layout, fields, contracts, pl.DataFrame(), pl.DataFrame(schema=PLACED_REJECT_SCHEMA))
