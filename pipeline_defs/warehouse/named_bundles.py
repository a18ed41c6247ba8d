"""Bundles by the names that people give them: the series that were ingested together.

A bundle points to series of the warehouse and holds no rows. What one source delivered of one dataset, worked out from
the loads, is another thing: `pipeline_defs.warehouse.bundles`.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Collection

    import psycopg

    from pipeline_defs.warehouse.connection import Warehouse

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_CREATE: Final = "INSERT INTO named_bundles (bundle_name) VALUES (%s) ON CONFLICT (bundle_name) DO NOTHING"

_ADD: Final = """
INSERT INTO named_bundle_members AS m (bundle_name, symbol, source, dataset, bar_seconds, instrument_id)
SELECT %(name)s, * FROM unnest(%(symbols)s::text[], %(sources)s::text[], %(datasets)s::text[],
                               %(bar_seconds)s::integer[], %(instrument_ids)s::integer[])
ON CONFLICT (bundle_name, symbol, dataset, bar_seconds, source) DO UPDATE
SET instrument_id = excluded.instrument_id WHERE m.instrument_id <> excluded.instrument_id
"""

_MEMBERS: Final = """
SELECT b.bundle_name, b.created_at, m.symbol, m.instrument_id, m.source, m.dataset, m.bar_seconds
FROM named_bundles AS b LEFT JOIN named_bundle_members AS m USING (bundle_name)
WHERE %(name)s::text IS NULL OR b.bundle_name = %(name)s
ORDER BY b.bundle_name, m.symbol, m.dataset, m.bar_seconds, m.source
"""


@dataclass(frozen=True, slots=True)
class BundleMember:
    """One series of a bundle.

    Parameters
    ----------
    symbol : str
        As the bundle's owner writes it, e.g. ``BTC/USDT``.
    instrument_id : int
        What it is in the warehouse.
    source, dataset : str
        Whose observations, in which table.
    bar_seconds : int
        Resolution; 0 for ticks.

    """

    symbol: str
    instrument_id: int
    source: str
    dataset: str
    bar_seconds: int


@dataclass(frozen=True, slots=True)
class NamedBundle:
    """What somebody ingested under a name.

    Parameters
    ----------
    name : str
        The name.
    created_at : datetime.datetime
        When it was first given, UTC.
    members : tuple of BundleMember
        Sorted by symbol, dataset, resolution and source.

    """

    name: str
    created_at: dt.datetime
    members: tuple[BundleMember, ...]


def add_to_bundle(connection: psycopg.Connection, name: str, members: Collection[BundleMember]) -> None:
    """Add series to a bundle, which is made if there is none of that name; series that it has already stay as they are.

    Parameters
    ----------
    connection : psycopg.Connection
        The caller commits.
    name : str
        Letters, digits, ``.``, ``_`` and ``-``, at most 100.
    members : collection of BundleMember
        What to add. A symbol that meant another instrument means this one from now on.

    Raises
    ------
    WarehouseError
        If the name has other characters.

    """
    check_bundle_name(name)
    connection.execute(_CREATE, [name])
    unique = {(one.symbol, one.dataset, one.bar_seconds, one.source): one for one in members}.values()
    connection.execute(
        _ADD,
        {
            "name": name,
            "symbols": [one.symbol for one in unique],
            "sources": [one.source for one in unique],
            "datasets": [one.dataset for one in unique],
            "bar_seconds": [one.bar_seconds for one in unique],
            "instrument_ids": [one.instrument_id for one in unique],
        },
    )


def check_bundle_name(name: str) -> None:
    """Refuse what cannot be the name of a bundle.

    Raises
    ------
    WarehouseError
        If it has other characters than `add_to_bundle` takes.

    """
    if _NAME.fullmatch(name) is None:
        raise WarehouseError(
            f"{name!r} cannot be the name of a bundle",
            next_step="use up to 100 letters, digits, '.', '_' and '-', the first a letter or digit",
        )


def list_bundles(warehouse: Warehouse) -> list[NamedBundle]:
    """List the bundles that people named, by name."""
    return _read(warehouse, None)


def read_bundle(warehouse: Warehouse, name: str) -> NamedBundle:
    """Find a bundle by its name.

    Raises
    ------
    WarehouseError
        If there is none; the message names those that are spelt alike.

    """
    found = _read(warehouse, name)
    if found:
        return found[0]
    known = [one.name for one in _read(warehouse, None)]
    near = difflib.get_close_matches(name, known, n=3)
    there = f"near it: {', '.join(near)}" if near else f"there are {', '.join(known)}" if known else "there is none yet"
    raise WarehouseError(
        f"no bundle is named {name!r}; {there}", next_step="make one with 'pipeline ingest … --bundle NAME'"
    )


def remove_bundle(connection: psycopg.Connection, name: str) -> bool:
    """Forget a bundle's name and what it held; no row of data goes. True if there was one."""
    return connection.execute("DELETE FROM named_bundles WHERE bundle_name = %s", [name]).rowcount > 0


def _read(warehouse: Warehouse, name: str | None) -> list[NamedBundle]:
    with warehouse.connect() as connection:
        rows = connection.execute(_MEMBERS, {"name": name}).fetchall()
    members: dict[str, list[BundleMember]] = {}
    created: dict[str, dt.datetime] = {}
    for bundle_name, created_at, symbol, instrument_id, source, dataset, bar_seconds in rows:
        created[bundle_name] = created_at.astimezone(dt.UTC)
        own = members.setdefault(bundle_name, [])
        if symbol is not None:  # a bundle without members is one row of nulls
            own.append(BundleMember(symbol, instrument_id, source, dataset, bar_seconds))
    return [NamedBundle(one, created[one], tuple(of)) for one, of in members.items()]
