"""Every reason for which a line or file is refused, in the order in which they are tried.

A line is refused for the first reason that applies. The names are part of the product: they are stored with the
rejected lines, counted in reports and explained in ``docs/sources/manual-csv.md``.
"""

from __future__ import annotations

from typing import Final

import polars as pl

EMPTY_FILE: Final = "empty_file"
BLANK_LINE: Final = "blank_line"
NOT_UTF8: Final = "not_utf8"
BAD_QUOTES: Final = "bad_quotes"
WRONG_FIELD_COUNT: Final = "wrong_field_count"
REPEATED_HEADER: Final = "repeated_header"
BAD_RESOLUTION: Final = "bad_resolution"
BAD_CONTRACT: Final = "bad_contract"
NO_TIME_ZONE: Final = "no_time_zone"
BAD_TIMESTAMP: Final = "bad_timestamp"
NO_CLOSE_TIME: Final = "no_close_time"
EXPIRED_CONTRACT: Final = "expired_contract"
BAD_PRICE: Final = "bad_price"
NON_POSITIVE_PRICE: Final = "non_positive_price"
HIGH_BELOW_LOW: Final = "high_below_low"
PRICE_OUTSIDE_RANGE: Final = "price_outside_range"
BAD_QUANTITY: Final = "bad_quantity"
BAD_SEQUENCE: Final = "bad_sequence"
NOT_A_SESSION: Final = "not_a_session"
BEFORE_OPEN: Final = "before_open"
AFTER_CLOSE: Final = "after_close"
CONFLICTING_DUPLICATE: Final = "conflicting_duplicate"
DUPLICATE: Final = "duplicate"

REASONS: Final[dict[str, str]] = {
    EMPTY_FILE: "The file holds no data line.",
    BLANK_LINE: "Nothing but white space.",
    NOT_UTF8: "Bytes that are not UTF-8.",
    BAD_QUOTES: "Quotes that do not close within the line, or text beside them.",
    WRONG_FIELD_COUNT: "More or fewer fields than the header has: cut, glued or shifted.",
    REPEATED_HEADER: "The header again, among the data.",
    BAD_RESOLUTION: "The bar length is no whole number of seconds from 1 to 86400 (0 for ticks, and only for them).",
    BAD_CONTRACT: "A term that the kind needs is missing, one that it cannot have is there, or one cannot be read.",
    NO_TIME_ZONE: "A timestamp without offset, and no zone is declared.",
    BAD_TIMESTAMP: "No timestamp in the declared form, or a time that the zone's clocks skipped or had twice.",
    NO_CLOSE_TIME: "A date without time, and no calendar says when the venue closed.",
    EXPIRED_CONTRACT: "The contract had expired before the trade date.",
    BAD_PRICE: "A price that is not a plain decimal number of at most 12 digits before and 8 after the point.",
    NON_POSITIVE_PRICE: "A price of zero or below.",
    HIGH_BELOW_LOW: "The high is below the low.",
    PRICE_OUTSIDE_RANGE: "Open or close lies outside low to high.",
    BAD_QUANTITY: "A volume, size or open interest that is no whole number of zero or more (pair, US share: decimal).",
    BAD_SEQUENCE: "A sequence that is no whole number of zero or more, or one other than 0 for a bar.",
    NOT_A_SESSION: "The market was closed on that date.",
    BEFORE_OPEN: "Before the session's open.",
    AFTER_CLOSE: "After the session's close.",
    CONFLICTING_DUPLICATE: "Several rows for one contract and time with different values; all are refused.",
    DUPLICATE: "The same row again; the first one is kept.",
}
"""Reason to meaning, in the order of the checks."""

MAX_TEXT: Final = 500
"""Characters kept of a refused line."""


def first_reason(checks: dict[str, pl.Expr]) -> pl.Expr:
    """Give each row the first reason for which it is refused.

    Parameters
    ----------
    checks : dict of str to polars.Expr
        Reason to expression, true where the row is refused; null is false.

    Returns
    -------
    polars.Expr
        Text; null where the row may be stored.

    """
    ordered = [name for name in REASONS if name in checks]
    return pl.coalesce([pl.when(checks[name]).then(pl.lit(name)) for name in ordered])
