"""Bars of options and of what underlies them, in few words."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl

from pipeline_defs.greeks.black import Contracts
from pipeline_defs.greeks.inputs import OPTION_SCHEMA, TERMS_SCHEMA, UNDERLYING_SCHEMA
from pipeline_defs.greeks.parameters import GreeksParameters
from pipeline_defs.greeks.rates import RateBook

DATE = dt.date(2025, 8, 13)
EXPIRY = dt.date(2025, 8, 28)
NOON = dt.datetime(2025, 8, 13, 6, 30, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
BOOK = RateBook(DATE, {"INR": (np.array([0.0]), np.array([0.065]))}, {"NIFTY": 0.0125}, GreeksParameters())


def contract(forward: float, strike: float, years: float, rate: float, *, is_call: bool) -> Contracts:
    """One option, as columns."""
    forwards, strikes, times, rates = (np.array([value]) for value in (forward, strike, years, rate))
    return Contracts(forwards, strikes, times, rates, np.array([is_call]))


def close_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(10), dt.UTC)


def option(
    price: str, *, at: dt.datetime = NOON, strike: float = 24_600.0, is_call: bool = True, **more: Any
) -> dict[str, Any]:
    expiry = more.get("expiry", EXPIRY)
    return {
        "timestamp": at,
        "instrument_id": 1,
        "price": Decimal(price),
        "is_traded": True,
        "load_id": 7,
        "underlying": "NIFTY",
        "expiry": expiry,
        "expiry_instant": close_of(expiry),
        "strike": strike,
        "is_call": is_call,
        "currency": "INR",
        **more,
    }


def options(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={**OPTION_SCHEMA, **TERMS_SCHEMA})


def underlying(price: str, *, at: dt.datetime = NOON, expiry: dt.date | None = EXPIRY, **more: Any) -> dict[str, Any]:
    return {
        "timestamp": at,
        "underlying_id": 90,
        "underlying": "NIFTY",
        "expiry": expiry,
        "expiry_instant": None if expiry is None else close_of(expiry),
        "price": Decimal(price),
        "load_id": 8,
        "is_alias": False,
        "rank": 0,
        **more,
    }


def underlyings(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=UNDERLYING_SCHEMA)
