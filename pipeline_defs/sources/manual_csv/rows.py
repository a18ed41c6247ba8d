"""A frame of fields to canonical rows and refused lines: each row judged by itself.

Rows against each other (duplicates, order) are judged in `settling`, once all rows of a trade date are known.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SourceError
from pipeline_defs.markets.market import trades_in_parts
from pipeline_defs.schema.columns import SIZE
from pipeline_defs.schema.interchange import CONTRACT_FIELDS
from pipeline_defs.schema.tables import DAY, KIND_TABLES, MEASUREMENT_COLUMNS, SIZES, TICK, table_for
from pipeline_defs.sources.manual_csv.chunks import line_text
from pipeline_defs.sources.manual_csv.contracts import INSTRUMENT, PAIR, Contracts
from pipeline_defs.sources.manual_csv.fields import as_text, decimals, quantities, small_whole
from pipeline_defs.sources.manual_csv.lines import LINE
from pipeline_defs.sources.manual_csv.mapping import BAR_PRICES, BAR_QUANTITIES, QUOTE_PRICES, TICK_QUANTITIES
from pipeline_defs.sources.manual_csv.reasons import (
    AFTER_CLOSE,
    BAD_CONTRACT,
    BAD_PRICE,
    BAD_QUANTITY,
    BAD_RESOLUTION,
    BAD_SEQUENCE,
    BAD_TIMESTAMP,
    BEFORE_OPEN,
    EXPIRED_CONTRACT,
    HIGH_BELOW_LOW,
    NO_CLOSE_TIME,
    NO_TIME_ZONE,
    NON_POSITIVE_PRICE,
    NOT_A_SESSION,
    PRICE_OUTSIDE_RANGE,
    REPEATED_HEADER,
    first_reason,
)
from pipeline_defs.sources.manual_csv.sessions import SEGMENTS, VENUES, trade_date, with_sessions
from pipeline_defs.sources.manual_csv.stamps import read_stamps
from pipeline_defs.sources.manual_csv.workbooks import is_workbook

if TYPE_CHECKING:
    from pipeline_defs.sources.manual_csv.inputs import Input

MEASUREMENTS: Final = tuple(column.name for column in MEASUREMENT_COLUMNS)

PLACE: Final = ("trade_date", "table", "bar_seconds", "is_pair")
"""What decides on the batch of a row."""

ROW_COLUMNS: Final = (*PLACE, "contract", "timestamp", "sequence", *MEASUREMENTS, "file_index", "line")

REFUSED_SCHEMA: Final[dict[str, pl.DataType]] = {
    "trade_date": pl.Date(),
    "table": pl.String(),
    "bar_seconds": pl.Int32(),
    "is_pair": pl.Boolean(),
    "file_index": pl.UInt32(),
    "line": pl.UInt32(),
    "reason": pl.String(),
    "text": pl.String(),
}
"""A refused line, and as much of its place as is known."""

_OPTIONAL_PRICES: Final = (*QUOTE_PRICES, "settlement_price")


@dataclass(frozen=True, slots=True)
class Read:
    """What came of a frame.

    Parameters
    ----------
    rows : polars.DataFrame
        `ROW_COLUMNS`, in file order; volumes and sizes are decimals where parts of a unit are traded.
    refused : polars.DataFrame
        `REFUSED_SCHEMA`.

    """

    rows: pl.DataFrame
    refused: pl.DataFrame


def read_rows(
    fields: pl.DataFrame, source: Input, file_index: int, contracts: Contracts, underlying: str | None
) -> Read:
    """Turn the fields of some lines into canonical rows.

    Parameters
    ----------
    fields : polars.DataFrame
        `LINE` and the file's columns.
    source : Input
        The file.
    file_index : int
        Its number.
    contracts : Contracts
        Numbers the contracts.
    underlying : str or None
        Leave out rows known to be of another underlying.

    Returns
    -------
    Read

    Raises
    ------
    SourceError
        If the file holds pairs and other kinds, or another resolution than its sidecar says.

    """
    mapping = source.mapping
    numbers = contracts.add(_contract_texts(fields, source), file_index)
    known = contracts.terms()
    terms = known.select(
        *("kind", "underlying", "expiry", "is_bad"),
        are_in_parts(known).alias("in_parts"),
        segment=pl.when(pl.col("venue").is_in(VENUES)).then(
            pl.col("kind").replace_strict(SEGMENTS, default=None, return_dtype=pl.String())
        ),
    )[numbers]
    if underlying is not None:
        wanted = (terms["underlying"] == underlying).fill_null(value=True)
        fields, terms, numbers = fields.filter(wanted), terms.filter(wanted), numbers.filter(wanted)
    is_pair = _is_of_pairs(terms, source)
    resolution = small_whole(_field(fields, source, "bar_seconds"), DAY)
    resolution = resolution.set((resolution == TICK) != mapping.is_ticks, None)
    _refuse_other_resolution(resolution, source)
    stamps = read_stamps(
        [fields[name] for name in mapping.columns["timestamp"]], mapping, has_iso_cells=is_workbook(source.path)
    )
    rows = pl.concat(
        [
            pl.DataFrame({"contract": numbers, "line": fields[LINE], "bar_seconds": resolution}),
            terms.drop("underlying", "in_parts"),
            stamps,
        ],
        how="horizontal",
    ).with_columns(is_pair=pl.lit(is_pair), file_index=pl.lit(file_index, pl.UInt32()))
    values, checks = _values(fields, source, terms["in_parts"])
    placed = _place(rows, stamp=mapping.stamp)
    judged = pl.concat([placed, values], how="horizontal").with_columns(table=_table(placed))
    checks |= _checks(fields, source)
    judged = judged.with_columns(reason=first_reason(checks))
    if judged["reason"].null_count() < judged.height:
        is_bad = judged["reason"].is_not_null()
        refused = judged.filter(is_bad).with_columns(text=line_text(fields.filter(is_bad), mapping.separator))
        judged = judged.filter(~is_bad)
    else:
        refused = judged.clear().with_columns(text=pl.lit("", pl.String()))
    return Read(judged.select(ROW_COLUMNS), refused.select(list(REFUSED_SCHEMA)))


def _field(fields: pl.DataFrame, source: Input, name: str) -> pl.Series:
    """Give a field's column, or its fixed text for every row."""
    column = source.mapping.columns.get(name)
    if column is not None:
        return fields[column[0]]
    return pl.Series(name, [source.mapping.fixed.get(name, "")]).new_from_index(0, fields.height)


