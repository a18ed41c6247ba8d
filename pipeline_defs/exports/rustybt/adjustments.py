"""Splits and dividends as rustybt's adjustment tables have them.

A ratio multiplies the prices before its date: old shares for a new one, and for a dividend the part of the last close
before it that is left. Ratios are floating point in rustybt, whatever the bundle. A dividend is paid on its ex-date,
since nothing later is known of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.rustybt.checks import EXACT, epoch_seconds

if TYPE_CHECKING:
    import datetime as dt
    from decimal import Decimal

    from pipeline_defs.schema.exports import MarketSlice


@dataclass
class Adjustments:
    """The corporate actions of a slice, and the closes that its dividends need.

    Parameters
    ----------
    actions : polars.DataFrame
        `sid`, `ex_date`, `kind`, `value`, sorted; those within the slice.

    """

    actions: pl.DataFrame
    _closes: dict[tuple[int, dt.date], tuple[dt.date, Decimal]] = field(default_factory=dict)

    @classmethod
    def of(cls, market: MarketSlice, assets: pl.DataFrame) -> Adjustments:
        """Take the actions of a slice.

        Parameters
        ----------
        market : MarketSlice
            What is exported.
        assets : polars.DataFrame
            What `naming.with_sids` returned.

        Returns
        -------
        Adjustments

        Raises
        ------
        ExportError
            If an action is of an unknown kind or not positive.

        """
        if market.actions is None:
            return cls(
                pl.DataFrame(schema={"sid": pl.Int64(), "ex_date": pl.Date(), "kind": pl.String(), "value": EXACT})
            )
        actions = (
            market.actions.join(assets, on="instrument_id")
            .filter(pl.col("ex_date").is_between(market.start_date, market.end_date))
            # Two dividends of one day are one to a table whose key is the day.
            .group_by("sid", "ex_date", "kind")
            .agg(
                value=pl.when(pl.col("kind").first() == "split")
                .then(pl.col("value").first())
                .otherwise(pl.col("value").sum()),
                count=pl.len(),
            )
            .sort("sid", "ex_date", "kind")
        )
        bad = ~pl.col("kind").is_in(["split", "dividend"]) | (pl.col("value") <= 0)
        twice = (pl.col("kind") == "split") & (pl.col("count") > 1)
        for row in actions.filter(bad | twice).head(1).iter_rows(named=True):
            raise ExportError(
                f"a corporate action cannot be expressed: {row['count']} {row['kind']} of {row['value']}",
                where=f"asset {row['sid']} on {row['ex_date']}",
            )
        return cls(actions.drop("count"))

    def look_at(self, bars: pl.DataFrame) -> None:
        """Remember the last close before each dividend.

        Parameters
        ----------
        bars : polars.DataFrame
            `sid`, `session_date`, `timestamp`, `close`; whole instruments.

        """
        dividends = self.actions.filter(pl.col("kind") == "dividend").select("sid", "ex_date")
        before = (
            dividends.join(bars.select("sid", "session_date", "timestamp", "close"), on="sid")
            .filter(pl.col("session_date") < pl.col("ex_date"))
            .sort("timestamp")
            .group_by("sid", "ex_date")
            .last()
        )
        for sid, ex_date, session, close in before.select("sid", "ex_date", "session_date", "close").iter_rows():
            known = self._closes.get((sid, ex_date))
            if known is None or known[0] <= session:
                self._closes[sid, ex_date] = (session, close)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Give the rows of ``splits``, ``dividends`` and ``dividend_payouts``.

        Returns
        -------
        dict
            Table to rows. A dividend before which the slice has no bar adjusts nothing and has a payout alone.

        """
        splits, ratios, payouts = [], [], []
        for sid, ex_date, kind, value in self.actions.iter_rows():
            day = epoch_seconds(ex_date)
            if kind == "split":
                splits.append({"sid": sid, "effective_date": day, "ratio": float(1 / value)})
                continue
            payouts.append(
                {
                    "sid": sid,
                    "ex_date": day,
                    "declared_date": day,
                    "record_date": day,
                    "pay_date": day,
                    "amount": float(value),
                }
            )
            known = self._closes.get((sid, ex_date))
            if known is not None and known[1] > value:
                ratios.append({"sid": sid, "effective_date": day, "ratio": float(1 - value / known[1])})
        return {"splits": splits, "dividends": ratios, "dividend_payouts": payouts}
