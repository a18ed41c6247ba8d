"""Writes a landing folder of sample data, and the truth about its damaged day.

Holds the presets: the demo, a benchmark day, and a tiny day for tests.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.samples.chain import ChainSpec, count_contracts
from pipeline_defs.samples.delivery import render, write
from pipeline_defs.samples.dirty_day import damage_day
from pipeline_defs.samples.hours import hours_on, session_dates
from pipeline_defs.samples.market import DayState, trade_one_day
from pipeline_defs.samples.products import PRODUCTS, SampleSpec
from pipeline_defs.samples.truth import write_truth
from pipeline_defs.samples.underlyings import underlying_named

if TYPE_CHECKING:
    from pathlib import Path


__all__ = ["DEMO", "GeneratedSample", "SampleSpec", "benchmark_day", "generate", "tiny_day"]


@dataclass(frozen=True, slots=True)
class GeneratedSample:
    """What was written.

    Parameters
    ----------
    root : Path
        Holds ``landing`` and, after a dirty day, ``truth``.
    trade_dates : tuple of datetime.date
        Sessions.
    rows : dict
        Data rows by file, before damage; an archive has the sum of its members. Paths are relative to `root`.
    loose_files : tuple of Path
        Junk and twins beside them, absolute.
    truth_path : Path or None
        The JSON of the damaged day; read it with `pipeline_defs.samples.truth.read_truth`.

    """

    root: Path
    trade_dates: tuple[dt.date, ...]
    rows: dict[str, int]
    loose_files: tuple[Path, ...]
    truth_path: Path | None

    @property
    def landing(self) -> Path:
        """The folder to import."""
        return self.root / "landing"

    @property
    def files(self) -> tuple[Path, ...]:
        """Files with data, absolute."""
        return tuple(self.root / name for name in self.rows)

    def summary(self) -> dict[str, object]:
        """Totals by product, for people and scripts."""
        products: dict[str, dict[str, int]] = {}
        for name, rows in self.rows.items():
            product = products.setdefault(name.split("/")[1], {"files": 0, "rows": 0})
            product["files"] += 1
            product["rows"] += rows
        return {
            "landing": str(self.landing),
            "trade_dates": [str(date) for date in self.trade_dates],
            "files": len(self.rows),
            "rows": sum(self.rows.values()),
            "bytes": sum(path.stat().st_size for path in self.files),
            "products": products,
            "truth": None if self.truth_path is None else str(self.truth_path),
        }


_MOST_STRIKES: Final = 2_000
"""Of one underlying on each side; beyond it no strike lies within reason of any price."""

DEMO: Final = SampleSpec(
    name="demo",
    start_date=dt.date(2025, 8, 8),
    end_date=dt.date(2025, 8, 14),
    chains=(ChainSpec("NIFTY", strikes_each_side=3, strike_every=4, weeklies=1, monthlies=1),),
    products=(
        *("gdfl_fo_minute", "gdfl_fo_tick", "gdfl_index_minute", "gdfl_cash_minute"),
        *("fo_bhavcopy_udiff", "cm_bhavcopy_udiff"),
    ),
    symbols=("BANKNIFTY", "INDIAVIX", "RELIANCE", "M&M"),
    activity=0.03,
    dirty_date=dt.date(2025, 8, 12),
    tick_dates=(dt.date(2025, 8, 12),),
    tick_contracts=3,
)
"""Five sessions up to a weekly expiry of NIFTY, so that an option can be held to its end."""


def benchmark_day(rows: int = 1_000_000, files: int = 2_500, trade_date: dt.date = dt.date(2025, 8, 13)) -> SampleSpec:
    """Describe one day of minute bars with exactly so many rows in so many files.

    Parameters
    ----------
    rows : int, default 1000000
        Rows of derivatives and indices together.
    files : int, default 2500
        One is the indices', the others hold a contract each; contracts in excess share the last.
    trade_date : datetime.date, default 2025-08-13
        The session.

    Returns
    -------
    SampleSpec

    Raises
    ------
    ConfigurationError
        If so few rows, or so many contracts, cannot be.

    """
    hours = hours_on(trade_date)
    index_rows = len(hours.cash_minutes) * 3
    contract_rows, contract_files = rows - index_rows, files - 1
    if contract_files < 1 or contract_rows < contract_files:
        raise ConfigurationError(
            f"{rows} rows in {files} files leave fewer than one row for a file, after {index_rows} rows of indices",
            next_step="ask for more rows or fewer files",
        )
    contracts = max(contract_files, -(-contract_rows // hours.derivative_minutes))
    return SampleSpec(
        name="benchmark",
        start_date=trade_date,
        end_date=trade_date,
        chains=_chains_with(contracts, trade_date),
        products=("gdfl_fo_minute_folder", "gdfl_index_minute"),
        contract_rows=contract_rows,
        contract_files=contract_files,
    )


def tiny_day(root: Path) -> GeneratedSample:
    """Write one session of a few hundred rows with options, rolling futures, an index and shares.

    Parameters
    ----------
    root : Path
        Where to; ``landing`` is made in it.

    Returns
    -------
    GeneratedSample

    """
    trade_date = dt.date(2025, 8, 13)
    spec = SampleSpec(
        name="tiny",
        start_date=trade_date,
        end_date=trade_date,
        chains=(ChainSpec("NIFTY", strikes_each_side=1, strike_every=2, weeklies=1, monthlies=0, futures=2),),
        products=("gdfl_fo_minute", "gdfl_index_minute", "fo_bhavcopy_udiff", "cm_bhavcopy_udiff"),
        symbols=("RELIANCE",),
        contract_rows=400,
    )
    return generate(spec, root)


def generate(spec: SampleSpec, root: Path) -> GeneratedSample:
    """Write a sample.

    Parameters
    ----------
    spec : SampleSpec
        What to write.
    root : Path
        Where to; ``landing`` and ``truth`` are made in it. Files of the same name are overwritten.

    Returns
    -------
    GeneratedSample

    Raises
    ------
    ConfigurationError
        If the specification names an unknown product or symbol, its dirty date is no session of the
        range, or a file has too few rows for the damage.
    MarketRuleError
        If the range has no session, or no expiry rule covers it.

    """
    _refuse_unknown(spec.products)
    trade_dates = session_dates(spec.start_date, spec.end_date)
    if spec.dirty_date is not None and spec.dirty_date not in trade_dates:
        raise ConfigurationError(
            f"the dirty date {spec.dirty_date} is not a session between {spec.start_date} and {spec.end_date}",
            next_step=f"choose from {', '.join(map(str, trade_dates))}",
        )
    state = DayState()
    rows: dict[str, int] = {}
    loose_files: list[Path] = []
    truth_path: Path | None = None
    for position, trade_date in enumerate(trade_dates):
        day = trade_one_day(
            trade_date,
            spec.chains,
            seed=spec.seed,
            nights=(trade_date - trade_dates[position - 1]).days if position else 0,
            state=state,
            extra_symbols=spec.symbols,
            activity=spec.activity,
            exact_rows=spec.contract_rows,
        )
        state = day.state
        deliveries = [delivery for product in spec.products for delivery in PRODUCTS[product](day, spec)]
        files = [(delivery, render(delivery)) for delivery in deliveries if trade_date != spec.dirty_date]
        if trade_date == spec.dirty_date:
            dirty = damage_day(day, deliveries, spec.seed)
            files = dirty.files
            loose_files = [root / member.name for member in dirty.loose_files]
            for path, member in zip(loose_files, dirty.loose_files, strict=True):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(member.content)
            truth_path = write_truth(root / "truth", dirty.truth)
        for delivery, members in files:
            counts = delivery.row_counts()
            paths = [path.relative_to(root).as_posix() for path in write(root, delivery, members)]
            rows |= dict(zip(paths, [sum(counts)] if delivery.archives else counts, strict=True))
    return GeneratedSample(
        root=root, trade_dates=tuple(trade_dates), rows=rows, loose_files=tuple(loose_files), truth_path=truth_path
    )


def _refuse_unknown(products: tuple[str, ...]) -> None:
    unknown = [product for product in products if product not in PRODUCTS]
    if unknown:
        raise ConfigurationError(
            f"unknown sample products: {', '.join(unknown)}", next_step=f"choose from {', '.join(PRODUCTS)}"
        )


def _chains_with(contracts: int, trade_date: dt.date) -> tuple[ChainSpec, ...]:
    """Find the narrowest chains of a broad market with at least so many contracts."""

    def listed(strikes: int) -> int:
        return sum(
            count_contracts(chain, trade_date, underlying_named(chain.symbol).start_price)
            for chain in _broad_market(strikes)
        )

    if listed(_MOST_STRIKES) < contracts:
        raise ConfigurationError(
            f"the sample market lists at most {listed(_MOST_STRIKES)} contracts, {contracts} are needed",
            next_step="ask for fewer rows",
        )
    return _broad_market(bisect_left(range(_MOST_STRIKES), contracts, key=listed))


def _broad_market(strikes: int) -> tuple[ChainSpec, ...]:
    return (
        ChainSpec("NIFTY", strikes, weeklies=4, monthlies=3),
        *(ChainSpec(symbol, strikes, monthlies=3) for symbol in ("BANKNIFTY", "NIFTYNXT50")),
        *(ChainSpec(symbol, strikes, monthlies=3) for symbol in ("RELIANCE", "M&M", "ASHOKLEY", "360ONE")),
    )
