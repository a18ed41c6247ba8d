"""Several months of a catalog as one backtest, for users of Nautilus 1.231.

Each month is a catalog of its own, and Nautilus takes several; but some combinations lose data or settle wrongly
without a word. `open_months` refuses those that can be told from the catalogs, `Months.run_config` those of a run.

>>> months = open_months(["catalogs/NIFTY/2025-07", "catalogs/NIFTY/2025-08"])        # doctest: +SKIP
>>> config = months.run_config(venues=[...], data=months.bars("NIFTY.NSE-1-MINUTE-LAST-EXTERNAL"))  # doctest: +SKIP

Importing this module imports Nautilus.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nautilus_trader.backtest.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.model.data import Bar, OptionGreeks, QuoteTick, TradeTick
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.exports.manifest import read_manifest
from pipeline_defs.exports.nautilus.combining import (
    Month,
    refuse_other_format,
    refuse_other_terms,
    refuse_overlaps,
)
from pipeline_defs.exports.nautilus.naming import folder_name
from pipeline_defs.exports.nautilus.settlement import SETTLEMENT_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nautilus_trader.model.instruments import Instrument

    from pipeline_defs.exports.nautilus.s3 import StorageOptions

_CLASSES: Final = {"bar": Bar, "trade_tick": TradeTick, "quote_tick": QuoteTick, "option_greeks": OptionGreeks}


@dataclass(frozen=True, slots=True)
class Months:
    """Catalogs that can be run together.

    Parameters
    ----------
    months : tuple of Month
        In the order of time.
    storage : StorageOptions or None
        Where they lie on S3.

    """

    months: tuple[Month, ...]
    storage: StorageOptions | None = None

    @property
    def instruments(self) -> dict[str, Instrument]:
        """Each instrument once, by id, as the latest month describes it."""
        return {name: one for month in self.months for name, one in month.instruments.items()}

    @property
    def end_ns(self) -> int:
        """Close of the last session, in nanoseconds; contracts that expire then do so 1 ns later."""
        return max(int(month.end.timestamp()) for month in self.months) * 10**9

    @property
    def settlement_prices(self) -> dict[InstrumentId, float]:
        """The exchange's settlement prices of all months: ``BacktestVenueConfig(settlement_prices=...)``."""
        return {
            InstrumentId.from_str(name): price
            for month in self.months
            for name, price in month.settlement_prices.items()
        }

    def bars(self, *bar_types: str, **options: Any) -> list[BacktestDataConfig]:  # noqa: ANN401 -- of another's signature
        """Choose bars: one configuration for each month that holds some.

        Parameters
        ----------
        *bar_types : str
            E.g. ``NIFTY.NSE-1-MINUTE-LAST-EXTERNAL``.
        **options
            Further arguments of `BacktestDataConfig`.

        Returns
        -------
        list of BacktestDataConfig

        Raises
        ------
        ConfigurationError
            If no month holds one of the bar types.

        """
        return self._configs("bar", bar_types, "bar_types", options)

    def trade_ticks(self, *instrument_ids: str, **options: Any) -> list[BacktestDataConfig]:  # noqa: ANN401 -- see `bars`
        """Choose trades, like `bars`."""
        return self._configs("trade_tick", instrument_ids, "instrument_ids", options)

    def quote_ticks(self, *instrument_ids: str, **options: Any) -> list[BacktestDataConfig]:  # noqa: ANN401 -- see `bars`
        """Choose quotes, like `bars`."""
        return self._configs("quote_tick", instrument_ids, "instrument_ids", options)

    def open_interest(self, *instrument_ids: str, **options: Any) -> list[BacktestDataConfig]:  # noqa: ANN401 -- see `bars`
        """Choose the open interest of options, like `bars`."""
        return self._configs("option_greeks", instrument_ids, "instrument_ids", options)

    def _configs(
        self, class_folder: str, identifiers: tuple[str, ...], parameter: str, options: dict[str, Any]
    ) -> list[BacktestDataConfig]:
        found = [
            (month, [name for name in identifiers if folder_name(name) in month.series[class_folder]])
            for month in self.months
        ]
        missing = sorted(set(identifiers) - {name for _, names in found for name in names})
        if missing or not identifiers:
            held = sorted({name for month in self.months for name in month.series[class_folder]})
            raise ConfigurationError(
                f"no catalog holds {', '.join(missing) or 'nothing'} as {class_folder}",
                next_step=f"choose from the {len(held)} there are, e.g. {', '.join(held[:3])}",
            )
        storage: dict[str, Any] = {} if self.storage is None else self.storage.for_config()
        return [
            BacktestDataConfig(
                catalog_path=month.path, data_cls=_CLASSES[class_folder], **(storage | options | {parameter: names})
            )
            for month, names in found
            if names
        ]

    def run_config(
        self,
        venues: Sequence[BacktestVenueConfig],
        data: Sequence[BacktestDataConfig],
        engine: BacktestEngineConfig | None = None,
        chunk_size: int | None = None,
        **options: Any,  # noqa: ANN401 -- of another's signature
    ) -> BacktestRunConfig:
        """Put a run together, refusing what would lose data.

        Parameters
        ----------
        venues : sequence of BacktestVenueConfig
            As for `BacktestRunConfig`.
        data : sequence of BacktestDataConfig
            From `bars` and its siblings, concatenated.
        engine : BacktestEngineConfig, optional
            As for `BacktestRunConfig`.
        chunk_size : int, optional
            Rows held at once; None reads everything first.
        **options
            Further arguments of `BacktestRunConfig`.

        Returns
        -------
        BacktestRunConfig

        Raises
        ------
        ConfigurationError
            If the run streams (`chunk_size`) with ``optimize_file_loading`` over several catalogs: Nautilus would read
            but one of them, in silence.

        """
        optimized = {config.catalog_path for config in data if config.optimize_file_loading}
        if chunk_size is not None and optimized and len({config.catalog_path for config in data}) > 1:
            raise ConfigurationError(
                f"chunks of {chunk_size} rows with optimize_file_loading over several catalogs: Nautilus would read "
                "one of them and drop the others in silence",
                next_step="leave out optimize_file_loading, or chunk_size",
            )
        return BacktestRunConfig(venues=list(venues), data=list(data), engine=engine, chunk_size=chunk_size, **options)


