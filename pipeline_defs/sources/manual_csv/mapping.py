"""What the columns of a file mean: declared in a small TOML file beside it, never guessed.

A mapping names the column of each field, gives values that hold for the whole file, and says how timestamps are
written. Which mapping belongs to which file is decided in `inputs`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.schema.interchange import CONTRACT_FIELDS
from pipeline_defs.settings import read_own_text

if TYPE_CHECKING:
    from collections.abc import Mapping as Dictionary
    from pathlib import Path

BAR_PRICES: Final = ("open", "high", "low", "close")
QUOTE_PRICES: Final = ("bid_price", "ask_price")
BAR_QUANTITIES: Final = ("volume", "open_interest")
TICK_QUANTITIES: Final = ("size", "open_interest", "bid_size", "ask_size")
BAR_FIELDS: Final = (*BAR_PRICES, *BAR_QUANTITIES, "settlement_price")
TICK_FIELDS: Final = ("sequence", "price", *TICK_QUANTITIES, *QUOTE_PRICES)
GENERAL_FIELDS: Final = ("timestamp", "bar_seconds", *CONTRACT_FIELDS)
ALL_FIELDS: Final = tuple(dict.fromkeys((*GENERAL_FIELDS, *BAR_FIELDS, *TICK_FIELDS)))
"""Every field that a column can hold."""

IGNORED: Final = ("instrument_id",)
"""Column of the generic exports that means nothing outside its export."""

_NEEDED: Final = ("timestamp", "kind", "symbol", "underlying", "venue", "currency", "bar_seconds")
_FIXABLE: Final = ("bar_seconds", *CONTRACT_FIELDS)
_KEYS: Final = ("separator", "sheet", "stamp", "zone", "format", "delivery", "columns", "fixed")

CLOCK_LETTERS: Final = ("%H", "%I", "%T", "%R", "%s", "%+", "%k", "%l", "%X", "%c")
"""Of a format with a time of day."""

MOST_BYTES: Final = 1 << 16
"""Of a mapping: the time in which TOML is read grows with the square of a key's length."""

type Stamp = Literal["open", "close"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """What the columns of a file mean.

    Parameters
    ----------
    columns : dict
        Field to its columns in the file; only a timestamp may have more than one, which are joined by a space.
    fixed : dict
        Field to the text it has in all rows.
    stamp : str
        Whether a bar's timestamp is its ``open`` or its ``close``.
    zone : str or None
        IANA name of the zone of timestamps that have no offset; None refuses these.
    format : str or None
        Form of the timestamps, in the letters of ``strftime``; None is ISO 8601.
    separator : str
        Between fields of a CSV file.
    sheet : str or None
        Of a workbook; None if there is only one.
    delivery : str or None
        Name under which a file is known when it is delivered again; None is its path.
    is_declared : bool
        Whether columns that it does not name may be there; where nothing is declared, every column must be a field.

    """

    columns: Dictionary[str, tuple[str, ...]]
    fixed: Dictionary[str, str] = field(default_factory=dict)
    stamp: Stamp = "close"
    zone: str | None = None
    format: str | None = None
    separator: str = ","
    sheet: str | None = None
    delivery: str | None = None
    is_declared: bool = True

    @property
    def is_ticks(self) -> bool:
        """Whether the rows are ticks."""
        return "price" in self.columns


def plain_mapping(header: list[str], where: str) -> Mapping:
    """Read a header whose columns bear the names of the fields, as the generic exports write them.

    Parameters
    ----------
    header : list of str
        Columns of the file.
    where : str
        How messages name the file.

    Returns
    -------
    Mapping
        Close stamps with their offset.

    Raises
    ------
    ConfigurationError
        If a column is no field, or one that is needed is missing.

    """
    unknown = [name for name in header if name not in {*ALL_FIELDS, *IGNORED}]
    if unknown:
        raise ConfigurationError(
            f"has the columns {', '.join(unknown)}, which are no fields: {', '.join(ALL_FIELDS)}",
            where=where,
            next_step="say what they mean in a mapping beside the file (docs/sources/manual-csv.md)",
        )
    mapping = Mapping(columns={name: (name,) for name in header if name in ALL_FIELDS}, is_declared=False)
    check_mapping(mapping, where)
    return mapping


def read_mapping(path: Path) -> Mapping:
    """Read a declared mapping.

    Parameters
    ----------
    path : Path
        TOML file.

    Returns
    -------
    Mapping

    Raises
    ------
    ConfigurationError
        If it cannot be read, has a key that is not known, or lacks something that every file needs.

    """
    text = read_own_text(path, most_bytes=MOST_BYTES, next_step="check the name of the mapping")
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"is not readable as TOML: {error}", where=str(path)) from error
    where = str(path)
    _refuse_unknown(content, _KEYS, "keys", where)
    columns = _table(content, "columns", where)
    fixed = _table(content, "fixed", where)
    _refuse_unknown(columns, ALL_FIELDS, "fields", where)
    _refuse_unknown(fixed, _FIXABLE, "fixed fields", where)
    if content.get("stamp") not in ("open", "close"):
        raise ConfigurationError(
            f"stamp was {content.get('stamp')!r}, expected 'open' or 'close'",
            where=where,
            next_step="say whether a bar bears the time of its open or of its close",
        )
    mapping = Mapping(
        columns={name: _columns(name, said, where) for name, said in columns.items()},
        fixed={name: str(value) for name, value in fixed.items()},
        stamp=cast("Stamp", content["stamp"]),
        zone=_text(content, "zone", where),
        format=_text(content, "format", where),
        separator=_text(content, "separator", where) or ",",
        sheet=_text(content, "sheet", where),
        delivery=_text(content, "delivery", where),
    )
    check_mapping(mapping, where)
    return mapping


