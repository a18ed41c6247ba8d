"""The rows of one table and resolution: collected from the parts, contracts numbered, judged against each other.

Only rows of one contract are ever judged against each other, so a day of more than a slice is settled some contracts at
a time; what is settled waits on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.batches import CONTRACT_SCHEMA, OBSERVATION_SCHEMA, REJECT_SCHEMA
from pipeline_defs.schema.tables import TICK
from pipeline_defs.sources.nse_csv.checks import line_texts
from pipeline_defs.sources.nse_csv.contracts import unify
from pipeline_defs.sources.nse_csv.validate import TICK_SPANS, refuse_overlap, settle_bars, settle_ticks
from pipeline_defs.spilling import HEAVY_ROWS, SLICE_ROWS, cut, map_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline_defs.sources.nse_csv.parts import Part

_PLACE: Final = ("file_index", "line")


@dataclass(frozen=True, slots=True)
class Stored:
    """What of one table and resolution may be stored.

    Parameters
    ----------
    contracts : polars.DataFrame
        `CONTRACT_SCHEMA`.
    observations : polars.DataFrame
        `OBSERVATION_SCHEMA`, by contract, timestamp and sequence; on disk if there are more than `HEAVY_ROWS`.
    rejects : polars.DataFrame
        `REJECT_SCHEMA`: rows refused because of other rows.
    out_of_order : int
        How many rows stood behind a later row of their contract.

    """

    contracts: pl.DataFrame
    observations: pl.DataFrame
    rejects: pl.DataFrame
    out_of_order: int

    @classmethod
    def nothing(cls) -> Stored:
        """Give what a table has of which only refused lines are known."""
        return cls(
            pl.DataFrame(schema=CONTRACT_SCHEMA),
            pl.DataFrame(schema=OBSERVATION_SCHEMA),
            pl.DataFrame(schema=REJECT_SCHEMA),
            0,
        )


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of a part.

    Parameters
    ----------
    rows : polars.DataFrame
        As the part has them.
    numbers : polars.Series
        Contract key of each of the part's contracts; null for those of other tables.

    """

    rows: pl.DataFrame
    numbers: pl.Series

    def counts(self) -> pl.DataFrame:
        """Count rows by contract key."""
        counts = self.rows["contract"].value_counts()
        return counts.select(contract_key=self.numbers.gather(counts["contract"]), count="count").drop_nulls()

    def spans(self) -> pl.DataFrame:
        """Give the times between which each contract has rows in each file, `TICK_SPANS`."""
        spans = self.rows.group_by("contract", "file_index").agg(
            first=pl.col("timestamp").min(), last=pl.col("timestamp").max()
        )
        keyed = spans.with_columns(self.numbers.gather(spans["contract"]).alias("contract_key"))
        return keyed.drop_nulls("contract_key").select(list(TICK_SPANS))

    def within(self, first: int, last: int) -> pl.DataFrame:
        """Give the rows whose contract keys lie in a range, both ends inclusive, with the keys."""
        wanted = self.numbers.is_between(first, last).fill_null(value=False)
        rows = self.rows if wanted.all() else self.rows.filter(wanted.gather(self.rows["contract"]))
        return rows.with_columns(contract_key=self.numbers.gather(rows["contract"])).drop("contract")


def settle(table: str, bar_seconds: int, parts: list[Part], label: Callable[[int], str]) -> Stored:
    """Collect the rows of one table and resolution, number their contracts, judge rows against each other.

    Parameters
    ----------
    table : str
        Of the observations.
    bar_seconds : int
        Resolution.
    parts : list of Part
        Of one trade date, in file order.
    label : callable
        From file index to the name of the file, for messages.

    Returns
    -------
    Stored

    Raises
    ------
    SourceError
        If two files hold ticks of one contract at the same time.

    """
    own_parts = [part for part in parts if part.layout.bar_seconds == bar_seconds and part.rows.height]
    contracts, pieces = _numbered(table, own_parts)
    if not pieces:
        return Stored.nothing()
    if bar_seconds == TICK:
        refuse_overlap(pl.concat(piece.spans() for piece in pieces), label)
    used: list[pl.Series] = []
    rejects: list[pl.DataFrame] = []
    out_of_order = 0

    def settled() -> Iterator[pl.DataFrame]:
        nonlocal out_of_order
        known = 0
        for first, last in ranges:
            rows = pl.concat([piece.within(first, last) for piece in pieces], how="diagonal")
            judged = settle_ticks(rows) if bar_seconds == TICK else settle_bars(rows)
            out_of_order += judged.out_of_order
            rejects.append(judged.rejects)
            used.append(judged.rows["contract_key"].unique().sort())
            yield _canonical(judged.rows, used[-1], known)
            known += used[-1].len()

    ranges = _ranges(pieces, contracts.height)
    observations = next(settled()) if len(ranges) == 1 else map_frames(settled())
    kept = contracts[pl.concat(used)]
    numbered = kept.select(pl.int_range(pl.len(), dtype=pl.UInt32()).alias("contract_key"), pl.all())
    return Stored(
        numbered.select(list(CONTRACT_SCHEMA)), observations, _with_texts(pl.concat(rejects), own_parts), out_of_order
    )


def _numbered(table: str, parts: list[Part]) -> tuple[pl.DataFrame, list[_Piece]]:
    """Give the contracts of a table over all parts a number each."""
    terms: list[pl.DataFrame] = []
    numbered: list[tuple[pl.DataFrame, pl.Series]] = []
    known = 0
    for part in parts:
        is_own = part.contracts["table"] == table
        numbers = (is_own.cast(pl.UInt32()).cum_sum() - 1 + known).set(~is_own, None)
        terms.append(part.contracts.filter(is_own))
        numbered.append((part.rows, numbers))
        known += terms[-1].height
    if not terms:
        return pl.DataFrame(), []
    contracts, positions = unify(pl.concat(terms))
    is_unique = contracts.height == known
    return contracts, [_Piece(rows, numbers if is_unique else positions.gather(numbers)) for rows, numbers in numbered]


def _ranges(pieces: list[_Piece], contracts: int) -> list[tuple[int, int]]:
    """Cut the contract keys into ranges, both ends inclusive, that are settled together."""
    if sum(piece.rows.height for piece in pieces) <= HEAVY_ROWS:
        return [(0, contracts)]
    return cut(pl.concat(piece.counts() for piece in pieces), "contract_key", SLICE_ROWS)


def _canonical(rows: pl.DataFrame, used: pl.Series, known: int) -> pl.DataFrame:
    """Give rows the canonical columns, and their contracts numbers without gaps that follow those known."""
    if used.len() and used[-1] != known + used.len() - 1:
        numbers = pl.Series([None], dtype=pl.UInt32()).new_from_index(0, used[-1] + 1)
        numbers = numbers.scatter(used, pl.int_range(known, known + used.len(), dtype=pl.UInt32(), eager=True))
        rows = rows.with_columns(contract_key=numbers.gather(rows["contract_key"]))
    return rows.select(
        pl.col(name) if name in rows.columns else pl.lit(None, dtype).alias(name)
        for name, dtype in OBSERVATION_SCHEMA.items()
    )


def _with_texts(rejects: pl.DataFrame, parts: list[Part]) -> pl.DataFrame:
    """Look up the lines of rows refused because of other rows."""
    found = [pl.DataFrame(schema=REJECT_SCHEMA)]
    for part in parts if rejects.height else []:
        lines = part.lines().join(rejects, on=_PLACE, how="inner", maintain_order="left")
        found.append(line_texts(lines, part.layout.columns).select(list(REJECT_SCHEMA)))
    return pl.concat(found)
