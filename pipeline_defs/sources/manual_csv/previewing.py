"""How the columns of a file are read: the first rows, as they stand and as what was made of them.

The same functions read here and when rows are stored, so that what is shown is what would be stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.schema.previews import ColumnPreview, FilePreview
from pipeline_defs.sources.manual_csv.fields import as_text, decimals, quantities, small_whole
from pipeline_defs.sources.manual_csv.lines import LINE, TEXT
from pipeline_defs.sources.manual_csv.mapping import BAR_PRICES, BAR_QUANTITIES, QUOTE_PRICES, TICK_QUANTITIES
from pipeline_defs.sources.manual_csv.rows import are_in_parts
from pipeline_defs.sources.manual_csv.stamps import read_stamps
from pipeline_defs.sources.manual_csv.workbooks import is_workbook

if TYPE_CHECKING:
    from pipeline_defs.sources.manual_csv.inputs import Input

FIRST_ROWS: Final = 3

_PRICES: Final = {*BAR_PRICES, *QUOTE_PRICES, "price", "settlement_price", "strike", "tick_size"}
_QUANTITIES: Final = {*BAR_QUANTITIES, *TICK_QUANTITIES}
_COUNTS: Final = {"bar_seconds", "rank", "sequence", "lot_size"}
_DATES: Final = {"expiry"}


def preview_file(source: Input) -> FilePreview:
    """Show how a file's columns are read.

    Parameters
    ----------
    source : Input
        File with its mapping.

    Returns
    -------
    FilePreview
        Without values if the file has no row.

    Raises
    ------
    SourceError
        If the file cannot be read, or a column is of a type that no field has.

    """
    mapping = source.mapping
    first = next((chunk.fields.head(FIRST_ROWS) for chunk in source.chunks() if chunk.fields.height), None)
    rows = first if first is not None else pl.DataFrame(schema=dict.fromkeys(source.columns, pl.String()))
    columns = {name: said for name, said in mapping.columns.items() if said[0] in rows.columns}
    told = {
        name: as_text(rows[columns[name][0]])
        if name in columns
        else pl.lit(mapping.fixed.get(name) or None, pl.String())
        for name in ("kind", "venue", "currency")
    }
    in_parts = bool(are_in_parts(rows.select(**told)).any())
    previews = [_preview(name, said, rows, source, in_parts=in_parts) for name, said in columns.items()]
    used = {column for said in columns.values() for column in said}
    order = {name: position for position, name in enumerate(source.columns)}
    return FilePreview(
        path=str(source.path),
        layout=source.layout,
        columns=tuple(sorted(previews, key=lambda one: order[mapping.columns[one.field][0]])),
        left_alone=tuple(name for name in source.columns if name not in used and name not in {LINE, TEXT}),
        fixed=dict(mapping.fixed),
    )


def _preview(name: str, said: tuple[str, ...], rows: pl.DataFrame, source: Input, *, in_parts: bool) -> ColumnPreview:
    column = rows[said[0]]
    if name == "timestamp":
        kind, read = _stamps(rows.select(said).get_columns(), source)
        texts = rows.select(pl.concat_str([_shown(rows[part]).alias(part) for part in said], separator=" ")).to_series()
        return ColumnPreview(" + ".join(said), name, kind, tuple(zip(texts, read, strict=True)))
    if name in _PRICES:
        values, reads = decimals(column)
        kind, read = "price", _plain(values.set(~reads.fill_null(value=False), None))
    elif name in _QUANTITIES:
        values, reads = quantities(column, fractional=in_parts)
        kind, read = "decimal quantity" if in_parts else "whole quantity", _plain(values.set(~reads, None))
    elif name in _COUNTS:
        kind, read = "whole number", _plain(small_whole(column, 2**31 - 1))
    elif name in _DATES:
        kind, read = "date", _plain(as_text(column).str.to_date("%Y-%m-%d", strict=False))
    else:
        kind, read = "text", [text or None for text in as_text(column)]
    return ColumnPreview(said[0], name, kind, tuple(zip(_shown(column), read, strict=True)))


def _stamps(columns: list[pl.Series], source: Input) -> tuple[str, list[str | None]]:
    mapping = source.mapping
    read = read_stamps(columns, mapping, has_iso_cells=is_workbook(source.path))
    zone = "with its own offset" if mapping.zone is None else f"in {mapping.zone}"
    form = "ISO 8601" if mapping.format is None else mapping.format
    what = "time of the tick" if mapping.is_ticks else f"{mapping.stamp} of the bar"
    shown = read.select(
        pl.coalesce(pl.col("instant").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ"), pl.col("day").cast(pl.String))
    ).to_series()
    return f"{what}, {form}, {zone}", shown.to_list()


def _shown(column: pl.Series) -> pl.Series:
    return column.cast(pl.String, strict=False).fill_null("")


def _plain(values: pl.Series) -> list[str | None]:
    return [
        None if value is None else f"{value:f}".rstrip("0").rstrip(".") if values.dtype.is_decimal() else str(value)
        for value in values
    ]
