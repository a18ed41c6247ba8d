"""Small reads for people: the lines of a load that were refused."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pipeline_defs.errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.warehouse.connection import Warehouse


@dataclass(frozen=True, slots=True)
class QuarantinedLine:
    """One line that was refused; line 0 is a whole file.

    Parameters
    ----------
    file, member : str, str or None
        Where it stands.
    line : int
        1-based physical line.
    reason : str
        Steady snake_case word.
    text : str
        The raw line.

    """

    file: str
    member: str | None
    line: int
    reason: str
    text: str

    def to_json(self) -> str:
        """Give one JSON line."""
        return json.dumps(asdict(self), ensure_ascii=False)


def list_quarantine(warehouse: Warehouse, load_id: int) -> Iterator[QuarantinedLine]:
    """Give every refused line of a load, in the order of its files.

    Raises
    ------
    WarehouseError
        If there is no such load.

    """
    with warehouse.connect() as connection:
        if connection.execute("SELECT FROM loads WHERE load_id = %s", [load_id]).fetchone() is None:
            raise WarehouseError(
                f"there is no load {load_id}", next_step="take the load_id from the output of 'pipeline import --json'"
            )
        cursor = connection.cursor(name="quarantine")
        cursor.execute(
            "SELECT f.path, f.member, q.line, q.reason, q.text"
            " FROM quarantine AS q JOIN load_files AS f USING (load_id, file_index)"
            " WHERE load_id = %s ORDER BY f.path, f.member NULLS FIRST, q.line, q.reason",
            [load_id],
        )
        for row in cursor:
            yield QuarantinedLine(*row)
