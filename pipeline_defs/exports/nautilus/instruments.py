"""Contract terms to Nautilus' instrument files, all contracts at once, column by column.

What a term becomes in Nautilus is decided here and nowhere else:

- `multiplier` 1 and quantities in units, as the exchanges count; `lot_size` is the lot, 1 when unknown.
- `price_precision`: the decimals of the tick, at least 2. Without a known tick, contracts of NSE and BSE
  take theirs (0.05), pairs 8 decimals; anything else takes the fewest of 2, 4 and 8 that hold its prices.
- `size_precision`: 8 for pairs, in every month alike, 0 for the rest: Nautilus fixes it for shares and contracts.
- Currencies that Nautilus does not know (it knows some 140) become cryptocurrencies of 8 decimals when it reads them.
- `activation_ns` 0: the listing date is not known, must not depend on the month that is exported, and
  one in the future would have the engine reject orders.
- `expiration_ns`: one nanosecond after the close of the contract's last session. At the close itself
  the engine may settle before it has seen the last bars.
- `underlying` is the id of the index or share without its venue, which is how the engine finds it.
- `info` carries, under ``terms``, the lots, ticks, expiries and names by date where they change within the export: the
  engine keeps the first definition that it is given for a whole run, so there is but one, that of the last bar.
- Margins and fees are zero: they are the strategy's assumptions, not market data.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus.checks import COMMON_DECIMALS
from pipeline_defs.exports.nautilus.naming import CLASSES, MARKET_CODES
from pipeline_defs.schema.columns import PRICE, PRICE_SCALE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.exports.nautilus.targets import Target

DERIVATIVE_TICK: Final = Decimal("0.05")
"""Tick of futures and options of NSE and BSE when a contract's own is not known."""

_LIMITS: Final = ("max_quantity", "min_quantity", "max_notional", "min_notional", "max_price", "min_price")
_INCREMENTS: Final = {2: Decimal("0.01"), 4: Decimal("0.0001"), 8: Decimal("0.00000001")}
_PAIR: Final = pl.col("kind") == "PAIR"
_EXPIRING: Final = pl.col("kind").is_in(["FUT", "OPT"])
_LONGEST_CLOSURE: Final = dt.timedelta(days=10)


def with_precisions(named: pl.DataFrame, needed: pl.DataFrame) -> pl.DataFrame:
    """Decide the tick and the price precision of instruments.

    Parameters
    ----------
    named : polars.DataFrame
        What `naming.with_identifiers` returned.
    needed : polars.DataFrame
        `instrument_id` and `decimals`: what the prices need, from `checks.decimals_needed`.

    Returns
    -------
    polars.DataFrame
        The instruments that `needed` holds, in its order, with `decimals`, `tick` (Decimal), `price_precision` and
        `size_precision` added.

    """
    by_market = pl.when(_EXPIRING & pl.col("venue").is_in(list(MARKET_CODES))).then(pl.lit(DERIVATIVE_TICK, PRICE))
    of_prices = pl.coalesce(
        # What a pair's prices happen to need differs from month to month.
        pl.when(_PAIR).then(pl.lit(PRICE_SCALE, pl.UInt8)),
        *(pl.when(pl.col("decimals") <= decimals).then(pl.lit(decimals, pl.UInt8)) for decimals in sorted(_INCREMENTS)),
    )
    return (
        needed.join(named, on="instrument_id", how="left", maintain_order="left")
        .with_columns(
            tick=pl.coalesce("tick_size", by_market),
            size_precision=pl.when(_PAIR).then(pl.lit(PRICE_SCALE, pl.UInt8)).otherwise(pl.lit(0, pl.UInt8)),
        )
        .with_columns(
            price_precision=pl.when(pl.col("tick").is_null())
            .then(of_prices)
            .otherwise(pl.max_horizontal(_decimals_of("tick"), pl.lit(COMMON_DECIMALS, pl.UInt8)))
        )
        .with_columns(
            tick=pl.coalesce("tick", pl.col("price_precision").replace_strict(_INCREMENTS, default=None).cast(PRICE))
        )
    )


def check_expiries(named: pl.DataFrame) -> None:
    """Refuse contracts whose expiry would settle them at the wrong time.

    Parameters
    ----------
    named : polars.DataFrame
        What `naming.with_identifiers` returned.

    Raises
    ------
    ExportError
        If the close of a contract's last session is not known, lies after its expiry or more than
        ten days before it, or a bar of the contract lies after it.

    """
    close = pl.col("expiry_close")
    rules = {
        "the close of its last session is not known": close.is_null(),
        "the session calendar does not reach its expiry": (
            (close.dt.date() > pl.col("expiry")) | (pl.col("expiry") - close.dt.date() > _LONGEST_CLOSURE)
        ),
        "it has bars after the close of its last session": pl.col("last_timestamp") > close,
    }
    for what, is_bad in rules.items():
        for row in named.filter(_EXPIRING & is_bad).head(1).iter_rows(named=True):
            raise ExportError(
                f"{what}: expiry {row['expiry']}, close {row['expiry_close']}, last bar {row['last_timestamp']}",
                where=f"instrument {row['instrument_id']} ({row['symbol']})",
                next_step="correct the contract's expiry or the session calendar, then export again",
            )


