"""Which instruments are wanted of which source: one YAML file, checked before anything is asked.

``PIPELINE_UNIVERSE`` names it; default ``universe.yaml`` in ``PIPELINE_HOME``. See ``docs/universe.md``.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 -- pydantic reads the annotations
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.markets.market import MARKETS
from pipeline_defs.own_yaml import read_own_yaml
from pipeline_defs.schema.lengths import parse_lengths
from pipeline_defs.schema.tables import table_for
from pipeline_defs.sources.asking.questions import Dataset, digest_of
from pipeline_defs.sources.places import universe_path

if TYPE_CHECKING:
    from pipeline_defs.errors import PipelineError

KIND_SECTIONS: Final = {
    "EQ": "equities",
    "SPOT": "indices",
    "PAIR": "pairs",
    "FUT": "futures",
    "OPT": "options",
}
"""Instrument kind to the section that names instruments of it."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    first_date: dt.date | None = None
    last_date: dt.date | None = None


class Named(_Section):
    """One share, index or pair.

    Parameters
    ----------
    symbol : str
        As the source writes it: ``RELIANCE``, ``^NSEI``, ``BTC/USDT``.
    underlying : str or None
        Name in the warehouse; default made of the symbol.
    venue, currency : str or None
        Default those of the market.
    first_date, last_date : datetime.date or None
        Trade dates on which it is wanted.

    """

    symbol: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9^][A-Za-z0-9 .&^=/:_-]*$")
    underlying: str | None = Field(default=None, max_length=64, pattern=r"^[A-Z0-9][A-Z0-9&.-]*$")
    venue: str | None = Field(default=None, max_length=64, pattern=r"^[A-Z0-9_]+$")
    currency: str | None = Field(default=None, pattern=r"^[A-Z0-9]{3,5}$")

    @property
    def name(self) -> str:
        """What it is called here."""
        return self.symbol


