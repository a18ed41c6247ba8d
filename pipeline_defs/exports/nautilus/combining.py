"""Which catalogs may be run together in Nautilus 1.231, and which would lose data or settle wrongly without a word.

Rules over what catalogs say of themselves; opening them is the business of `reading`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.exports.nautilus.targets import get_target

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from nautilus_trader.model.instruments import Instrument

DECISIVE: Final = (
    "type",
    "price_precision",
    "size_precision",
    "currency",
    "base_currency",
    "quote_currency",
    "underlying",
    "option_kind",
    "strike_price",
    "expiration_ns",
    "multiplier",
)
"""Terms by which the engine refuses bars, settles or counts money. It keeps the first definition that it is given."""


@dataclass(frozen=True, slots=True)
class Month:
    """One catalog.

    Parameters
    ----------
    path : str
        As Nautilus opens it.
    underlying : str
        From its manifest.
    start, end : datetime.datetime
        Bounds of the partition, UTC.
    instruments : dict
        Instruments by id.
    series : dict
        Names of the folders by class.
    settlement_prices : dict
        The exchange's settlement prices by id, from the file beside the manifest.

    """

    path: str
    underlying: str
    start: dt.datetime
    end: dt.datetime
    instruments: dict[str, Instrument]
    series: dict[str, frozenset[str]]
    settlement_prices: dict[str, float]


def refuse_other_format(manifest: dict[str, Any], path: str) -> None:
    """Refuse a catalog that the installed Nautilus would misread.

    Parameters
    ----------
    manifest : dict
        Of the catalog.
    path : str
        Where it lies.

    Raises
    ------
    ConfigurationError
        If it is of another format, or its schema fingerprint is not that of the installed Nautilus.

    """
    details = manifest["details"]
    target = details.get("target", "1.231")
    if manifest["format"] != "nautilus" or target != "1.231":
        raise ConfigurationError(
            f"is of format {manifest['format']!r} for {manifest['engine']}, expected a catalog for Nautilus 1.231",
            where=path,
            next_step="export it again with '--format nautilus'",
        )
    expected = get_target("1.231").fingerprint(details["schema_classes"])
    if details["schema_fingerprint"] != expected:
        raise ConfigurationError(
            f"was written for the format of {manifest['engine']}, which is not that of the installed Nautilus",
            where=path,
            next_step="export it again",
        )


def refuse_overlaps(months: Sequence[Month]) -> None:
    """Refuse catalogs that hold the same series for the same time.

    Parameters
    ----------
    months : sequence of Month
        In any order.

    Raises
    ------
    ConfigurationError
        If the bounds of two overlap and a bar type or an instrument's ticks are in both: rows would be read twice.

    """
    for one, other in combinations(months, 2):
        if one.start >= other.end or other.start >= one.end:
            continue
        common = sorted(name for key, names in one.series.items() for name in names & other.series[key])
        if common:
            raise ConfigurationError(
                f"{one.path} and {other.path} both hold {common[0]} and {len(common) - 1} further series from "
                f"{max(one.start, other.start).isoformat()} to {min(one.end, other.end).isoformat()}: rows would be "
                "read twice",
                next_step="open only one of them, or export ranges that do not overlap",
            )


def refuse_other_terms(months: Sequence[Month]) -> None:
    """Refuse catalogs that disagree about an instrument in what the engine goes by.

    Parameters
    ----------
    months : sequence of Month
        In the order of time.

    Raises
    ------
    ConfigurationError
        If one of `DECISIVE` differs. Lots and ticks may: the engine does not enforce them.

    """
    first: dict[str, tuple[Month, dict[str, Any]]] = {}
    for month in months:
        for name, instrument in month.instruments.items():
            terms = {key: type(instrument).to_dict(instrument).get(key) for key in DECISIVE}
            earlier, known = first.setdefault(name, (month, terms))
            differing = {key: (known[key], terms[key]) for key in DECISIVE if known[key] != terms[key]}
            if differing:
                told = "; ".join(f"{key} was {was}, then {now}" for key, (was, now) in differing.items())
                raise ConfigurationError(
                    f"{name} has other terms in {month.path} than in {earlier.path}: {told}; the engine would take the "
                    "first for the whole run",
                    next_step="run the months one after the other, or export all of them again with today's terms",
                )
