"""The one fixed strategy that is tried on every export: buy an option at its first bar and hold it to expiry.

Which option that is follows from the slice alone, so that all engines hold the same one and their profits can be
compared. How an engine holds it is the business of its format. Polars only.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

_ORDER: Final = ("settlement_price", "expiry", "strike", "option_type")


def choose_option(options: pl.DataFrame) -> dict[str, Any] | None:
    """Choose the option to hold.

    Parameters
    ----------
    options : polars.DataFrame
        One row per instrument: `kind`, `expiry`, `strike`, `option_type`, `first_timestamp` and `last_timestamp` of its
        finest bars, `expiry_close`, and `settlement_price`, null where it is not settled within the slice; and whatever
        else the caller wants to know of the chosen one.

    Returns
    -------
    dict or None
        The row of the option that ends with the smallest worth above nothing, since one that expires worthless tells
        less; None when no option is settled within the slice or trades at two instants before.

    """
    settled = options.filter(
        pl.col("kind") == "OPT",
        pl.col("settlement_price").is_not_null(),
        pl.col("first_timestamp") < pl.min_horizontal("last_timestamp", "expiry_close"),
    ).sort(pl.col("settlement_price") == 0, *_ORDER)
    return None if settled.is_empty() else settled.row(0, named=True)