def open_months(roots: Iterable[Path | str], storage: StorageOptions | None = None) -> Months:
    """Open catalogs that are to be run together.

    Parameters
    ----------
    roots : iterable of Path or str
        Folders of published catalogs, or ``s3://bucket/...`` with `storage`.
    storage : StorageOptions, optional
        From `s3.storage_options`, for catalogs on S3.

    Returns
    -------
    Months
        In the order of time.

    Raises
    ------
    ConfigurationError
        If there is none; one is of another format, or made for another Nautilus than the installed one; two hold the
        same time of one underlying, whose rows would be read twice; or an instrument has another precision, expiry,
        strike, multiplier, currency or class in one than in another, where the engine would take the first for all.

    """
    months = sorted((_open(str(root), storage) for root in roots), key=lambda month: (month.start, month.path))
    if not months:
        raise ConfigurationError("there was no catalog to open, expected at least one")
    refuse_overlaps(months)
    refuse_other_terms(months)
    return Months(tuple(months), storage)


def _open(path: str, storage: StorageOptions | None) -> Month:
    catalog = ParquetDataCatalog(
        path if storage is not None else str(Path(path).resolve()), **({} if storage is None else storage.for_catalog())
    )
    manifest, prices = _described(catalog, path, storage)
    refuse_other_format(manifest, path)
    partition = manifest["partition"]
    return Month(
        path=str(catalog.path) if storage is None else path,
        underlying=partition["underlying"],
        start=dt.datetime.fromisoformat(partition["start"]),
        end=dt.datetime.fromisoformat(partition["end"]),
        instruments={one.id.value: one for one in catalog.instruments()},
        series=_series(manifest),
        settlement_prices=prices,
    )


def _described(
    catalog: ParquetDataCatalog, path: str, storage: StorageOptions | None
) -> tuple[dict[str, Any], dict[str, float]]:
    """Read the manifest and the settlement prices, through the catalog's own file system when that is S3."""
    if storage is None:
        root = Path(path)
        manifest = read_manifest(root)
        file = root / SETTLEMENT_FILE
        return manifest, json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    bare = path.removeprefix("s3://").rstrip("/")
    manifest = json.loads(catalog.fs.cat_file(f"{bare}/_manifest.json"))
    listed = any(entry["path"] == SETTLEMENT_FILE for entry in manifest["objects"])
    return manifest, json.loads(catalog.fs.cat_file(f"{bare}/{SETTLEMENT_FILE}")) if listed else {}


def _series(manifest: dict[str, Any]) -> dict[str, frozenset[str]]:
    """List the folders of each class from the files that the manifest names."""
    parts = [entry["path"].split("/") for entry in manifest["objects"]]
    return {
        name: frozenset(path[2] for path in parts if path[:2] == ["data", name] and len(path) > 2)  # noqa: PLR2004 -- data, class, identifier
        for name in _CLASSES
    }
