"""Certificates of parity: whether all formats in which a partition was published give the same when they are read.

What is compared is what each format's reader gave (`catalog_readbacks`), contract by contract and bar length by bar
length, and what came of the one fixed strategy in each engine that runs here. Nothing here reads a catalog's files.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

SHOWN: Final = 50
"""Differences that a certificate spells out; the rest are counted."""

# The newest catalog of each format that still lies where it was published.
_CATALOGS: Final = """
SELECT DISTINCT ON (c.format) c.catalog_id, c.format, c.path, c.catalog_hash, c.engine, c.rows, c.known_at,
       c.verification -> 'checks' -> 'trial' -> 'hold_to_expiry', c.verification -> 'checks' -> 'sizes_rounded_down'
FROM catalogs AS c
WHERE c.underlying = %(underlying)s AND c.start_date = %(start)s AND c.end_date = %(end)s
  AND NOT EXISTS (SELECT FROM catalogs AS n WHERE n.path = c.path AND n.catalog_id > c.catalog_id)
  AND EXISTS (SELECT FROM catalog_readbacks AS r WHERE r.catalog_id = c.catalog_id)
ORDER BY c.format, c.catalog_id DESC
"""

# A format is held to every contract of the bar lengths that it has; what a format has no place for is not a difference.
_COMPARED: Final = """
WITH read AS (
    SELECT c.format, r.* FROM catalog_readbacks AS r JOIN catalogs AS c USING (catalog_id)
    WHERE r.catalog_id = ANY (%(catalog_ids)s)
), held AS (
    SELECT DISTINCT format, bar_seconds FROM read
), wanted AS (
    SELECT h.format, k.instrument_id, k.bar_seconds
    FROM (SELECT DISTINCT instrument_id, bar_seconds FROM read) AS k JOIN held AS h USING (bar_seconds)
), compared AS (
    SELECT w.instrument_id, w.bar_seconds, count(*) AS formats, max(r.rows) AS rows,
           count(r.format) = count(*)
           AND count(DISTINCT (r.rows, r.first_timestamp, r.last_timestamp, r.close_sum,
                              r.volume_sum + r.volume_rounded_off)) = 1 AS equal,
           jsonb_object_agg(w.format, CASE WHEN r.format IS NOT NULL THEN jsonb_build_object(
               'name', r.engine_id, 'rows', r.rows, 'first', r.first_timestamp, 'last', r.last_timestamp,
               'close_sum', trim_scale(r.close_sum)::text,
               'volume_sum', trim_scale(r.volume_sum + r.volume_rounded_off)::text) END) AS found
    FROM wanted AS w LEFT JOIN read AS r USING (format, instrument_id, bar_seconds)
    GROUP BY 1, 2
)
"""

_SUMMARY: Final = f"""
{_COMPARED}
SELECT bar_seconds, array(SELECT format FROM held AS h WHERE h.bar_seconds = c.bar_seconds ORDER BY 1), count(*),
       sum(rows)::bigint, count(*) FILTER (WHERE NOT equal)
FROM compared AS c GROUP BY 1 ORDER BY 1
"""

_DIFFERENCES: Final = f"""
{_COMPARED}
SELECT instrument_id, bar_seconds, found FROM compared WHERE NOT equal ORDER BY bar_seconds, instrument_id
LIMIT {SHOWN}
"""

_RECORD: Final = """
INSERT INTO certificates (underlying, start_date, end_date, catalog_ids, passed, content)
VALUES (%(underlying)s, %(start)s, %(end)s, %(catalog_ids)s, %(passed)s, %(content)s)
RETURNING certificate_id, issued_at
"""


@dataclass(frozen=True, slots=True)
class CertifiedCatalog:
    """A catalog that a certificate speaks of.

    Parameters
    ----------
    format, path, catalog_hash, engine : str
        As recorded when it was published.
    rows : int
        Bars of its finest resolution.
    known_at : str
        Knowledge time it was made from, ISO 8601.

    """

    format: str
    path: str
    catalog_hash: str
    engine: str
    rows: int
    known_at: str


@dataclass(frozen=True, slots=True)
class ComparedResolution:
    """What was compared at one bar length.

    Parameters
    ----------
    bar_seconds : int
        The length.
    formats : tuple of str
        Those that hold it.
    contracts, rows : int
        Instruments, and bars of all of them.
    differing : int
        Instruments of which the formats do not give the same.

    """

    bar_seconds: int
    formats: tuple[str, ...]
    contracts: int
    rows: int
    differing: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """Whether the formats of a partition agree.

    Parameters
    ----------
    certificate_id : int
        Row of `certificates`.
    underlying : str
        E.g. ``NIFTY``.
    start_date, end_date : datetime.date
        Trade dates of the partition.
    issued_at : datetime.datetime
        UTC.
    passed : bool
        Whether nothing differs.
    catalogs : tuple of CertifiedCatalog
        One per format.
    resolutions : tuple of ComparedResolution
        What was compared.
    strategy : dict
        By format, what holding one option to expiry came to; empty where no engine ran it.
    differences : tuple of str
        A line each, at most `SHOWN` of contracts.
    notes : tuple of str
        What a format was given otherwise than it was traded, as its engine wants it, and that the comparison accounts
        for.

    """

    certificate_id: int
    underlying: str
    start_date: dt.date
    end_date: dt.date
    issued_at: dt.datetime
    passed: bool
    catalogs: tuple[CertifiedCatalog, ...]
    resolutions: tuple[ComparedResolution, ...]
    strategy: dict[str, Any]
    differences: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give a JSON object."""
        return json.loads(json.dumps(asdict(self), default=_as_text))  # type: ignore[no-any-return]

    def to_text(self) -> str:
        """Say it to a person, a line for each thing compared."""
        verdict = "agree" if self.passed else "DO NOT agree"
        formats = ", ".join(catalog.format for catalog in self.catalogs)
        lines = [f"{self.underlying} {self.start_date} to {self.end_date}: {formats} {verdict}"]
        lines += [
            f"  {part.bar_seconds} s: {part.contracts:,} contracts, {part.rows:,} bars in {', '.join(part.formats)}; "
            f"{part.differing} differ"
            for part in self.resolutions
        ]
        lines += [
            f"  {name}: {held['quantity']} x {held['instrument']}, settled at {held['settlement_price']}, "
            f"profit {held['gross_pnl']}"
            for name, held in sorted(self.strategy.items())
        ]
        return "\n".join([*lines, *(f"  {line}" for line in (*self.notes, *self.differences))])


