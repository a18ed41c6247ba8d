"""Refused rows to instrument and minute: the quarantine keeps text, the ledger needs to know which slot it is about.

A line that names no instrument or no time is left out: it explains no gap. What was left out because nothing traded
(`no_trade`, a padded bar) or because it lies outside the session is no refusal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline_defs.markets.tickers.filenames import ticker_from_filename
from pipeline_defs.schema.batches import HARMLESS_REASONS
from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.schema.tables import TICK
from pipeline_defs.sources.nse_csv.fields import dates, seconds_of_day
from pipeline_defs.sources.nse_csv.layouts import LAYOUTS_BY_NAME

if TYPE_CHECKING:
    import psycopg

    from pipeline_defs.warehouse.partitions import Partition

REFUSED_SCHEMA: Final[dict[str, pl.DataType]] = {
    "symbol": pl.String(),
    "inside": TIMESTAMP,
    "load_id": pl.Int64(),
    "reason": pl.String(),
}
"""`symbol` as the source writes it; `inside` an instant within the row's bar, null when a whole file was refused."""

_HARMLESS: Final = [*sorted(HARMLESS_REASONS), "padded_bar", "duplicate", "repeated_header", "blank_line", "other_day",
                    "before_open", "after_close", "not_a_session", "outside_window", "empty_file"]  # fmt: skip
_KINDS: Final = {
    "options_ticks": ("OPT",),
    "futures_ticks": ("FUT", "CONT"),
    "spot_prices": ("SPOT", "EQ", "PAIR"),
    "equity_daily": ("EQ", "SPOT"),
}
_SHOWN_END: Final = r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)"
_ISO_START: Final = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d))"
_EPOCH_START: Final = r'(?:^|"t":"?)(\d{13})\b'
_IST: Final = "Asia/Kolkata"

# Refusals of loads that were replaced stand as long as no later load has read the same file. A line that tells no kind
# of instrument, or a whole file, may stand with another table's load: the instrument tells where it belongs.
_LINES: Final = """
SELECT q.load_id, f.path, f.member, f.layout, l.source_type, q.line, q.reason, q.text
FROM (SELECT DISTINCT ON (l.dataset, f.logical_name) l.load_id, f.file_index
      FROM loads AS l JOIN load_files AS f USING (load_id)
      WHERE l.dataset = ANY (%(datasets)s) AND l.source = %(source)s AND l.trade_date = %(trade_date)s
        AND l.bar_seconds = %(bar_seconds)s
      ORDER BY l.dataset, f.logical_name, l.load_id DESC) AS newest
JOIN quarantine AS q USING (load_id, file_index)
JOIN load_files AS f USING (load_id, file_index)
JOIN loads AS l USING (load_id)
WHERE q.reason <> ALL (%(harmless)s)
"""

_STAGE: Final = """
CREATE TEMP TABLE IF NOT EXISTS refused_minutes
    (instrument_id integer, inside timestamptz, load_id bigint, reason text) ON COMMIT DROP
"""

_RESOLVE: Final = """
INSERT INTO refused_minutes (instrument_id, inside, load_id, reason)
SELECT a.instrument_id, r.inside, r.load_id, r.reason
FROM unnest(%(symbols)s::text[], %(insides)s::timestamptz[], %(load_ids)s::bigint[], %(reasons)s::text[])
    AS r (symbol, inside, load_id, reason)
JOIN instrument_aliases AS a ON a.source = %(source)s AND a.symbol = r.symbol
JOIN instrument_terms AS t ON t.instrument_id = a.instrument_id AND t.kind = ANY (%(kinds)s)
    AND t.valid_from <= %(trade_date)s AND t.valid_to > %(trade_date)s
    AND (t.expiry IS NULL OR t.expiry >= %(trade_date)s)
"""


def stage_refused(connection: psycopg.Connection, partition: Partition) -> int:
    """Put the refused rows of a partition where `assess_session` reads them.

    Parameters
    ----------
    connection : psycopg.Connection
        In the assessment's transaction.
    partition : Partition
        Whose.

    Returns
    -------
    int
        Rows of which instrument and minute are known.

    """
    connection.execute(_STAGE)
    rows = connection.execute(_LINES, partition.parameters(harmless=_HARMLESS, datasets=list(_KINDS))).fetchall()
    if not rows:
        return 0
    refused = read_refused(rows, partition)
    staged = connection.execute(
        _RESOLVE,
        {
            "source": partition.source,
            "trade_date": partition.trade_date,
            "kinds": list(_KINDS[partition.table]),
            "symbols": refused["symbol"].to_list(),
            "insides": refused["inside"].to_list(),
            "load_ids": refused["load_id"].to_list(),
            "reasons": refused["reason"].to_list(),
        },
    )
    return staged.rowcount


