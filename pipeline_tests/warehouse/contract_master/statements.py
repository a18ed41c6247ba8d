"""Short ways for tests to state terms."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from pipeline_defs.schema.terms import REFUSED_SCHEMA, TERMS_SCHEMA, TermsDelivery

OLD_EXPIRY, NEW_EXPIRY = dt.date(2025, 9, 25), dt.date(2025, 9, 30)
REDATED_ON = dt.date(2025, 9, 1)
NAMES = ("kind", "venue", "underlying", "expiry", "strike", "option_type", "series")


def call(underlying: str = "NIFTY", expiry: dt.date = OLD_EXPIRY, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "OPT",
        "venue": "NSE",
        "underlying": underlying,
        "expiry": expiry,
        "strike": Decimal(24500),
        "option_type": "CE",
        "currency": "INR",
        **changes,
    }


def share(name: str, **changes: Any) -> dict[str, Any]:
    return {"kind": "EQ", "venue": "NSE", "underlying": name, "series": "EQ", "currency": "INR", **changes}


def state(
    *statements: tuple[dt.date, dict[str, Any]],
    source: str = "own list",
    precedence: int = 0,
    refused: list[tuple[int, str]] | None = None,
) -> TermsDelivery:
    """Make a delivery of dated statements, numbered from line 2."""
    rows = [
        dict.fromkeys(TERMS_SCHEMA) | terms | {"line": line, "valid_from": day}
        for line, (day, terms) in enumerate(statements, start=2)
    ]
    return TermsDelivery(
        source,
        precedence,
        Path("terms.csv"),
        "0" * 64,
        pl.DataFrame(rows, schema=TERMS_SCHEMA),
        pl.DataFrame(refused or [], schema=REFUSED_SCHEMA, orient="row"),
    )
