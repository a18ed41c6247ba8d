"""The exchanges' daily files to canonical rows: contracts from columns, lots to units, untraded rows.

Three families: the old F&O bhavcopy, UDiFF (derivatives and cash in one layout), and the cash
bhavcopies. What is judged here is each row by itself; duplicates are judged by `validate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.tables import DAY, table_for
from pipeline_defs.sources.nse_csv.checks import (
    PLACED_REJECT_SCHEMA,
    line_texts,
    positive_check,
    range_checks,
    refused,
    select_flags,
    without,
)
from pipeline_defs.sources.nse_csv.contracts import CURRENCY, TERMS, unify
from pipeline_defs.sources.nse_csv.fields import dates, is_price, is_whole, price, whole
from pipeline_defs.sources.nse_csv.layouts import BEYOND
from pipeline_defs.sources.nse_csv.parts import Part, india_midnight_us, session_bounds
from pipeline_defs.sources.nse_csv.reasons import (
    BAD_PRICE,
    BAD_QUANTITY,
    BAD_TICKER,
    EXPIRED_CONTRACT,
    NOT_A_SESSION,
    WRONG_FIELD_COUNT,
)

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.sources.nse_csv.layouts import Layout

_PRICES: Final = ("open", "high", "low", "close")
_UNDERLYING_FORM: Final = r"^[A-Z0-9&-]+$"
_SECURITY_FORM: Final = r"^[A-Z0-9&*._/-]+$"
_VENUE_FORM: Final = r"^[A-Z]+$"
_OLD_INSTRUMENTS: Final = {
    **dict.fromkeys(("FUTIDX", "FUTSTK", "FUTINT", "FUTIVX"), "FUT"),
    **dict.fromkeys(("OPTIDX", "OPTSTK"), "OPT"),
}
_UDIFF_INSTRUMENTS: Final = {"STO": "OPT", "IDO": "OPT", "STF": "FUT", "IDF": "FUT", "STK": "EQ"}
_OPTION_TYPES: Final = {"CE": "CE", "PE": "PE", "CA": "CE", "PA": "PE"}
"""Until January 2011 stock options were American and written CA and PA; the right is the same."""
_EXPIRY_FORMS: Final = ("%d-%b-%Y", "%d-%b-%y", "%Y-%m-%d")


def normalize_daily(layout: Layout, fields: pl.DataFrame, trade_date: dt.date, underlying: str | None) -> Part:
    """Turn the lines of one session into canonical rows, stamped with the session's close.

    Parameters
    ----------
    layout : Layout
        Of a bhavcopy family.
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
    clean = fields.with_columns(pl.col(pl.String()).str.strip_chars(' "'))
    terms = _terms(layout, clean, trade_date)
    if underlying is not None:
        wanted = (terms["underlying"] == underlying) | (terms["reason"] == BAD_TICKER)
        keep = wanted.fill_null(value=False)
        fields, clean, terms = fields.filter(keep), clean.filter(keep), terms.filter(keep)
    contracts, contract = _number(terms)
    values = _values(layout, clean, terms)
    bounds = session_bounds(terms["kind"].fill_null(""), trade_date)
    bad = refused(
        [
            terms.select((pl.col("reason") == reason).alias(reason) for reason in (BAD_TICKER, EXPIRED_CONTRACT)),
            _flags(layout, clean, values),
            bounds.select(pl.col("close_second").is_null().alias(NOT_A_SESSION)),
        ]
    )
    stamp = pl.col("close_second").cast(pl.Int64()) * 1_000_000 + india_midnight_us(trade_date)
    rows = pl.concat(
        [
            fields.select("file_index", "line"),
            contract.to_frame("contract"),
            bounds.select(timestamp=stamp.cast(TIMESTAMP)),
            _blank_untraded(values),
        ],
        how="horizontal",
    )
    lines = fields[bad["row"]].with_columns(bad["reason"], terms["table"].gather(bad["row"]).alias("table"))
    rejects = line_texts(lines, layout.columns).select(list(PLACED_REJECT_SCHEMA))
    return Part(layout, fields, contracts, without(rows, bad["row"]), rejects)


def _terms(layout: Layout, clean: pl.DataFrame, trade_date: dt.date) -> pl.DataFrame:
    """Say which contract each row is of: `TERMS` and ``reason``; rows that name none have no terms."""
    is_cash = layout.family == "cash-bhavcopy"
    named = _cash_terms(layout, clean) if is_cash else _derivative_terms(layout, clean)
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in TERMS.items() if name not in named.columns]
    named = named.with_columns(missing).with_columns(
        currency=pl.lit(CURRENCY),
        table=pl.col("kind").replace_strict(
            {kind: table_for(kind, DAY) for kind in ("OPT", "FUT", "EQ")}, default=None, return_dtype=pl.String()
        ),
    )
    is_option = pl.col("kind") == "OPT"
    is_share = pl.col("kind") == "EQ"
    is_contract = (
        pl.col("kind").is_not_null()
        & pl.col("venue").str.contains(_VENUE_FORM)
        & (is_share | (pl.col("underlying").str.contains(_UNDERLYING_FORM) & pl.col("expiry").is_not_null()))
        & (~is_share | pl.col("underlying").str.contains(_SECURITY_FORM))
        & (is_option == pl.col("option_type").is_not_null())
        & (~is_option | (pl.col("strike") > 0))
    ).fill_null(value=False)
    reason = (
        pl.when(~is_contract)
        .then(pl.lit(BAD_TICKER))
        .when(pl.col("expiry") < trade_date)
        .then(pl.lit(EXPIRED_CONTRACT))
    )
    return named.select(*(pl.when(is_contract).then(name).alias(name) for name in TERMS), reason=reason)


