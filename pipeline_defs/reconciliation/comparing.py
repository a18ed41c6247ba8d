"""Compare two sources over one trade date, and keep what was found in place of what was found before."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.reconciliation import statements
from pipeline_defs.reconciliation.tolerances import Tolerance, load_tolerances
from pipeline_defs.reconciliation.trading_days import NSE, TradingDay, trading_days
from pipeline_defs.schema.tables import DAY, MINUTE, OBSERVATION_TABLES
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

BHAVCOPY: Final = "nse_bhavcopy"
"""In place of the right source: the daily rows of the exchange's own files, as referee of a source's finer data."""

BHAVCOPY_SOURCE: Final = "nse_csv"
MOST_LISTED: Final = 10_000
"""Disagreements that are kept, of each field of a comparison; the others are counted."""

_KINDS: Final = {
    "options_ticks": ("OPT",),
    "futures_ticks": ("FUT", "CONT"),
    "spot_prices": ("SPOT", "EQ", "PAIR"),
    "equity_daily": ("EQ",),
}
_AVERAGED: Final = dt.timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What comparing two sources over one trade date gave.

    Parameters
    ----------
    reconciliation_id : int
        Row of `reconciliations`.
    dataset : str
        Observation table.
    trade_date : datetime.date
        The day.
    bar_seconds : int
        Length of the bars that were compared.
    left, right : str
        Sources; the right one may be `BHAVCOPY`.
    compared, agreeing, disagreeing : int
        Bars that both have; those with every value within its tolerance; those without.
    only_left, only_right : int
        Bars that traded and that the other side lacks.
    differences : int
        Values beyond their tolerance.
    made_at : datetime.datetime
        UTC.

    """

    reconciliation_id: int
    dataset: str
    trade_date: dt.date
    bar_seconds: int
    left: str
    right: str
    compared: int
    agreeing: int
    disagreeing: int
    only_left: int
    only_right: int
    differences: int
    made_at: dt.datetime

    @property
    def agreeing_share(self) -> float | None:
        """Share of the compared bars that agree; None when nothing could be compared."""
        return self.agreeing / self.compared if self.compared else None

    @property
    def agrees(self) -> bool:
        """Whether no value was beyond its tolerance; bars that one side lacks do not contradict."""
        return self.disagreeing == 0

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape of ``pipeline reconcile --json``."""
        return {
            "reconciliation_id": self.reconciliation_id,
            "dataset": self.dataset,
            "trade_date": self.trade_date.isoformat(),
            "bar_seconds": self.bar_seconds,
            "left": self.left,
            "right": self.right,
            "compared": self.compared,
            "agreeing": self.agreeing,
            "disagreeing": self.disagreeing,
            "only_left": self.only_left,
            "only_right": self.only_right,
            "differences": self.differences,
            "made_at": self.made_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class _Side:
    """A side of the comparison: which stored resolutions of which source speak for it."""

    name: str
    source: str
    finest: int
    coarsest: int

    def put(self, template: str, table: str = "") -> str:
        """Name the side and the table in a statement."""
        return template.replace("{side}", self.name).replace("{table}", table)


def reconcile_day(
    warehouse: Warehouse,
    dataset: str,
    trade_date: dt.date,
    left: str,
    right: str,
    *,
    bar_seconds: int = MINUTE,
    tolerances: Iterable[Tolerance] | None = None,
) -> Reconciliation:
    """Compare two sources over a trade date and store the outcome.

    Nothing that the sources said is changed. Comparisons of the same queue; readers see the former outcome until this
    one is whole.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    dataset : str
        Observation table; daily shares (``equity_daily``) are made of the minutes in ``spot_prices`` where a source has
        no daily ones.
    trade_date : datetime.date
        The day, of each market's own zone.
    left, right : str
        Sources as in the column `source`. With `BHAVCOPY` on the right, the finer data of the left source are compared
        with the exchange's daily file, whatever `bar_seconds` says.
    bar_seconds : int, default 60
        Length of the bars; a source that has only finer data is brought to it.
    tolerances : iterable of Tolerance, optional
        Default those of `load_tolerances` for ``PIPELINE_HOME``.

    Returns
    -------
    Reconciliation
        With zeros where the sources have nothing of the day.

    Raises
    ------
    ConfigurationError
        If there is no such table, or `bar_seconds` is no length that its bars can have.

    """
    is_refereed = right == BHAVCOPY
    seconds = DAY if is_refereed else bar_seconds
    _refuse(dataset, seconds)
    if tolerances is None:
        tolerances = load_tolerances(load_settings().home)
    comparison = "bhavcopy" if is_refereed else "daily" if seconds == DAY else "intraday"
    allowed = [one for one in tolerances if (one.comparison, one.dataset) == (comparison, dataset)]
    sides = (
        _Side("left", left, 0, DAY - 1 if is_refereed else seconds),
        _Side("right", BHAVCOPY_SOURCE if is_refereed else right, DAY if is_refereed else 0, seconds),
    )
    parameters = {"dataset": dataset, "trade_date": trade_date, "seconds": seconds, "left": left, "right": right}
    with _one_snapshot(warehouse, "|".join(map(str, parameters.values()))) as connection:
        days = trading_days(connection, dataset, _KINDS[dataset], trade_date)
        for side in sides:
            _gather(connection, side, dataset, days, parameters)
        return _compare(connection, allowed, parameters)


def _refuse(dataset: str, seconds: int) -> None:
    if dataset not in OBSERVATION_TABLES:
        raise ConfigurationError(
            f"no table {dataset!r}, expected one of {', '.join(OBSERVATION_TABLES)}", next_step="check the spelling"
        )
    if not 0 < seconds <= DAY:
        raise ConfigurationError(
            f"bars of {seconds} seconds cannot be compared", next_step=f"choose a length from 1 to {DAY} seconds"
        )
    if dataset == "equity_daily" and seconds < DAY:
        raise ConfigurationError(
            f"equity_daily has no bars of {seconds} seconds",
            next_step="compare minutes of shares in spot_prices, or days with --bars 1d",
        )


@contextmanager
def _one_snapshot(warehouse: Warehouse, name: str) -> Iterator[psycopg.Connection]:
    """Open a transaction that sees both sides at one instant; those of one name queue before it, not within it."""
    import psycopg  # noqa: PLC0415 -- a client library is loaded where it is used

    with warehouse.connect(autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtextextended('reconcile|' || %s, 0))", [name])
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            yield connection


def _gather(
    connection: psycopg.Connection, side: _Side, dataset: str, days: list[TradingDay], parameters: dict[str, Any]
) -> None:
    """Bring a side's observations of each market to bars of one length."""
    # Tables that were filled moments ago have no statistics yet: a nested loop over them would take minutes.
    connection.execute("SET LOCAL enable_nestloop = off")
    connection.execute(side.put(statements.CREATE_SIDE))
    tables = (dataset, "spot_prices") if dataset == "equity_daily" else (dataset,)
    bound = [(table, _bind(side, table, dataset, day, parameters)) for day in days for table in tables]
    for table, values in bound:
        connection.execute(side.put(statements.FIND_STORED, table), values)
    connection.execute(side.put(statements.CHOOSE))
    take_stored = statements.TAKE_DAYS if parameters["seconds"] == DAY else statements.TAKE_BARS
    for table, values in bound:
        connection.execute(side.put(take_stored, table), values)
        connection.execute(side.put(statements.GROUP_FINER, table), values)
        # First and last observation of a bucket are looked up by their key, one by one.
        connection.execute("SET LOCAL enable_nestloop = on")
        for statement in side.put(statements.TAKE_GROUPS, table).split(";"):
            connection.execute(statement, values)
        connection.execute("SET LOCAL enable_nestloop = off")


