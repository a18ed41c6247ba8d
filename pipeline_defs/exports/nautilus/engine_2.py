"""Reads a catalog with Nautilus 2 and plays a trial on it: a script for that version's own environment.

``.venv-nautilus2/bin/python engine_2.py CATALOG OUTPUT [TRIAL]`` writes what Nautilus decoded into the folder OUTPUT:
``version.json``, ``instruments.json``, ``<class>/<number>.arrow`` with ``<class>/folders.json``, ``bar_types.json``
and ``trial.json``.
TRIAL is a JSON file: ``instant_ns`` of the query over all instruments, and ``trial`` as chosen by `trials`.

Version 2 cannot be installed beside 1.231, so nothing here imports the package, Polars or anything but Nautilus 2 and
Arrow; what the values must be is the business of `compare`, in the environment that called. A file that Nautilus cannot
decode may abort the process.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

# Of version 2, whose modules the environment in which this is checked does not have.
backtest, common, execution, model, persistence, serialization, trading = (
    import_module(f"nautilus_trader.{name}")
    for name in ("backtest", "common", "execution", "model", "persistence", "serialization", "trading")
)

SERIES: Final = {
    "Bar": "bars_to_arrow_record_batch_bytes",
    "TradeTick": "trades_to_arrow_record_batch_bytes",
    "QuoteTick": "quotes_to_arrow_record_batch_bytes",
    "OptionGreeks": "option_greeks_to_arrow_record_batch_bytes",
    "IndexPriceUpdate": "index_prices_to_arrow_record_batch_bytes",
}
"""Classes of data, and Nautilus' own way from its objects back to Arrow."""

_CAPITAL: Final = 1_000_000_000


def read_all(catalog: Any, output: Path) -> None:  # noqa: ANN401 -- a class of version 2
    """Decode everything that a catalog holds.

    Parameters
    ----------
    catalog : ParquetDataCatalog
        Of version 2.
    output : Path
        Existing folder.

    """
    instruments = [one.to_dict() | {"class_name": type(one).__name__} for one in catalog.instruments()]
    (output / "version.json").write_text(json.dumps(version("nautilus_trader")), encoding="utf-8")
    (output / "instruments.json").write_text(json.dumps(instruments), encoding="utf-8")
    for class_name, encoder in SERIES.items():
        data_type = getattr(model.NautilusDataType, class_name)
        folder = output / class_name
        folder.mkdir()
        folders: list[str] = []
        for file in catalog.query_files(data_type):
            name = file.rsplit("/", 2)[1]
            # The last file said is the one that stopped the process.
            sys.stderr.write(f"reading {name}\n")
            rows = catalog.query(data_type, files=[file])
            encoded = bytes(getattr(serialization, encoder)(rows)) if rows else b""
            (folder / f"{len(folders)}.arrow").write_bytes(encoded)
            folders.append(name)
        (folder / "folders.json").write_text(json.dumps(folders), encoding="utf-8")


def bar_types_at(catalog: Any, instant_ns: int) -> list[str]:  # noqa: ANN401 -- a class of version 2
    """Query the bars of all instruments at one instant.

    Parameters
    ----------
    catalog : ParquetDataCatalog
        Of version 2.
    instant_ns : int
        The instant.

    Returns
    -------
    list of str
        Their bar types.

    """
    return sorted({str(bar.bar_type) for bar in catalog.query_bars(start=instant_ns, end=instant_ns)})


class BuyFirstBar(trading.Strategy):  # type: ignore[misc, name-defined] # a class of version 2
    """Buys once, on the first bar with a volume (version 2 fills nothing without one), and remembers its fills."""

    def __init__(self) -> None:
        super().__init__()
        self.bar_type: Any = None
        self.quantity = 0
        self.bought = False
        self.fills: list[dict[str, Any]] = []

    def on_start(self) -> None:
        """Subscribe."""
        self.subscribe_bars(self.bar_type)

    def on_bar(self, bar: Any) -> None:  # noqa: ANN401 -- a class of version 2
        """Buy."""
        if self.bought or self.quantity == 0 or float(bar.volume) == 0:
            return
        self.bought = True
        quantity = model.Quantity.from_str(str(self.quantity))
        self.submit_order(self.order_factory.market(self.bar_type.instrument_id, model.OrderSide.BUY, quantity))

    def on_order_filled(self, event: Any) -> None:  # noqa: ANN401 -- a class of version 2
        """Remember."""
        self.fills.append(
            {
                "side": str(event.order_side),
                "price": str(event.last_px),
                "quantity": str(event.last_qty),
                "ns": event.ts_event,
            }
        )


def play(catalog: Any, trial: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 -- a class of version 2
    """Hold an option to expiry, or replay an instrument.

    Parameters
    ----------
    catalog : ParquetDataCatalog
        Of version 2.
    trial : dict
        See `trials.choose_trial`.

    Returns
    -------
    dict
        `iterations` and `fills` (each `side`, `price`, `quantity`, `ns`).

    """
    is_hold = trial["kind"] == "hold"
    name = trial["instrument"] if is_hold else model.BarType.from_str(trial["bar_type"]).instrument_id.value
    bar_type = f"{name}-{trial['bar_specification']}" if is_hold else trial["bar_type"]
    instruments = {one.id.value: one for one in catalog.instruments()}
    instrument = instruments[name]
    engine = backtest.BacktestEngine(
        backtest.BacktestEngineConfig(bypass_logging=True, logging=common.LoggerConfig(bypass_logging=True))
    )
    currency = getattr(instrument, "quote_currency", None) or instrument.currency
    engine.add_venue(
        venue=instrument.id.venue,
        oms_type=model.OmsType.NETTING,
        account_type=model.AccountType.MARGIN,
        starting_balances=[model.Money.from_str(f"{_CAPITAL} {currency.code}")],
        base_currency=currency if is_hold else None,
        fill_model=execution.BestPriceFillModel(1.0, 0.0),
        fee_model=execution.FixedFeeModel(model.Money.from_str(f"0 {currency.code}")),
    )
    strategy = BuyFirstBar()
    strategy.bar_type = model.BarType.from_str(bar_type)
    end = None
    if is_hold:
        underlying = f"{instrument.underlying}.{instrument.id.venue}"
        engine.add_instrument(instruments[underlying])
        if not trial["is_delivered"]:
            engine.add_data(catalog.query_index_price_updates(identifiers=[underlying]))
        engine.add_data(catalog.query_bars(identifiers=[f"{underlying}-{trial['bar_specification']}"]))
        strategy.quantity = trial["quantity"]
        end = instrument.expiration_ns + 1_000_000_000
    engine.add_instrument(instrument)
    engine.add_data(catalog.query_bars(identifiers=[bar_type]))
    engine.add_strategy(strategy)
    engine.run(end=end)
    iterations = engine.iteration
    engine.dispose()
    return {"iterations": iterations, "fills": strategy.fills}


def main() -> None:
    """Read, and play when asked to."""
    root, output, *more = (Path(argument) for argument in sys.argv[1:])
    catalog = persistence.ParquetDataCatalog(str(root))
    read_all(catalog, output)
    if not more:
        return
    asked = json.loads(more[0].read_text(encoding="utf-8"))
    (output / "bar_types.json").write_text(json.dumps(bar_types_at(catalog, asked["instant_ns"])), encoding="utf-8")
    (output / "trial.json").write_text(json.dumps(play(catalog, asked["trial"])), encoding="utf-8")


if __name__ == "__main__":
    main()