def certify(warehouse: Warehouse, underlying: str, start_date: dt.date, end_date: dt.date) -> Certificate:
    """Compare the published catalogs of a partition and record the outcome.

    Parameters
    ----------
    warehouse : Warehouse
        Running and migrated.
    underlying : str
        E.g. ``NIFTY``.
    start_date, end_date : datetime.date
        Trade dates of the partition, exactly as it was exported.

    Returns
    -------
    Certificate
        Of the newest catalog of each format; one alone is compared with nothing, which it says.

    Raises
    ------
    ExportError
        If no catalog of the partition was published.

    """
    partition = {"underlying": underlying, "start": start_date, "end": end_date}
    with warehouse.connect() as connection:
        found = connection.execute(_CATALOGS, partition).fetchall()
        if not found:
            raise ExportError(
                "no catalog was published",
                where=f"{underlying} {start_date} to {end_date}",
                next_step="export the partition in the formats to be compared, with exactly these dates",
            )
        chosen = {"catalog_ids": [row[0] for row in found]}
        resolutions = [
            ComparedResolution(seconds, tuple(formats), contracts, rows, differing)
            for seconds, formats, contracts, rows, differing in connection.execute(_SUMMARY, chosen).fetchall()
        ]
        # An engine that cannot take the exchange's settlement tells its fills alone, which are not compared.
        strategy = {row[1]: row[7] for row in found if row[7] is not None and "gross_pnl" in row[7]}
        differences = [*_differing_contracts(connection, chosen), *_differing_outcomes(strategy)]
        catalogs = [
            CertifiedCatalog(name, path, catalog_hash, engine, rows, known_at.astimezone(dt.UTC).isoformat())
            for _, name, path, catalog_hash, engine, rows, known_at, _, _ in found
        ]
        notes = [_rounding_note(row[1], row[8]) for row in found if row[8]]
        passed = not differences
        content = {
            "catalogs": [asdict(catalog) for catalog in catalogs],
            "resolutions": [asdict(part) for part in resolutions],
            "strategy": strategy,
            "differences": differences,
            **({"notes": notes} if notes else {}),
        }
        ((certificate_id, issued_at),) = connection.execute(
            _RECORD, {**partition, **chosen, "passed": passed, "content": json.dumps(content, default=_as_text)}
        ).fetchall()
    return Certificate(
        certificate_id,
        underlying,
        start_date,
        end_date,
        issued_at,
        passed,
        tuple(catalogs),
        tuple(resolutions),
        strategy,
        tuple(differences),
        tuple(notes),
    )


def _differing_contracts(connection: psycopg.Connection, chosen: dict[str, Any]) -> list[str]:
    rows = connection.execute(_DIFFERENCES, chosen).fetchall()
    return [
        f"instrument {instrument_id}, {seconds} s: " + "; ".join(_told(name, found[name]) for name in sorted(found))
        for instrument_id, seconds, found in rows
    ]


def _rounding_note(format_name: str, rounded: dict[str, int]) -> str:
    counts = " and ".join(f"{count} {what}" for what, count in rounded.items() if count)
    return f"{format_name}: volume of {counts} rounded down to whole shares; compared with the part that was taken off"


def _told(name: str, read: dict[str, Any] | None) -> str:
    if read is None:
        return f"{name} does not hold it"
    return (
        f"{name} has {read['rows']} bars of {read['name']} from {read['first']} to {read['last']}, "
        f"closes {read['close_sum']}, volume {read['volume_sum']}"
    )


def _differing_outcomes(strategy: dict[str, Any]) -> Sequence[str]:
    """Compare what the engines made of the same contract."""
    outcomes = {
        name: (
            held.get("instrument_id"),
            held["quantity"],
            tuple((fill["side"], Decimal(fill["price"])) for fill in held["fills"]),
            Decimal(held["settlement_price"]),
            Decimal(held["gross_pnl"]),
        )
        for name, held in strategy.items()
    }
    if len(set(outcomes.values())) <= 1:
        return []
    return [
        "strategy: "
        + "; ".join(
            f"{name} held {held['quantity']} x {held['instrument']}, settled at {held['settlement_price']}, "
            f"profit {held['gross_pnl']}"
            for name, held in sorted(strategy.items())
        )
    ]


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date | dt.datetime) else str(value)