def read_refused(rows: list[tuple[Any, ...]], partition: Partition) -> pl.DataFrame:
    """Read symbol and time out of refused lines.

    Parameters
    ----------
    rows : list of tuple
        Load, path, member, layout, source type, line, reason and text of each.
    partition : Partition
        Table, source and resolution they are of.

    Returns
    -------
    polars.DataFrame
        `REFUSED_SCHEMA`, distinct; lines that tell neither are left out.

    """
    names = ("load_id", "path", "member", "layout", "source_type", "line", "reason", "text")
    types = (pl.Int64(), pl.String(), pl.String(), pl.String(), pl.String(), pl.Int64(), pl.String(), pl.String())
    lines = pl.DataFrame(rows, schema=dict(zip(names, types, strict=True)), orient="row")
    parts = [
        _of_answers(part, partition) if part["source_type"][0] == "api" else _of_files(part)
        for part in lines.partition_by("source_type", "layout")
    ]
    found = pl.concat([pl.DataFrame(schema=REFUSED_SCHEMA), *parts])
    return found.filter(pl.col("symbol").is_not_null()).unique(maintain_order=True)


def _of_answers(lines: pl.DataFrame, partition: Partition) -> pl.DataFrame:
    """Read rows of an API: the answer's name is that of the instrument, the text has the stamp.

    A row that was understood and then refused is shown with the stamp of its end; one that was not is shown as the
    vendor wrote it, with the bar's start as epoch or ISO time.
    """
    head, tail = f"{partition.source} ", f" {partition.table} "
    named = pl.col("path").str.strip_prefix(head).str.split(tail).list.first()
    text = pl.col("text")
    is_bar = partition.bar_seconds > TICK
    end = text.str.extract(_SHOWN_END).str.to_datetime(
        "%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC", strict=False
    ) - pl.duration(microseconds=1 if is_bar else 0)
    written = text.str.extract(_ISO_START).str.replace("Z$", "+00:00")
    start = written.str.to_datetime("%Y-%m-%dT%H:%M:%S%#z", time_unit="us", strict=False)
    epoch = pl.from_epoch(text.str.extract(_EPOCH_START).cast(pl.Int64(), strict=False), time_unit="ms")
    inside = pl.coalesce(end, start, epoch.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    return _shaped(lines.select(symbol=named, inside=inside, load_id="load_id", reason="reason").drop_nulls())


def _of_files(lines: pl.DataFrame) -> pl.DataFrame:
    """Read lines of the vendors' own layouts; a refused file (line 0) of one instrument is all of its minutes."""
    layout = LAYOUTS_BY_NAME.get(lines["layout"][0])
    if layout is None or layout.family != "stream":
        return pl.DataFrame(schema=REFUSED_SCHEMA)
    names = pl.coalesce("member", "path")
    from_name = names.map_elements(ticker_from_filename, return_dtype=pl.String()) if lines.height else names
    fields = pl.col("text").str.split(",")
    column = {name: fields.list.get(layout.columns.index(name), null_on_oob=True) for name in ("date", "time")}
    whole = lines.filter(pl.col("line") == 0).select(
        symbol=from_name, inside=pl.lit(None, TIMESTAMP), load_id="load_id", reason="reason"
    )
    ticker = fields.list.get(layout.columns.index("ticker"), null_on_oob=True) if layout.has("ticker") else from_name
    read = lines.filter(pl.col("line") > 0).select("load_id", "reason", symbol=ticker, **column)
    read = read.with_columns(
        day=dates(read["date"].fill_null(""), layout.date_format),
        second=seconds_of_day(read["time"].fill_null("")),
    )
    local = pl.col("day").cast(pl.Datetime("us")) + pl.duration(seconds=pl.col("second"))
    inside = local.dt.replace_time_zone(_IST).dt.convert_time_zone("UTC")
    read = read.select(symbol=pl.col("symbol"), inside=inside, load_id="load_id", reason="reason").drop_nulls()
    return pl.concat([_shaped(whole), _shaped(read)])


def _shaped(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(dtype) for name, dtype in REFUSED_SCHEMA.items())