def instrument_rows(terms: pl.DataFrame, known_from: dt.datetime, changes: pl.DataFrame | None = None) -> pl.DataFrame:
    """Say every instrument in Nautilus' words.

    Parameters
    ----------
    terms : polars.DataFrame
        What `with_precisions` returned.
    known_from : datetime.datetime
        Time stamp of the definitions: the start of the partition, UTC.
    changes : polars.DataFrame, optional
        `instrument_id` and `terms`, from `periods.terms_as_text`; default: nothing changes.

    Returns
    -------
    polars.DataFrame
        One row per instrument, with `kind` and every column that any of `CLASSES` has.

    """
    underlyings = terms.filter(pl.col("kind").is_in(["SPOT", "EQ"])).select(
        underlying_id="engine_id", underlying_precision="price_precision", underlying_kind="kind"
    )
    text = pl.String
    precision = pl.col("price_precision")
    # Cash settlement is computed at the strike's precision, so it must hold the underlying's price, too.
    strike_precision = pl.max_horizontal(precision, "underlying_precision", _decimals_of("strike"))
    instant = pl.lit(known_from).dt.epoch("ns").cast(pl.UInt64)
    zero, one = pl.lit("0", text), pl.lit("1", text)
    asset_class = pl.when(pl.col("underlying_kind") == "EQ").then(pl.lit("EQUITY")).otherwise(pl.lit("INDEX"))
    info = pl.format(
        '{{"expiry_date":"{}","lot_size_known":{}{}}}',
        pl.col("expiry").cast(text),
        pl.col("lot_size").is_not_null().cast(text),
        pl.format(',"terms":{}', "terms").fill_null(""),
    )
    if changes is None:
        changes = pl.DataFrame(schema={"instrument_id": terms.schema["instrument_id"], "terms": text})
    with_changes = terms.join(changes, on="instrument_id", how="left", maintain_order="left")
    return with_changes.join(
        underlyings,
        left_on=pl.concat_str("root", pl.lit("."), "venue"),
        right_on="underlying_id",
        how="left",
        maintain_order="left",
    ).select(
        "kind",
        "isin",
        "currency",
        "base_currency",
        "size_precision",
        quote_currency="currency",
        id="engine_id",
        raw_symbol="symbol",
        underlying="root",
        asset_class=asset_class,
        exchange=pl.col("venue").replace_strict(MARKET_CODES, default=None),
        option_kind=pl.col("option_type").replace_strict({"CE": "CALL", "PE": "PUT"}, default=None),
        strike_price=_decimal_text("strike", strike_precision),
        activation_ns=pl.lit(0, pl.UInt64),
        expiration_ns=(pl.col("expiry_close").dt.epoch("ns") + 1).cast(pl.UInt64),
        price_precision="price_precision",
        price_increment=_decimal_text("tick", precision),
        size_increment=pl.col("size_precision").replace_strict({0: "1", 8: "0.00000001"}, return_dtype=text),
        multiplier=one,
        lot_size=pl.when(_PAIR).then("lot_size").otherwise(pl.col("lot_size").fill_null(1)).cast(text),
        **dict.fromkeys(_LIMITS, pl.lit(None, text)),
        margin_init=zero,
        margin_maint=zero,
        maker_fee=zero,
        taker_fee=zero,
        info=pl.coalesce(info, pl.format('{{"terms":{}}}', "terms"), pl.lit("{}")),
        ts_event=instant,
        ts_init=instant,
    )


def instrument_files(rows: pl.DataFrame, target: Target) -> Iterator[tuple[str, str, bytes]]:
    """Cut the rows into Nautilus' instrument files, one row each.

    Parameters
    ----------
    rows : polars.DataFrame
        What `instrument_rows` returned.
    target : Target
        Format of the catalog.

    Yields
    ------
    tuple
        Class name, instrument id, and the Parquet file; it reads as a table with the class's own
        schema and metadata.

    """
    for (kind,), of_kind in rows.partition_by("kind", as_dict=True).items():
        class_name = CLASSES[str(kind)]
        for instrument_id, file in zip(of_kind["id"], target.instrument_files(class_name, of_kind), strict=True):
            yield class_name, instrument_id, file


def _decimals_of(name: str) -> pl.Expr:
    """Count the decimals of a price that are not trailing zeros."""
    digits = pl.col(name).cast(pl.String).str.strip_chars_end("0").str.split(".").list.last()
    return digits.str.len_chars().cast(pl.UInt8)


def _decimal_text(name: str, decimals: pl.Expr) -> pl.Expr:
    """Write a price with exactly so many decimals; the rest are zeros by construction."""
    full = pl.col(name).cast(pl.String)
    return full.str.slice(0, full.str.len_chars() - PRICE_SCALE + decimals.cast(pl.Int64))
