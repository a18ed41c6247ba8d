"""Why a bundle is quarantined, why a line is no bar, and what is checked. The names are part of the product."""

from __future__ import annotations

from typing import Final

UNREADABLE: Final = "unreadable_file"
UNKNOWN_LAYOUT: Final = "unknown_layout"
READER_MISSING: Final = "reader_missing"
NO_ROWS: Final = "no_rows"
NAME_TAKEN: Final = "name_taken"
CHECKSUM: Final = "checksum_mismatch"
SYMBOLS_UNKNOWN: Final = "symbols_unknown"
SIDS_REUSED: Final = "sids_reused"
SIDS_DOUBTFUL: Final = "sids_doubtful"
SYMBOL_SHARED: Final = "symbol_shared"
PROVENANCE: Final = "provenance_unknown"
MARKET_UNKNOWN: Final = "market_unknown"
MARKET_MIXED: Final = "market_mixed"

QUARANTINE: Final[dict[str, str]] = {
    UNREADABLE: "A file is missing, damaged, or may not be read.",
    UNKNOWN_LAYOUT: "A file has other columns or types than any known version wrote.",
    READER_MISSING: "A package that reads the format is not installed.",
    NO_ROWS: "No bar was found.",
    NAME_TAKEN: "Another bundle of the store has the same name, and is newer.",
    CHECKSUM: "A file is not the one whose checksum was recorded: it was changed afterwards.",
    SYMBOLS_UNKNOWN: "Rows carry numbers, and nothing says which symbol a number is.",
    SIDS_REUSED: "Numbers and symbols do not match: several ingestions gave the same number to different symbols.",
    SIDS_DOUBTFUL: "A file may come from an ingestion that numbered its symbols otherwise.",
    SYMBOL_SHARED: "Two numbers have the same symbol: bars of two companies would become one series.",
    PROVENANCE: "A cached answer: nothing says which source gave it.",
    MARKET_UNKNOWN: "Nothing says in which market the symbols trade.",
    MARKET_MIXED: "The symbols trade in several markets.",
}
"""In the order in which they are tried: the first that applies is the reason."""

ACCEPTABLE: Final = frozenset({CHECKSUM, SIDS_DOUBTFUL})
"""What a user who knows better may accept for a bundle by name. The others leave nothing to accept."""

NO_SYMBOL: Final = "no_symbol"
BAD_DATE: Final = "bad_timestamp"
BAD_PRICE: Final = "bad_price"
BAD_VOLUME: Final = "bad_quantity"
NO_TRADE: Final = "no_trade"
BAD_ACTION: Final = "bad_action"

REFUSED: Final[dict[str, str]] = {
    NO_SYMBOL: "The row has no number.",
    BAD_DATE: "No date, or no timestamp, in a form that reads one way.",
    BAD_PRICE: "A price that is missing, or no plain decimal of at most 12 digits before and 8 after the point.",
    BAD_VOLUME: "A volume that is no plain decimal of zero or more. A blank is none, and no mistake.",
    NO_TRADE: "All prices and the volume are zero: how bcolz says that nothing traded.",
    BAD_ACTION: "A dividend or split that is no plain decimal of zero or more. Its bar is among the rows.",
}
"""Lines of a CSV file of the wrong shape are refused for a reason of `pipeline_defs.sources.manual_csv.reasons`."""

NOTES: Final[dict[str, str]] = {
    "database": "A database of the store can be read.",
    "folder": "A folder below the data folder is a bundle.",
    "file": "A file that lies among those of a bundle is one of them.",
    "checksum": "A file is the one whose checksum was recorded.",
    "checksum_of_nothing": "The recorded checksum is one of data.",
    "row_count": "As many rows as were recorded; the old system records those of the last write only.",
    "date_range": "First and last day as recorded; again of the last write only.",
    "missing_days": "Missing days as recorded, without weekends.",
    "validation": "The old system's own validation passed.",
    "sids": "Each number is one symbol.",
    "duplicates": "One row for a symbol and time.",
    "ohlc": "Low, open, close and high are in order.",
    "refused": "Lines that are no bars at all, counted by reason.",
    "rounded": "Prices that were rounded because the user lets them be.",
    "partition": "Rows lie in the folder that is named after their month or day.",
    "asset_type": "The recorded type of the symbols can be right.",
    "market": "The market the symbols trade in.",
    "ingestions": "Ingestions of the bundle; the newest whole one is read.",
    "actions": "Corporate actions that can be taken.",
}
"""What is compared, as it should be."""
