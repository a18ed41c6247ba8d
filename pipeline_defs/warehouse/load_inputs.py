"""What a load was made of: its partition and its files, for who reads them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline_defs.errors import WarehouseError

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.warehouse.connection import Warehouse


@dataclass(frozen=True, slots=True)
class LoadInput:
    """One load and what it read.

    Parameters
    ----------
    source, dataset, trade_date, bar_seconds, underlying
        Its partition, as in `loads`.
    newest_load_id : int
        Of that partition: the load itself, or the one that filled the partition since.
    contents : dict of str to set of str
        By path of a file on disk, the digests of what was read from it: of a plain or gzip file one, of an archive one
        for each member. Files that were not read are left out.

    """

    source: str
    dataset: str
    trade_date: dt.date
    bar_seconds: int
    underlying: str | None
    newest_load_id: int
    contents: dict[str, set[str]]


def read_load_input(warehouse: Warehouse, load_id: int) -> LoadInput:
    """Look a load up.

    Raises
    ------
    WarehouseError
        If there is no such load.

    """
    with warehouse.connect() as connection:
        found = connection.execute(
            "SELECT l.source, l.dataset, l.trade_date, l.bar_seconds, l.underlying,"
            " (SELECT max(n.load_id) FROM loads AS n WHERE n.source = l.source AND n.dataset = l.dataset"
            "  AND n.trade_date = l.trade_date AND n.bar_seconds = l.bar_seconds AND n.status <> 'rejected')"
            " FROM loads AS l WHERE l.load_id = %s",
            [load_id],
        ).fetchone()
        if found is None:
            raise WarehouseError(
                f"there is no load {load_id}", next_step="take the load_id from the output of 'pipeline import --json'"
            )
        rows = connection.execute(
            "SELECT path, sha256 FROM load_files WHERE load_id = %s AND sha256 <> '' ORDER BY file_index", [load_id]
        ).fetchall()
    contents: dict[str, set[str]] = {}
    for path, sha256 in rows:
        contents.setdefault(path, set()).add(sha256)
    source, dataset, trade_date, bar_seconds, underlying, newest = found
    return LoadInput(source, dataset, trade_date, bar_seconds, underlying, newest or load_id, contents)
