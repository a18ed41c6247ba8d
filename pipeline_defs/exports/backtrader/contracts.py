"""The sidecar ``contracts.json``: what a contract is, which Backtrader has no place for.

Written from frames of instruments and files, read into value types. Decimals are strings, so that they stay exact;
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
from pipeline_defs.exports.backtrader.text import COLUMNS, GREEKS_COLUMNS, STAMP_FORMAT, exchange_time
from pipeline_defs.exports.backtrader.values import BarFile, Contract, Session, Settlement, Sidecar, Terms
from pipeline_defs.schema.columns import MARKET_ZONE

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import MarketSlice

SIDECAR_NAME: Final = "contracts.json"
SIDECAR_VERSION: Final = 2
"""Version 1 had one resolution, its files told among the terms, and settled on the underlying's last bar alone."""

_PERIODS: Final = pl.List(
    pl.Struct(
        {
            **dict.fromkeys(("valid_from", "valid_to", "symbol", "underlying", "expiry"), pl.String()),
            "lot_size": pl.Int64(),
            "tick_size": pl.String(),
        }
    )
)

_OF_FILE: Final = ("file", "rows", "first", "last", "sha256")

CONVENTIONS: Final = (
    "Times are those of the zone given here, without an offset; the stamp of a bar is its close.",
    "A bar that closes at midnight belongs to the day before; 'sessions' says which stamps a trade date has.",
    "GenericCSVData with a todate at midnight leaves out all intraday bars of that day: add a day, or use load_chain.",
    "Load intraday files with the timeframe and compression given here: by default every bar is stamped at day end.",
    "Prices, volume, open interest and P&L are per unit: trade lot_size units for a lot, with a multiplier of 1.",
    "Terms are those of the last bar; where 'terms' is not null, it says what they were by trade date.",
    "A settlement price with the basis 'exchange' is the exchange's own.",
    "With the basis 'last underlying bar' it is the intrinsic value on the underlying's last close, or that close.",
)

GREEKS_CONVENTION: Final = (
    "The finest files of options have implied volatility (a fraction a year) and Greeks behind the bar, empty where "
    "there are none: vega per 1.00 of volatility, theta per year of 365 days, rho per 1.00 of rate."
)


def write_sidecar(
    root: Path,
    market: MarketSlice,
    described: pl.DataFrame,
    files: pl.DataFrame,
    *,
    underlying_name: str | None,
    notes: list[str],
) -> None:
    """Write ``contracts.json``.

    Parameters
    ----------
    root : Path
        Folder of the export.
    market : MarketSlice
        What is exported.
    described : polars.DataFrame
        The instruments of the slice with `name`, `terms` (from `periods.terms_as_text`, null where nothing changes),
        and what `settlement.with_settlements` adds.
    files : polars.DataFrame
        One row per file: `instrument_id`, `bar_seconds`, `file`, `rows`, `first_timestamp`, `last_timestamp`, `sha256`.
    underlying_name : str or None
        Name of the underlying's contract.
    notes : list of str
        Shortcomings a user must know of.

    """
    zone = market.timezone
    seconds = files["bar_seconds"].unique().sort()
    sessions = market.sessions.sort("open").select(
        pl.col("session_date").dt.to_string("%Y-%m-%d").alias("date"), _stamp("open", zone), _stamp("close", zone)
    )
    content = {
        "version": SIDECAR_VERSION,
        "underlying": market.underlying,
        "underlying_name": underlying_name,
        "start_date": market.start_date.isoformat(),
        "end_date": market.end_date.isoformat(),
        "resolutions": [bar_length(length).to_json() for length in seconds],
        "timezone": zone,
        "stamp": "close of the bar",
        "columns": list(COLUMNS),
        **({} if market.read_greeks is None else {"greeks_columns": list(GREEKS_COLUMNS)}),
        "conventions": CONVENTIONS if market.read_greeks is None else (*CONVENTIONS, GREEKS_CONVENTION),
        "notes": notes,
        "sessions": sessions.rows(named=True),
        "contracts": _as_text(described, files, zone).rows(named=True),
    }
    text = json.dumps(content, indent=1, ensure_ascii=False)
    (root / SIDECAR_NAME).write_text(f"{text}\n", encoding="utf-8")


