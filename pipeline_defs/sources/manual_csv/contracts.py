"""What names a contract, read and checked once for each distinct combination of texts.

Contracts get a number that holds for the whole import; a batch numbers its own anew. Terms that an export keeps in
files of their own (lots, ticks, ISINs) are added when the trade date is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.batches import CONTRACT_SCHEMA
from pipeline_defs.schema.interchange import CONTRACT_FIELDS, OWN_TERMS
from pipeline_defs.schema.tables import KIND_TABLES
from pipeline_defs.sources.manual_csv.fields import decimals, small_whole

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.sources.manual_csv.exported import Terms

PAIR: Final = "PAIR"

INSTRUMENT: Final = "instrument_id"

TERMS_SCHEMA: Final[dict[str, pl.DataType]] = {
    **{name: CONTRACT_SCHEMA.get(name) or OWN_TERMS[name] for name in CONTRACT_FIELDS},
    "origin": pl.UInt32(),
    INSTRUMENT: pl.Int32(),
    "is_bad": pl.Boolean(),
}
"""What is known of a contract: its terms, the input whose files have more of them under an instrument's number."""

IDENTITY: Final = ("kind", "underlying", "expiry", "strike", "option_type", "rank", "series", "venue")
"""Two contracts of equal identity are one."""

_FACTS: Final = ("symbol", "isin", "lot_size", "tick_size", "currency", "base_currency")

_ONLY_OF: Final = {
    "expiry": ("OPT", "FUT", "CONT"),
    "strike": ("OPT",),
    "option_type": ("OPT",),
    "rank": ("CONT",),
    "series": ("EQ",),
    "base_currency": (PAIR,),
}
"""Terms that some kinds have; those of `_NEEDED` these kinds must have."""

_NEEDED: Final = {
    "expiry": ("OPT", "FUT"),
    "strike": ("OPT",),
    "option_type": ("OPT",),
    "rank": ("CONT",),
    "base_currency": (PAIR,),
}

_NAME: Final = r"^[^\s\p{C}]([^\p{C}]*[^\s\p{C}])?$"
"""No white space around it, no control characters within."""

_MOST_RANKS: Final = 12


@dataclass(slots=True)
class Contracts:
    """Every contract that was met, by number."""

    _known: dict[tuple[str, ...], int] = field(default_factory=dict)
    _frames: list[pl.DataFrame] = field(default_factory=lambda: [pl.DataFrame(schema=TERMS_SCHEMA)])

    def add(self, texts: pl.DataFrame, origin: int) -> pl.Series:
        """Give the contracts of some rows their numbers.

        Parameters
        ----------
        texts : polars.DataFrame
            `CONTRACT_FIELDS` and `INSTRUMENT` as text, empty where nothing is said; a row for each row of the file.
        origin : int
            Number of the input.

        Returns
        -------
        polars.Series
            Contract number of each row (UInt32).

        """
        columns = texts.columns
        # Rows of one contract mostly lie together: only where a text changes is there anything to look up.
        changes = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in columns)
        starts = texts.select(changes.alias("starts")).to_series()
        if texts.height:
            starts = starts.set(pl.int_range(texts.height, eager=True) == 0, value=True)
        runs = texts.filter(starts)
        distinct = runs.unique(maintain_order=True)
        numbers = pl.Series("number", self._number(distinct, origin), pl.UInt32())
        of_runs = runs.join(distinct.with_columns(numbers), on=columns, how="left", maintain_order="left")["number"]
        return of_runs.gather(starts.cast(pl.UInt32()).cum_sum() - 1)

    def terms(self) -> pl.DataFrame:
        """Give what is known of every contract so far.

        Returns
        -------
        polars.DataFrame
            `TERMS_SCHEMA`; row k is contract k.

        """
        if len(self._frames) > 1:
            self._frames = [pl.concat(self._frames)]
        return self._frames[0]

    def _number(self, distinct: pl.DataFrame, origin: int) -> list[int]:
        keys = [(*texts, str(origin)) for texts in distinct.iter_rows()]
        is_new = [key not in self._known for key in keys]
        for key in keys:
            self._known.setdefault(key, len(self._known))
        unseen = distinct.filter(pl.Series(is_new, dtype=pl.Boolean()))
        if unseen.height:
            self._frames.append(_read(unseen, origin))
        return [self._known[key] for key in keys]


