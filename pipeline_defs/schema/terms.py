"""What a source says about contracts: canonical statements of terms, each from a date on.

Readers of dumps, day files and lists make these, the contract master takes them; neither knows the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.columns import PRICE

if TYPE_CHECKING:
    from pathlib import Path

TERMS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "line": pl.UInt32(),
    "valid_from": pl.Date(),
    "token": pl.String(),
    "kind": pl.String(),
    "venue": pl.String(),
    "underlying": pl.String(),
    "expiry": pl.Date(),
    "strike": PRICE,
    "option_type": pl.String(),
    "series": pl.String(),
    "new_underlying": pl.String(),
    "new_expiry": pl.Date(),
    "new_strike": PRICE,
    "symbol": pl.String(),
    "isin": pl.String(),
    "lot_size": pl.Int64(),
    "tick_size": PRICE,
    "multiplier": PRICE,
    "currency": pl.String(),
}
"""One statement a row: on the trade date `valid_from` a contract had these terms; null says nothing.

`line` is the line of the file. The contract is named by kind, venue, underlying, expiry, strike, option_type and
series. Where any `new_` column is set, that is its name on the day before, and from `valid_from` on it is called
otherwise: a renamed share, a contract that the exchange re-dated. `token` is the exchange's own number
(``NSE-FO:53013``), by which a contract is recognised under a new name without being told.
"""

REFUSED_SCHEMA: Final[dict[str, pl.DataType]] = {"line": pl.UInt32(), "reason": pl.String()}
"""One row per line that says nothing usable."""


@dataclass(frozen=True, slots=True)
class TermsDelivery:
    """What a reader made of one file.

    Parameters
    ----------
    source : str
        Who says so, e.g. ``kite``; a later file of the same source and date corrects an earlier one.
    precedence : int
        Lower wins where sources disagree about a date: 0 one's own list, 10 the exchange, 20 a broker.
    path : Path
        The file.
    sha256 : str
        Of its bytes.
    statements : polars.DataFrame
        `TERMS_SCHEMA`.
    refused : polars.DataFrame
        `REFUSED_SCHEMA`.

    """

    source: str
    precedence: int
    path: Path
    sha256: str
    statements: pl.DataFrame
    refused: pl.DataFrame
