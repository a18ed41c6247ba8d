"""Plants damaged lines in one file of a delivery and says on which physical line each ended up.

Kinds of damage are in ``damage``; files and archives that are damaged as a whole in ``dirty_day``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.samples.damage import Damage, RowPlace
from pipeline_defs.samples.delivery import Delivery, Member
from pipeline_defs.samples.truth import Defect, LooksDamaged, clean_rows

if TYPE_CHECKING:
    import numpy as np

    from pipeline_defs.samples.hours import Hours

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_BLOCK_ROWS: Final = 20
_DUPLICATE_AFTER_ROWS: Final = 25


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to one file.

    Parameters
    ----------
    damages : tuple of Damage
        Each planted once, on a row of its own.
    spared : polars.Expr
        Rows that must stay as they are.
    byte_order_mark : bool, default False
        Begin the file with one.
    newline : str, default line feed
        End of line.
    block_out_of_order : bool, default False
        Put a block of rows further up than it belongs.
    repeat_a_tick : bool, default False
        Say one snapshot twice.
    last_line : str, default "whole"
        ``whole``, ``unended`` (no line end behind it) or ``truncated``.

    """

    damages: tuple[Damage, ...]
    spared: pl.Expr
    byte_order_mark: bool = False
    newline: str = "\n"
    block_out_of_order: bool = False
    repeat_a_tick: bool = False
    last_line: str = "whole"


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A file after the damage, and what is known of it.

    Parameters
    ----------
    member : Member
        Name and bytes.
    defects : list of Defect
        By line.
    not_dirt : list of LooksDamaged
        What looks damaged and is not.
    clean_rows : polars.DataFrame
        What must be stored.

    """

    member: Member
    defects: list[Defect]
    not_dirt: list[LooksDamaged]
    clean_rows: pl.DataFrame


def damage_file(delivery: Delivery, file: int, plan: Plan, hours: Hours, rng: np.random.Generator) -> DamagedFile:
    """Damage one file of a delivery.

    Parameters
    ----------
    delivery : Delivery
        Minutes or ticks.
    file : int
        Which of its files.
    plan : Plan
        What to do.
    hours : Hours
        The session.
    rng : numpy.random.Generator
        Chooses the rows.

    Returns
    -------
    DamagedFile

    Raises
    ------
    ConfigurationError
        If the file has too few rows that a damage can be planted on.

    """
    rows = delivery.rows.filter(pl.col("file") == file)
    block_start = None
    if plan.block_out_of_order:
        rows, block_start = _move_block(rows, rng)
    rows = rows.with_columns(pl.concat_str(delivery.fields, separator=",").alias("text")).with_row_index("row")
    places = _choose_rows(rows, plan, block_start, rng)
    lines = _plant(rows, delivery, plan, places, hours).with_row_index("line", offset=delivery.first_line())
    content = _to_bytes(delivery, plan, lines)
    path, member = delivery.path_of(file)
    defects = [
        Defect(path, member, line, defect, "rejected", text)
        for line, defect, text in lines.filter(pl.col("defect").is_not_null()).select("line", "defect", "text").rows()
    ]
    good = lines.filter(pl.col("defect").is_null()).select("line", "row")
    good_rows = good.join(rows, on="row", how="left", maintain_order="left")
    return DamagedFile(
        member=Member(delivery.names[file], content),
        defects=defects,
        not_dirt=_describe_oddities(path, member, plan, lines, block_start),
        clean_rows=clean_rows(delivery, good_rows),
    )


def _move_block(rows: pl.DataFrame, rng: np.random.Generator) -> tuple[pl.DataFrame, int]:
    """Move a block of rows up by some blocks; where it begins now is given back."""
    if rows.height < 4 * _BLOCK_ROWS:
        raise ConfigurationError(
            f"{rows.height} rows are too few to put a block of {_BLOCK_ROWS} out of order",
            next_step="choose a file with more rows",
        )
    start = int(rng.integers(2 * _BLOCK_ROWS, rows.height - _BLOCK_ROWS))
    target = start - _BLOCK_ROWS
    block = rows.slice(start, _BLOCK_ROWS)
    return pl.concat(
        [rows.head(target), block, rows.slice(target, _BLOCK_ROWS), rows.slice(start + _BLOCK_ROWS)]
    ), target


def _choose_rows(
    rows: pl.DataFrame, plan: Plan, block_start: int | None, rng: np.random.Generator
) -> list[tuple[int, Damage]]:
    """Give each damage a row of its own: not the last one, none in the block, none next to another."""
    usable = rows.with_columns(usable=~plan.spared)["usable"].to_numpy().copy()
    usable[-1] = False
    if block_start is not None:
        usable[block_start : block_start + 2 * _BLOCK_ROWS] = False
    order = rng.permutation(rows.height)
    chosen: list[tuple[int, Damage]] = []
    for damage in plan.damages:
        fits = usable if damage.needs is None else usable & rows.with_columns(fits=damage.needs)["fits"].to_numpy()
        candidates = order[fits[order]]
        if len(candidates) == 0:
            raise ConfigurationError(
                f"no row of {rows.height} is left to plant {damage.defect!r} on",
                next_step="choose a file with more rows",
            )
        row = int(candidates[0])
        usable[max(row - 1, 0) : row + 2] = False
        chosen.append((row, damage))
    return chosen


def _plant(
    rows: pl.DataFrame, delivery: Delivery, plan: Plan, places: list[tuple[int, Damage]], hours: Hours
) -> pl.DataFrame:
    """Lay out the lines of the damaged file: `row` (null where none stands behind it), `text`, `defect`."""
    price = "close" if "close" in delivery.fields else "last_price"
    replaced: dict[int, tuple[str, str]] = {}
    inserted: list[tuple[float, int | None, str, str | None]] = []
    for row, damage in places:
        fields = dict(zip(delivery.fields, rows.select(delivery.fields).row(row), strict=True))
        text = damage.change(RowPlace(fields, hours, price, delivery.header))
        if damage.placement == "replace":
            replaced[row] = (text, damage.defect)
            continue
        distance = _DUPLICATE_AFTER_ROWS if text == rows["text"][row] else 0
        inserted.append((min(row + distance, rows.height - 2) + 0.5, None, text, damage.defect))
        if damage.placement == "conflict":
            replaced[row] = (rows["text"][row], damage.defect)
    if plan.repeat_a_tick:
        taken = {row for row, _ in places}
        repeated = next(row for row in range(rows.height // 3, rows.height) if row not in taken)
        inserted.append((repeated + 0.5, repeated, rows["text"][repeated], None))
    if plan.last_line == "truncated":
        last = rows.height - 1
        replaced[last] = (rows["text"][last][: len(rows["text"][last]) // 2], "truncated_last_line")
    changes = pl.DataFrame(
        [(row, *change) for row, change in replaced.items()],
        schema={"row": pl.UInt32, "new_text": pl.String, "defect": pl.String},
        orient="row",
    )
    stay = (
        rows.select("row", "text")
        .join(changes, on="row", how="left", maintain_order="left")
        .select(
            position=pl.col("row").cast(pl.Float64), row="row", text=pl.coalesce("new_text", "text"), defect="defect"
        )
    )
    extra = pl.DataFrame(inserted, schema=stay.schema, orient="row")
    return pl.concat([stay, extra]).sort("position", maintain_order=True)


def _to_bytes(delivery: Delivery, plan: Plan, lines: pl.DataFrame) -> bytes:
    texts = [*([delivery.header] if delivery.header else []), *lines["text"].to_list()]
    end = plan.newline if plan.last_line == "whole" else ""
    mark = BYTE_ORDER_MARK if plan.byte_order_mark else b""
    return mark + (plan.newline.join(texts) + end).encode()


def _describe_oddities(
    path: str, member: str, plan: Plan, lines: pl.DataFrame, block_start: int | None
) -> list[LooksDamaged]:
    last = int(lines["line"][-1])
    found = []
    if plan.byte_order_mark:
        found.append(LooksDamaged(path, member, 1, 1, "byte_order_mark", "it is no part of the first column's name"))
    if plan.newline == "\r\n":
        found.append(LooksDamaged(path, member, 1, last, "carriage_returns", "they are no part of the last field"))
    if block_start is not None:
        block = lines.filter(pl.col("row").is_between(block_start, block_start + _BLOCK_ROWS - 1))["line"]
        found.append(
            LooksDamaged(path, member, int(block[0]), int(block[-1]), "block_out_of_order", "every row of it is good")
        )
    if plan.last_line == "unended":
        found.append(LooksDamaged(path, member, last, last, "no_final_newline", "the last row is whole"))
    if plan.repeat_a_tick:
        twin = lines.filter(pl.col("row").is_duplicated() & pl.col("defect").is_null() & pl.col("row").is_not_null())
        line = int(twin["line"][1])
        found.append(
            LooksDamaged(path, member, line, line, "exact_duplicate", "two snapshots of a second can be equal")
        )
    return found