def read_sidecar(root: Path) -> Sidecar:
    """Read ``contracts.json``, of this version or an older one.

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
        If the folder holds none, one of a newer version, or one that is not whole.

    """
    path = root / SIDECAR_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = int(content["version"])
        if version <= SIDECAR_VERSION:
            return _sidecar(_upgraded(content) if version == 1 else content)
    except FileNotFoundError:
        raise ExportError(
            f"holds no {SIDECAR_NAME}, so it is not a Backtrader export",
            where=str(root),
            next_step="name the folder that 'pipeline export --format backtrader' published",
        ) from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise ExportError(
            f"is not a whole sidecar: {type(error).__name__}: {error}",
            where=str(path),
            next_step="remove the folder and export again",
        ) from error
    raise ExportError(
        f"has version {version}, expected at most {SIDECAR_VERSION}",
        where=str(path),
        next_step="use the version of the pipeline that wrote it, or a newer one",
    )


def _as_text(described: pl.DataFrame, files: pl.DataFrame, zone: str) -> pl.DataFrame:
    settlement = pl.struct(
        price=plain_decimal("settlement_price"),
        basis="settlement_basis",
        underlying_close=plain_decimal("underlying_close"),
        underlying_time=_stamp("underlying_timestamp", zone),
    )
    by_contract = (
        files.sort("instrument_id", "bar_seconds")
        .with_columns(_stamp("first_timestamp", zone).alias("first"), _stamp("last_timestamp", zone).alias("last"))
        .group_by("instrument_id", maintain_order=True)
        .agg(files=pl.struct("bar_seconds", *_OF_FILE))
    )
    return (
        described.join(by_contract, on="instrument_id", how="left")
        .sort("name")
        .select(
            "name",
            # The finest: who wants no more than one file of a contract takes this one.
            pl.col("files").list.first().struct.field("file"),
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
            "base_currency",
            "venue",
            _stamp("expiry_close", zone),
            "files",
            pl.when(pl.col("settlement_price").is_not_null()).then(settlement).alias("settlement"),
            pl.col("terms").str.json_decode(_PERIODS),
        )
    )


def _stamp(column: str, zone: str) -> pl.Expr:
    return exchange_time(column, zone).dt.to_string(STAMP_FORMAT)


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


def _upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Say what version 1 said as version 2 says it."""
    seconds = {"Seconds": 1, "Minutes": 60, "Days": 86_400}[content["timeframe"]] * content["compression"]
    contracts = []
    for entry in content["contracts"]:
        rest = {name: value for name, value in entry.items() if name not in _OF_FILE}
        files = [{"bar_seconds": seconds, **{name: entry[name] for name in _OF_FILE}}]
        settlement = entry["settlement"] and {"basis": "last underlying bar", **entry["settlement"]}
        contracts.append({**rest, "file": entry["file"], "files": files, "settlement": settlement})
    return {**content, "timezone": content.get("timezone", MARKET_ZONE), "sessions": [], "contracts": contracts}


def _sidecar(content: dict[str, Any]) -> Sidecar:
    return Sidecar(
        underlying=content["underlying"],
        timezone=content["timezone"],
        underlying_name=content["underlying_name"],
        sessions=tuple(
            Session(dt.date.fromisoformat(entry["date"]), _time(entry["open"]), _time(entry["close"]))
            for entry in content["sessions"]
        ),
        contracts=tuple(_contract(entry) for entry in content["contracts"]),
    )


def _contract(entry: dict[str, Any]) -> Contract:
    files = tuple(
        BarFile(**{**told, "first": _time(told["first"]), "last": _time(told["last"])}) for told in entry["files"]
    )
    return Contract(
        **{
            **{name: value for name, value in entry.items() if name != "file"},
            "expiry": _day(entry["expiry"]),
            "terms": read_terms(entry.get("terms")),
            "strike": _decimal(entry["strike"]),
            "tick_size": _decimal(entry["tick_size"]),
            "expiry_close": None if entry["expiry_close"] is None else _time(entry["expiry_close"]),
            "files": files,
            "settlement": None if entry["settlement"] is None else _settlement(entry["settlement"]),
        }
    )


def _settlement(entry: dict[str, Any]) -> Settlement:
    time = entry["underlying_time"]
    return Settlement(
        price=Decimal(entry["price"]),
        basis=entry["basis"],
        underlying_close=_decimal(entry["underlying_close"]),
        underlying_time=None if time is None else _time(time),
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _day(text: str | None) -> dt.date | None:
    return None if text is None else dt.date.fromisoformat(text)


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
