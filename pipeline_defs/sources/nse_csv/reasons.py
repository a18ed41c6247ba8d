"""Every reason for which a line or file is refused, in the order in which they are tried.

A line is refused for the first reason that applies. The names are part of the product: they are
stored with the rejected lines, counted in reports and explained in ``docs/sources/nse-csv.md``.
"""

from __future__ import annotations

from typing import Final

import polars as pl

UNSAFE_MEMBER_PATH: Final = "unsafe_member_path"
EMPTY_FILE: Final = "empty_file"
OTHER_PRODUCT: Final = "other_product"
BLANK_LINE: Final = "blank_line"
WRONG_FIELD_COUNT: Final = "wrong_field_count"
REPEATED_HEADER: Final = "repeated_header"
BAD_DATE: Final = "bad_date"
OTHER_DAY: Final = "other_day"
BAD_TICKER: Final = "bad_ticker"
EXPIRED_CONTRACT: Final = "expired_contract"
PADDED_BAR: Final = "padded_bar"
BAD_TIME: Final = "bad_time"
BAD_PRICE: Final = "bad_price"
NON_POSITIVE_PRICE: Final = "non_positive_price"
HIGH_BELOW_LOW: Final = "high_below_low"
PRICE_OUTSIDE_RANGE: Final = "price_outside_range"
BAD_QUANTITY: Final = "bad_quantity"
NOT_A_SESSION: Final = "not_a_session"
BEFORE_OPEN: Final = "before_open"
AFTER_CLOSE: Final = "after_close"
BAD_BAR_TIME: Final = "bad_bar_time"
CONFLICTING_DUPLICATE: Final = "conflicting_duplicate"
DUPLICATE: Final = "duplicate"

REASONS: Final[dict[str, str]] = {
    UNSAFE_MEMBER_PATH: "The member's name points outside its archive; it was not read.",
    EMPTY_FILE: "The file or member holds no data line.",
    OTHER_PRODUCT: "The header is that of another product than the delivery's name says, e.g. minute bars among ticks.",
    BLANK_LINE: "Nothing but white space.",
    WRONG_FIELD_COUNT: "More or fewer fields than the header has: cut, glued or shifted.",
    REPEATED_HEADER: "The header again, among the data.",
    BAD_DATE: "No date, or not one in the layout's own form.",
    OTHER_DAY: "A valid date, but not the one in the file's name.",
    BAD_TICKER: "The ticker, or the columns that name the contract, do not follow the layout's grammar.",
    EXPIRED_CONTRACT: "The contract had expired before the trade date.",
    PADDED_BAR: "The padding flag is not 0: the vendor filled the bar forward, nothing traded in it.",
    BAD_TIME: "No time of day in the form HH:MM:SS.",
    BAD_PRICE: "A price that is not a plain decimal number of at most 12 digits before and 8 after the point.",
    NON_POSITIVE_PRICE: "A price of zero or below.",
    HIGH_BELOW_LOW: "The high is below the low.",
    PRICE_OUTSIDE_RANGE: "Open or close lies outside low to high.",
    BAD_QUANTITY: "A volume, size or open interest that is not a whole number of zero or more.",
    NOT_A_SESSION: "The market was closed on that date.",
    BEFORE_OPEN: "Before the session's open.",
    AFTER_CLOSE: "After the session's close.",
    BAD_BAR_TIME: "A minute bar whose stamp is not the last second of a minute.",
    CONFLICTING_DUPLICATE: "Several rows for one contract and time with different values; all are refused.",
    DUPLICATE: "The same row again; the first one is kept.",
}
"""Reason to meaning, in the order of the checks."""

MAX_TEXT: Final = 500
"""Characters kept of a refused line."""


def cut_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Shorten the column ``text`` to what is kept of a refused line.

    Parameters
    ----------
    frame : polars.DataFrame
        With a column ``text``.

    """
    return frame.with_columns(pl.col("text").str.head(MAX_TEXT))
