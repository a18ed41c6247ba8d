"""Corporate actions: written with the load that told them, read for a slice; both times are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.schema.exports import ACTION_SCHEMA
from pipeline_defs.warehouse.transport import copy_in, copy_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    import psycopg

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.warehouse.selections import Selection

_INCOMING: Final = """
CREATE TEMP TABLE incoming_actions (instrument_id integer, ex_date date, kind text, value numeric) ON COMMIT DROP
"""

# Only of the instruments that the batch speaks about: another share's actions are another question.
_RETIRE: Final = """
DELETE FROM corporate_actions AS a
WHERE a.source = %(source)s AND a.ex_date = %(trade_date)s AND a.instrument_id = ANY (%(ids)s)
  AND NOT EXISTS (SELECT FROM incoming_actions AS i
                  WHERE (i.instrument_id, i.ex_date, i.kind) = (a.instrument_id, a.ex_date, a.kind))
"""

_WRITE: Final = """
INSERT INTO corporate_actions AS a (instrument_id, ex_date, kind, source, value, load_id)
SELECT instrument_id, ex_date, kind, %(source)s, value, %(load_id)s FROM incoming_actions
ON CONFLICT (instrument_id, ex_date, kind, source) DO UPDATE
SET value = excluded.value, load_id = excluded.load_id WHERE a.value <> excluded.value
"""

# Prices of one source may be completed by the actions that another tells; the prices' own go first.
_READ: Final = """
SELECT DISTINCT ON (a.instrument_id, a.ex_date, a.kind) a.instrument_id, a.ex_date, a.kind, a.value
FROM {corporate_actions} AS a
JOIN {instrument_terms} AS t
  ON t.instrument_id = a.instrument_id AND t.valid_from <= a.ex_date AND t.valid_to > a.ex_date
WHERE t.underlying = %(underlying)s AND t.kind = 'EQ' AND a.ex_date BETWEEN %(start_date)s AND %(end_date)s
ORDER BY a.instrument_id, a.ex_date, a.kind, array_position(%(taken)s::text[], a.source::text), a.source
"""


def store_actions(
    connection: psycopg.Connection, batch: ImportBatch, ids: pl.Series, *, source: str, load_id: int
) -> None:
    """Make the stored actions of a trade date those of a batch, for the instruments it speaks about.

    Parameters
    ----------
    connection : psycopg.Connection
        In the load's transaction.
    batch : ImportBatch
        Its actions are None when it does not speak of any.
    ids : polars.Series
        Instrument id of each contract key.
    source : str
        Adapter's name.
    load_id : int
        This load.

    """
    if batch.actions is None:
        return
    actions = batch.actions.with_columns(instrument_id=ids.gather(batch.actions["contract_key"]))
    connection.execute(_INCOMING)
    copy_in(connection, "incoming_actions", actions.select("instrument_id", "ex_date", "kind", "value"))
    parameters = {"source": source, "trade_date": batch.trade_date, "ids": ids.to_list(), "load_id": load_id}
    connection.execute(_RETIRE, parameters)
    connection.execute(_WRITE, parameters)
    connection.execute("DROP TABLE incoming_actions")


def read_actions(connection: psycopg.Connection, selection: Selection, taken: Sequence[str]) -> pl.DataFrame | None:
    """Read the corporate actions of a slice's share.

    Parameters
    ----------
    connection : psycopg.Connection
        In the slice's snapshot.
    selection : Selection
        Which underlying and dates.
    taken : sequence of str
        Sources of the slice's prices, the first in order first.

    Returns
    -------
    polars.DataFrame or None
        `ACTION_SCHEMA`, sorted by instrument, date and kind; None when none are known.

    """
    found = copy_out(connection, selection.statement(_READ), ACTION_SCHEMA, selection.parameters(taken=list(taken)))
    return None if found.is_empty() else found