class Chain(_Section):
    """Futures or options of one underlying.

    Parameters
    ----------
    underlying : str
        As the source writes it.
    expiries : int or list of datetime.date
        How many of the nearest on each trade date, or which; default 1.
    strikes : tuple of Decimal, optional
        Lowest and highest, both inclusive; default all.
    option_types : tuple of str, default ("CE", "PE")
        Calls, puts or both.
    venue, currency : str or None
        Default those of the market.

    """

    underlying: str = Field(max_length=64, pattern=r"^[A-Z0-9^][A-Z0-9&.-]*$")
    expiries: int | tuple[dt.date, ...] = 1
    strikes: tuple[Decimal, Decimal] | None = None
    option_types: tuple[str, ...] = ("CE", "PE")
    venue: str | None = Field(default=None, max_length=64, pattern=r"^[A-Z0-9_]+$")
    currency: str | None = Field(default=None, pattern=r"^[A-Z0-9]{3,5}$")

    @property
    def name(self) -> str:
        """What it is called here."""
        return self.underlying

    @field_validator("strikes", mode="before")
    @classmethod
    def _exact(cls, value: Any) -> Any:  # noqa: ANN401 -- whatever YAML gave
        """Read a number of YAML by its text: a float would carry its noise."""
        return [_strike(strike) for strike in value] if isinstance(value, list | tuple) else value

    @field_validator("option_types")
    @classmethod
    def _known_types(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - {"CE", "PE"}:
            raise ValueError("expected CE, PE or both")
        return value

    def choose_expiries(self, known: set[dt.date], trade_date: dt.date) -> list[dt.date]:
        """Choose among the expiries that a source knows.

        Parameters
        ----------
        known : set of datetime.date
            Of this underlying.
        trade_date : datetime.date
            Contracts that expired before are over.

        Returns
        -------
        list of datetime.date
            Ascending.

        """
        alive = sorted(expiry for expiry in known if expiry >= trade_date)
        return (
            alive[: self.expiries] if isinstance(self.expiries, int) else [day for day in alive if day in self.expiries]
        )

    def takes_strike(self, strike: Decimal) -> bool:
        """Tell whether a strike is wanted."""
        return self.strikes is None or self.strikes[0] <= strike <= self.strikes[1]


def _strike(value: object) -> Decimal:
    try:
        strike = Decimal(str(value))
    except InvalidOperation:
        strike = Decimal("NaN")
    if not strike.is_finite():
        raise ValueError(f"strike {value!r} is no number")
    return strike


class SourceUniverse(BaseModel):
    """What is wanted of one source.

    Parameters
    ----------
    market : str or None
        ``NSE``, ``US`` or ``CRYPTO``: whose days the partitions are; default the source's own.
    exchange : str or None
        Exchange id, for a source that speaks to many (``binance``).
    bars : dict
        Table to a length such as ``5m``, in place of the source's usual one.
    equities, indices, pairs : tuple of Named
        Symbols, or symbols with more about them.
    futures, options : tuple of Chain
        Chains.

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    market: str | None = None
    exchange: str | None = Field(default=None, max_length=64, pattern=r"^[a-z0-9]+$")
    bars: dict[str, str] = Field(default_factory=dict)
    equities: tuple[Named, ...] = ()
    indices: tuple[Named, ...] = ()
    pairs: tuple[Named, ...] = ()
    futures: tuple[Chain, ...] = ()
    options: tuple[Chain, ...] = ()

    @field_validator("equities", "indices", "pairs", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:  # noqa: ANN401 -- whatever YAML gave
        return [{"symbol": one} if isinstance(one, str) else one for one in value] if isinstance(value, list) else value

    @field_validator("futures", "options", mode="before")
    @classmethod
    def _chains(cls, value: Any) -> Any:  # noqa: ANN401
        return (
            [{"underlying": one} if isinstance(one, str) else one for one in value]
            if isinstance(value, list)
            else value
        )

    @field_validator("market")
    @classmethod
    def _known_market(cls, value: str | None) -> str | None:
        if value is not None and value not in MARKETS:
            raise ValueError(f"{value!r} is none of {', '.join(MARKETS)}")
        return value

    def kinds_named(self) -> frozenset[str]:
        """Give the instrument kinds of which something is wanted."""
        return frozenset(kind for kind, section in KIND_SECTIONS.items() if getattr(self, section))

    def names(self, dataset: Dataset) -> tuple[str, ...]:
        """Name what is wanted of a dataset, as it is written here."""
        kinds = [kind for kind in dataset.kinds if table_for(kind, dataset.bar_seconds) == dataset.table]
        return tuple(one.name for kind in kinds for one in getattr(self, KIND_SECTIONS[kind]))

    def with_length(self, dataset: Dataset) -> Dataset:
        """Give a dataset with the length of bars that is wanted of its table."""
        text = self.bars.get(dataset.table)
        if text is None:
            return dataset
        (seconds, *_) = parse_lengths(text)
        return Dataset(
            dataset.table, seconds, dataset.max_days, dataset.kinds, dataset.delay_seconds, dataset.history_days
        )

    def digest(self, dataset: Dataset) -> str:
        """Tell one choice of a dataset's instruments from another."""
        sections = {KIND_SECTIONS[kind]: getattr(self, KIND_SECTIONS[kind]) for kind in dataset.kinds}
        shown = {name: [one.model_dump(mode="json") for one in section] for name, section in sections.items()}
        return digest_of(self.market, self.exchange, shown)

    def nothing_for(self, source: str, what: str) -> PipelineError:
        """Say that nothing is wanted of what was asked for."""
        return ConfigurationError(
            f"the universe names no instrument of {source} for {what}",
            where=str(universe_path()),
            next_step="name some there; docs/universe.md shows how",
        )


def read_universe(source: str) -> SourceUniverse:
    """Read what is wanted of a source.

    Parameters
    ----------
    source : str
        Adapter's name.

    Returns
    -------
    SourceUniverse

    Raises
    ------
    ConfigurationError
        If there is no such file, it is no YAML, says nothing of the source, or something that cannot be; the place in
        the file is named.

    """
    path = universe_path()
    content = read_own_yaml(path, next_step="write which instruments are wanted; docs/universe.md shows how")
    if not isinstance(content, dict) or source not in content:
        there = ", ".join(map(str, content)) if isinstance(content, dict) and content else "none"
        raise ConfigurationError(
            f"says nothing of {source}; it speaks of: {there}",
            where=str(path),
            next_step=f"add a section {source!r}; docs/universe.md shows how",
        )
    return _checked(content[source], f"{path}, section {source}")


def find_universe(source: str) -> SourceUniverse | None:
    """Read what is wanted of a source, if the universe file says anything of it.

    Parameters
    ----------
    source : str
        Adapter's name.

    Returns
    -------
    SourceUniverse or None
        None when there is no file, or it does not speak of the source.

    Raises
    ------
    ConfigurationError
        As `read_universe`, of a file that cannot be understood.

    """
    path = universe_path()
    if not path.exists():
        return None
    content = read_own_yaml(path)
    if not isinstance(content, dict) or source not in content:
        return None
    return _checked(content[source], f"{path}, section {source}")


def _checked(section: object, where: str) -> SourceUniverse:
    try:
        return SourceUniverse.model_validate(section or {})
    except ValidationError as error:
        raise ConfigurationError(explain(error), where=where, next_step="correct the file") from None


def explain(error: ValidationError) -> str:
    """Put on one line what does not fit, and where."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False))