def _bind(side: _Side, table: str, dataset: str, day: TradingDay, parameters: dict[str, Any]) -> dict[str, Any]:
    seconds = parameters["seconds"]
    return {
        **parameters,
        "kinds": list(_KINDS[dataset]),
        "source": side.source,
        "finest": side.finest,
        # Days of shares stand in a table of their own.
        "coarsest": side.coarsest if table == dataset else min(side.coarsest, DAY - 1),
        "market": day.market,
        "begin": day.begin,
        "end": day.end,
        "session_open": day.session_open,
        "session_close": day.session_close,
        "half_hour": day.session_close - _AVERAGED,
        "bucket": dt.timedelta(seconds=seconds),
        "is_averaged": seconds == DAY and day.market == NSE,
    }


def _compare(connection: psycopg.Connection, allowed: list[Tolerance], parameters: dict[str, Any]) -> Reconciliation:
    connection.execute(
        statements.ALLOW,
        {
            "kinds": [one.kind for one in allowed],
            "fields": [one.field for one in allowed],
            "ticks": [one.ticks for one in allowed],
            "tick_sizes": [one.tick_size_if_unknown for one in allowed],
            "shares": [one.relative for one in allowed],
        },
    )
    for statement in (statements.PAIR, statements.DIFFER, statements.COUNT):
        connection.execute(statement)
    connection.execute(statements.REPLACE, parameters)
    (row,) = connection.execute(statements.RECORD, parameters).fetchall()
    recorded = {"reconciliation_id": row[0], "most": MOST_LISTED}
    connection.execute(statements.RECORD_CONTRACTS, recorded)
    connection.execute(statements.RECORD_WORST, recorded)
    return Reconciliation(
        row[0],
        parameters["dataset"],
        parameters["trade_date"],
        parameters["seconds"],
        parameters["left"],
        parameters["right"],
        *row[1:],
    )
