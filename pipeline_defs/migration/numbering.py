"""Which symbol a number in a Parquet bundle is, or that nobody can tell.

Version 0.3.3 of rustybt and those before numbered the symbols of each ingestion from 1, in their order; later ones took
the ids of the table of symbols, which are never used twice. Nothing in a bundle says which it was, or how many
ingestions there were. So numbers are only believed where no other story fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_defs.migration.reasons import SIDS_DOUBTFUL, SIDS_REUSED, SYMBOL_SHARED, SYMBOLS_UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a bundle cannot be taken as it is.

    Parameters
    ----------
    reason : str
        Of `pipeline_defs.migration.reasons.QUARANTINE`.
    detail : str
        With names and figures.
    next_step : str
        What the user can do.

    """

    reason: str
    detail: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Numbering:
    """Whose a number is.

    Parameters
    ----------
    sids : tuple of int or None
        One for each symbol, in order; None where no rows can be told to be the symbol's.
    problem : Problem or None
        Why they cannot be believed.

    """

    sids: tuple[int | None, ...]
    problem: Problem | None = None


def number_symbols(
    symbols: Sequence[str], ids: Sequence[int] | None, found: AbstractSet[int], by_file: Mapping[str, AbstractSet[int]]
) -> Numbering:
    """Find out whose the numbers in a bundle are.

    Parameters
    ----------
    symbols : sequence of str
        Of the bundle, in order.
    ids : sequence of int or None
        Their ids in the global table, in the same order; None where they come from the bundle's own database.
    found : set of int
        Numbers that rows carry.
    by_file : mapping of str to set of int
        The same for each file.

    Returns
    -------
    Numbering

    """
    count = len(symbols)
    nobody = (None,) * count
    if not count:
        return Numbering(
            (),
            Problem(
                SYMBOLS_UNKNOWN,
                f"rows carry the numbers {_shown(found)}, and no database names a symbol of the bundle",
                "bring the global database of the store back, assets-<n>.db, and plan again",
            ),
        )
    ranks = tuple(range(1, count + 1))
    if found == set(ranks):
        return Numbering(ranks, _doubt(symbols, by_file))
    if ids is not None and found <= set(ids) and not found <= set(ranks):
        # Numbers above the count of symbols can only be ids; those are never used twice.
        return Numbering(tuple(ids))
    return Numbering(
        nobody,
        Problem(
            SIDS_REUSED,
            f"there are {count} symbols ({_shown(symbols)}) and {len(found)} numbers ({_shown(found)}):"
            " the bundle was ingested several times with different symbols, each time numbered from 1",
            "ingest the symbols anew from their source, each bundle once; what is stored cannot be told apart",
        ),
    )


def shared_symbol(symbols: Sequence[str]) -> Problem | None:
    """Find a symbol that two numbers have."""
    twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
    if not twice:
        return None
    return Problem(
        SYMBOL_SHARED,
        f"several numbers have the symbol {_shown(twice)}",
        "export the bundle as CSV with one file for each company, and migrate that folder",
    )


def _doubt(symbols: Sequence[str], by_file: Mapping[str, AbstractSet[int]]) -> Problem | None:
    """Find a file that an ingestion of fewer symbols could have written."""
    last = len(symbols)
    fewer = {path: max(keys) for path, keys in by_file.items() if keys and last not in keys}
    if not fewer or len(by_file) == 1:
        return None
    path, most = next(iter(fewer.items()))
    return Problem(
        SIDS_DOUBTFUL,
        f"{len(fewer)} of {len(by_file)} files, {path} for one, have no number above {most}, and there are {last}"
        " symbols: they may come from an ingestion of fewer symbols, in which the numbers meant others",
        f"if the bundle was always ingested with the symbols {_shown(symbols)} in this order, accept it by name",
    )


def _shown(values: Sequence[str] | AbstractSet[int]) -> str:
    listed = [str(value) for value in (sorted(values) if isinstance(values, set | frozenset) else values)]
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")  # noqa: PLR2004
