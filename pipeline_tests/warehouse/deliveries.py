"""A short way for tests to say what a source delivered."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline_defs.schema.batches import (
    CONTRACT_SCHEMA,
    FILE_SCHEMA,
    FRACTIONAL_OBSERVATION_SCHEMA,
    OBSERVATION_SCHEMA,
    REJECT_SCHEMA,
    Finding,
    ImportBatch,
    ImportRequest,
    Source,
    SourceMetadata,
)
from pipeline_defs.schema.columns import MARKET_ZONE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

TRADE_DATE = dt.date(2019, 1, 1)
SESSION_OPEN = dt.datetime(2019, 1, 1, 3, 45, tzinfo=dt.UTC)


@dataclass
class Delivery:
    """What one file says: contracts by symbol, and (symbol, minute of close, close price) rows."""

    rows: Iterable[tuple[str, int, str]]
    file: str = "day.csv"
    rejects: Iterable[tuple[int, str, str]] = ()
    contracts: dict[str, dict[str, Any]] = field(default_factory=dict)


class StubSource(Source):
    """A source that gives the batches it was made with; the port itself is under test elsewhere."""

    name = "nse_csv"

    def __init__(self, *batches: ImportBatch, name: str = "nse_csv") -> None:
        self.name = name
        self.batches = batches

    def get_metadata(self) -> SourceMetadata:
        return SourceMetadata(self.name, "file", "folder", "1", supports_live=False)

    def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
        del request
        yield from self.batches


def bar_versions(ask: Callable[..., list[tuple[Any, ...]]], kind: str, bucket: dt.datetime) -> list[tuple[Any, ...]]:
    """Give the row versions of a bucket's hourly or daily bars; where the server keeps them itself, their values."""
    bars = f"options_{kind}"
    is_view = ask("SELECT FROM pg_class WHERE relname = %s AND relkind = 'v'", bars)
    columns = "*" if is_view else "xmin::text, ctid::text, *"
    return ask(f"SELECT {columns} FROM {bars} WHERE bucket = %s ORDER BY instrument_id, bar_seconds, source", bucket)


def option(symbol: str, strike: int = 10_800, option_type: str = "CE", **changes: Any) -> dict[str, Any]:
    return {
        "kind": "OPT",
        "symbol": symbol,
        "underlying": "NIFTY",
        "expiry": dt.date(2019, 1, 31),
        "strike": Decimal(strike),
        "option_type": option_type,
        "venue": "NSE",
        "currency": "INR",
        **changes,
    }


def pair(symbol: str = "BTC/USDT") -> dict[str, Any]:
    base, quote = symbol.split("/")
    return {
        "kind": "PAIR",
        "symbol": symbol,
        "underlying": base + quote,
        "venue": "BINANCE",
        "currency": quote,
        "base_currency": base,
    }


def make_batch(
    *deliveries: Delivery,
    table: str = "options_ticks",
    bar_seconds: int = 60,
    trade_date: dt.date = TRADE_DATE,
    findings: tuple[Finding, ...] = (),
    empty_reason: str | None = None,
    underlying: str | None = None,
    sequences: list[int] | None = None,
    measures: dict[str, Any] | None = None,
    timezone: str = MARKET_ZONE,
) -> ImportBatch:
    described = {symbol: terms for delivery in deliveries for symbol, terms in delivery.contracts.items()}
    symbols = list(dict.fromkeys(symbol for delivery in deliveries for symbol, _, _ in delivery.rows))
    contracts = [
        dict.fromkeys(CONTRACT_SCHEMA)
        | described.get(symbol, option(symbol, 10_000 + 50 * key))
        | {"contract_key": key}
        for key, symbol in enumerate(symbols)
    ]
    is_pair = timezone == "UTC"
    has_parts = is_pair or isinstance((measures or {}).get("volume"), Decimal)
    schema = FRACTIONAL_OBSERVATION_SCHEMA if has_parts else OBSERVATION_SCHEMA
    opened = dt.datetime.combine(trade_date, dt.time() if is_pair else dt.time(3, 45), dt.UTC)
    rows = [
        dict.fromkeys(schema)
        | {
            "contract_key": symbols.index(symbol),
            "timestamp": opened + dt.timedelta(minutes=minute),
            "sequence": 0,
            **dict.fromkeys(("open", "high", "low", "close"), Decimal(price)),
            "volume": 75,
            "open_interest": 1500,
            **(measures or {}),
            "file_index": index,
            "line": line,
        }
        for index, delivery in enumerate(deliveries)
        for line, (symbol, minute, price) in enumerate(delivery.rows, start=2)
    ]
    observations = pl.DataFrame(rows, schema=schema)
    if sequences is not None:
        observations = observations.with_columns(pl.Series("sequence", sequences, pl.Int32()))
    rejects = [
        {"file_index": index, "line": line, "reason": reason, "text": text}
        for index, delivery in enumerate(deliveries)
        for line, reason, text in delivery.rejects
    ]
    files = [
        {
            "file_index": index,
            "path": f"folder/{delivery.file}",
            "member": None,
            "logical_name": delivery.file,
            "sha256": str(hash(tuple(delivery.rows))),
            "size_bytes": 1,
            "layout": "test",
        }
        for index, delivery in enumerate(deliveries)
    ]
    return ImportBatch(
        table=table,
        bar_seconds=bar_seconds,
        trade_date=trade_date,
        contracts=pl.DataFrame(contracts, schema=CONTRACT_SCHEMA),
        observations=observations,
        rejects=pl.DataFrame(rejects, schema=REJECT_SCHEMA),
        files=pl.DataFrame(files, schema=FILE_SCHEMA),
        findings=findings,
        empty_reason=empty_reason,
        underlying=underlying,
        timezone=timezone,
    )
