"""What an instrument was at an instant, asked from Python; SQL asks ``terms_at(instrument_id, instant)``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import WarehouseError

if TYPE_CHECKING:
    import datetime as dt
    from decimal import Decimal

    from pipeline_defs.warehouse.connection import Warehouse

_COLUMNS: Final = (
    "t.instrument_id, t.kind, t.venue, t.symbol, t.underlying, t.expiry, trim_scale(t.strike), t.option_type, t.rank,"
    " t.series, t.isin, t.lot_size, trim_scale(t.tick_size), trim_scale(t.multiplier), t.currency,"
    " nullif(t.valid_from, '-infinity') AS valid_from, nullif(t.valid_to, 'infinity') AS valid_to"
)

_BY_ID: Final = f"SELECT {_COLUMNS} FROM terms_at(%(wanted)s, %(instant)s) AS t"

# A name that counts on the date is better than one that some source once used.
_BY_NAME: Final = f"""
WITH on_date AS (
    SELECT t.* FROM instrument_terms AS t
    WHERE t.valid_from <= (%(instant)s AT TIME ZONE 'Asia/Kolkata')::date
      AND t.valid_to > (%(instant)s AT TIME ZONE 'Asia/Kolkata')::date
      AND NOT EXISTS (SELECT FROM instrument_merges AS m WHERE m.duplicate_id = t.instrument_id)
      AND (t.symbol = %(wanted)s OR (t.underlying = %(wanted)s AND t.kind IN ('SPOT', 'EQ'))
           OR t.instrument_id IN (SELECT instrument_id FROM instrument_aliases WHERE symbol = %(wanted)s))
), graded AS (
    SELECT t.*, CASE WHEN t.symbol = %(wanted)s THEN 1 WHEN t.underlying = %(wanted)s THEN 2 ELSE 3 END AS grade
    FROM on_date AS t
)
SELECT {_COLUMNS} FROM graded AS t WHERE grade = (SELECT min(grade) FROM graded) ORDER BY t.instrument_id
"""


@dataclass(frozen=True, slots=True)
class InstrumentTerms:
    """The terms of an instrument during one period.

    Parameters
    ----------
    instrument_id : int
        Its id, which never changes.
    kind, venue, symbol, underlying : str
        What it is called.
    expiry, strike, option_type, rank, series, isin
        As far as it has them.
    lot_size : int or None
        Units in a lot; None when not known.
    tick_size : decimal.Decimal or None
        Smallest price step; None when not known.
    multiplier : decimal.Decimal
        Money per unit and point.
    currency : str
        Of its price.
    valid_from, valid_to : datetime.date or None
        Trade dates, the last exclusive; None is open.

    """

    instrument_id: int
    kind: str
    venue: str
    symbol: str
    underlying: str
    expiry: dt.date | None
    strike: Decimal | None
    option_type: str | None
    rank: int | None
    series: str | None
    isin: str | None
    lot_size: int | None
    tick_size: Decimal | None
    multiplier: Decimal
    currency: str
    valid_from: dt.date | None
    valid_to: dt.date | None

    def to_json(self) -> dict[str, Any]:
        """Give the stable shape that ``pipeline terms show --json`` prints; decimals are text, to stay exact."""
        numbers = (int, type(None))
        return {name: value if isinstance(value, numbers) else str(value) for name, value in asdict(self).items()}


def terms_at(warehouse: Warehouse, wanted: str | int, instant: dt.datetime) -> InstrumentTerms:
    """Find what an instrument was at an instant.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    wanted : str or int
        Instrument id, or a name: the symbol on that date, a share's or index's own name, or one that a source used.
    instant : datetime.datetime
        With a zone; its trade date in the exchange's zone is meant.

    Returns
    -------
    InstrumentTerms

    Raises
    ------
    WarehouseError
        If the instant has no zone, nothing is known under the name on that date, or the name means several.

    """
    if instant.tzinfo is None:
        raise WarehouseError(
            f"the instant {instant} has no zone", next_step="give one, e.g. datetime(..., tzinfo=datetime.UTC)"
        )
    query = _BY_ID if isinstance(wanted, int) else _BY_NAME
    with warehouse.connect() as connection:
        rows = connection.execute(query.encode(), {"wanted": wanted, "instant": instant}).fetchall()
    found = [InstrumentTerms(*row) for row in rows]
    if len(found) == 1:
        return found[0]
    if not found:
        raise WarehouseError(
            f"no instrument is known as {wanted} on that date",
            where=f"terms at {instant.isoformat()}",
            next_step="check the name and the date: a name counts only while the instrument had it",
        )
    listed = ", ".join(f"{terms.instrument_id} ({terms.symbol}, {terms.series or terms.kind})" for terms in found[:5])
    raise WarehouseError(
        f"{wanted} means {len(found)} instruments: {listed}",
        where=f"terms at {instant.isoformat()}",
        next_step="ask for one of the ids",
    )
