"""Checking a partition: every check that is for its table, in one snapshot, the results stored together."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pipeline_defs
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.quality.coverage import judge_row_count, judge_sessions
from pipeline_defs.quality.day import Day
from pipeline_defs.quality.expectations import FILE_NAME, Expectations
from pipeline_defs.quality.outliers import judge_outliers
from pipeline_defs.quality.pricing import judge_bounds, judge_parity, priced_options
from pipeline_defs.quality.refused import REASONS, judge_refused
from pipeline_defs.quality.results import store
from pipeline_defs.quality.rows import judge_expiry, judge_rows
from pipeline_defs.quality.series import read_series
from pipeline_defs.quality.specs import OPTIONS, Outcome, specs_of
from pipeline_defs.quality.staleness import judge_staleness
from pipeline_defs.schema.tables import OBSERVATION_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.markets.market import Market
    from pipeline_defs.warehouse.connection import Warehouse


def check_partition(
    warehouse: Warehouse,
    dataset: str,
    source: str,
    trade_date: dt.date,
    market: Market,
    *,
    home: Path | None = None,
    now: dt.datetime | None = None,
) -> dict[str, Outcome]:
    """Check one partition and store what was found.

    Runs of the same partition queue, so that the newest result is that of the newest rows.

    Parameters
    ----------
    warehouse : Warehouse
        Migrated.
    dataset, source : str
        Observation table; adapter.
    trade_date : datetime.date
        Day of the market.
    market : Market
        Whose sessions the source's partitions are.
    home : Path, optional
        ``PIPELINE_HOME``, for expectations of one's own.
    now : datetime.datetime, optional
        Default the clock; sessions that are not over then are not due.

    Returns
    -------
    dict of str to Outcome
        By name of the check.

    Raises
    ------
    ConfigurationError
        If there is no such table, or the expectations of one's own say nothing sensible.

    """
    if dataset not in OBSERVATION_TABLES:
        raise ConfigurationError(f"no dataset {dataset!r}, expected one of {', '.join(OBSERVATION_TABLES)}")
    expectations = Expectations(None if home is None else home / FILE_NAME)
    partition = {"dataset": dataset, "source": source, "trade_date": trade_date}
    lock = f"quality|{dataset}|{source}|{trade_date}"
    with warehouse.connect(autocommit=True) as connection:
        # A lock of the session, not of the transaction: the snapshot must be taken after the wait.
        connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [lock])
        with connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            day = Day(connection, dataset, source, trade_date, market, now or dt.datetime.now(dt.UTC))
            specs = {spec.name: spec for spec in specs_of(dataset, market.name)}
            outcomes = dict(_judge(day, list(specs), expectations))
            for name, outcome in outcomes.items():
                store(
                    connection,
                    partition,
                    specs[name],
                    outcome,
                    load_ids=day.load_ids,
                    code_version=pipeline_defs.__version__,
                )
    return outcomes


def _judge(day: Day, names: list[str], expectations: Expectations) -> Iterator[tuple[str, Outcome]]:
    series = read_series(day)
    priced = priced_options(day, series) if day.dataset == OPTIONS else None
    for name in names:
        if name in REASONS:
            yield name, judge_refused(day, name)
        elif name == "expiry_after_trade":
            yield name, judge_expiry(day)
        elif name == "outliers":
            yield name, judge_outliers(day, series)
        elif name == "stale_prices":
            yield name, judge_staleness(day, series)
        elif name == "row_count":
            yield name, judge_row_count(day, expectations)
        elif name == "missing_sessions":
            yield name, judge_sessions(day)
        elif name == "intrinsic_bounds" and priced is not None:
            yield name, judge_bounds(day, priced)
        elif name == "put_call_parity" and priced is not None:
            yield name, judge_parity(day, priced)
        else:
            yield name, judge_rows(day, name)
