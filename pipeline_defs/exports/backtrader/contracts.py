"""The sidecar ``contracts.json``: what a contract is, which Backtrader has no place for.

Written from a frame of instruments, read into value types. Decimals are strings, so that they stay exact;
times are naive exchange time, as in the files. Backtrader is not imported.
"""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.naming import bar_length, plain_decimal
from pipeline_defs.exports.backtrader.text import COLUMNS, EXCHANGE_ZONE, STAMP_FORMAT, exchange_time
from pipeline_defs.exports.backtrader.values import Contract, Settlement, Sidecar, Terms

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

SIDECAR_NAME: Final = "contracts.json"
SIDECAR_VERSION: Final = 1

_PERIODS: Final = pl.List(
    pl.Struct(
        {
            **dict.fromkeys(("valid_from", "valid_to", "symbol", "underlying", "expiry"), pl.String()),
            "lot_size": pl.Int64(),
            "tick_size": pl.String(),
        }
    )
)

CONVENTIONS: Final = (
    "Times are those of the exchange, without a zone; the stamp of a bar is its close.",
    "GenericCSVData with a todate at midnight leaves out all intraday bars of that day: add a day, or use load_chain.",
    "Load intraday files with the timeframe and compression given here: by default every bar is stamped at day end.",
    "Prices, volume, open interest and P&L are per unit: trade lot_size units for a lot, with a multiplier of 1.",
    "Terms are those of the last bar; where 'terms' is not null, it says what they were by trade date.",
    "A settlement price is the intrinsic value on (future: is) the underlying's last close up to expiry_close.",
)


def write_sidecar(
    root: Path, market: MarketSlice, described: pl.DataFrame, *, underlying_name: str | None, notes: list[str]
) -> None:
    """Write ``contracts.json``.

    Parameters
    ----------
    root : Path
        Folder of the export.
    market : MarketSlice
        What is exported.
    described : polars.DataFrame
        The instruments of the slice with `name`, `file`, `rows`, `first_timestamp`, `last_timestamp`,
        `sha256`, `terms` (from `periods.terms_as_text`, null where nothing changes), and what
        `settlement.with_settlements` adds.
    underlying_name : str or None
        Name of the underlying's contract.
    notes : list of str
        Shortcomings a user must know of.

    """
    length = bar_length(market.bar_seconds)
    content = {
        "version": SIDECAR_VERSION,
        "underlying": market.underlying,
        "underlying_name": underlying_name,
        "start_date": market.start_date.isoformat(),
        "end_date": market.end_date.isoformat(),
        "timeframe": length.timeframe,
        "compression": length.compression,
        "timezone": EXCHANGE_ZONE,
        "stamp": "close of the bar",
        "columns": list(COLUMNS),
        "conventions": CONVENTIONS,
        "notes": notes,
        "contracts": _as_text(described).rows(named=True),
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (root / SIDECAR_NAME).write_text(f"{text}\n", encoding="utf-8")


def read_sidecar(root: Path) -> Sidecar:
    """Read ``contracts.json``.

    Parameters
    ----------
    root : Path
        Folder of the export.

    Returns
    -------
    Sidecar

    Raises
    ------
    ExportError
        If the folder holds none, or one of a newer version.

    """
    path = root / SIDECAR_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExportError(
            f"holds no {SIDECAR_NAME}, so it is not a Backtrader export",
            where=str(root),
            next_step="name the folder that 'pipeline export --format backtrader' published",
        ) from None
    if content["version"] > SIDECAR_VERSION:
        raise ExportError(
            f"has version {content['version']}, expected at most {SIDECAR_VERSION}",
            where=str(path),
            next_step="use the version of the pipeline that wrote it, or a newer one",
        )
    return Sidecar(
        underlying=content["underlying"],
        timeframe=content["timeframe"],
        compression=content["compression"],
        underlying_name=content["underlying_name"],
        contracts=tuple(_contract(entry) for entry in content["contracts"]),
    )


def _as_text(described: pl.DataFrame) -> pl.DataFrame:
    settlement = pl.struct(
        price=plain_decimal("settlement_price"),
        underlying_close=plain_decimal("underlying_close"),
        underlying_time=_stamp("underlying_timestamp"),
    )
    return described.sort("name").select(
        "name",
        "file",
        "kind",
        "symbol",
        "underlying",
        pl.col("expiry").dt.to_string("%Y-%m-%d"),
        plain_decimal("strike"),
        pl.col("option_type").alias("right"),
        "series",
        "isin",
        "lot_size",
        pl.lit(1).alias("multiplier"),
        plain_decimal("tick_size"),
        "currency",
        "venue",
        _stamp("expiry_close"),
        "rows",
        _stamp("first_timestamp").alias("first"),
        _stamp("last_timestamp").alias("last"),
        "sha256",
        pl.when(pl.col("settlement_price").is_not_null()).then(settlement).alias("settlement"),
        pl.col("terms").str.json_decode(_PERIODS),
    )


def _stamp(column: str) -> pl.Expr:
    return exchange_time(column).dt.to_string(STAMP_FORMAT)


def read_terms(entries: list[dict[str, Any]] | None) -> tuple[Terms, ...]:
    """Read the periods of a contract from their JSON; none where nothing changes."""
    return tuple(
        Terms(
            **{
                **entry,
                **{name: _day(entry[name]) for name in ("valid_from", "valid_to", "expiry")},
                "tick_size": _decimal(entry["tick_size"]),
            }
        )
        for entry in entries or ()
    )


def _contract(entry: dict[str, Any]) -> Contract:
    settlement = entry["settlement"]
    return Contract(
        **{
            **entry,
            "expiry": _day(entry["expiry"]),
            "terms": read_terms(entry.get("terms")),
            "strike": _decimal(entry["strike"]),
            "tick_size": _decimal(entry["tick_size"]),
            "expiry_close": None if entry["expiry_close"] is None else _time(entry["expiry_close"]),
            "first": _time(entry["first"]),
            "last": _time(entry["last"]),
            "settlement": None
            if settlement is None
            else Settlement(
                price=Decimal(settlement["price"]),
                underlying_close=Decimal(settlement["underlying_close"]),
                underlying_time=_time(settlement["underlying_time"]),
            ),
        }
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _day(text: str | None) -> dt.date | None:
    return None if text is None else dt.date.fromisoformat(text)


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
