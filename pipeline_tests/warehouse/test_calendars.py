"""A slice follows the calendar of the market its instruments trade in, whatever the database knows of other markets."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline_defs.errors import WarehouseError
from pipeline_defs.markets.market import market, market_of
from pipeline_defs.schema.columns import SIZE
from pipeline_defs.schema.exports import BAR_SCHEMA
from pipeline_defs.warehouse.calendars import market_of_underlying, with_closes
from pipeline_defs.warehouse.slices import open_market_slice
from pipeline_tests.warehouse.deliveries import Delivery, make_batch, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse
    from pipeline_defs.warehouse.reports import LoadReport

type Load = Callable[..., LoadReport]

DAY = dt.date(2026, 3, 9)
"""The first Monday of summer time in New York: the session is 13:30 to 20:00 UTC."""

NEW_YORK = "America/New_York"
OPENS, CLOSES = dt.datetime(2026, 3, 9, 13, 30, tzinfo=dt.UTC), dt.datetime(2026, 3, 9, 20, tzinfo=dt.UTC)
AFTER_MIDNIGHT_UTC = 3 * 60 + 45
"""Minutes that `make_batch` has counted already when a day begins."""


def share(symbol: str = "AAPL", **changes: Any) -> dict[str, Any]:
    return {"kind": "EQ", "symbol": symbol, "underlying": symbol, "venue": "US", "currency": "USD", **changes}


def minute(instant: dt.datetime) -> int:
    return instant.hour * 60 + instant.minute - AFTER_MIDNIGHT_UTC


def store(load: Load, volume: str = "1.5", table: str = "spot_prices", seconds: int = 60, **terms: Any) -> None:
    described = share(**terms)
    symbol = described["symbol"]
    rows = [(symbol, minute(CLOSES), "182.16")]
    rows += [(symbol, minute(OPENS) + 1, "182")] if seconds == 60 else []
    batch = make_batch(
        Delivery(sorted(rows, key=lambda row: row[1]), contracts={symbol: described}, file=f"{symbol}-{table}"),
        table=table, bar_seconds=seconds, trade_date=DAY, timezone=NEW_YORK,
        measures={"volume": Decimal(volume), "open_interest": None},
    )  # fmt: skip
    load(batch, "polygon")


@pytest.mark.parametrize(
    ("kind", "venue", "currency", "name"),
    [
        ("EQ", "US", "USD", "US"),
        ("EQ", "NASDAQ", "USD", "US"),
        ("OPT", "OPRA", "USD", "US"),
        ("EQ", "NSE", "INR", "NSE"),
        ("EQ", "BSE", "USD", "NSE"),
        ("EQ", "XLON", "GBP", "ANY"),
        ("EQ", None, None, "ANY"),
        ("PAIR", "KRAKEN", "USD", "CRYPTO"),
    ],
)
def test_the_venue_tells_the_market_and_else_the_currency(
    kind: str, venue: str | None, currency: str | None, name: str
) -> None:
    assert market_of(kind, venue, currency) is market(name)


def test_minutes_of_a_us_share_come_with_their_parts_and_the_sessions_of_new_york(
    warehouse: Warehouse, load: Load
) -> None:
    store(load)

    with open_market_slice(warehouse, "AAPL", DAY, DAY, resolutions=[86_400]) as found:
        bars = pl.concat(found.read_bars())
        days = pl.concat(found.resolutions[0].read_bars())

    assert (found.timezone, found.fractional) == (NEW_YORK, True)
    assert found.sessions.rows() == [(DAY, OPENS, CLOSES)]
    assert bars.schema == pl.Schema({**BAR_SCHEMA, "volume": SIZE})
    assert bars.select("timestamp", "volume").rows() == [
        (OPENS + dt.timedelta(minutes=1), Decimal("1.5")),
        (CLOSES, Decimal("1.5")),
    ]
    assert days.select("timestamp", "volume").rows() == [(CLOSES, Decimal(3))]


def test_a_daily_bar_of_a_us_share_belongs_to_the_day_of_new_york(warehouse: Warehouse, load: Load) -> None:
    store(load, "7.25", "equity_daily", 86_400)

    with open_market_slice(warehouse, "AAPL", DAY, DAY, bar_seconds=86_400) as found:
        bars = pl.concat(found.read_bars())

    assert bars.select("timestamp", "volume").rows() == [(CLOSES, Decimal("7.25"))]


def test_volumes_of_an_indian_share_stay_whole_numbers_in_a_slice(warehouse: Warehouse, load: Load) -> None:
    described = share("TCS", venue="NSE", currency="INR")
    load(make_batch(Delivery([("TCS", 375, "3100")], contracts={"TCS": described}), table="equity_daily",
                    bar_seconds=86_400, measures={"open_interest": None}))  # fmt: skip

    day = dt.date(2019, 1, 1)
    with open_market_slice(warehouse, "TCS", day, day, bar_seconds=86_400) as found:
        bars = pl.concat(found.read_bars())

    assert (found.timezone, found.fractional) == ("Asia/Kolkata", False)
    assert bars.schema == pl.Schema(BAR_SCHEMA)
    assert bars["volume"].to_list() == [75]


def test_a_share_of_two_markets_is_in_that_of_the_source(warehouse: Warehouse, load: Load) -> None:
    store(load, symbol="INFY", underlying="INFY")
    described = share("INFY", venue="NSE", currency="INR")
    load(make_batch(Delivery([("INFY", 375, "1600")], contracts={"INFY": described}), table="equity_daily",
                    bar_seconds=86_400, measures={"open_interest": None}))  # fmt: skip

    with warehouse.connect() as connection:
        found = {
            source: market_of_underlying(connection, "INFY", [source]) for source in ("nse_csv", "polygon", "yahoo")
        }

    assert {source: (of.name, fractional) for source, (of, fractional) in found.items()} == {
        "nse_csv": ("NSE", False),
        "polygon": ("US", True),
        "yahoo": ("ANY", False),
    }


def test_an_option_of_a_us_share_expires_with_the_last_session_up_to_its_expiry(
    warehouse: Warehouse, load: Load
) -> None:
    good_friday, thursday = dt.date(2026, 4, 3), dt.datetime(2026, 4, 2, 20, tzinfo=dt.UTC)
    call = option("O:AAPL", 180, underlying="AAPL", expiry=good_friday, venue="OPRA", currency="USD")
    load(make_batch(Delivery([("O:AAPL", minute(CLOSES), "4")], contracts={"O:AAPL": call}), trade_date=DAY,
                    timezone=NEW_YORK), "polygon")  # fmt: skip

    with open_market_slice(warehouse, "AAPL", DAY, DAY) as found:
        assert found.instruments.select("kind", "expiry_close").rows() == [("OPT", thursday)]
        # Nothing of the underlying itself is stored, of which parts would be traded.
        assert not found.fractional


def test_what_has_no_expiry_closes_never() -> None:
    terms = pl.DataFrame({"expiry": [None, DAY]}, schema={"expiry": pl.Date()})
    assert with_closes(terms, market("US"))["expiry_close"].to_list() == [None, CLOSES]
    assert with_closes(terms.clear(), market("US")).is_empty()


def test_parts_of_an_indian_share_never_reach_the_table(load: Load, ask: Callable[..., Any]) -> None:
    terms = share("TCS", venue="NSE", currency="INR")
    batch = make_batch(Delivery([("TCS", 375, "3100")], contracts={"TCS": terms}), table="equity_daily",
                       bar_seconds=86_400, measures={"volume": Decimal("75.5"), "open_interest": None})  # fmt: skip

    with pytest.raises(WarehouseError, match=r"1 observations have parts of a unit, .* such as TCS"):
        load(batch)

    assert ask("SELECT count(*) FROM equity_daily") == [(0,)]
    whole = batch.observations.with_columns(volume=pl.lit("75").cast(SIZE))
    assert load(dataclasses.replace(batch, observations=whole)).stored == 1
