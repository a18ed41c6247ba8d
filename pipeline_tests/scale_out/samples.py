"""Days of NSE files, small ones for the test and larger ones for measuring."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from pipeline_defs.samples.chain import ChainSpec
from pipeline_defs.samples.generate import DEMO, GeneratedSample, generate

if TYPE_CHECKING:
    from pathlib import Path


_LAST_SESSIONS = [dt.date(2025, 8, day) for day in (1, 4, 5, 6, 7, 8, 11, 12, 13, 14)]


def days_of(count: int, root: Path, *, strikes: int = 4, activity: float = 0.05) -> tuple[GeneratedSample, list[str]]:
    """Write clean sessions up to 2025-08-14."""
    spec = dataclasses.replace(
        DEMO,
        start_date=_LAST_SESSIONS[-count],
        chains=(ChainSpec("NIFTY", strikes_each_side=strikes, strike_every=2, weeklies=1, monthlies=1),),
        products=("gdfl_fo_minute", "gdfl_index_minute"),
        activity=activity,
        dirty_date=None,
        tick_dates=(),
    )
    sample = generate(spec, root)
    return sample, [day.isoformat() for day in sample.trade_dates]
