"""When two rows name the same contract on a trade date: one expression, used wherever contracts are matched."""

from __future__ import annotations

from typing import Final

WRITERS_QUEUE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('instruments', 0))"
"""Taken by whoever writes instruments or their terms, before looking at them for the last time."""

IS_NOT_A_DUPLICATE: Final = "NOT EXISTS (SELECT FROM instrument_merges AS m WHERE m.duplicate_id = t.instrument_id)"
"""Of terms ``t``: those of instruments that were found to be another name no contract any more."""

PRICE_TEXT: Final = "trim_scale({0})::text"
"""Evidence is text; 0.05 and 0.0500 are one value."""


def identity(alias: str) -> str:
    """Give the row expression by which contracts are compared.

    Nulls are part of an identity (a share has no strike); sentinels let the planner hash the join or use the index.

    Parameters
    ----------
    alias : str
        Of a table with the columns of a contract.

    Returns
    -------
    str

    """
    of = alias
    return (
        f"({of}.underlying, coalesce({of}.expiry, 'infinity'::date), coalesce({of}.strike, -1::numeric),"
        f" coalesce({of}.option_type, ''), {of}.kind, {of}.venue, coalesce({of}.rank, -1), coalesce({of}.series, ''))"
    )
