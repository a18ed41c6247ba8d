"""The exchange's daily UDiFF file as a source of terms: lots, ISINs and the exchange's own numbers of a trade date.

The same file imported by ``nse_csv`` gives its lots and ISINs as evidence already; read here it also gives the numbers
(``FinInstrmId``), by which a contract is recognised after the exchange has re-dated or renamed it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.terms.tables import day, deliver, price, read_table, whole

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from pipeline_defs.schema.terms import TermsDelivery

_COLUMNS: Final = (
    *("TradDt", "Sgmt", "Src", "FinInstrmTp", "FinInstrmId", "ISIN", "TckrSymb", "SctySrs", "XpryDt"),
    *("FininstrmActlXpryDt", "StrkPric", "OptnTp", "FinInstrmNm", "NewBrdLotQty"),
)
_KINDS: Final = {"STO": "OPT", "IDO": "OPT", "STF": "FUT", "IDF": "FUT", "STK": "EQ"}


def read(path: Path, as_of: dt.date | None) -> TermsDelivery:
    """Read a day file.

    Parameters
    ----------
    path : Path
        CSV, or the zip archive it comes in.
    as_of : datetime.date or None
        Must be the file's own trade date, if given.

    Returns
    -------
    TermsDelivery

    Raises
    ------
    ConfigurationError
        If `as_of` is not the file's trade date.
    SourceError
        If it is not such a file.

    """
    text, digest = read_table(path, _COLUMNS)
    named = text.with_columns(
        kind=pl.col("FinInstrmTp").replace_strict(_KINDS, default=None, return_dtype=pl.String()),
        traded_on=day("TradDt"),
    )
    others = named.filter(pl.col("traded_on") != pl.lit(as_of))["traded_on"]
    if others.len():
        raise ConfigurationError(
            f"the file is of {others[0]}, not of {as_of}",
            where=str(path),
            next_step="leave --as-of away: the file says its own date",
        )
    is_share, is_option = pl.col("kind") == "EQ", pl.col("kind") == "OPT"
    said = named.select(
        "line",
        "kind",
        valid_from="traded_on",
        token=pl.when(pl.col("FinInstrmId").is_not_null()).then(pl.format("{}-{}:{}", "Src", "Sgmt", "FinInstrmId")),
        venue="Src",
        underlying="TckrSymb",
        expiry=pl.when(~is_share).then(pl.coalesce(day("FininstrmActlXpryDt"), day("XpryDt"))),
        strike=pl.when(is_option).then(price("StrkPric")),
        option_type=pl.when(is_option).then("OptnTp"),
        series=pl.when(is_share).then("SctySrs"),
        isin=pl.when(is_share).then("ISIN"),
        lot_size=pl.when(~is_share).then(whole("NewBrdLotQty")),
        symbol=pl.when(is_share).then("TckrSymb").otherwise(pl.coalesce("FinInstrmNm", "TckrSymb")),
        currency=pl.lit("INR"),
        reason=pl.lit(None, pl.String()),
        lot_text="NewBrdLotQty",
    )
    unread = {
        "the lot size is no whole number": (pl.col("kind") != "EQ")
        & pl.col("lot_text").is_not_null()
        & pl.col("lot_size").is_null()
    }
    return deliver(path, digest, said, source="udiff", precedence=10, unread=unread)