def _contract_texts(fields: pl.DataFrame, source: Input) -> pl.DataFrame:
    texts = {name: as_text(_field(fields, source, name)) for name in CONTRACT_FIELDS}
    number = (
        as_text(fields[INSTRUMENT]) if source.terms is not None else pl.Series([""]).new_from_index(0, fields.height)
    )
    return pl.DataFrame(texts | {INSTRUMENT: number})


def _is_of_pairs(terms: pl.DataFrame, source: Input) -> bool:
    kinds = terms.filter(~pl.col("is_bad"))["kind"]
    pairs = int((kinds == PAIR).sum())
    if 0 < pairs < kinds.len():
        raise SourceError(
            "holds pairs and other kinds of instruments, whose trade dates and volumes differ",
            where=str(source.path),
            next_step="put them into two files",
        )
    return pairs > 0


def _refuse_other_resolution(resolution: pl.Series, source: Input) -> None:
    expected = source.bar_seconds
    if expected is None:
        return
    other = resolution.filter((resolution != expected).fill_null(value=False))
    if other.len():
        raise SourceError(
            f"holds rows of {other[0]} s, but its sidecar says {expected} s",
            where=str(source.path),
            next_step="was the file renamed? put it back, or export again",
        )


def _place(rows: pl.DataFrame, *, stamp: str) -> pl.DataFrame:
    """Give each row its trade date, its session and its stamp: when it was complete."""
    is_bar, is_daily = pl.col("bar_seconds") != TICK, pl.col("bar_seconds") == DAY
    instant, is_pair = pl.col("instant"), pl.col("is_pair")
    length = pl.duration(seconds="bar_seconds")
    opened = is_bar & (stamp == "open")
    # The day of a date, or of the open of a daily bar, is the day whose session closes it.
    day_of_open = pl.when(is_pair).then(instant.dt.date()).otherwise(trade_date(instant, is_pair, pl.lit(value=False)))
    named = pl.when(is_daily).then(pl.coalesce("day", pl.when(opened).then(day_of_open)))
    closed = pl.when(opened).then(instant + length).otherwise(instant)
    rows = rows.with_columns(named=named).with_columns(
        trade_date=pl.coalesce("named", trade_date(closed, is_pair, is_bar))
    )
    if stamp == "open":
        # The last bar of a session may be shorter than the others: it begins on its own day.
        rows = rows.with_columns(trade_date=pl.coalesce("named", pl.when(opened).then(day_of_open), "trade_date"))
    rows = with_sessions(rows)
    close = pl.col("session_close")
    midnight = (pl.col("named") + dt.timedelta(days=1)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    ends = pl.when(opened & (instant < close)).then(pl.min_horizontal(closed, close)).otherwise(closed)
    of_day = (
        pl.when(is_pair)
        .then(midnight)
        .when(pl.col("is_judged"))
        .then(close)
        .when(opened & instant.is_not_null())
        .then(closed)
    )
    return rows.with_columns(timestamp=pl.when(pl.col("named").is_not_null()).then(of_day).otherwise(ends))


def are_in_parts(terms: pl.DataFrame) -> pl.Series:
    """Tell of which instruments parts of a unit are traded: pairs, and shares of some markets.

    Parameters
    ----------
    terms : polars.DataFrame
        With ``kind``, ``venue`` and ``currency``.

    Returns
    -------
    polars.Series
        Boolean, one value a row.

    """
    told = terms.select("kind", "venue", "currency")
    distinct = told.unique()
    found = [trades_in_parts(*one) for one in distinct.iter_rows()]
    parts = distinct.with_columns(in_parts=pl.Series(found, dtype=pl.Boolean()))
    return told.join(parts, on=told.columns, how="left", nulls_equal=True, maintain_order="left")["in_parts"]


def _values(fields: pl.DataFrame, source: Input, in_parts: pl.Series) -> tuple[pl.DataFrame, dict[str, pl.Expr]]:
    """Read prices, quantities and the sequence; say which rows have one that cannot be stored."""
    mapping, fractional = source.mapping, bool(in_parts.any())
    values: dict[str, pl.Series] = {}
    bad_price = bad_quantity = bad_sequence = pl.repeat(value=False, n=fields.height, dtype=pl.Boolean(), eager=True)
    for name in (*BAR_PRICES, "price", *_OPTIONAL_PRICES):
        if name not in mapping.columns:
            continue
        column = _field(fields, source, name)
        values[name], reads = decimals(column)
        if name in _OPTIONAL_PRICES:
            reads |= as_text(column) == ""
        bad_price |= ~reads.fill_null(value=False)
    for name in dict.fromkeys((*BAR_QUANTITIES, *TICK_QUANTITIES)):
        if name in mapping.columns:
            values[name], reads = quantities(_field(fields, source, name), fractional=fractional)
            bad_quantity |= ~reads
            if fractional:
                bad_quantity |= (values[name] % 1 != 0).fill_null(value=False) & ~in_parts
    if "sequence" in mapping.columns:
        values["sequence"] = small_whole(_field(fields, source, "sequence"), 2**31 - 1)
        bad_sequence = values["sequence"].is_null()
    frame = pl.DataFrame(values)
    if mapping.is_ticks:
        frame = frame.rename({"size": "volume"} if "size" in frame.columns else {})
        frame = frame.with_columns(pl.col("price").alias(name) for name in BAR_PRICES)
    kinds = {column.name: column.dtype for column in MEASUREMENT_COLUMNS} | {"sequence": pl.Int32()}
    kinds |= dict.fromkeys(SIZES, SIZE) if fractional else {}
    frame = frame.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in kinds.items() if name not in frame.columns
    ).select(*kinds)
    flags = pl.DataFrame({BAD_PRICE: bad_price, BAD_QUANTITY: bad_quantity, BAD_SEQUENCE: bad_sequence})
    return pl.concat([frame, flags], how="horizontal"), {name: pl.col(name) for name in flags.columns}


