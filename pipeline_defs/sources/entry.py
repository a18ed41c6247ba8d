"""What is known of a source without loading it: a line of the registry, or what a third-party package registers.

Standard library only: Dagster's definitions read these, and are imported by every run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

OBSERVED_TABLES: Final = ("options_ticks", "futures_ticks", "spot_prices", "equity_daily")


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that a source reads.

    Parameters
    ----------
    name : str
        E.g. ``POLYGON_API_KEY``.
    meaning : str
        What it is, in a few words.
    is_needed : bool, default False
        Whether nothing can be asked without it.
    is_secret : bool, default False
        Whether ``<name>_FILE`` may name a file with it instead.

    """

    name: str
    meaning: str
    is_needed: bool = False
    is_secret: bool = False

    @property
    def is_set(self) -> bool:
        """Whether it, or where it may, the file's variable, has a value; the value is looked at by nobody here."""
        return bool(os.environ.get(self.name) or (self.is_secret and os.environ.get(f"{self.name}_FILE")))


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One source.

    Parameters
    ----------
    adapter : str
        ``module:Class`` of a `pipeline_defs.schema.batches.Source`; imported when the source is used.
    source_type : str, default "api"
        ``file`` or ``api``.
    market : str, default "NSE"
        Whose days its partitions are, unless the universe file says otherwise.
    tables : tuple of str
        Which tables it can fill.
    kinds : frozenset of str
        Icons of its assets.
    meaning : str, default ""
        A sentence on it for people.
    settles_seconds : int, default 0
        How long after a session's close every answer of an API is final: the longest delay of its datasets.
    environment : tuple of Variable
        What it reads, besides ``PIPELINE_<NAME>_ENDPOINT`` of every API.
    split_adjusted_from : int or None
        Bars of shares of so many seconds and longer come adjusted for splits up to the day on which they were asked
        for; with 0 all do, and dividends with them. None says that prices come as they were traded.

    """

    adapter: str
    source_type: str = "api"
    market: str = "NSE"
    tables: tuple[str, ...] = OBSERVED_TABLES
    kinds: frozenset[str] = frozenset({"api", "postgres"})
    meaning: str = ""
    settles_seconds: int = 0
    environment: tuple[Variable, ...] = ()
    split_adjusted_from: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no asset could be made of."""
        if ":" not in self.adapter:
            raise ValueError(f"adapter {self.adapter!r} is not of the form module:Class")
        unknown = set(self.tables) - set(OBSERVED_TABLES)
        if unknown or not self.tables:
            raise ValueError(f"tables {self.tables}, expected some of {OBSERVED_TABLES}")
        if self.source_type not in {"file", "api"}:
            raise ValueError(f"source type {self.source_type!r}, expected file or api")
        if self.settles_seconds < 0:
            raise ValueError(f"settles_seconds {self.settles_seconds}, expected 0 or more")
