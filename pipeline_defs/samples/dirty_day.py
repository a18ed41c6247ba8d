"""One damaged day: which files get which damage, junk beside and inside archives, and the truth.

Row damage itself is in ``damage`` and ``dirt``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import polars as pl

from pipeline_defs.samples import damage
from pipeline_defs.samples.delivery import Delivery, Member, gzip_bytes, render
from pipeline_defs.samples.dirt import Plan, damage_file
from pipeline_defs.samples.layouts import TICK_HEADER
from pipeline_defs.samples.market import MarketDay, random_for
from pipeline_defs.samples.truth import CLEAN_ROW_SCHEMA, Defect, LooksDamaged, Outcome, Truth, clean_rows

MINUTE_DAMAGES: Final = (
    *(damage.BAD_YEAR, damage.CUT_ROW, damage.TOO_MANY_FIELDS, damage.REPEATED_HEADER, damage.BLANK_LINE),
    *(damage.EXACT_DUPLICATE, damage.CONFLICTING_DUPLICATE),
    *(damage.ZERO_PRICE, damage.NEGATIVE_PRICE, damage.MISSING_PRICE, damage.NON_NUMERIC_PRICE, damage.NAN_PRICE),
    *(damage.SURPLUS_DECIMALS, damage.HIGH_BELOW_LOW, damage.OTHER_DAY, damage.IMPOSSIBLE_TIME, damage.ISO_DATE),
    *(damage.DASH_DATE, damage.PRE_OPEN, damage.POST_CLOSE, damage.GARBAGE_TICKER, damage.EXPIRED_CONTRACT),
    *(damage.CLOSE_ABOVE_HIGH, damage.NEGATIVE_VOLUME, damage.WITHIN_MINUTE),
)
INDEX_DAMAGES: Final = (
    *(damage.BAD_YEAR, damage.EXACT_DUPLICATE, damage.CONFLICTING_DUPLICATE, damage.MISSING_PRICE),
    *(damage.HIGH_BELOW_LOW, damage.PRE_OPEN, damage.POST_CLOSE),
)
TICK_DAMAGES: Final = (
    *(damage.BAD_YEAR, damage.CUT_ROW, damage.TOO_MANY_FIELDS, damage.REPEATED_HEADER, damage.BLANK_LINE),
    *(damage.ZERO_PRICE, damage.NEGATIVE_PRICE, damage.MISSING_PRICE, damage.NON_NUMERIC_PRICE),
    *(damage.SURPLUS_DECIMALS, damage.OTHER_DAY, damage.IMPOSSIBLE_TIME, damage.PRE_OPEN, damage.POST_CLOSE),
    damage.GARBAGE_TICKER,
)
_UTC_ROWS: Final = 3
_MISPLACED_ROWS: Final = 5
_APPLE_DOUBLE: Final = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(range(256))
_FOLDER_SETTINGS: Final = b"\x00\x00\x00\x01Bud1" + bytes(64)


@dataclass(frozen=True, slots=True)
class DirtyDay:
    """A damaged day, ready to be written.

    Parameters
    ----------
    files : list of (Delivery, list of Member)
        What to write for each delivery.
    loose_files : list of Member
        Files beside them; names from the sample's root.
    truth : Truth
        What is wrong.

    """

    files: list[tuple[Delivery, list[Member]]]
    loose_files: list[Member]
    truth: Truth


def damage_day(day: MarketDay, deliveries: list[Delivery], seed: int) -> DirtyDay:
    """Damage the derivatives' minutes and ticks and the index minutes of a day.

    Parameters
    ----------
    day : MarketDay
        The day.
    deliveries : list of Delivery
        All that is delivered of it; what is not of those three kinds stays clean.
    seed : int
        Chooses rows.

    Returns
    -------
    DirtyDay

    Raises
    ------
    ConfigurationError
        If a file has too few rows to plant everything on.

    """
    misplaced = _misplaced_minutes(deliveries)
    parts = [_damage_delivery(day, delivery, misplaced, seed) for delivery in deliveries]
    return DirtyDay(
        files=[(part.delivery, part.members) for part in parts],
        loose_files=[member for part in parts for member in part.loose_files],
        truth=Truth(
            trade_date=day.trade_date,
            defects=tuple(
                sorted(
                    (defect for part in parts for defect in part.defects),
                    key=lambda defect: (defect.file, defect.member, defect.line),
                )
            ),
            not_dirt=tuple(
                sorted(
                    (thing for part in parts for thing in part.not_dirt),
                    key=lambda thing: (thing.file, thing.member, thing.line),
                )
            ),
            clean_rows=pl.concat(part.clean_rows for part in parts).sort("file", "member", "line"),
        ),
    )


@dataclass(slots=True)
class _Part:
    """One delivery on its way to being damaged."""

    delivery: Delivery
    members: list[Member]
    clean_rows: pl.DataFrame
    loose_files: list[Member] = field(default_factory=list)
    defects: list[Defect] = field(default_factory=list)
    not_dirt: list[LooksDamaged] = field(default_factory=list)


def _damage_delivery(day: MarketDay, delivery: Delivery, misplaced: Delivery | None, seed: int) -> _Part:
    plan = _plan_for(delivery, day, "" if misplaced is None else misplaced.rows["ticker"][0])
    part = _Part(delivery, render(delivery), _undamaged_rows(delivery, except_file=None))
    if plan is None:
        return part
    target = int(np.argmax(delivery.row_counts()))
    if delivery.product == "gdfl_fo_tick":
        _rename_upper_case(part, target)
    rng = random_for(seed, day.trade_date, f"dirt {delivery.product}")
    damaged = damage_file(part.delivery, target, plan, day.hours, rng)
    part.members[target] = damaged.member
    part.clean_rows = pl.concat([damaged.clean_rows, _undamaged_rows(part.delivery, except_file=target)])
    part.defects += damaged.defects
    part.not_dirt += damaged.not_dirt
    if delivery.product == "gdfl_fo_tick":
        _add_archive_junk(part, misplaced)
        _add_tick_habits(part, damaged.clean_rows, target)
    if delivery.product == "gdfl_fo_minute":
        _add_folder_junk(part, target)
    return part


def _plan_for(delivery: Delivery, day: MarketDay, spared_ticker: str) -> Plan | None:
    utc = damage.utc_stamped(day.hours)
    if delivery.product == "gdfl_fo_minute":
        return Plan(
            damages=(*MINUTE_DAMAGES, utc),
            spared=pl.col("ticker") == spared_ticker,
            byte_order_mark=True,
            newline="\r\n",
            block_out_of_order=True,
            last_line="truncated",
        )
    if delivery.product == "gdfl_index_minute":
        return Plan(damages=INDEX_DAMAGES, spared=pl.lit(value=False), last_line="unended")
    if delivery.product == "gdfl_fo_tick":
        return Plan(
            damages=(*TICK_DAMAGES, *[utc] * _UTC_ROWS),
            # Order within a second is all there is, so no row of a shared second is taken out.
            spared=pl.len().over("timestamp") > 1,
            newline="\r\n",
            repeat_a_tick=True,
            last_line="truncated",
        )
    return None


def _undamaged_rows(delivery: Delivery, except_file: int | None) -> pl.DataFrame:
    """Give the rows of all files but one as they must be stored; none of a delivery of daily values."""
    if delivery.bar_seconds not in (0, 60):
        return pl.DataFrame(schema=CLEAN_ROW_SCHEMA)
    rows = delivery.rows.with_columns(line=pl.int_range(pl.len()).over("file") + delivery.first_line())
    return clean_rows(delivery, rows if except_file is None else rows.filter(pl.col("file") != except_file))


def _misplaced_minutes(deliveries: list[Delivery]) -> Delivery | None:
    """Give some minute rows of a contract that has no ticks, as a file that has strayed among the ticks."""
    by_product = {delivery.product: delivery for delivery in deliveries}
    if not {"gdfl_fo_minute", "gdfl_fo_tick"} <= by_product.keys():
        return None
    minutes, ticks = by_product["gdfl_fo_minute"], by_product["gdfl_fo_tick"]
    without_ticks = minutes.rows.join(
        ticks.rows.select("ticker").unique(), on="ticker", how="anti", maintain_order="left"
    )
    if without_ticks.is_empty():
        return None
    ticker = without_ticks["ticker"][0]
    rows = (
        without_ticks.filter(pl.col("ticker") == ticker).head(_MISPLACED_ROWS).with_columns(file=pl.lit(0, pl.UInt32))
    )
    return replace(minutes, names=(f"{ticker}.csv",), rows=rows)


def _rename_upper_case(part: _Part, target: int) -> None:
    """Spell the suffix of one undamaged member ``.CSV``."""
    others = [file for file in range(len(part.members)) if file != target]
    if not others:
        return
    names = list(part.delivery.names)
    names[others[0]] = f"{names[others[0]].removesuffix('.csv')}.CSV"
    part.members[others[0]] = replace(part.members[others[0]], name=names[others[0]])
    part.delivery = replace(part.delivery, names=tuple(names))
    path, member = part.delivery.path_of(others[0])
    part.not_dirt.append(LooksDamaged(path, member, 0, 0, "upper_case_suffix", "it is a file like the others"))


def _add_archive_junk(part: _Part, misplaced: Delivery | None) -> None:
    """Put into the archive what does not belong there."""
    first = PurePosixPath(part.delivery.names[0])
    top = first.parts[0]
    # A row that nothing else says: whoever stored it read a member that points out of the archive.
    stray = part.delivery.rows.head(1).with_columns(last_price=pl.lit("1")).select(part.delivery.fields).row(0)
    junk: list[tuple[str, bytes, str, Outcome]] = [
        (f"__MACOSX/{top}/._{first.name}", _APPLE_DOUBLE, "resource_fork", "ignored"),
        (f"{top}/.DS_Store", _FOLDER_SETTINGS, "folder_settings", "ignored"),
        ("../evil.csv", f"{TICK_HEADER}\r\n{','.join(stray)}\r\n".encode(), "member_outside_archive", "rejected"),
        (f"{top}/Options/NOTRADES.NFO.csv", b"", "empty_member", "rejected"),
    ]
    if misplaced is not None:
        content = render(misplaced)[0].content
        junk.append((f"{top}/Options/{misplaced.names[0]}", content, "minute_file_among_ticks", "rejected"))
    path, _ = part.delivery.path_of(0)
    for name, content, defect, outcome in junk:
        part.members.append(Member(name, content))
        part.defects.append(Defect(path, "/".join([*part.delivery.archives[1:], name]), 0, defect, outcome, ""))


def _add_folder_junk(part: _Part, target: int) -> None:
    """Put beside a file what does not belong there: leavings of other systems, and a compressed twin."""
    path, _ = part.delivery.path_of(target)
    folder, name = path.rsplit("/", 1)
    junk: list[tuple[str, bytes, str, Outcome]] = [
        (f"{path}.gz", gzip_bytes(part.members[target].content), "gzip_twin", "ignored"),
        (f"{folder}/__MACOSX/._{name}", _APPLE_DOUBLE, "resource_fork", "ignored"),
        (f"{folder}/.DS_Store", _FOLDER_SETTINGS, "folder_settings", "ignored"),
    ]
    for file, content, defect, outcome in junk:
        part.loose_files.append(Member(file, content))
        part.defects.append(Defect(file, "", 0, defect, outcome, ""))


def _add_tick_habits(part: _Part, rows: pl.DataFrame, target: int) -> None:
    """Point at one example each of what snapshots do by nature."""
    path, member = part.delivery.path_of(target)
    examples = (
        ("several_rows_a_second", pl.len().over("timestamp") > 1, "order in the file is their order"),
        ("trade_of_nothing", pl.col("volume") == 0, "a quote update repeats the last price"),
        ("no_open_interest", pl.col("open_interest") == 0, "it is published every three minutes, not before the first"),
    )
    for looks_like, condition, why in examples:
        lines = rows.filter(condition)["line"]
        if len(lines):
            part.not_dirt.append(LooksDamaged(path, member, lines[0], lines[0], looks_like, why))
