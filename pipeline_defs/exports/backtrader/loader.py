"""Feeds, commission schemes and settlement for Backtrader, from an exported folder.

For users: three lines make a chain of contracts that expire as they should. ::

    cerebro = bt.Cerebro()
    cerebro.broker = SettlingBroker(cash=1_000_000)
    add_chain(cerebro, "catalogs/backtrader/NIFTY/2025-08", kinds={"OPT"})

Quantities are units unless lots are asked for: one lot of NIFTY is ``size=75``, or ``size=1`` with
``quantities="lots"``; profit and loss comes out in money either way. Importing this module imports Backtrader.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import backtrader as bt

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.exports.backtrader.broker import SettlingBroker
from pipeline_defs.exports.backtrader.contracts import read_sidecar
from pipeline_defs.exports.backtrader.lots import QUANTITIES, lot_periods
from pipeline_defs.exports.backtrader.naming import bar_length, resolution_seconds
from pipeline_defs.exports.backtrader.text import COLUMNS, GREEKS_COLUMNS, GREEKS_HEADER

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline_defs.exports.backtrader.values import BarFile, Contract, Sidecar

KINDS: Final = ("OPT", "FUT", "EQ", "SPOT", "PAIR")

_DERIVATIVES: Final = frozenset({"OPT", "FUT"})


class CommInfo(bt.CommInfoBase):  # type: ignore[misc] # Backtrader carries no types
    """Commission scheme of an exported instrument: money per unit and point, no commission.

    Parameters
    ----------
    mult : float, default 1.0
        Money per point and unit of size: 1 as long as quantities are units, the lot where they are lots.
    stocklike : bool, default False
        False for derivatives: profit and loss reaches the cash with every bar, and opening a position
        sets aside `margin` per unit of size. True for shares and pairs: buying costs the price.
    margin : float, default 1.0
        Money set aside per unit of size of a derivative. The default does not limit anyone: Backtrader has no
        margin model of an exchange, so bring your own.
    fractional : bool, default False
        Whether sizes that Backtrader works out from cash may be fractions (``order_target_percent`` and the like); it
        would cut them to whole numbers.
    commission : float, default 0.0
        Money per unit of size and execution; a settlement is an execution. All other parameters are those of
        ``backtrader.CommInfoBase``.

    """

    params = (
        # Without a type, Backtrader would make everything without a margin a share.
        ("commtype", bt.CommInfoBase.COMM_FIXED),
        ("margin", 1.0),
        ("fractional", False),
    )

    def getsize(self, price: float, cash: float) -> float:
        """Give the size that cash buys; Backtrader calls this."""
        if self.p.fractional:
            return float(self.p.leverage * cash / (price if self.stocklike else self.get_margin(price)))
        return int(super().getsize(price, cash))


class GreeksCSVData(bt.feeds.GenericCSVData):  # type: ignore[misc]
    """The feed of an option with Greeks: ``data.implied_volatility[0]``, ``data.delta[0]``, …; NaN where it has none.

    Volatility is a fraction a year, vega per 1.00 of it, theta per year of 365 days, rho per 1.00 of rate.
    """

    lines = GREEKS_COLUMNS
    params = tuple((name, len(COLUMNS) + position) for position, name in enumerate(GREEKS_COLUMNS))


def load_chain(
    directory: str | Path,
    *,
    kinds: Collection[str] | None = None,
    names: Collection[str] | None = None,
    resolutions: Collection[str] | None = None,
    start_date: dt.date | None = None,
    end_date: dt.date | None = None,
) -> list[Any]:
    """Make the feeds of an exported folder.

    Parameters
    ----------
    directory : str or Path
        Folder that ``pipeline export --format backtrader`` published.
    kinds : collection of str, optional
        Take only these kinds: ``OPT``, ``FUT``, ``EQ`` (shares), ``SPOT`` (index), ``PAIR``. Default: all.
    names : collection of str, optional
        Take only these contracts, e.g. ``NIFTY_250814_24500_CE``. Default: all.
    resolutions : collection of str, optional
        Take bars of these lengths, e.g. ``{"1m", "1d"}``. Default: the finest that the folder holds.
    start_date, end_date : datetime.date, optional
        Load only these trade dates, both wholly included. Default: all.

    Returns
    -------
    list of backtrader.feeds.GenericCSVData
        The finest resolution first, in it the underlying first, then by name; `GreeksCSVData` where the export has
        Greeks. Each has the right time frame and
        compression, the contract's name as `_name`, its terms as `contract`, and what its file holds as `bar_file`.
        Where several resolutions of a contract are loaded, the names of all but its finest end with theirs:
        ``NIFTY_IDX`` and ``NIFTY_IDX_1d``. The underlying comes along with any derivative, since it gives the
        clock up to the expiry. Daily bars are stamped with the close of their session.

    Raises
    ------
    ConfigurationError
        If a kind, a name or a resolution is unknown, or nothing is selected.
    ExportError
        If the folder is not a Backtrader export.

    """
    folder = Path(directory)
    sidecar = read_sidecar(folder)
    seconds = _select_resolutions(sidecar, resolutions)
    contracts = _select(sidecar, kinds, names)
    bounds = _bounds(sidecar, start_date, end_date)
    feeds = []
    named: set[str] = set()
    for length in seconds:
        for contract in contracts:
            for bars in contract.files:
                if bars.bar_seconds == length:
                    feeds.append(_feed(folder, contract, bars, bounds, is_finest=contract.name not in named))
                    named.add(contract.name)
    if missing := sorted(set(names or ()) - named):
        raise ConfigurationError(
            f"names {', '.join(missing)} have no bars of the chosen resolution",
            where=str(folder),
            next_step="take a resolution that contracts.json lists under the contract's 'files'",
        )
    return feeds


def add_chain(
    cerebro: bt.Cerebro,
    directory: str | Path,
    *,
    quantities: str = "units",
    **selection: Any,  # noqa: ANN401 -- passed on
) -> list[Any]:
    """Add the feeds of an exported folder to a run, with their commission schemes.

    Parameters
    ----------
    cerebro : backtrader.Cerebro
        Its broker must be a `SettlingBroker`.
    directory : str or Path
        Folder that ``pipeline export --format backtrader`` published.
    quantities : str, default "units"
        What the size of an order in an option or a future means: ``units``, or ``lots``. With lots, the multiplier is
        the lot, by date where it changes within the export (see `SettlingBroker`). Shares, indices and pairs have
        units alone.
    **selection
        As for `load_chain`.

    Returns
    -------
    list of backtrader.feeds.GenericCSVData
        The feeds added. To charge commission, call ``cerebro.broker.addcommissioninfo`` afterwards
        for each feed, by its `_name`, with a scheme made by `commission_info`.

    Raises
    ------
    ConfigurationError
        If the broker would not settle, `quantities` is neither, a lot is not known, or as for `load_chain`.
    ExportError
        As for `load_chain`.

    """
    if not isinstance(cerebro.broker, SettlingBroker):
        raise ConfigurationError(
            f"the broker is a {type(cerebro.broker).__name__}, which keeps positions beyond expiry",
            next_step="set cerebro.broker = SettlingBroker(cash=...) first",
        )
    feeds = load_chain(directory, **selection)
    # Everything that can be refused is, before the run is touched.
    schemes = [commission_info(feed.contract, quantities) for feed in feeds]
    for feed, scheme in zip(feeds, schemes, strict=True):
        if _in_lots(feed.contract, quantities):
            feed.lots = lot_periods(feed.contract)
        cerebro.adddata(feed)
        cerebro.broker.addcommissioninfo(scheme, name=feed._name)  # noqa: SLF001 -- Backtrader's
    return feeds


def commission_info(contract: Contract, quantities: str = "units", **parameters: Any) -> CommInfo:  # noqa: ANN401 -- passed on
    """Make the commission scheme of a contract.

    Parameters
    ----------
    contract : Contract
        From the sidecar.
    quantities : str, default "units"
        ``units`` or ``lots``, as for `add_chain`.
    **parameters
        Of `CommInfo`, such as `margin` and `commission`: per unit, or per lot.

    Returns
    -------
    CommInfo
        With lots, its multiplier is the first lot of the contract in the export.

    Raises
    ------
    ConfigurationError
        If `quantities` is neither, or they are lots and the contract's is not known.

    """
    lot = lot_periods(contract)[0].units if _in_lots(contract, quantities) else 1
    given = {
        "mult": float(contract.multiplier * lot),
        "margin": float(lot),
        "stocklike": contract.kind not in _DERIVATIVES,
        "fractional": contract.kind == "PAIR",
    }
    return CommInfo(**{**given, **parameters})


def _in_lots(contract: Contract, quantities: str) -> bool:
    if quantities not in QUANTITIES:
        raise ConfigurationError(f"quantities was {quantities!r}, expected one of {', '.join(QUANTITIES)}")
    return quantities == "lots" and contract.kind in _DERIVATIVES


def _select_resolutions(sidecar: Sidecar, wanted: Collection[str] | None) -> list[int]:
    held = sidecar.resolutions
    if wanted is None:
        return list(held[:1])
    if isinstance(wanted, str):
        raise ConfigurationError(f"resolutions was the text {wanted!r}, expected a collection such as {{{wanted!r}}}")
    seconds = sorted({resolution_seconds(text) for text in wanted})
    unknown = [text for text in wanted if resolution_seconds(text) not in held]
    if unknown or not seconds:
        there = ", ".join(bar_length(length).resolution for length in held)
        raise ConfigurationError(
            f"resolutions {', '.join(sorted(unknown)) or '(none)'} are not among those of the export: {there}",
            next_step="export again with that bar length, or resample the finest in Backtrader",
        )
    return seconds


def _select(sidecar: Sidecar, kinds: Collection[str] | None, names: Collection[str] | None) -> list[Contract]:
    known = {contract.name for contract in sidecar.contracts}
    _refuse_unknown("kinds", kinds, KINDS)
    _refuse_unknown("names", names, known)
    selected = [
        contract
        for contract in sidecar.contracts
        if (kinds is None or contract.kind in kinds) and (names is None or contract.name in names)
    ]
    if not selected:
        present = sorted({contract.kind for contract in sidecar.contracts})
        raise ConfigurationError(
            f"nothing of the export of {sidecar.underlying} is selected by kinds {kinds} and names {names}; "
            f"it holds {len(known)} contracts of the kinds {', '.join(present)}",
            next_step="widen the selection, or export the range of dates that you need",
        )
    needs_underlying = any(contract.kind in _DERIVATIVES for contract in selected)
    underlying = [
        contract
        for contract in sidecar.contracts
        if contract.name == sidecar.underlying_name and (needs_underlying or contract in selected)
    ]
    return underlying + [contract for contract in selected if contract not in underlying]


def _refuse_unknown(what: str, wanted: Collection[str] | None, known: Collection[str]) -> None:
    if isinstance(wanted, str):
        raise ConfigurationError(f"{what} was the text {wanted!r}, expected a collection such as {{{wanted!r}}}")
    unknown = sorted(set(wanted or ()) - set(known))
    if unknown:
        raise ConfigurationError(
            f"{what} {', '.join(unknown)} are not among the {len(known)} known ones, such as "
            f"{', '.join(sorted(known)[:4])}",
            next_step="take a name from contracts.json",
        )


def _bounds(sidecar: Sidecar, start_date: dt.date | None, end_date: dt.date | None) -> dict[str, dt.datetime]:
    """Give the first and last stamp of the wanted trade dates, as Backtrader's parameters.

    A close at midnight is that of the day before, so the bounds are those of the sessions, the open excluded.
    """
    bounds = {}
    if start_date is not None:
        opens = [session.open for session in sidecar.sessions if session.date >= start_date]
        # Without a session there is nothing, whatever the files hold.
        midnight = dt.datetime.combine(start_date, dt.time.min)
        bounds["fromdate"] = min(opens, default=midnight) + dt.timedelta(seconds=1)
    if end_date is not None:
        closes = [session.close for session in sidecar.sessions if session.date <= end_date]
        midnight = dt.datetime.combine(end_date, dt.time.min) + dt.timedelta(days=1)
        bounds["todate"] = max(closes, default=midnight)
    return bounds


def _feed(folder: Path, contract: Contract, bars: BarFile, bounds: dict[str, dt.datetime], *, is_finest: bool) -> Any:  # noqa: ANN401 -- a Backtrader feed
    length = bar_length(bars.bar_seconds)
    parameters: dict[str, Any] = dict(bounds)
    if length.timeframe == "Days":
        # By default Backtrader moves the stamp of a daily bar to the end of the day, after its session.
        parameters["sessionend"] = dt.time.min
    path = folder / bars.file
    with path.open(encoding="ascii") as file:
        kind = GreeksCSVData if file.readline().strip() == GREEKS_HEADER else bt.feeds.GenericCSVData
    feed = kind(
        dataname=str(path),
        name=contract.name if is_finest else f"{contract.name}_{length.resolution}",
        timeframe=getattr(bt.TimeFrame, length.timeframe),
        compression=length.compression,
        **parameters,
    )
    feed.contract = contract
    feed.bar_file = bars
    return feed
