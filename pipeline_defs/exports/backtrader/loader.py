"""Feeds, commission schemes and settlement for Backtrader, from an exported folder.

For users: three lines make a chain of contracts that expire as they should. ::

    cerebro = bt.Cerebro()
    cerebro.broker = SettlingBroker(cash=1_000_000)
    add_chain(cerebro, "catalogs/backtrader/NIFTY/2025-08", kinds={"OPT"})

Quantities are units, never lots: one lot of NIFTY is ``size=75``, and P&L comes out in rupees. Importing
this module imports Backtrader.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import backtrader as bt

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.exports.backtrader.broker import SettlingBroker
from pipeline_defs.exports.backtrader.contracts import read_sidecar

if TYPE_CHECKING:
    from collections.abc import Collection

    from pipeline_defs.exports.backtrader.values import Contract, Sidecar

KINDS: Final = ("OPT", "FUT", "EQ", "SPOT")

_DERIVATIVES: Final = frozenset({"OPT", "FUT"})


class CommInfo(bt.CommInfoBase):  # type: ignore[misc] # Backtrader carries no types
    """Commission scheme of an exported instrument: rupees per unit and point, no commission.

    Parameters
    ----------
    mult : float, default 1.0
        Rupees per unit and point. It stays 1 as long as quantities are units.
    stocklike : bool, default False
        False for derivatives: profit and loss reaches the cash with every bar, and opening a position
        sets aside `margin` per unit. True for shares: buying costs the price.
    margin : float, default 1.0
        Rupees set aside per unit of a derivative. The default does not limit anyone: Backtrader has no
        margin model of an exchange, so bring your own.
    commission : float, default 0.0
        Rupees per unit and execution; a settlement is an execution. All other parameters are those of
        ``backtrader.CommInfoBase``.

    """

    params = (
        # Without a type, Backtrader would make everything without a margin a share.
        ("commtype", bt.CommInfoBase.COMM_FIXED),
        ("margin", 1.0),
    )


def load_chain(
    directory: str | Path,
    *,
    kinds: Collection[str] | None = None,
    names: Collection[str] | None = None,
    start_date: dt.date | None = None,
    end_date: dt.date | None = None,
) -> list[Any]:
    """Make the feeds of an exported folder.

    Parameters
    ----------
    directory : str or Path
        Folder that ``pipeline export --format backtrader`` published.
    kinds : collection of str, optional
        Take only these kinds: ``OPT``, ``FUT``, ``EQ`` (shares), ``SPOT`` (index). Default: all.
    names : collection of str, optional
        Take only these contracts, e.g. ``NIFTY_250814_24500_CE``. Default: all.
    start_date, end_date : datetime.date, optional
        Load only these trade dates, both wholly included. Default: all.

    Returns
    -------
    list of backtrader.feeds.GenericCSVData
        The underlying first, then by name. Each has the right time frame and compression, the
        contract's name as `_name`, and its terms as `contract`. The underlying comes along with any
        derivative, since it gives the clock up to the expiry. Daily bars are stamped with the
        close of their session.

    Raises
    ------
    ConfigurationError
        If a kind or a name is unknown, or nothing is selected.
    ExportError
        If the folder is not a Backtrader export.

    """
    folder = Path(directory)
    sidecar = read_sidecar(folder)
    return [_feed(folder, sidecar, contract, start_date, end_date) for contract in _select(sidecar, kinds, names)]


def add_chain(
    cerebro: bt.Cerebro,
    directory: str | Path,
    **selection: Any,  # noqa: ANN401 -- passed on
) -> list[Any]:
    """Add the feeds of an exported folder to a run, with their commission schemes.

    Parameters
    ----------
    cerebro : backtrader.Cerebro
        Its broker must be a `SettlingBroker`.
    directory : str or Path
        Folder that ``pipeline export --format backtrader`` published.
    **selection
        As for `load_chain`.

    Returns
    -------
    list of backtrader.feeds.GenericCSVData
        The feeds added. To charge commission, call ``cerebro.broker.addcommissioninfo`` afterwards
        for each feed, by its `_name`.

    Raises
    ------
    ConfigurationError
        If the broker would not settle, or as for `load_chain`.
    ExportError
        As for `load_chain`.

    """
    if not isinstance(cerebro.broker, SettlingBroker):
        raise ConfigurationError(
            f"the broker is a {type(cerebro.broker).__name__}, which keeps positions beyond expiry",
            next_step="set cerebro.broker = SettlingBroker(cash=...) first",
        )
    feeds = load_chain(directory, **selection)
    for feed in feeds:
        cerebro.adddata(feed)
        cerebro.broker.addcommissioninfo(commission_info(feed.contract), name=feed._name)  # noqa: SLF001 -- Backtrader's
    return feeds


def commission_info(contract: Contract) -> CommInfo:
    """Make the commission scheme of a contract.

    Parameters
    ----------
    contract : Contract
        From the sidecar.

    Returns
    -------
    CommInfo

    """
    return CommInfo(mult=float(contract.multiplier), stocklike=contract.kind not in _DERIVATIVES)


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


def _feed(
    folder: Path, sidecar: Sidecar, contract: Contract, start_date: dt.date | None, end_date: dt.date | None
) -> Any:  # noqa: ANN401 -- a Backtrader feed
    parameters: dict[str, Any] = {}
    if sidecar.timeframe == "Days":
        # By default Backtrader moves the stamp of a daily bar to the end of the day, after its session.
        parameters["sessionend"] = dt.time.min
    if start_date is not None:
        parameters["fromdate"] = dt.datetime.combine(start_date, dt.time.min)
    if end_date is not None:
        parameters["todate"] = dt.datetime.combine(end_date, dt.time(23, 59, 59))
    feed = bt.feeds.GenericCSVData(
        dataname=str(folder / contract.file),
        name=contract.name,
        timeframe=getattr(bt.TimeFrame, sidecar.timeframe),
        compression=sidecar.compression,
        **parameters,
    )
    feed.contract = contract
    return feed