def _checks(fields: pl.DataFrame, source: Input) -> dict[str, pl.Expr]:
    """Say for each reason which rows are refused for it."""
    low, high, stamp = pl.col("low"), pl.col("high"), pl.col("timestamp")
    is_bar = pl.col("bar_seconds") != TICK
    first = source.mapping.columns["timestamp"][0]
    is_header = (
        fields[first] == first
        if fields[first].dtype == pl.String
        else pl.Series([False]).new_from_index(0, fields.height)
    )
    has_time = pl.col("instant").is_not_null() | pl.col("day").is_not_null()
    is_open = pl.col("session_open").is_not_null()
    prices = [*BAR_PRICES, *_OPTIONAL_PRICES]
    return {
        REPEATED_HEADER: pl.lit(is_header),
        BAD_RESOLUTION: pl.col("bar_seconds").is_null(),
        BAD_CONTRACT: pl.col("is_bad"),
        NO_TIME_ZONE: pl.col("is_naive") & pl.lit(source.mapping.zone is None),
        BAD_TIMESTAMP: ~has_time | (pl.col("day").is_not_null() & (pl.col("bar_seconds") != DAY)),
        NO_CLOSE_TIME: stamp.is_null() & ~(pl.col("is_judged") & ~is_open),
        EXPIRED_CONTRACT: pl.col("expiry") < pl.col("trade_date"),
        NON_POSITIVE_PRICE: pl.any_horizontal(pl.col(name) <= 0 for name in prices),
        HIGH_BELOW_LOW: high < low,
        PRICE_OUTSIDE_RANGE: pl.any_horizontal((pl.col(n) < low) | (pl.col(n) > high) for n in ("open", "close")),
        NOT_A_SESSION: pl.col("is_judged") & ~is_open,
        BEFORE_OPEN: pl.col("is_judged")
        & pl.when(is_bar).then(stamp <= pl.col("session_open")).otherwise(stamp < pl.col("session_open")),
        AFTER_CLOSE: pl.col("is_judged") & (stamp > pl.col("session_close")),
    }


def _table(rows: pl.DataFrame) -> pl.Series:
    """Name the table of each row; null where kind or resolution is not known."""
    kinds = rows.select("kind", "bar_seconds").unique()
    names = [
        table_for(kind, seconds) if kind in KIND_TABLES and seconds is not None else None
        for kind, seconds in kinds.iter_rows()
    ]
    named = kinds.with_columns(table=pl.Series(names, dtype=pl.String()))
    joined = rows.select("kind", "bar_seconds").join(
        named, on=["kind", "bar_seconds"], how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["table"]
