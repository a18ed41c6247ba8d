"""Interest rates and dividend yields: stored with both times, and what counted on a trade date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.warehouse.faults import PersistentConnection
from pipeline_defs.warehouse.transport import copy_in, copy_out

if TYPE_CHECKING:
    import datetime as dt

    import psycopg

    from pipeline_defs.greeks.black import Floats
    from pipeline_defs.greeks.parameters import GreeksParameters
    from pipeline_defs.greeks.rate_files import RateFile
    from pipeline_defs.warehouse.connection import Warehouse

# The newest curve of each currency as a whole: tenors of an older one are not mixed in.
_CURVES: Final = """
SELECT currency, tenor_days, rate::float8 AS rate, valid_from
FROM interest_rates AS r
WHERE valid_from = (SELECT max(valid_from) FROM interest_rates AS n
                    WHERE n.currency = r.currency AND n.valid_from <= %(trade_date)s)
ORDER BY currency, tenor_days
"""

_YIELDS: Final = """
SELECT DISTINCT ON (underlying) underlying, dividend_yield::float8 AS dividend_yield
FROM dividend_yields WHERE valid_from <= %(trade_date)s ORDER BY underlying, valid_from DESC
"""

_LIST: Final = """
SELECT 'interest_rates' AS name, currency AS subject, valid_from, tenor_days, rate::text AS value, source, known_from
FROM interest_rates
UNION ALL
SELECT 'dividend_yields', underlying, valid_from, NULL, dividend_yield::text, source, known_from FROM dividend_yields
ORDER BY 1 DESC, 2, 3, 4
"""


@dataclass(frozen=True, slots=True)
class RatesReport:
    """What came of a file; its lines are `new + changed + unchanged`.

    Parameters
    ----------
    table : str
        What it filled.
    new, changed, unchanged : int
        Lines.

    """

    table: str
    new: int
    changed: int
    unchanged: int


@dataclass(frozen=True, slots=True)
class RateBook:
    """What rates and yields count on a trade date.

    Parameters
    ----------
    trade_date : datetime.date
        The date.
    curves : dict of str to tuple of ndarray
        Tenors in days and rates, by currency.
    yields : dict of str to float
        By underlying.
    parameters : GreeksParameters
        Whose own rate and yield come before these.

    """

    trade_date: dt.date
    curves: dict[str, tuple[Floats, Floats]]
    yields: dict[str, float]
    parameters: GreeksParameters

    def rates(self, currency: str, days: Floats) -> Floats:
        """Interpolate a curve by tenor: straight between its tenors, level beyond its ends.

        Parameters
        ----------
        currency : str
            Of the contracts.
        days : ndarray
            Calendar days to their expiry.

        Returns
        -------
        ndarray
            Continuously compounded, per year.

        Raises
        ------
        ConfigurationError
            If no curve of the currency counts on the date, and no rate was configured.

        """
        if self.parameters.rate is not None:
            return np.full(days.shape, self.parameters.rate)
        curve = self.curves.get(currency)
        if curve is None:
            raise ConfigurationError(
                f"no interest rate of {currency} counts on {self.trade_date}",
                where="interest_rates",
                next_step="load a file with 'pipeline rates load FILE', or configure a rate for this run;"
                " see docs/greeks.md",
            )
        return np.asarray(np.interp(days, *curve), dtype=np.float64)

    def dividend_yield(self, underlying: str) -> float:
        """Give the yield of an underlying.

        Raises
        ------
        ConfigurationError
            If none counts on the date, and none was configured.

        """
        if self.parameters.dividend_yield is not None:
            return self.parameters.dividend_yield
        found = self.yields.get(underlying)
        if found is None:
            raise ConfigurationError(
                f"no dividend yield of {underlying} counts on {self.trade_date}, and its price has to be carried to"
                " another date than its own",
                where="dividend_yields",
                next_step="load a file with 'pipeline rates load FILE', or configure a dividend yield for this run"
                " (0 where there are no dividends); see docs/greeks.md",
            )
        return found


def load_rates(warehouse: Warehouse, file: RateFile) -> RatesReport:
    """Store the lines of a file; what they replace is kept with the time until which it was believed.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    file : RateFile
        From `read_rates`.

    Returns
    -------
    RatesReport

    """
    with PersistentConnection(warehouse) as connection:
        return connection.run(lambda session: _store(session, file), f"rates of {file.path}")


def read_book(connection: psycopg.Connection, trade_date: dt.date, parameters: GreeksParameters) -> RateBook:
    """Read what counts on a trade date.

    Parameters
    ----------
    connection : psycopg.Connection
        In the snapshot of what they are used with.
    trade_date : datetime.date
        Rates that are valid from a later date are not looked at.
    parameters : GreeksParameters
        Rates of one's own.

    Returns
    -------
    RateBook

    """
    schema: dict[str, pl.DataType] = {"currency": pl.String(), "tenor_days": pl.Int32(), "rate": pl.Float64()}
    found = copy_out(connection, _CURVES, schema, {"trade_date": trade_date})
    yields = copy_out(
        connection, _YIELDS, {"underlying": pl.String(), "dividend_yield": pl.Float64()}, {"trade_date": trade_date}
    )
    return RateBook(
        trade_date=trade_date,
        curves={
            str(currency): (rows["tenor_days"].to_numpy().astype(np.float64), rows["rate"].to_numpy())
            for (currency,), rows in found.partition_by("currency", as_dict=True).items()
        },
        yields=dict(yields.iter_rows()),
        parameters=parameters,
    )


def list_rates(warehouse: Warehouse) -> list[tuple[object, ...]]:
    """List every rate and yield: table, currency or underlying, valid from, tenor, value, source, known from."""
    with warehouse.connect() as connection:
        return connection.execute(_LIST).fetchall()


def _store(session: psycopg.Connection, file: RateFile) -> RatesReport:
    table = file.table
    columns, value = ", ".join(table.columns), table.value
    same_key = " AND ".join(f"t.{name} = i.{name}" for name in table.key)
    differs = f"(t.{value}, t.source) IS DISTINCT FROM (i.{value}, i.source)"
    with session.transaction():
        session.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [table.name])
        session.execute(
            f"CREATE TEMP TABLE incoming_rates ON COMMIT DROP AS SELECT {columns} FROM {table.name} WITH NO DATA"
        )
        copy_in(session, "incoming_rates", file.rows)
        changed = session.execute(
            f"UPDATE {table.name} AS t SET {value} = i.{value}, source = i.source"
            f" FROM incoming_rates AS i WHERE {same_key} AND {differs}"
        ).rowcount
        new = session.execute(
            f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM incoming_rates ON CONFLICT DO NOTHING"
        ).rowcount
    return RatesReport(table.name, new, changed, file.rows.height - new - changed)
