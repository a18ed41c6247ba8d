"""Defects planted into a month of batches, each with what must be said of it, and nothing else.

They are planted behind the adapters: an adapter would have refused many of them, and what watches over stored data must
not rely on that. Lines that adapters do refuse are planted as refusals.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.batches import REJECT_SCHEMA
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.tables import MINUTE, TICK

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.schema.batches import ImportBatch

type Month = dict[tuple[dt.date, str, int], ImportBatch]
"""Batches by trade date, table and resolution."""

_PRICES: Final = ("open", "high", "low", "close")
_NOON: Final = 150
"""Minutes after the open at which most defects are planted."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What must be found.

    Parameters
    ----------
    check, severity : str
        The check that finds it, and how grave it is.
    table : str
        Where it is found.
    trade_date : datetime.date
        Partition in which it is found.
    failing : int
        How many rows, lines or sessions fail.
    rows : tuple of (str or None, datetime.datetime or None)
        Symbol and timestamp of the first of them.

    """

    check: str
    severity: str
    table: str
    trade_date: dt.date
    failing: int
    rows: tuple[tuple[str | None, dt.datetime | None], ...]


def plant_defects(month: Month) -> list[Planted]:
    """Plant every kind of defect, each on a day of its own.

    Parameters
    ----------
    month : dict
        A clean month of `pipeline_defs.samples.month`; its batches are replaced.

    Returns
    -------
    list of Planted
        What must be found, and nothing else.

    """
    days = sorted({trade_date for trade_date, _, _ in month})
    full = [day for day in days if _of(month, day, "options_ticks", MINUTE).observations["timestamp"].n_unique() > 300]  # noqa: PLR2004
    ticks = sorted(day for day, _, bar_seconds in month if bar_seconds == TICK)
    return [
        _plant_rows(month, full[1], "options_ticks", "ohlc", _without_open, severity="error"),
        _plant_refusals(month, full[1], "futures_ticks", "ohlc_refused", ["high_below_low", "bad_quantity"]),
        _plant_rows(month, full[2], "options_ticks", "duplicates", _repeated, severity="error"),
        _plant_refusals(month, full[2], "spot_prices", "duplicates_refused", ["conflicting_duplicate"] * 2),
        _plant_expired(month, full[3]),
        _plant_refusals(month, full[3], "futures_ticks", "expiry_refused", ["expired_contract"]),
        _plant_rows(month, full[4], "futures_ticks", "outside_session", _after_close),
        _plant_rows(month, full[5], "futures_ticks", "zero_volume", _unsold),
        _plant_rows(month, ticks[0], "options_ticks", "crossed_quotes", _crossed, severity="error", bar_seconds=TICK),
        _plant_rows(month, ticks[1], "options_ticks", "locked_quotes", _locked, severity="info", bar_seconds=TICK),
        _plant_rows(month, full[7], "futures_ticks", "outliers", lambda row: _times(row, "1.03")),
        _plant_rows(month, full[7], "options_ticks", "outliers", lambda row: _times(row, "1.5")),
        _plant_rows(month, full[8], "spot_prices", "outliers", lambda row: _times(row, "0.99")),
        _plant_rows(month, full[8], "options_ticks", "outliers", lambda row: _times(row, "3", ["high"])),
        _plant_rows(month, full[6], "equity_daily", "outliers", lambda row: _times(row, "10")),
        _plant_rows(month, full[9], "equity_daily", "outliers", lambda row: _times(row, "10", ["high"])),
        _plant_standstill(month, full[10], "spot_prices"),
        _plant_standstill(month, full[11], "futures_ticks"),
        _plant_cheap_call(month, full[12]),
        _plant_dear_put(month, full[13]),
        _plant_half_day(month, full[14]),
        *_plant_missing_session(month, full[15], days[days.index(full[15]) + 1]),
    ]


def _of(month: Month, day: dt.date, table: str, bar_seconds: int) -> ImportBatch:
    return month[day, table, bar_seconds]


def _length(table: str) -> int:
    return 86_400 if table == "equity_daily" else MINUTE


def _replace(month: Month, batch: ImportBatch, **changes: object) -> None:
    key = batch.trade_date, batch.table, batch.bar_seconds
    month[key] = dataclasses.replace(batch, **changes)  # type: ignore[arg-type]


def _symbol(batch: ImportBatch, key: int) -> str:
    return str(batch.contracts.row(key, named=True)["symbol"])


def _busiest(batch: ImportBatch) -> int:
    """Pick the contract with the most rows, the first of them."""
    counted = (
        batch.observations["contract_key"].value_counts().sort(["count", "contract_key"], descending=[True, False])
    )
    return int(counted["contract_key"][0])


def _plant_rows(
    month: Month,
    day: dt.date,
    table: str,
    check: str,
    damage: Callable[[pl.DataFrame], pl.DataFrame],
    *,
    severity: str = "warn",
    bar_seconds: int | None = None,
) -> Planted:
    """Damage the row of a busy contract at noon, and leave all others alone."""
    batch = _of(month, day, table, _length(table) if bar_seconds is None else bar_seconds)
    own = batch.observations.filter(pl.col("contract_key") == _busiest(batch)).sort("timestamp", "sequence")
    if bar_seconds == TICK:
        own = own.filter(pl.col("ask_price") > pl.col("bid_price"))
    row = own.slice(min(_NOON, own.height - 1), 1)
    damaged = damage(row)
    rest = batch.observations.join(row, on=["contract_key", "timestamp", "sequence"], how="anti")
    # What was added, or changed where it stood, is what must be found.
    wrong = damaged.filter(pl.col("sequence") == pl.col("sequence").max()).tail(1)
    _replace(month, batch, observations=pl.concat([rest, damaged]))
    found = (_symbol(batch, wrong["contract_key"][0]), wrong["timestamp"][0])
    return Planted(check, severity, table, day, 1, (found,))


def _without_open(row: pl.DataFrame) -> pl.DataFrame:
    return row.with_columns(open=pl.lit(None, PRICE))


def _repeated(row: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([row, row.with_columns(sequence=pl.lit(1, pl.Int32))])


def _after_close(row: pl.DataFrame) -> pl.DataFrame:
    return row.with_columns(pl.col("timestamp") + pl.duration(hours=5))


def _unsold(row: pl.DataFrame) -> pl.DataFrame:
    return row.with_columns(volume=pl.lit(0, pl.Int64))


def _crossed(row: pl.DataFrame) -> pl.DataFrame:
    return row.with_columns(bid_price="ask_price", ask_price="bid_price")


def _locked(row: pl.DataFrame) -> pl.DataFrame:
    return row.with_columns(ask_price="bid_price")


def _times(row: pl.DataFrame, factor: str, columns: list[str] | None = None) -> pl.DataFrame:
    scale = pl.lit(factor).cast(pl.Decimal(4, 2))
    return row.with_columns((pl.col(name) * scale).cast(PRICE) for name in columns or _PRICES)


def _plant_refusals(month: Month, day: dt.date, table: str, check: str, reasons: list[str]) -> Planted:
    batch = _of(month, day, table, MINUTE)
    lines = [
        {"file_index": 0, "line": 90_000 + number, "reason": reason, "text": f"a line refused as {reason}"}
        for number, reason in enumerate(reasons)
    ]
    _replace(month, batch, rejects=pl.DataFrame(lines, schema=REJECT_SCHEMA))
    return Planted(check, "warn", table, day, len(reasons), ((None, None),) * len(reasons))


def _plant_expired(month: Month, day: dt.date) -> Planted:
    """Let one contract have expired the day before, under the name it would have had."""
    batch = _of(month, day, "options_ticks", MINUTE)
    key = _busiest(batch)
    expiry = day - dt.timedelta(days=1)
    is_it = pl.col("contract_key") == key
    contracts = batch.contracts.with_columns(
        expiry=pl.when(is_it).then(pl.lit(expiry)).otherwise("expiry"),
        symbol=pl.when(is_it).then(pl.lit(f"NIFTY{expiry:%y%m%d}EXPIRED")).otherwise("symbol"),
    )
    _replace(month, batch, contracts=contracts)
    stamps = batch.observations.filter(is_it)["timestamp"].sort()
    symbol = _symbol(_of(month, day, "options_ticks", MINUTE), key)
    return Planted(
        "expiry_after_trade",
        "error",
        "options_ticks",
        day,
        stamps.len(),
        tuple((symbol, stamp) for stamp in stamps[:20]),
    )


def _plant_standstill(month: Month, day: dt.date, table: str, minutes: int = 25) -> Planted:
    """Let a feed repeat its value for some minutes."""
    batch = _of(month, day, table, MINUTE)
    is_it = pl.col("contract_key") == _busiest(batch)
    stamps = batch.observations.filter(is_it)["timestamp"].sort()
    first, last = stamps[_NOON], stamps[_NOON + minutes]
    held = batch.observations.filter(is_it, pl.col("timestamp") == first)["close"][0]
    stuck = is_it & (pl.col("timestamp") > first) & (pl.col("timestamp") <= last)
    observations = batch.observations.with_columns(
        pl.when(stuck).then(pl.lit(held).cast(PRICE)).otherwise(name).alias(name) for name in _PRICES
    )
    _replace(month, batch, observations=observations)
    return Planted("stale_prices", "warn", table, day, 1, ((_symbol(batch, _busiest(batch)), first),))


def _deepest(batch: ImportBatch, option_type: str) -> int:
    """Pick the traded option of one side that is deepest in the money (a call), or farthest from it (a put)."""
    traded = batch.contracts.join(batch.observations.select("contract_key").unique(), on="contract_key", how="semi")
    side = traded.filter(pl.col("option_type") == option_type).sort("expiry", "strike")
    rows = batch.observations["contract_key"].value_counts()
    busy = side.join(rows, on="contract_key").filter(pl.col("count") > pl.col("count").max() * 0.8)
    return int(busy.sort("strike")["contract_key"][0])


def _twin(batch: ImportBatch, key: int) -> int:
    """Find the put of a call's strike and expiry, or the call of a put's."""
    row = batch.contracts.row(key, named=True)
    other = batch.contracts.filter(
        pl.col("strike") == row["strike"],
        pl.col("expiry") == row["expiry"],
        pl.col("option_type") != row["option_type"],
    )
    return int(other["contract_key"].item())


def _plant_cheap_call(month: Month, day: dt.date) -> Planted:
    """Let a call that is deep in the money cost a rupee from noon on; its put does not trade any more."""
    batch = _of(month, day, "options_ticks", MINUTE)
    key = _deepest(batch, "CE")
    stamps = batch.observations.filter(pl.col("contract_key") == key)["timestamp"].sort()
    late = pl.col("timestamp") >= stamps[_NOON]
    cheap = late & (pl.col("contract_key") == key)
    observations = batch.observations.filter(~(late & (pl.col("contract_key") == _twin(batch, key)))).with_columns(
        pl.when(cheap).then(pl.lit("1").cast(PRICE)).otherwise(name).alias(name) for name in _PRICES
    )
    _replace(month, batch, observations=observations)
    wrong = observations.filter(cheap)["timestamp"].sort()
    rows = tuple((_symbol(batch, key), stamp) for stamp in wrong[:20])
    return Planted("intrinsic_bounds", "warn", "options_ticks", day, wrong.len(), rows)


def _plant_dear_put(month: Month, day: dt.date) -> Planted:
    """Let a put cost a thousand rupees more from noon on: possible by itself, but not beside its call."""
    batch = _of(month, day, "options_ticks", MINUTE)
    key = _deepest(batch, "PE")
    own = batch.observations.filter(pl.col("contract_key") == key).sort("timestamp")
    dear = (pl.col("contract_key") == key) & (pl.col("timestamp") >= own["timestamp"][_NOON])
    more = pl.lit("1000").cast(PRICE)
    observations = batch.observations.with_columns(
        pl.when(dear).then((pl.col(name) + more).cast(PRICE)).otherwise(name).alias(name) for name in _PRICES
    )
    _replace(month, batch, observations=observations)
    calls = observations.filter(pl.col("contract_key") == _twin(batch, key)).select("timestamp")
    pairs = observations.filter(dear).join(calls, on="timestamp", how="semi")["timestamp"].sort()
    # A pair is told by its call.
    twin = _twin(batch, key)
    symbol = _symbol(batch, twin)
    return Planted(
        "put_call_parity", "info", "options_ticks", day, pairs.len(), tuple((symbol, at) for at in pairs[:20])
    )


def _plant_half_day(month: Month, day: dt.date) -> Planted:
    """Deliver the first hour only."""
    batch = _of(month, day, "options_ticks", MINUTE)
    first = batch.observations["timestamp"].sort()[0]
    _replace(
        month, batch, observations=batch.observations.filter(pl.col("timestamp") <= first + dt.timedelta(minutes=60))
    )
    return Planted("row_count", "warn", "options_ticks", day, 1, ((None, None),))


def _plant_missing_session(month: Month, day: dt.date, after: dt.date) -> list[Planted]:
    """Deliver no daily rows of a session: it is missed on that day, and by the delivery after it."""
    del month[day, "equity_daily", 86_400]
    return [
        Planted("missing_sessions", "warn", "equity_daily", found_on, 1, ((None, None),)) for found_on in (day, after)
    ]
