"""What a sample can consist of, and the specification that says of what it does.

A new layout is one more entry of `PRODUCTS`. Presets and writing are in ``generate``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.samples import bhavcopy, layouts
from pipeline_defs.samples.truedata import truedata_ticks

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from pipeline_defs.samples.chain import ChainSpec
    from pipeline_defs.samples.delivery import Delivery
    from pipeline_defs.samples.market import MarketDay

DEFAULT_SEED: Final = 20_250_814


@dataclass(frozen=True, slots=True)
class SampleSpec:
    """What to generate.

    Parameters
    ----------
    name : str
        Shown in the summary.
    start_date, end_date : datetime.date
        Every session between them, both included.
    chains : tuple of ChainSpec
        Derivatives.
    products : tuple of str
        Keys of `PRODUCTS`.
    symbols : tuple of str, default ()
        Indices and shares besides the underlyings of `chains`.
    seed : int, default 20250814
        Same seed, same bytes.
    activity : float, default 1.0
        Trading relative to normal; less leaves more minutes without a trade.
    dirty_date : datetime.date, optional
        The session to damage.
    tick_dates : tuple of datetime.date, optional
        Sessions with snapshots of derivatives; default is all.
    tick_contracts : int, optional
        Contracts with snapshots, nearest the money first; default is all.
    contract_rows : int, optional
        Exact number of derivatives' minute rows a day.
    contract_files : int, optional
        Most files of the layout with one file per contract; the rest shares the last one.

    """

    name: str
    start_date: dt.date
    end_date: dt.date
    chains: tuple[ChainSpec, ...]
    products: tuple[str, ...]
    symbols: tuple[str, ...] = ()
    seed: int = DEFAULT_SEED
    activity: float = 1.0
    dirty_date: dt.date | None = None
    tick_dates: tuple[dt.date, ...] | None = None
    tick_contracts: int | None = None
    contract_rows: int | None = None
    contract_files: int | None = None


def _derivatives_ticks(day: MarketDay, spec: SampleSpec) -> list[Delivery]:
    if spec.tick_dates is not None and day.trade_date not in spec.tick_dates:
        return []
    return [layouts.derivatives_ticks(day, spec.tick_contracts, spec.seed)]


PRODUCTS: Final[dict[str, Callable[[MarketDay, SampleSpec], list[Delivery]]]] = {
    "gdfl_fo_minute": lambda day, _: [layouts.derivatives_minute(day)],
    "gdfl_fo_minute_folder": lambda day, spec: [layouts.derivatives_minute_folder(day, spec.contract_files)],
    "gdfl_fo_tick": _derivatives_ticks,
    "gdfl_index_minute": lambda day, _: [layouts.index_minute(day)],
    "gdfl_index_tick": lambda day, _: [layouts.index_ticks(day)],
    "gdfl_cash_minute": lambda day, _: [layouts.shares_minute(day)],
    "truedata": lambda day, spec: truedata_ticks(day, spec.tick_contracts, spec.seed),
    "fo_bhavcopy_udiff": lambda day, _: [bhavcopy.derivatives_udiff(day)],
    "fo_bhavcopy_old": lambda day, _: [bhavcopy.derivatives_old(day)],
    "cm_bhavcopy_udiff": lambda day, _: [bhavcopy.cash_udiff(day)],
    "cm_bhavcopy_old": lambda day, _: [bhavcopy.cash_old(day)],
}
"""Everything a vendor or the exchange delivers for one day."""
