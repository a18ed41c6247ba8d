"""The run bundle: what ``rustybt run`` reads rightly, zipline's bcolz layout, where it can hold the bars exactly.

Prices are whole thousandths and volumes whole units, each below 2**32: what needs more is never rounded, the run bundle
is left out then, and the export says why. A daily row is there for every session between an asset's first and last, a
minute for every minute of every session from the first on; zero says that there was no bar. Position 0 of a session is
the minute that ends one minute after the open: rustybt labels minutes by their end (``side="right"``), as we do.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pipeline_defs.exports.rustybt.bcolz import write_table
from pipeline_defs.exports.rustybt.calendars import calendar_name, is_expressible
from pipeline_defs.exports.rustybt.checks import DAY, MINUTE, PRICES, VALUES, epoch_seconds
from pipeline_defs.exports.rustybt.databases import ADJUSTMENTS, ASSETS, ASSETS_VERSION, write_database
from pipeline_defs.exports.rustybt.naming import RUN_SUFFIX

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline_defs.exports.rustybt.adjustments import Adjustments
    from pipeline_defs.schema.exports import MarketSlice

PER_UNIT: Final = 1_000
"""What prices are multiplied by."""

LARGEST: Final = 2**32 - 2
"""Of a stored number; rustybt takes the very last one for damage."""

_DELIMITERS: Final = re.compile(r"[./\-_]")

_NS: Final = 1_000_000_000
_NO_DATE: Final = -(2**63)
"""What pandas and zipline write where there is no date."""


class RunBundle:
    """A run bundle that is written as the bars come, until one does not fit.

    Parameters
    ----------
    root : Path
        What ``ZIPLINE_ROOT`` names.
    bundle : str
        The decimal bundle.
    market : MarketSlice
        What is exported.
    assets : polars.DataFrame
        What `naming.with_sids` returned.

    """

    def __init__(self, root: Path, bundle: str, market: MarketSlice, assets: pl.DataFrame) -> None:
        self.name = f"{bundle}{RUN_SUFFIX}"
        self.reason: str | None = None
        self._bundle, self._assets = bundle, assets
        self._sessions = market.sessions.sort("session_date").with_row_index("session")
        last_close: dt.datetime = self._sessions["close"][-1]
        self._bundle_folder = root / "data" / self.name
        self._folder = self._bundle_folder / last_close.strftime("%Y-%m-%dT%H;%M;%S")
        self._folder.mkdir(parents=True)
        length = self._sessions.select(((pl.col("close") - pl.col("open")).dt.total_seconds() // MINUTE).max()).item()
        self._minutes_per_day = int(length)
        self._daily: list[tuple[int, int, NDArray[np.uint32]]] = []
        self._lives: dict[int, tuple[dt.date, dt.date]] = {}
        resolutions = {part.bar_seconds for part in market.every_resolution if part.instruments.height}
        if DAY not in resolutions:
            self._leave_out("rustybt needs daily bars to run, and none are exported: add 1d to --bars")
        elif self._sessions["session_date"].is_duplicated().any():
            self._leave_out("a date has two sessions, which rustybt's calendars cannot express")
        elif not is_expressible(market):
            self._leave_out("a session goes beyond its date, or begins or ends within a minute")

    @property
    def is_written(self) -> bool:
        """Whether everything so far could be held exactly."""
        return self.reason is None

    def write(self, bars: pl.DataFrame, bar_seconds: int) -> None:
        """Add the bars of whole instruments.

        Parameters
        ----------
        bars : polars.DataFrame
            `sid`, `session_date`, `timestamp` and the values; sorted by `sid` and time.
        bar_seconds : int
            `checks.DAY` or `checks.MINUTE`.

        """
        if not self.is_written or bars.is_empty() or self._refuses(bars):
            return
        numbers = bars.join(
            self._sessions.select("session", "session_date", session_open="open"),
            on="session_date",
            how="left",
            maintain_order="left",
        ).with_columns(
            *(
                (pl.col(name).cast(pl.Decimal(38, 8)) * PER_UNIT).cast(pl.Int64).cast(pl.UInt32).alias(name)
                for name in PRICES
            ),
            pl.col("volume").cast(pl.Int64).cast(pl.UInt32),
            minute=(pl.col("timestamp") - pl.col("session_open")).dt.total_seconds() // MINUTE - 1,
        )
        for (sid,), rows in numbers.partition_by("sid", as_dict=True, maintain_order=True).items():
            number = int(str(sid))
            first, last = rows["session_date"][0], rows["session_date"][-1]
            known = self._lives.get(number, (first, last))
            self._lives[number] = (min(first, known[0]), max(last, known[1]))
            if bar_seconds == DAY:
                self._add_days(number, rows)
            else:
                self._write_minutes(number, rows)

    def finish(self, adjustments: Adjustments) -> None:
        """Write what needs all bars: the daily table, the assets and the adjustments.

        Parameters
        ----------
        adjustments : Adjustments
            Of its shares.

        """
        if not self.is_written:
            return
        self._write_days()
        dates = self._sessions["session_date"]
        metadata = {
            "version": 3,
            "ohlc_ratio": PER_UNIT,
            "ohlc_ratios_per_sid": None,
            "minutes_per_day": self._minutes_per_day,
            "calendar_name": calendar_name(self._bundle),
            "start_session": str(dates[0]),
            "end_session": str(dates[-1]),
        }
        minutes = self._folder / "minute_equities.bcolz"
        minutes.mkdir(exist_ok=True)
        (minutes / "metadata.json").write_text(json.dumps(metadata), encoding="ascii")
        write_database(self._folder / f"assets-{ASSETS_VERSION}.sqlite", ASSETS, self._asset_rows())
        numbered = {
            table: [{"index": number} | row for number, row in enumerate(rows)]
            for table, rows in adjustments.tables().items()
        }
        write_database(self._folder / "adjustments.sqlite", ADJUSTMENTS, numbered)

    def _refuses(self, bars: pl.DataFrame) -> bool:
        """Leave the run bundle out if a number of these bars cannot be held."""
        scaled = [pl.col(name).cast(pl.Decimal(38, 8)) * PER_UNIT for name in PRICES]
        count = pl.col("volume").cast(pl.Decimal(38, 8))
        fits = pl.all_horizontal(
            *((value == value.floor()) & (value <= LARGEST) for value in (*scaled, count)),
        )
        misfits = bars.filter(~fits).head(1)
        for row in misfits.iter_rows(named=True):
            symbol = self._assets.filter(pl.col("sid") == row["sid"])["rustybt_symbol"][0]
            values = ", ".join(f"{name} {row[name]}" for name in VALUES)
            self._leave_out(
                "it holds prices in whole thousandths and volumes in whole units, both below 2**32, and cannot hold "
                f"{symbol} at {row['timestamp'].isoformat()}: {values}"
            )
        return not misfits.is_empty()

    def _leave_out(self, reason: str) -> None:
        self.reason = reason
        shutil.rmtree(self._bundle_folder)

    def _add_days(self, sid: int, rows: pl.DataFrame) -> None:
        first, last = int(rows["session"][0]), int(rows["session"][-1])
        numbers = np.zeros((len(VALUES), last - first + 1), dtype=np.uint32)
        numbers[:, rows["session"].to_numpy().astype(np.int64) - first] = rows.select(VALUES).to_numpy().T
        self._daily.append((sid, first, numbers))

    def _write_days(self) -> None:
        days = np.array([epoch_seconds(date) for date in self._sessions["session_date"]], dtype=np.uint32)
        first_row, last_row, offsets, row = {}, {}, {}, 0
        parts: dict[str, list[NDArray[np.uint32]]] = {name: [] for name in (*VALUES, "day", "id")}
        for sid, first, numbers in sorted(self._daily, key=lambda entry: entry[0]):
            count = numbers.shape[1]
            first_row[str(sid)], last_row[str(sid)], offsets[str(sid)] = row, row + count - 1, first
            row += count
            for name, values in zip(VALUES, numbers, strict=True):
                parts[name].append(values)
            parts["day"].append(days[first : first + count])
            parts["id"].append(np.full(count, sid, dtype=np.uint32))
        attributes = {
            "first_trading_day": int(min(part[0] for part in parts["day"])),
            "first_row": first_row,
            "last_row": last_row,
            "calendar_offset": offsets,
            "calendar_name": calendar_name(self._bundle),
            "start_session_ns": int(days[0]) * _NS,
            "end_session_ns": int(days[-1]) * _NS,
        }
        columns = {name: np.concatenate(values) for name, values in parts.items()}
        write_table(self._folder / "daily_equities.bcolz", columns, attributes)

    def _write_minutes(self, sid: int, rows: pl.DataFrame) -> None:
        position = (rows["session"].cast(pl.Int64) * self._minutes_per_day + rows["minute"]).to_numpy()
        padded = f"{sid:06d}"
        folder = self._folder / "minute_equities.bcolz" / padded[0:2] / padded[2:4] / f"{padded}.bcolz"
        length = self._sessions.height * self._minutes_per_day
        columns = {}
        for name in VALUES:
            columns[name] = np.zeros(length, dtype=np.uint32)
            columns[name][position] = rows[name].to_numpy()
        write_table(folder, columns, {})

    def _asset_rows(self) -> dict[str, list[dict[str, Any]]]:
        live = [row for row in self._assets.iter_rows(named=True) if row["sid"] in self._lives]
        nanoseconds = {
            sid: (epoch_seconds(first) * _NS, epoch_seconds(last) * _NS) for sid, (first, last) in self._lives.items()
        }
        return {
            "version_info": [{"id": 1, "version": ASSETS_VERSION}],
            "exchanges": [
                {"exchange": venue, "canonical_name": venue, "country_code": "??"}
                for venue in sorted({str(row["venue"]) for row in live})
            ],
            "equities": [
                {
                    "sid": row["sid"],
                    "asset_name": row["rustybt_symbol"],
                    "start_date": nanoseconds[row["sid"]][0],
                    "end_date": nanoseconds[row["sid"]][1],
                    "first_traded": _NO_DATE,
                    # The day after the last bar, as zipline's own ingestion of files has it.
                    "auto_close_date": nanoseconds[row["sid"]][1] + DAY * _NS,
                    "exchange": str(row["venue"]),
                }
                for row in live
            ],
            "asset_router": [{"sid": row["sid"], "asset_type": "equity"} for row in live],
            "equity_symbol_mappings": [
                {
                    "id": row["sid"],
                    "sid": row["sid"],
                    "symbol": row["rustybt_symbol"],
                    **dict(zip(("company_symbol", "share_class_symbol"), _parts(row["rustybt_symbol"]), strict=True)),
                    "start_date": nanoseconds[row["sid"]][0],
                    "end_date": nanoseconds[row["sid"]][1],
                }
                for row in live
            ],
        }


def _parts(symbol: str) -> tuple[str, str]:
    """Take a symbol apart as rustybt's finder does before it looks it up: company and class of share."""
    company, *share_class = _DELIMITERS.split(symbol.upper(), maxsplit=1)
    return company, "".join(share_class)
