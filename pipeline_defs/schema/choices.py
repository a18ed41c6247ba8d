"""Which source each contract-day of a slice was taken from, and by which rule: what a manifest says about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

TAKEN_SCHEMA: Final[dict[str, pl.DataType]] = {
    "instrument_id": pl.Int32(),
    "trade_date": pl.Date(),
    "source": pl.String(),
}
"""One row per contract-day; the instrument as it is exported."""


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """Whose observations a slice holds.

    Parameters
    ----------
    asked_for : str or None
        The one source that was asked for by name; None when the declared precedence decided.
    precedence : dict or None
        The order of sources by table and market, as declared; None when one was asked for.
    digest : str or None
        Hash of `precedence`.
    bars : polars.DataFrame
        `TAKEN_SCHEMA`: where the bars are from.
    ticks : polars.DataFrame or None, default None
        `TAKEN_SCHEMA`: where the ticks are from, if the slice has any.
    settlements : tuple of str, default ()
        Sources of the settlements of contracts that expire.

    """

    asked_for: str | None
    precedence: dict[str, Any] | None
    digest: str | None
    bars: pl.DataFrame
    ticks: pl.DataFrame | None = None
    settlements: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """All of them, sorted."""
        taken = set(self.bars["source"]) | set(self.settlements)
        return tuple(sorted(taken if self.ticks is None else taken | set(self.ticks["source"])))

    def to_json(self) -> dict[str, Any]:
        """Give it as a manifest has it.

        Returns
        -------
        dict
            `asked_for`, `precedence`, `digest`; `bars` and `ticks` with their contract-days by source and, for every
            source but the one that gave most (`otherwise`), the instruments that are from it, by trade date.

        """
        return {
            "asked_for": self.asked_for,
            "precedence": self.precedence,
            "digest": self.digest,
            "bars": _where(self.bars),
            "ticks": None if self.ticks is None else _where(self.ticks),
            "settlements": list(self.settlements),
        }


def _where(taken: pl.DataFrame) -> dict[str, Any]:
    counts = taken.group_by("source").len().sort("len", "source", descending=[True, False])
    if counts.is_empty():
        return {"contract_days": {}, "otherwise": None, "exceptions": {}}
    otherwise = counts["source"][0]
    exceptions: dict[str, dict[str, list[int]]] = {}
    others = (
        taken.filter(pl.col("source") != otherwise)
        .group_by("source", "trade_date")
        .agg(pl.col("instrument_id").unique().sort())
        .sort("source", "trade_date")
    )
    for source, trade_date, instrument_ids in others.iter_rows():
        exceptions.setdefault(source, {})[trade_date.isoformat()] = instrument_ids
    return {"contract_days": dict(counts.rows()), "otherwise": otherwise, "exceptions": exceptions}