def _cash_terms(layout: Layout, clean: pl.DataFrame) -> pl.DataFrame:
    isin = pl.when(pl.col("isin") != "").then("isin") if layout.has("isin") else pl.lit(None, pl.String())
    return clean.select(
        kind=pl.lit("EQ"),
        symbol="symbol",
        underlying="symbol",
        series=pl.when(pl.col("series") != "").then("series"),
        isin=isin,
        venue=pl.lit("NSE"),
    )


def _derivative_terms(layout: Layout, clean: pl.DataFrame) -> pl.DataFrame:
    is_udiff = layout.family == "udiff"
    kind = pl.col("instrument").replace_strict(
        _UDIFF_INSTRUMENTS if is_udiff else _OLD_INSTRUMENTS, default=None, return_dtype=pl.String()
    )
    expiry = _dates(clean["expiry"])
    if is_udiff:
        expiry = _dates(clean["actual_expiry"]).zip_with(clean["actual_expiry"] != "", expiry)
    is_option = pl.col("kind") == "OPT"
    named = clean.with_columns(kind=kind, expiry=expiry).with_columns(
        option_type=pl.col("option_type").replace_strict(_OPTION_TYPES, default=None, return_dtype=pl.String()),
        strike=pl.when(is_option & is_price("strike")).then(price("strike")),
        underlying="symbol",
    )
    if not is_udiff:
        return named.select(
            *("kind", "underlying", "expiry", "strike", "option_type"),
            symbol=_long_name(clean),
            venue=pl.lit("NSE"),
        )
    is_share = pl.col("kind") == "EQ"
    return named.select(
        *("kind", "underlying", "strike", "option_type"),
        expiry=pl.when(~is_share).then("expiry"),
        symbol=pl.when(is_share | (pl.col("ticker") == "")).then("symbol").otherwise("ticker"),
        series=pl.when(is_share & (pl.col("series") != "")).then("series"),
        isin=pl.when(is_share & (pl.col("isin") != "")).then("isin"),
        lot_size=pl.when(is_whole("lot_size") & (whole("lot_size") > 0)).then(whole("lot_size")),
        venue="venue",
    )


def _long_name(clean: pl.DataFrame) -> pl.Series:
    """Compose the exchange's long name (``OPTIDX_NIFTY_29OCT2008_CE_2750``): the old file has no ticker."""
    expiry = _dates(clean["expiry"]).dt.strftime("%d%b%Y").str.to_uppercase()
    parts = clean.select("instrument", "symbol", expiry.alias("day"), "option_type", "strike")
    return parts.select(pl.concat_str(pl.all(), separator="_", ignore_nulls=True)).to_series()


def _dates(texts: pl.Series) -> pl.Series:
    distinct = texts.unique()
    table = pl.DataFrame({"text": distinct, "day": dates(distinct, *_EXPIRY_FORMS)})
    return texts.to_frame("text").join(table, on="text", how="left", maintain_order="left")["day"]


def _number(terms: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
    """Give the contracts, and for each row its own (null where it names none)."""
    known = terms["underlying"].is_not_null()
    contracts, positions = unify(terms.filter(known))
    numbers = pl.Series("contract", [None], pl.UInt32()).new_from_index(0, terms.height)
    return contracts, numbers.scatter(known.arg_true(), positions)


def _values(layout: Layout, clean: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """Convert numbers; volume in units, null where only lots are known and the lot is not."""
    columns = [price(name) for name in _PRICES]
    if layout.has("settlement_price"):
        settlement = price("settlement_price")
        columns.append(pl.when(settlement != 0).then(settlement))
    if layout.has("open_interest"):
        columns.append(whole("open_interest"))
    if not layout.has("contracts"):
        return clean.select(*columns, whole("volume")).with_columns(traded="volume")
    traded = whole("contracts")
    values = clean.select(*columns, traded=traded).hstack(terms.select("kind", "lot_size"))
    units = (
        pl.when((pl.col("kind") == "EQ") | (pl.col("traded") == 0))
        .then("traded")
        .otherwise(pl.col("traded") * pl.col("lot_size"))
    )
    return values.with_columns(volume=units).drop("kind", "lot_size")


def _flags(layout: Layout, clean: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """Judge prices and quantities; an untraded row has zeros and a close."""
    counts = "contracts" if layout.has("contracts") else "volume"
    forms = {
        BAD_PRICE: ~pl.all_horizontal(is_price(name) for name in _PRICES),
        BAD_QUANTITY: ~is_whole(counts),
    }
    if layout.has("settlement_price"):
        forms[BAD_PRICE] |= ~(is_price("settlement_price") | (pl.col("settlement_price") == ""))
    if layout.has("open_interest"):
        forms[BAD_QUANTITY] |= ~(is_whole("open_interest") | (pl.col("open_interest") == ""))
    beyond = [name for name in clean.columns if name.startswith(BEYOND)]
    if beyond:
        # Something behind the last comma: the line is shifted, however well its fields may read.
        forms[WRONG_FIELD_COUNT] = pl.any_horizontal(pl.col(name) != "" for name in beyond)
    priced = [*_PRICES, "settlement_price"] if layout.has("settlement_price") else _PRICES
    checks = positive_check(priced) | range_checks()
    return pl.concat([select_flags(clean, forms), select_flags(_blank_untraded(values), checks)], how="horizontal")


def _blank_untraded(values: pl.DataFrame) -> pl.DataFrame:
    """Take the zeros out of rows in which nothing traded."""
    spans = ("open", "high", "low")
    is_untraded = (pl.col("traded") == 0) & pl.all_horizontal(pl.col(name) == 0 for name in spans)
    return values.with_columns(pl.when(~is_untraded).then(name) for name in spans).drop("traded")
