"""The decimal bundle: Parquet files in the layout of rustybt's own ingestion, and the two databases beside them.

``data/bundles/<name>/daily_bars/year=Y/month=M/data.parquet`` and
``…/minute_bars/year=Y/month=M/day=D/data.parquet``, every row in the folder of its own date (rustybt's ingestion puts
all rows of a write into the folder of the first). Minutes have their stamp twice: ``timestamp`` is the column of
rustybt's schema, ``dt`` the one that its reader asks for.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from pipeline_defs.exports.generic.writing import ParquetWriter
from pipeline_defs.exports.rustybt.checks import DAY, EXACT, VALUES, epoch_seconds
from pipeline_defs.exports.rustybt.databases import ASSETS, ASSETS_VERSION, CATALOG, write_database
from pipeline_defs.exports.rustybt.naming import bundle_name

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.exports.rustybt.adjustments import Adjustments
    from pipeline_defs.schema.exports import MarketSlice

_TIME: Final = pl.Datetime("us")
_VALUES: Final[dict[str, pl.DataType]] = dict.fromkeys(VALUES, EXACT)
DAILY_COLUMNS: Final[dict[str, pl.DataType]] = {"date": pl.Date(), "sid": pl.Int64(), **_VALUES}
MINUTE_COLUMNS: Final[dict[str, pl.DataType]] = {"timestamp": _TIME, "dt": _TIME, "sid": pl.Int64(), **_VALUES}

DATABASE: Final = f"assets-{ASSETS_VERSION}.db"
"""In the root, for all bundles."""


def bundle_folder(root: Path, name: str) -> Path:
    """Find the folder of a decimal bundle.

    Parameters
    ----------
    root : Path
        What ``ZIPLINE_ROOT`` names.
    name : str
        The bundle.

    Returns
    -------
    Path

    """
    return root / "data" / "bundles" / name


class BarFiles:
    """The files of one resolution, opened as their dates come; closes with the block.

    Parameters
    ----------
    folder : Path
        The bundle.
    bar_seconds : int
        `checks.DAY` or `checks.MINUTE`.

    """

    def __init__(self, folder: Path, bar_seconds: int) -> None:
        self._is_daily = bar_seconds == DAY
        self._root = folder / ("daily_bars" if self._is_daily else "minute_bars")
        self._schema = DAILY_COLUMNS if self._is_daily else MINUTE_COLUMNS
        self._writers: dict[str, ParquetWriter] = {}
        self._open = ExitStack()

    def write(self, bars: pl.DataFrame) -> None:
        """Append bars.

        Parameters
        ----------
        bars : polars.DataFrame
            `sid`, `session_date`, `timestamp` (UTC, close of the bar) and the values; sorted by `sid` and time, and
            no `sid` before those written already.

        """
        stamp = pl.col("timestamp").dt.replace_time_zone(None)
        day = pl.col("session_date") if self._is_daily else stamp.dt.date()
        parts = [pl.format("year={}/month={}", day.dt.year(), day.dt.month())]
        if not self._is_daily:
            parts.append(pl.format("day={}", day.dt.day()))
        rows = bars.with_columns(
            folder=pl.concat_str(parts, separator="/"), date=pl.col("session_date"), timestamp=stamp, dt=stamp
        )
        for (folder,), group in rows.partition_by("folder", as_dict=True, maintain_order=True).items():
            self._writer(str(folder)).write(group.select(pl.col(c).cast(t) for c, t in self._schema.items()))

    def _writer(self, folder: str) -> ParquetWriter:
        if folder not in self._writers:
            path = self._root / folder / "data.parquet"
            path.parent.mkdir(parents=True)
            self._writers[folder] = self._open.enter_context(ParquetWriter(path, self._schema))
        return self._writers[folder]

    def __enter__(self) -> Self:
        """Give the files."""
        return self

    def __exit__(self, *_: object) -> None:
        """Finish all files."""
        self._open.close()


def write_databases(root: Path, market: MarketSlice, assets: pl.DataFrame, rows: int, adjustments: Adjustments) -> None:
    """Write ``assets-10.db``, where rustybt looks bundles and symbols up, and the bundle's own ``metadata.db``.

    Parameters
    ----------
    root : Path
        What ``ZIPLINE_ROOT`` names; the folder of the bundle exists.
    market : MarketSlice
        What is exported.
    assets : polars.DataFrame
        What `naming.with_sids` returned.
    rows : int
        Bars of the bundle.
    adjustments : Adjustments
        Of its shares.

    """
    name, dates = bundle_name(market), market.sessions["session_date"]
    first, last = (epoch_seconds(date) for date in (dates.sort()[0], dates.sort()[-1]))
    sources = () if market.choice is None else market.choice.sources
    metadata = {
        "id": 1,
        "bundle_name": name,
        "source_type": ",".join(sources) or "market-data-pipeline",
        # A time of writing would change the bytes: what there is to say is how far the data reach.
        "fetch_timestamp": last,
        "timezone": market.timezone,
        "row_count": rows,
        "start_date": first,
        "end_date": last,
        "created_at": last,
        "updated_at": last,
    }
    symbols = [
        {"id": sid, "bundle_name": name, "symbol": symbol, "asset_type": asset_type, "exchange": venue}
        for sid, symbol, asset_type, venue in assets.select("sid", "rustybt_symbol", "asset_type", "venue").iter_rows()
    ]
    write_database(root / DATABASE, ASSETS, {"bundle_metadata": [metadata], "bundle_symbols": symbols})
    write_database(bundle_folder(root, name) / "metadata.db", CATALOG, adjustments.tables())
