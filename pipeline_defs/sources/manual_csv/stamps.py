"""Timestamps to instants in UTC: by their own offset, or by a declared zone, never by guessing.

What the instant means for a bar (its open or its close) is the business of `sessions` and `rows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.columns import TIMESTAMP
from pipeline_defs.sources.manual_csv.fields import as_text
from pipeline_defs.sources.manual_csv.mapping import CLOCK_LETTERS

if TYPE_CHECKING:
    from pipeline_defs.sources.manual_csv.mapping import Mapping

_DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_NAIVE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?$"
_OFFSET: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})$"
)
_OFFSET_LETTERS: Final = ("%z", "%:z", "%#z", "%+")
_NAIVE_TYPE: Final = pl.Datetime("us")


def read_stamps(columns: list[pl.Series], mapping: Mapping, *, has_iso_cells: bool = False) -> pl.DataFrame:
    """Read timestamps.

    Parameters
    ----------
    columns : list of polars.Series
        The timestamp's columns; several are joined by a space.
    mapping : Mapping
        Their form and zone.
    has_iso_cells : bool, default False
        Whether what is not in the declared form may be a cell that was a date or time itself, as workbooks have them.

    Returns
    -------
    polars.DataFrame
        `instant` (UTC), null where the text is no timestamp; `day` (Date) where it is a date without time; `is_naive`,
        whether a zone would have been needed.

    """
    if len(columns) == 1 and isinstance(columns[0].dtype, pl.Datetime):
        return _typed(columns[0], mapping.zone)
    if len(columns) == 1:
        text = as_text(columns[0])
    else:
        parts = [as_text(column).alias(str(position)) for position, column in enumerate(columns)]
        text = pl.DataFrame(parts).select(pl.concat_str(pl.all(), separator=" ")).to_series()
    # Thousands of contracts share each minute: a text is read once.
    distinct = text.unique(maintain_order=True).alias("text").to_frame()
    read = _by_format(distinct, mapping.format, mapping.zone) if mapping.format else _iso(distinct, mapping.zone)
    if mapping.format and has_iso_cells:
        is_open = read.select(pl.col("instant").is_null() & pl.col("day").is_null()).to_series()
        other = _iso(distinct.filter(is_open), mapping.zone).select(read.columns)
        read = pl.concat([read.filter(~is_open), other])
    found = text.alias("text").to_frame().join(read, on="text", how="left", maintain_order="left")
    return found.select("instant", "day", "is_naive")


def _iso(texts: pl.DataFrame, zone: str | None) -> pl.DataFrame:
    text = pl.col("text").str.replace(" ", "T", literal=True)
    with_seconds = pl.when(text.str.len_bytes() == len("2025-08-14T09:15")).then(text + ":00").otherwise(text)
    is_naive = pl.col("text").str.contains(_NAIVE)
    has_offset = pl.col("text").str.contains(_OFFSET)
    own = text.str.replace("Z", "+00:00", literal=True).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False
    )
    naive = with_seconds.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    is_date = pl.col("text").str.contains(_DATE)
    return texts.with_columns(
        instant=pl.coalesce(pl.when(has_offset).then(own), pl.when(is_naive).then(_localised(naive, zone))),
        day=pl.when(is_date).then(pl.col("text").str.to_date("%Y-%m-%d", strict=False)),
        is_naive=is_naive,
    )


def _by_format(texts: pl.DataFrame, form: str, zone: str | None) -> pl.DataFrame:
    text = pl.col("text")
    if not any(letter in form for letter in CLOCK_LETTERS):
        day = text.str.to_date(form, strict=False)
        exact = day.dt.to_string(form) == text
        return texts.with_columns(
            instant=pl.lit(None, TIMESTAMP), day=pl.when(exact).then(day), is_naive=pl.lit(value=False)
        )
    if any(letter in form for letter in _OFFSET_LETTERS):
        own = text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
        return texts.with_columns(instant=own, day=pl.lit(None, pl.Date()), is_naive=pl.lit(value=False))
    naive = text.str.to_datetime(form, time_unit="us", strict=False)
    # The parser is lenient (seconds of 60, single digits): only what would be written the same way was meant so.
    exact = pl.lit(value=True) if "f" in form else naive.dt.to_string(form) == text
    return texts.with_columns(
        instant=_localised(pl.when(exact).then(naive), zone), day=pl.lit(None, pl.Date()), is_naive=exact
    )


def _typed(column: pl.Series, zone: str | None) -> pl.DataFrame:
    dtype = column.dtype
    is_naive = isinstance(dtype, pl.Datetime) and dtype.time_zone is None
    # A finer unit than microseconds is exact only without a rest; otherwise the instant is not one that can be kept.
    micros = column.dt.cast_time_unit("us")
    exact = micros.dt.cast_time_unit("ns") == column.dt.cast_time_unit("ns") if str(dtype).find("ns") >= 0 else None
    frame = pl.DataFrame({"stamp": micros if exact is None else micros.set(~exact, None)})
    instant = _localised(pl.col("stamp"), zone) if is_naive else pl.col("stamp").dt.convert_time_zone("UTC")
    return frame.select(instant=instant.cast(TIMESTAMP), day=pl.lit(None, pl.Date()), is_naive=pl.lit(value=is_naive))


def _localised(naive: pl.Expr, zone: str | None) -> pl.Expr:
    """Give the instant of a clock time; null where the clocks skipped it or showed it twice."""
    if zone is None:
        return pl.lit(None, TIMESTAMP)
    return (
        naive.cast(_NAIVE_TYPE)
        .dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
        .dt.convert_time_zone("UTC")
    )