def describe_contracts(
    terms: pl.DataFrame, numbers: pl.Series, trade_date: dt.date, exported: dict[int, Terms]
) -> tuple[pl.DataFrame, pl.Series, list[str]]:
    """Describe the contracts of a batch.

    Parameters
    ----------
    terms : polars.DataFrame
        What `Contracts.terms` returned.
    numbers : polars.Series
        Contract number of each row of the batch.
    trade_date : datetime.date
        Of the batch: terms are those of that day.
    exported : dict
        Terms in files of their own, by input.

    Returns
    -------
    tuple of (polars.DataFrame, polars.Series, list of str)
        `CONTRACT_SCHEMA`; the key in it of each row; and the symbols of contracts about which rows disagree.

    """
    used = numbers.unique().sort()
    own = terms[used].with_columns(number=used)
    for origin, more in exported.items():
        own = pl.concat(
            [own.filter(pl.col("origin") != origin), more.add_to(own.filter(pl.col("origin") == origin), trade_date)]
        )
    own = own.sort("number")
    merged = own.group_by(IDENTITY, maintain_order=True).agg(
        *(pl.col(name).drop_nulls().first() for name in _FACTS),
        pl.col("number"),
        disagree=pl.any_horizontal(pl.col(name).drop_nulls().n_unique() > 1 for name in _FACTS if name != "symbol"),
    )
    merged = merged.with_row_index("contract_key")
    keys = merged.select("contract_key", "number").explode("number")
    of_rows = numbers.alias("number").to_frame().join(keys, on="number", how="left", maintain_order="left")
    return (
        merged.select(pl.col(name).cast(dtype) for name, dtype in CONTRACT_SCHEMA.items()),
        of_rows["contract_key"].cast(pl.UInt32()),
        merged.filter("disagree")["symbol"].to_list(),
    )


def _read(texts: pl.DataFrame, origin: int) -> pl.DataFrame:
    """Read and check distinct contracts."""
    blank = texts.with_columns(pl.when(pl.all() != "").then(pl.all()))
    strike, strike_reads = decimals(texts["strike"])
    tick, tick_reads = decimals(texts["tick_size"])
    expiry = pl.col("expiry")
    dated = pl.when(expiry.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")).then(
        expiry.str.to_date("%Y-%m-%d", strict=False)
    )
    lot = pl.col("lot_size")
    read = blank.with_columns(
        strike=strike.set(~strike_reads, None),
        tick_size=tick.set(~tick_reads, None),
        expiry=dated,
        rank=small_whole(texts["rank"], _MOST_RANKS),
        lot_size=pl.when(lot.str.contains(r"^[0-9]{1,18}$")).then(lot.cast(pl.Int64(), strict=False)),
        instrument_id=small_whole(texts[INSTRUMENT], 2**31 - 1),
        origin=pl.lit(origin, pl.UInt32()),
    )
    return read.with_columns(is_bad=_is_bad(blank, read)).select(
        pl.col(name).cast(dtype) for name, dtype in TERMS_SCHEMA.items()
    )


def _is_bad(said: pl.DataFrame, read: pl.DataFrame) -> pl.Series:
    """Tell which contracts cannot be what they say they are."""
    kind = said["kind"]
    names = ("symbol", "underlying", "venue", "currency")
    bad = ~kind.is_in(list(KIND_TABLES)).fill_null(value=False)
    for name in (*names, "series", "isin", "base_currency"):
        bad |= ~said[name].str.contains(_NAME).fill_null(value=name not in names)
    for name in ("expiry", "strike", "rank", "lot_size", "tick_size", INSTRUMENT):
        bad |= said[name].is_not_null() & read[name].is_null()
    for name in ("strike", "rank", "lot_size", "tick_size"):
        bad |= (read[name] <= 0).fill_null(value=False)
    bad |= ~said["option_type"].is_in(["CE", "PE"]).fill_null(value=True)
    for name, kinds in _ONLY_OF.items():
        bad |= said[name].is_not_null() & ~kind.is_in(kinds)
    for name, kinds in _NEEDED.items():
        bad |= said[name].is_null() & kind.is_in(kinds)
    return bad.fill_null(value=True)
