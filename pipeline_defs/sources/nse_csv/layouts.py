"""The declared layouts: what each column means, how tickers are written, what one row is.

Nothing about a layout is inferred from rows. A new vendor layout is one `Layout` here; how a file's
header is matched against them is in `headers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pipeline_defs.schema.tables import DAY, MINUTE, TICK

if TYPE_CHECKING:
    from pipeline_defs.markets.tickers.grammars import Grammar

type Family = Literal["stream", "fo-bhavcopy", "cash-bhavcopy", "udiff"]

BEYOND: Final = "beyond_"
"""Name of the columns that a comma at the end of the header leaves, numbered."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way a file may look.

    Parameters
    ----------
    name : str
        Recorded with every file.
    family : Family
        Which module turns its rows into observations.
    columns : tuple of str
        What each field means, in file order: a role the family knows, or the file's own name for a
        column that is not stored.
    header : tuple of str or None
        Normalised header; None for a file without one.
    bar_seconds : int
        Resolution of its rows.
    table : str
        Table of rows that cannot be told from the rows around them.
    grammar : Grammar, default "gdfl"
        How its tickers are written; means nothing where contracts come from columns.
    date_format : str
        How dates are written.

    """

    name: str
    family: Family
    columns: tuple[str, ...]
    header: tuple[str, ...] | None
    bar_seconds: int
    table: str
    grammar: Grammar = "gdfl"
    date_format: str = ""

    def has(self, role: str) -> bool:
        """Tell whether the layout has a column of this role."""
        return role in self.columns


_BAR: Final = ("ticker", "date", "time", "open", "high", "low", "close", "volume", "open_interest")
_TICK: Final = (
    *("ticker", "date", "time", "close", "bid_price", "bid_size", "ask_price", "ask_size", "volume", "open_interest"),
)
_BAR_HEADER: Final = ("ticker", "date", "time", "open", "high", "low", "close", "volume", "openinterest")
_TICK_HEADER: Final = (
    *("ticker", "date", "time", "ltp", "buyprice", "buyqty", "sellprice", "sellqty", "ltq", "openinterest"),
)
_TRUEDATA: Final = (
    *("date", "time", "close", "volume", "open_interest", "bid_price", "bid_size", "ask_price", "ask_size"),
)
_PADDED_HEADER: Final = (*_BAR_HEADER[:3], "expirydate", *_BAR_HEADER[3:], "paddingflag")
_FO_HEADER: Final = (
    *("instrument", "symbol", "expirydt", "strikepr", "optiontyp", "open", "high", "low", "close", "settlepr"),
    *("contracts", "valinlakh", "openint", "chginoi", "timestamp"),
)
_FO: Final = (
    *("instrument", "symbol", "expiry", "strike", "option_type", "open", "high", "low", "close", "settlement_price"),
    *("contracts", "valinlakh", "open_interest", "chginoi", "date"),
)
_CASH_HEADER: Final = (
    *("symbol", "series", "open", "high", "low", "close", "last", "prevclose", "tottrdqty", "tottrdval", "timestamp"),
    *("totaltrades", "isin"),
)
_CASH: Final = (*_CASH_HEADER[:8], "volume", "tottrdval", "date", "totaltrades", "isin")
_FULL_HEADER: Final = (
    *("symbol", "series", "date1", "prevclose", "openprice", "highprice", "lowprice", "lastprice", "closeprice"),
    *("avgprice", "ttltrdqnty", "turnoverlacs", "nooftrades", "delivqty", "delivper"),
)
_FULL: Final = (
    *("symbol", "series", "date", "prevclose", "open", "high", "low", "lastprice", "close", "avgprice", "volume"),
    *_FULL_HEADER[11:],
)
_UDIFF_HEADER: Final = (
    *("traddt", "bizdt", "sgmt", "src", "fininstrmtp", "fininstrmid", "isin", "tckrsymb", "sctysrs", "xprydt"),
    *("fininstrmactlxprydt", "strkpric", "optntp", "fininstrmnm", "opnpric", "hghpric", "lwpric", "clspric"),
    *("lastpric", "prvsclsgpric", "undrlygpric", "sttlmpric", "opnintrst", "chnginopnintrst", "ttltradgvol"),
    *("ttltrfval", "ttlnboftxsexctd", "ssnid", "newbrdlotqty", "rmks", "rsvd1", "rsvd2", "rsvd3", "rsvd4"),
)
_UDIFF_ROLES: Final = {
    "traddt": "date",
    "src": "venue",
    "fininstrmtp": "instrument",
    "tckrsymb": "symbol",
    "sctysrs": "series",
    "xprydt": "expiry",
    "fininstrmactlxprydt": "actual_expiry",
    "strkpric": "strike",
    "optntp": "option_type",
    "fininstrmnm": "ticker",
    "opnpric": "open",
    "hghpric": "high",
    "lwpric": "low",
    "clspric": "close",
    "sttlmpric": "settlement_price",
    "opnintrst": "open_interest",
    "ttltradgvol": "contracts",
    "newbrdlotqty": "lot_size",
}
_UDIFF: Final = tuple(_UDIFF_ROLES.get(name, name) for name in _UDIFF_HEADER)

_GDFL_DATE: Final = "%d/%m/%Y"
_ISO_DATE: Final = "%Y-%m-%d"
_COMPACT_DATE: Final = "%Y%m%d"
_MONTH_NAME_DATE: Final = "%d-%b-%Y"

LAYOUTS: Final = (
    Layout("gdfl-minute", "stream", _BAR, _BAR_HEADER, MINUTE, "options_ticks", "gdfl", _GDFL_DATE),
    Layout("gdfl-tick", "stream", _TICK, _TICK_HEADER, TICK, "options_ticks", "gdfl", _GDFL_DATE),
    Layout("gdfl-cash-minute", "stream", _BAR, _BAR_HEADER, MINUTE, "spot_prices", "gdfl", _GDFL_DATE),
    Layout("gdfl-cash-tick", "stream", _TICK, _TICK_HEADER, TICK, "spot_prices", "gdfl", _GDFL_DATE),
    Layout(
        "expiry-column-minute",
        "stream",
        (*_BAR[:3], "expiry", *_BAR[3:], "padding"),
        _PADDED_HEADER,
        MINUTE,
        "options_ticks",
        "gdfl",
        _ISO_DATE,
    ),
    Layout("truedata-index-tick", "stream", _TRUEDATA[:5], None, TICK, "spot_prices", "truedata", _COMPACT_DATE),
    Layout("truedata-tick", "stream", _TRUEDATA, None, TICK, "options_ticks", "truedata", _COMPACT_DATE),
    Layout("truedata-contract-tick", "stream", _TRUEDATA, None, TICK, "futures_ticks", "exchange", _COMPACT_DATE),
    Layout("fo-bhavcopy", "fo-bhavcopy", _FO, _FO_HEADER, DAY, "options_ticks", date_format=_MONTH_NAME_DATE),
    Layout("cash-bhavcopy", "cash-bhavcopy", _CASH, _CASH_HEADER, DAY, "equity_daily", date_format=_MONTH_NAME_DATE),
    Layout(
        "cash-bhavcopy-2010",
        "cash-bhavcopy",
        _CASH[:11],
        _CASH_HEADER[:11],
        DAY,
        "equity_daily",
        date_format=_MONTH_NAME_DATE,
    ),
    Layout(
        "cash-bhavcopy-r",
        "cash-bhavcopy",
        ("row", *_CASH, "x"),
        ("", *_CASH_HEADER, "x"),
        DAY,
        "equity_daily",
        date_format=_MONTH_NAME_DATE,
    ),
    Layout(
        "cash-bhavdata-full", "cash-bhavcopy", _FULL, _FULL_HEADER, DAY, "equity_daily", date_format=_MONTH_NAME_DATE
    ),
    Layout("udiff", "udiff", _UDIFF, _UDIFF_HEADER, DAY, "options_ticks", date_format=_ISO_DATE),
    Layout("udiff-cash", "udiff", _UDIFF, _UDIFF_HEADER, DAY, "equity_daily", date_format=_ISO_DATE),
)
"""Where two layouts share a header, the file's name decides; without one, the first."""

LAYOUTS_BY_NAME: Final = {layout.name: layout for layout in LAYOUTS}
