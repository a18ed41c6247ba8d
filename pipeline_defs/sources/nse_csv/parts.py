"""One trade date of one layout, between text and batch, and how rows are told apart by date."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.markets.sessions import first_covered_date, last_covered_date, session_on
from pipeline_defs.sources.nse_csv.checks import PLACED_REJECT_SCHEMA, line_texts
from pipeline_defs.sources.nse_csv.fields import Distinct, dates
from pipeline_defs.sources.nse_csv.reasons import BAD_DATE, OTHER_DAY, REPEATED_HEADER
from pipeline_defs.spilling import PackedFrame, map_frames

if TYPE_CHECKING:
    import datetime as dt

    from pipeline_defs.sources.nse_csv.layouts import Layout

SEGMENTS: Final = {"OPT": "FO", "FUT": "FO", "CONT": "FO", "SPOT": "CM", "EQ": "CM"}
"""Instrument kind to the segment in whose session it trades."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one layout says about one trade date.

    Parameters
    ----------
    layout : Layout
        Where it comes from.
    fields : polars.DataFrame or PackedFrame
        All lines as text, for the text of those refused later.
    contracts : polars.DataFrame
        `contracts.TERMS`, one row per identity.
    rows : polars.DataFrame
        Rows that passed every check of their own: ``contract`` (row of `contracts`), ``timestamp``, the
        measurements that the layout has, ``file_index, line``; in file order.
    rejects : polars.DataFrame
        `checks.PLACED_REJECT_SCHEMA`.

    """

    layout: Layout
    fields: pl.DataFrame | PackedFrame
    contracts: pl.DataFrame
    rows: pl.DataFrame
    rejects: pl.DataFrame

    def packed(self) -> Part:
        """Put lines on disk: their rows are read from there as they are used, their text is seldom needed."""
        if isinstance(self.fields, PackedFrame):
            return self
        return replace(self, fields=PackedFrame(self.fields), rows=map_frames([self.rows]))

    def lines(self) -> pl.DataFrame:
        """Give all lines as text."""
        return self.fields.read() if isinstance(self.fields, PackedFrame) else self.fields


def split_dates(
    layout: Layout, fields: pl.DataFrame, expected: dt.date | None
) -> tuple[dict[dt.date, pl.DataFrame], pl.DataFrame]:
    """Tell rows apart by their own date.

    Parameters
    ----------
    layout : Layout
        How dates are written.
    fields : polars.DataFrame
        Lines as text.
    expected : datetime.date or None
        The date in the file's name: rows of another date are refused. None keeps all dates.

    Returns
    -------
    tuple of (dict, polars.DataFrame)
        Lines by trade date, and the refused (`checks.PLACED_REJECT_SCHEMA`).

    """
    texts = Distinct.of(fields["date"])
    formats = (layout.date_format, "%d-%b-%y") if layout.date_format == "%d-%b-%Y" else (layout.date_format,)
    clean = texts.texts.str.strip_chars(' "') if layout.family != "stream" else texts.texts
    read = dates(clean, *formats)
    read = read.set(~read.is_between(first_covered_date(), last_covered_date()), None)
    if texts.codes is None and read.len() == 1 and read[0] is not None and expected in (None, read[0]):
        return {read[0]: fields}, pl.DataFrame(schema=PLACED_REJECT_SCHEMA)
    own = texts.spread(read).alias("own_date")
    wanted = own.is_not_null() if expected is None else (own == expected).fill_null(value=False)
    refused = _refuse(layout, fields.with_columns(own).filter(~wanted))
    if expected is not None:
        kept = fields.filter(wanted)
        return ({expected: kept} if kept.height else {}), refused
    days = own.drop_nulls().unique().sort().to_list()
    return {day: fields.filter((own == day).fill_null(value=False)) for day in days}, refused


def session_bounds(kinds: pl.Series, trade_date: dt.date) -> pl.DataFrame:
    """Give open and close of the session in which each kind of instrument trades.

    Parameters
    ----------
    kinds : polars.Series
        Instrument kinds; null where unknown.
    trade_date : datetime.date
        A day the calendar covers.

    Returns
    -------
    polars.DataFrame
        ``open_second, close_second``: seconds since midnight in India; null when the segment was closed.

    """
    bounds = {}
    for segment in ("FO", "CM"):
        session = session_on(trade_date, segment)
        midnight = india_midnight_us(trade_date) // 1_000_000
        if session is not None:
            bounds[segment] = tuple(int(at.timestamp()) - midnight for at in (session.open, session.close))
    closed = (None, None)
    rows = [bounds.get(SEGMENTS.get(kind, ""), closed) for kind in kinds.to_list()]
    return pl.DataFrame(rows, schema={"open_second": pl.Int32(), "close_second": pl.Int32()}, orient="row")


def india_midnight_us(day: dt.date) -> int:
    """Give the start of a day in India, in microseconds since the epoch.

    Parameters
    ----------
    day : datetime.date
        In India, which is 5:30 ahead of UTC all year, and was in every year of electronic trading.

    """
    days = day.toordinal() - _EPOCH_ORDINAL
    return (days * 86_400 - _INDIA_OFFSET_SECONDS) * 1_000_000


_EPOCH_ORDINAL: Final = 719_163
_INDIA_OFFSET_SECONDS: Final = 19_800


def _refuse(layout: Layout, lines: pl.DataFrame) -> pl.DataFrame:
    """Name why the date of each line was refused: the header again, no date, or another day."""
    with_text = line_texts(lines, layout.columns)
    header = ",".join(layout.header or ())
    plain = pl.col("text").str.to_lowercase().str.replace_all(r"[^a-z0-9,]", "").str.strip_chars_end(",")
    reason = (
        pl.when((plain == header) & (pl.lit(header) != ""))
        .then(pl.lit(REPEATED_HEADER))
        .when(pl.col("own_date").is_null())
        .then(pl.lit(BAD_DATE))
        .otherwise(pl.lit(OTHER_DAY))
    )
    return with_text.with_columns(reason=reason, table=pl.lit(None, pl.String())).select(list(PLACED_REJECT_SCHEMA))
