"""Reads an exported root with rustybt itself: a script for that engine's own environment.

``ZIPLINE_ROOT=ROOT .venv-rustybt/bin/python -P engine.py ROOT OUTPUT ASKED`` writes what rustybt gave into the folder
OUTPUT: ``found.json``, and a Parquet file for each entry point that was asked: ``daily``, ``minute``, ``portal``,
``run_daily``, ``run_minute``, ``run_history``. ASKED is a JSON file: ``decimal_bundle``, ``run_bundle`` and the
resolutions.

rustybt needs versions of NumPy, pandas and Polars that are not ours, so nothing here imports the package; what the
values must be is the business of `verify`.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from datetime import date, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

# Of that environment, which is not the one in which this is checked.
pandas, polars, structlog = (import_module(name) for name in ("pandas", "polars", "structlog"))
bundles, data_portal, decimal_readers, adjustments, decimal_portal, finders, metadata, calendars = (
    import_module(f"rustybt.{name}")
    for name in (
        *("data.bundles", "data.data_portal", "data.polars", "data.polars.parquet_adjustments"),
        *("data.polars.data_portal", "data.polars.parquet_asset_finder", "data.bundles.metadata"),
        "utils.calendar_utils",
    )
)

VALUES: Final = ("open", "high", "low", "close", "volume")
DAY: Final = 86_400
MINUTE: Final = 60

_FIRST, _LAST = date(1900, 1, 1), date(2200, 1, 1)
_RECENT_MINUTES: Final = 30
"""Minutes of history that the data portal is asked for."""


def read_decimal_bundle(root: Path, output: Path, name: str, resolutions: list[int]) -> dict[str, Any]:
    """Read the decimal bundle through the finder, the two Polars readers and the Polars portal.

    Parameters
    ----------
    root : Path
        The exported root.
    output : Path
        Existing folder.
    name : str
        The bundle.
    resolutions : list of int
        Seconds of its bars.

    Returns
    -------
    dict
        `metadata` as rustybt has it, and `symbols`: what the finder gives for every sid, found both ways.

    """
    finder = finders.ParquetAssetFinder(name)
    sids = [int(sid) for sid in finder.sids]
    assets = [finder.retrieve_asset(sid) for sid in sids]
    folder = str(root / "data" / "bundles" / name)
    if DAY in resolutions:
        daily = decimal_readers.PolarsParquetDailyReader(folder, enable_cache=False)
        rows = daily.load_daily_bars(sids, _FIRST, _LAST)
        rows.write_parquet(output / "daily.parquet")
        with warnings.catch_warnings():
            # The portal's readers are deprecated in favour of sources that fetch; of bundles they are the only way.
            warnings.simplefilter("ignore", DeprecationWarning)
            portal = decimal_portal.PolarsDataPortal(daily_reader=daily, enable_history_cache=False)
        days = rows["date"].n_unique()
        end = pandas.Timestamp(rows["date"].max())
        window = portal.get_history_window(assets, end, 2 * days + 10, "1d", "close", "daily")
        window.write_parquet(output / "portal.parquet")
    if MINUTE in resolutions:
        minute = decimal_readers.PolarsParquetMinuteReader(folder, enable_cache=False)
        rows = minute.load_minute_bars(sids, datetime(1900, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001 -- its stamps are naive
        rows.write_parquet(output / "minute.parquet")
    return {
        "metadata": metadata.BundleMetadata.get(name),
        "symbols": [
            [sid, asset.symbol, finder.lookup_symbol(asset.symbol).sid] for sid, asset in zip(sids, assets, strict=True)
        ],
        "adjustments": _adjustments(adjustments.ParquetAdjustmentReader(folder), sids),
        "loading": _loading(name),
    }


def _loading(name: str) -> str:
    """Say whether `bundles.load` opens the decimal bundle, which depends on the calendar NYSE that it assumes."""
    try:
        bundles.load(name)
    except Exception as error:  # noqa: BLE001 -- what it says is what is wanted
        return f"{type(error).__name__}: {error}"
    return "opened"


def read_run_bundle(output: Path, name: str, resolutions: list[int]) -> dict[str, Any]:
    """Read the run bundle as a backtest does: `bundles.load`, its readers, and the data portal.

    Parameters
    ----------
    output : Path
        Existing folder.
    name : str
        The bundle.
    resolutions : list of int
        Seconds of its bars.

    Returns
    -------
    dict
        `run_symbols`: what the finder gives for every sid, found both ways; `run_sessions`; `run_adjustments`.

    """
    bundle = bundles.load(name)
    finder = bundle.asset_finder
    sids = [int(sid) for sid in finder.sids]
    assets = finder.retrieve_all(sids)
    daily, minute = bundle.equity_daily_bar_reader, bundle.equity_minute_bar_reader
    calendar = calendars.get_calendar(daily.trading_calendar.name)
    sessions = daily.sessions
    portal = data_portal.DataPortal(
        finder,
        calendar,
        sessions[0],
        equity_daily_reader=daily,
        equity_minute_reader=minute if MINUTE in resolutions else None,
        adjustment_reader=bundle.adjustment_reader,
    )
    _write(output / "run_daily.parquet", sessions, sids, daily.load_raw_arrays(VALUES, sessions[0], sessions[-1], sids))
    close = calendar.session_close(sessions[-1])
    # Of an asset that begins within the window the portal pads the days before.
    window = portal.get_history_window(assets, close, len(sessions), "1d", "close", "daily")
    history = [("1d", window)]
    if MINUTE in resolutions:
        minutes = calendar.sessions_minutes(sessions[0], sessions[-1])
        arrays = minute.load_raw_arrays(VALUES, minutes[0], minutes[-1], sids)
        _write(output / "run_minute.parquet", minutes, sids, arrays)
        count = min(_RECENT_MINUTES, len(minutes))
        history.append(("1m", portal.get_history_window(assets, close, count, "1m", "close", "minute")))
    frames = [
        polars.DataFrame(
            {
                "frequency": [frequency] * len(table),
                "sid": [int(asset.sid)] * len(table),
                "stamp": _naive(table.index),
                "close": table[asset].to_numpy(),
            }
        )
        for frequency, table in history
        for asset in table.columns
    ]
    polars.concat(frames).write_parquet(output / "run_history.parquet")
    return {
        "run_symbols": [[a.sid, a.symbol, finder.lookup_symbol(a.symbol, as_of_date=None).sid] for a in assets],
        "run_sessions": [
            [str(s.date()), calendar.session_open(s).isoformat(), calendar.session_close(s).isoformat()]
            for s in sessions
        ],
        "run_adjustments": _adjustments(bundle.adjustment_reader, sids),
    }


def _adjustments(reader: Any, sids: list[int]) -> dict[str, list[list[Any]]]:  # noqa: ANN401 -- rustybt's
    """Give sid, epoch seconds of the date and ratio of every split and dividend."""
    return {
        table: [
            [sid, int(day.timestamp()), float(ratio)]
            for sid in sids
            for day, ratio in reader.get_adjustments_for_sid(table, sid)
        ]
        for table in ("splits", "dividends")
    }


def _naive(stamps: Any) -> Any:  # noqa: ANN401 -- pandas' and Polars'
    """Give an index of instants as UTC without a zone, in microseconds."""
    utc = stamps.tz_convert(None) if stamps.tz is not None else stamps
    return polars.Series(utc.to_numpy()).cast(polars.Datetime("us"))


def _write(path: Path, stamps: Any, sids: list[int], arrays: list[Any]) -> None:  # noqa: ANN401 -- pandas' and NumPy's
    """Write arrays of stamps by sids as rows, without those that have no price."""
    frames = [
        polars.DataFrame(
            {"sid": [sid] * len(stamps), "stamp": _naive(stamps)}
            | {name: array[:, number].astype(float) for name, array in zip(VALUES, arrays, strict=True)}
        )
        for number, sid in enumerate(sids)
    ]
    polars.concat(frames).filter(polars.col("close").is_not_nan()).write_parquet(path)


def main() -> None:
    """Read what was asked for."""
    root, output, asked = (Path(argument) for argument in sys.argv[1:])
    wanted = json.loads(asked.read_text(encoding="utf-8"))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    found = {"version": version("rustybt")}
    found |= read_decimal_bundle(root, output, wanted["decimal_bundle"], wanted["resolutions"])
    if wanted["run_bundle"] is not None:
        # As rustybt's own loading of extensions does, whose module needs more packages.
        source = (root / "extension.py").read_text(encoding="utf-8")
        exec(compile(source, "extension.py", "exec"), {})  # noqa: S102 -- the export's own file
        found |= read_run_bundle(output, wanted["run_bundle"], wanted["resolutions"])
    (output / "found.json").write_text(json.dumps(found, default=str), encoding="utf-8")


if __name__ == "__main__":
    main()