def check_mapping(mapping: Mapping, where: str) -> None:
    """Refuse a mapping by which no row could be read.

    Parameters
    ----------
    mapping : Mapping
        Any.
    where : str
        How messages name it.

    Raises
    ------
    ConfigurationError
        If a field that is needed has neither column nor fixed value, or both; the prices are those neither of bars nor
        of ticks; the zone is not known; or the separator is not one character.

    """
    both = sorted(set(mapping.columns) & set(mapping.fixed))
    if both:
        raise ConfigurationError(f"{', '.join(both)} both in a column and fixed", where=where)
    missing = [name for name in _NEEDED if name not in mapping.columns and name not in mapping.fixed]
    if missing:
        raise ConfigurationError(
            f"nothing says {', '.join(missing)}",
            where=where,
            next_step="name a column, or fix the value in a mapping (docs/sources/manual-csv.md)",
        )
    bars = [name for name in BAR_PRICES if name in mapping.columns]
    if mapping.is_ticks == bool(bars) or (bars and len(bars) < len(BAR_PRICES)):
        raise ConfigurationError(
            f"has the prices {', '.join([*bars, *(['price'] if mapping.is_ticks else [])]) or 'of nothing'}, expected "
            f"{', '.join(BAR_PRICES)} (bars) or price (ticks)",
            where=where,
        )
    other = BAR_FIELDS if mapping.is_ticks else TICK_FIELDS
    own = TICK_FIELDS if mapping.is_ticks else BAR_FIELDS
    foreign = [name for name in mapping.columns if name in other and name not in own]
    if foreign:
        what = "ticks" if mapping.is_ticks else "bars"
        raise ConfigurationError(f"has {', '.join(foreign)}, which {what} cannot have", where=where)
    if mapping.zone is not None:
        try:
            ZoneInfo(mapping.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ConfigurationError(
                f"zone was {mapping.zone!r}, expected an IANA name, e.g. Asia/Kolkata", where=where
            ) from None
    if mapping.format is not None and not _is_format(mapping.format):
        raise ConfigurationError(
            f"format was {mapping.format!r}, expected the letters of strftime, e.g. %d/%m/%Y %H:%M", where=where
        )
    if len(mapping.separator) != 1:
        raise ConfigurationError(f"separator was {mapping.separator!r}, expected one character", where=where)


def _is_format(form: str) -> bool:
    """Tell whether Polars takes a form of timestamps: tried on a text, of which the form need not be that one."""
    text = pl.Series(["2025-08-14 09:15:00"])
    try:
        if "%z" in form or "%:z" in form or "%#z" in form or "%+" in form:
            text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
        elif any(letter in form for letter in CLOCK_LETTERS):
            text.str.to_datetime(form, time_unit="us", strict=False).dt.to_string(form)
        else:
            text.str.to_date(form, strict=False).dt.to_string(form)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return False
    return True


def _table(content: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    table = content.get(key, {})
    if not isinstance(table, dict):
        raise ConfigurationError(f"{key} was {table!r}, expected a table", where=where)
    return table


def _columns(name: str, said: object, where: str) -> tuple[str, ...]:
    several = said if isinstance(said, list) else [said]
    if not several or not all(isinstance(column, str) for column in several):
        raise ConfigurationError(f"column of {name} was {said!r}, expected a name", where=where)
    if len(several) > 1 and name != "timestamp":
        raise ConfigurationError(f"column of {name} was {said!r}, expected one name", where=where)
    return tuple(several)


def _text(content: dict[str, Any], key: str, where: str) -> str | None:
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise ConfigurationError(f"{key} was {value!r}, expected text", where=where)
    return value


def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...], what: str, where: str) -> None:
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigurationError(
            f"unknown {what} {', '.join(unknown)}, expected some of {', '.join(known)}", where=where
        )
