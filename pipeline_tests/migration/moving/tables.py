"""What every table holds, as one checksum each: to prove that two states of a database are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline_defs.warehouse.connection import Warehouse

_TABLES = """
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' GROUP BY 1 ORDER BY 1
"""


def table_checksums(warehouse: Warehouse, without: Iterable[str] = ()) -> dict[str, str]:
    """Hash each table's rows, whatever their order.

    Parameters
    ----------
    warehouse : Warehouse
        The database.
    without : iterable of str
        Columns that are left out wherever they occur (``load_id``), and tables (``migrated_*`` by their whole names).

    """
    left_out = set(without)
    with warehouse.connect() as connection:
        tables: Sequence[tuple[str, list[str]]] = connection.execute(_TABLES).fetchall()
        sums = {}
        for table, columns in tables:
            if table in left_out:
                continue
            shown = ", ".join(f'"{name}"' for name in columns if name not in left_out)
            rows = f'SELECT row({shown})::text AS r FROM "{table}"'
            query = f"SELECT count(*) || ' ' || coalesce(md5(string_agg(r, '|' ORDER BY r)), '') FROM ({rows}) AS t"
            ((sums[table],),) = connection.execute(query.encode()).fetchall()
    return sums
