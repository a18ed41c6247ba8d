"""What there is to import and to publish, and what it must look like: files made once, a reference made without faults.

Every partition has one or two states: as it was first delivered, and as it was corrected. A reader may see one of them,
or none; in the end the last one delivered is there.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.samples.chain import ChainSpec
from pipeline_defs.samples.generate import SampleSpec, generate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import psycopg

DAYS: Final = (dt.date(2025, 8, 11), dt.date(2025, 8, 12), dt.date(2025, 8, 13))
FIRST, CORRECTED = "first", "corrected"
_SEEDS: Final = {FIRST: 1, CORRECTED: 2}

_MAPPING: Final = """
stamp = "open"
zone = "Asia/Kolkata"
format = "%d/%m/%Y %H:%M"
[columns]
timestamp = ["Date", "Time"]
open = "O"
high = "H"
low = "L"
close = "C"
volume = "Vol"
[fixed]
kind = "EQ"
symbol = "RELIANCE"
underlying = "RELIANCE"
series = "EQ"
venue = "NSE"
currency = "INR"
bar_seconds = 60
"""
_UPLOADED_MINUTES: Final = 30

type Key = tuple[str, str, dt.date, int]
"""Table, source, day, length of the bars: what one load brings in line."""
type Found = dict[Key, tuple[int, str]]
"""Rows and checksum by partition."""

_ROWS: Final = """
SELECT '{table}', source, ("timestamp" AT TIME ZONE 'Asia/Kolkata' - interval '1 microsecond')::date, bar_seconds,
       count(*), md5(string_agg(concat_ws('|', symbol, o."timestamp", bar_seconds, sequence, open, high, low, close,
                                          volume, open_interest), ';' ORDER BY symbol, o."timestamp", bar_seconds,
                                          sequence))
FROM v_{table} AS o GROUP BY 1, 2, 3, 4
"""
_TABLES: Final = ("options_ticks", "futures_ticks", "spot_prices", "equity_daily")
PARTITIONS: Final = " UNION ALL ".join(_ROWS.format(table=table) for table in _TABLES)

_BARS: Final = """
SELECT '{bars}', source, (bucket AT TIME ZONE 'Asia/Kolkata')::date, bar_seconds, count(*),
       md5(string_agg(concat_ws('|', t.symbol, bucket, bar_seconds, open, high, low, close, volume), ';'
                      ORDER BY t.symbol, bucket, bar_seconds))
FROM {bars} AS b JOIN instrument_terms AS t USING (instrument_id) GROUP BY 1, 2, 3, 4
"""
DERIVED: Final = (
    " UNION ALL ".join(_BARS.format(bars=bars) for bars in ("options_hourly", "options_daily"))
    + """
UNION ALL
SELECT 'option_greeks', source, ("timestamp" AT TIME ZONE 'Asia/Kolkata')::date, bar_seconds, count(*),
       md5(string_agg(concat_ws('|', t.symbol, "timestamp", price, underlying_price, implied_volatility, delta, reason),
                      ';' ORDER BY t.symbol, "timestamp"))
FROM option_greeks JOIN instrument_terms AS t USING (instrument_id) GROUP BY 1, 2, 3, 4
"""
)


def look(connection: psycopg.Connection, question: str = PARTITIONS) -> Found:
    """See what is stored, in one snapshot."""
    return {
        (table, source, day, seconds): (rows, digest)
        for table, source, day, seconds, rows, digest in _ask(connection, question)
    }


def _ask(connection: psycopg.Connection, question: str) -> list[tuple[Any, ...]]:
    return connection.execute(question.encode()).fetchall()


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The files, read-only: a folder for each version of the days, and the mapping of uploads.

    Parameters
    ----------
    root : Path
        Holds a folder for each version.

    """

    root: Path

    def landing(self, version: str) -> Path:
        """Give the folder to import."""
        return self.root / version / "landing"

    @staticmethod
    def upload(folder: Path, day: dt.date, version: str = FIRST) -> None:
        """Put a file of one's own, with its mapping, into the drop folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{day}.mapping.toml").write_text(_MAPPING, encoding="utf-8")
        (folder / f"{day}.csv").write_text(_uploaded(day, version), encoding="utf-8")


def make_deliveries(root: Path) -> Deliveries:
    """Write the files of every day, as first delivered and as corrected: other prices, other strikes, same names."""
    for version, seed in _SEEDS.items():
        generate(_spec(seed), root / version)
    return Deliveries(root)


def _spec(seed: int) -> SampleSpec:
    return SampleSpec(
        name="chaos",
        start_date=DAYS[0],
        end_date=DAYS[-1],
        chains=(ChainSpec("NIFTY", strikes_each_side=1, strike_every=2, weeklies=1, monthlies=0, futures=1),),
        products=("gdfl_fo_minute", "gdfl_index_minute", "fo_bhavcopy_udiff", "cm_bhavcopy_udiff"),
        symbols=("RELIANCE",),
        contract_rows=160,
        activity=0.2,
        seed=seed,
    )


def _uploaded(day: dt.date, version: str) -> str:
    base = 1400 + day.day + (5 if version == CORRECTED else 0)
    opened = dt.datetime.combine(day, dt.time(9, 15))
    lines = ["Date,Time,O,H,L,C,Vol"]
    for minute in range(_UPLOADED_MINUTES):
        stamp = opened + dt.timedelta(minutes=minute)
        lines.append(f"{stamp:%d/%m/%Y,%H:%M},{base},{base + 2},{base - 1},{base + 1}.25,{100 + minute}")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Reference:
    """What partitions look like without faults.

    Parameters
    ----------
    states : mapping
        Of a partition, by version.
    derived : mapping
        Of bars and Greeks, by version of the day.

    """

    states: Mapping[Key, Mapping[str, tuple[int, str]]]
    derived: Mapping[Key, Mapping[str, tuple[int, str]]]

    def known(self, key: Key) -> set[tuple[int, str]]:
        """Give all states in which a reader may find a partition that is there."""
        return set(self.states.get(key, {}).values())
