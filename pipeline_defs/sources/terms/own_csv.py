"""A list of one's own: what the exchange announced in a circular and no file says by itself.

One line is one statement: the contract as it was called, the date from which, and what is new. See
``docs/contract-master.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.sources.terms.tables import day, deliver, price, read_table, whole

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from pipeline_defs.schema.terms import TermsDelivery

REQUIRED: Final = ("kind", "underlying")
OPTIONAL: Final = (
    *("valid_from", "venue", "expiry", "strike", "option_type", "series"),
    *(
        "new_underlying",
        "new_expiry",
        "new_strike",
        "symbol",
        "isin",
        "lot_size",
        "tick_size",
        "multiplier",
        "currency",
    ),
)
_READ: Final = {
    **dict.fromkeys(("valid_from", "expiry", "new_expiry"), day),
    **dict.fromkeys(("strike", "new_strike", "tick_size", "multiplier"), price),
    "lot_size": whole,
}
_NEWS: Final = (
    *("new_underlying", "new_expiry", "new_strike", "symbol", "isin", "lot_size", "tick_size", "multiplier"),
)


def read(path: Path, as_of: dt.date | None) -> TermsDelivery:
    """Read a list.

    Parameters
    ----------
    path : Path
        CSV with any of the columns `OPTIONAL` besides `REQUIRED`.
    as_of : datetime.date or None
        Date of the lines that leave ``valid_from`` empty.

    Returns
    -------
    TermsDelivery

    Raises
    ------
    SourceError
        If it is not such a list.

    """
    text, digest = read_table(path, REQUIRED, (*REQUIRED, *OPTIONAL))
    text = text.with_columns(pl.lit(None, pl.String()).alias(name) for name in OPTIONAL if name not in text.columns)
    texts = {f"{name}_text": pl.col(name) for name in _READ}
    said = text.select(
        "line",
        *(name for name in (*REQUIRED, *OPTIONAL) if name not in {*_READ, "venue", "currency"}),
        **texts,
        **{name: convert(name) for name, convert in _READ.items()},
        venue=pl.col("venue").fill_null("NSE"),
        currency=pl.col("currency").fill_null("INR"),
        reason=pl.lit(None, pl.String()),
    ).with_columns(valid_from=pl.when(pl.col("valid_from_text").is_null()).then(pl.lit(as_of)).otherwise("valid_from"))
    unread = {
        f"{name} cannot be read": pl.col(f"{name}_text").is_not_null() & pl.col(name).is_null() for name in _READ
    } | {"it says nothing new about the contract": pl.all_horizontal(pl.col(_NEWS).is_null())}
    return deliver(path, digest, said, source="own list", precedence=0, unread=unread)
