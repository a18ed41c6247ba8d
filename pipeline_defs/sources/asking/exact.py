"""Numbers of a client's reply to exact decimals.

JSON carries decimals as text, and most clients turn them into the nearest float of 64 bits. The shortest decimal that
has this float as its nearest is what the vendor wrote, as long as it wrote at most 15 digits. A vendor that keeps
prices as floats of 32 bits writes 172.69 as 172.69000244140625: for those the shortest decimal of the narrower float
is taken. Nothing is rounded: what does not fit eight decimals is no price, and its row is refused.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import polars as pl

from pipeline_defs.schema.columns import PRICE, SIZE

_FORM: Final = r"^-?[0-9]{1,12}(\.[0-9]{1,8})?$"
_SIZE_FORM: Final = r"^-?[0-9]{1,19}(\.[0-9]{1,8})?$"


def shortest_texts(values: pl.Series, *, narrow: bool = False) -> pl.Series:
    """Give floats as the shortest plain decimal text that means them.

    Parameters
    ----------
    values : polars.Series
        Float64; null, NaN and infinities become null.
    narrow : bool, default False
        Whether the vendor's numbers are floats of 32 bits: where a value is one exactly, its own shortest text is
        taken.

    Returns
    -------
    polars.Series
        String.

    """
    wide = values.cast(pl.Float64)
    wide = wide.set(~wide.is_finite(), None)
    texts = wide.cast(pl.String)
    if narrow:
        short = wide.cast(pl.Float32)
        is_narrow = (short.cast(pl.Float64) == wide).fill_null(value=False)
        texts = short.cast(pl.String).zip_with(is_narrow, texts)
    if texts.str.contains("e", literal=True).any():
        # Very large and very small ones, which few are, come with an exponent.
        texts = texts.map_elements(lambda text: format(Decimal(text), "f"), return_dtype=pl.String)
    return texts.str.replace(r"\.0$", "").alias(values.name)


def prices_of(texts: pl.Series) -> pl.Series:
    """Read prices.

    Parameters
    ----------
    texts : polars.Series
        Plain decimals; null stays null.

    Returns
    -------
    polars.Series
        `PRICE`; null for what is no decimal of at most 12 digits before and 8 after the point.

    """
    return texts.set(~texts.str.contains(_FORM), None).cast(PRICE)


def sizes_of(texts: pl.Series) -> pl.Series:
    """Read volumes and open interests, as in `prices_of`; `SIZE`."""
    return texts.set(~texts.str.contains(_SIZE_FORM), None).cast(SIZE)


def float_prices(values: pl.Series, *, narrow: bool = False) -> pl.Series:
    """Read prices from floats, as in `shortest_texts` and `prices_of`."""
    return prices_of(shortest_texts(values, narrow=narrow))


def float_sizes(values: pl.Series) -> pl.Series:
    """Read volumes from floats, as in `shortest_texts` and `sizes_of`."""
    return sizes_of(shortest_texts(values))
