"""From what every source has to what an export takes: of each contract-day, all of one source.

The order of sources is `precedence`; which rows there are, and reading them, is `selections`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.choices import TAKEN_SCHEMA
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.warehouse.precedence import MARKET_OF_TERMS, MARKETS
from pipeline_defs.warehouse.transport import copy_out

if TYPE_CHECKING:
    import psycopg

    from pipeline_defs.warehouse.precedence import Precedence
    from pipeline_defs.warehouse.selections import Selection

_CONTRACT_DAY: Final = ("dataset", "export_id", "trade_date")
_THING: Final = ("dataset", "kind", "expiry", "strike", "option_type", "place")
"""What is traded, whatever venue, currency or series says: instruments that are equal in it look alike."""

_TERMS: Final = f"""
SELECT DISTINCT ON (t.instrument_id) t.instrument_id AS export_id, {MARKET_OF_TERMS} AS market, t.kind, t.expiry,
       t.strike, t.option_type, t.rank AS place
FROM {{instrument_terms}} AS t WHERE t.instrument_id = ANY (%(instrument_ids)s)
ORDER BY t.instrument_id, t.valid_from DESC
"""

_TERMS_SCHEMA: Final[dict[str, pl.DataType]] = {
    "export_id": pl.Int32(),
    "market": pl.String(),
    "kind": pl.String(),
    "expiry": pl.Date(),
    "strike": PRICE,
    "option_type": pl.String(),
    "place": pl.Int16(),
}


def choose_sources(
    connection: psycopg.Connection, selection: Selection, coverage: pl.DataFrame, precedence: Precedence | None
) -> pl.DataFrame:
    """Keep, of each contract-day, what the first source in order has.

    What a further source has must be the same instruments, or others of the same chain. A share of another market or
    venue, or a contract under another number, is left out where a better source has its look-alike: whoever wants it
    asks for its source by name.

    Parameters
    ----------
    connection : psycopg.Connection
        In the slice's snapshot.
    selection : Selection
        What is meant.
    coverage : polars.DataFrame
        As `read_coverage` gave it.
    precedence : Precedence or None
        None when one source was asked for by name: all of the coverage is its.

    Returns
    -------
    polars.DataFrame
        Rows of `coverage` with `is_partial`: whether other days of the same source and instrument were not taken.

    """
    if precedence is None or coverage.is_empty():
        return coverage.with_columns(is_partial=pl.lit(value=False))
    bound = selection.parameters(instrument_ids=coverage["export_id"].unique().to_list())
    terms = copy_out(connection, selection.statement(_TERMS), _TERMS_SCHEMA, bound)
    ranked = coverage.join(terms, on="export_id", how="inner", maintain_order="left").join(
        _ranks(selection.tables, precedence),
        on=["dataset", "market", "source"],
        how="inner",
        maintain_order="left",
    )
    if ranked["source"].n_unique() > 1:
        ranked = _without_look_alikes(ranked, precedence)
    best = pl.col("rank") == pl.col("rank").min().over(_CONTRACT_DAY)
    return _mark_partial(ranked.filter(best).select(coverage.columns), coverage)


def _ranks(tables: tuple[str, ...], precedence: Precedence) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (table, market, source, rank)
            for table in tables
            for market in MARKETS
            for rank, source in enumerate(precedence.order(table, market))
        ],
        schema={"dataset": pl.String(), "market": pl.String(), "source": pl.String(), "rank": pl.Int32()},
        orient="row",
    )


def _without_look_alikes(ranked: pl.DataFrame, precedence: Precedence) -> pl.DataFrame:
    present = set(ranked["source"])
    first = next(source for source in precedence.sources() if source in present)
    markets = ranked.filter(pl.col("source") == first)["market"].unique()
    of_market = ranked.filter((pl.col("source") == first) | pl.col("market").is_in(markets.implode()))
    own = pl.col("rank").min().over("dataset", "export_id")
    return of_market.filter(own == pl.col("rank").min().over(_THING))


def _mark_partial(taken: pl.DataFrame, coverage: pl.DataFrame) -> pl.DataFrame:
    """Say of each row taken whether other days of the same source and instrument were left."""
    stored = ["dataset", "source", "instrument_id"]
    left = coverage.join(taken, on=[*stored, "trade_date"], how="anti").select(stored).unique()
    marked = left.with_columns(is_partial=pl.lit(value=True))
    return taken.join(marked, on=stored, how="left", maintain_order="left").with_columns(
        pl.col("is_partial").fill_null(value=False)
    )


def keep_to(coverage: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Leave out the ticks of contract-days whose bars are taken from another source.

    Parameters
    ----------
    coverage : polars.DataFrame
        Ticks, as `read_coverage` gave them.
    bars : polars.DataFrame
        What was chosen of the bars.

    Returns
    -------
    polars.DataFrame
        Rows of `coverage`.

    """
    days = ["export_id", "trade_date"]
    givers = bars.select(*days, giver="source").unique()
    known = coverage.join(givers, on=days, how="left", maintain_order="left")
    return known.filter(pl.col("giver").is_null() | (pl.col("giver") == pl.col("source"))).drop("giver")


def taken_days(chosen: pl.DataFrame) -> pl.DataFrame:
    """Give `TAKEN_SCHEMA` of what was chosen, sorted by instrument and day."""
    return (
        chosen.select(instrument_id="export_id", trade_date="trade_date", source="source")
        .unique()
        .sort("instrument_id", "trade_date", "source")
        .select(list(TAKEN_SCHEMA))
    )
