"""A month of a crypto pair as a generic CSV file, for the manual CSV source; the prices' text is the sample's own."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path
from typing import Final

SAMPLE: Final = Path(__file__).parents[1] / "fixtures" / "crypto" / "binance_BTCUSDT_1h_2018.lean.csv"
"""Lines of LEAN's hourly crypto data: the bar's start in UTC, open, high, low, close, volume."""

UNDERLYING: Final = "BTCUSDT"
MONTH: Final = "2018-05"
BAR_SECONDS: Final = 3_600
FIRST_DAY, LAST_DAY = dt.date(2018, 5, 1), dt.date(2018, 5, 5)
"""UTC days of which the sample has all 24 bars."""

TERMS: Final = {
    "kind": "PAIR",
    "symbol": "BTC/USDT",
    "underlying": UNDERLYING,
    "base_currency": "BTC",
    "currency": "USDT",
    "venue": "BINANCE",
    "bar_seconds": str(BAR_SECONDS),
}
_VALUES: Final = ("open", "high", "low", "close", "volume")


def crypto_rows() -> list[dict[str, str]]:
    """Give the month's bars as rows of a generic file: stamped with their close, every number as it stands."""
    with SAMPLE.open(encoding="ascii", newline="") as file:
        return [
            {"timestamp": _close(start), **TERMS, **dict(zip(_VALUES, values, strict=True))}
            for start, *values in csv.reader(file)
        ]


def write_crypto_month(folder: Path) -> Path:
    """Write the month as a generic CSV file.

    Import it with ``pipeline import --source manual-csv --path FILE``.
    """
    rows = crypto_rows()
    path = folder / "btcusdt_1h_2018-05.csv"
    with path.open("w", encoding="ascii", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def _close(start: str) -> str:
    opened = dt.datetime.strptime(start, "%Y%m%d %H:%M").replace(tzinfo=dt.UTC)
    return (opened + dt.timedelta(seconds=BAR_SECONDS)).strftime("%Y-%m-%dT%H:%M:%SZ")
