"""Numbers of the vendor's JSON, digit for digit.

The JSON is read with its numbers as text, so no float is ever made. What arrives in exponent form (``6.4e+08``) is
written out; what is no number stays as it is, for its reader to refuse.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError
from pipeline_defs.sources.asking.calling import TryAgainError
from pipeline_defs.sources.asking.credentials import redact
from pipeline_defs.sources.asking.half_characters import refuse_half_characters

_EXPONENT: Final = r"^-?[0-9]{1,40}(\.[0-9]{1,40})?[eE][+-]?[0-9]{1,2}$"
"""Three digits of exponent would be no number that anything here counts."""

_SHOWN: Final = 1000


def read_json(data: bytes, what: str) -> dict[str, Any]:
    """Read a reply, its numbers as text.

    Parameters
    ----------
    data : bytes
        The body.
    what : str
        Names it in messages.

    Returns
    -------
    dict

    Raises
    ------
    TryAgainError
        If it is no JSON, or no object.

    """
    content = _parsed(data)
    if not isinstance(content, dict):
        raise TryAgainError(f"Polygon {what} unreadable: {_shown(data)}; nothing stored")
    return content


def read_messages(data: str | bytes, what: str) -> list[dict[str, Any]]:
    """Read what a stream tells, as in `read_json`: a list of objects."""
    content = _parsed(data)
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        shown = _shown(data if isinstance(data, bytes) else data.encode())
        raise TryAgainError(f"Polygon {what} unreadable: {shown}; the stream has ended")
    return content


def text_frame(rows: list[dict[str, Any]], names: tuple[str, ...], what: str) -> pl.DataFrame:
    """Give some keys of rows as columns of text; a key that a row lacks is null there.

    Raises
    ------
    SchemaDriftError
        If a row is no object, or one of its values is neither number nor text.

    """
    try:
        return pl.from_dicts(rows, schema=dict.fromkeys(names, pl.String()), strict=False)
    except (pl.exceptions.PolarsError, TypeError, AttributeError):
        odd = next((row for row in rows if not _is_flat(row, names)), None)
        raise SchemaDriftError(
            f"Polygon {what}: expected rows of numbers and words, got {json.dumps(odd)[:200]}",
            next_step="nothing was stored; the vendor's format has changed: report it with this message",
        ) from None


def check_keys(rows: list[dict[str, Any]], needed: set[str], known: set[str], what: str) -> None:
    """Refuse rows with a key that is not known, and rows that all lack one that is needed.

    Raises
    ------
    SchemaDriftError
        Naming the keys.

    """
    if not all(isinstance(row, dict) for row in rows):
        raise SchemaDriftError(f"Polygon {what}: expected objects, got {json.dumps(rows)[:200]}")
    found = set().union(*rows) if rows else needed
    missing, unknown = sorted(needed - found), sorted(found - known)
    if missing or unknown:
        complaint = " and ".join(
            f"{word} {', '.join(map(repr, names))}"
            for word, names in (("missing", missing), ("unknown", unknown))
            if names
        )
        raise SchemaDriftError(
            f"Polygon {what}: {complaint}; got {', '.join(sorted(found))}, expected {', '.join(sorted(needed))}",
            next_step="nothing was stored; the vendor's format has changed: report it with this message",
        )


def plain(texts: pl.Series) -> pl.Series:
    """Write numbers out: without exponents, and without zeros that end a fraction.

    Parameters
    ----------
    texts : polars.Series
        String.

    Returns
    -------
    polars.Series
        String; what is no number is unchanged.

    """
    odd = texts.filter(texts.str.contains(_EXPONENT).fill_null(value=False)).unique()
    if len(odd):
        texts = texts.replace(odd, pl.Series([format(Decimal(text), "f") for text in odd], dtype=pl.String))
    return texts.str.replace(r"^(-?[0-9]+\.[0-9]*?)0+$", "${1}").str.replace(r"^(-?[0-9]+)\.$", "${1}")


def _parsed(data: str | bytes) -> object:
    """Read JSON, its numbers as text; None for what is none, or holds half a character, which is no text."""
    try:
        content = json.loads(data, parse_float=str, parse_int=str, parse_constant=str)
        refuse_half_characters(content, data)
    except (ValueError, RecursionError):
        return None
    return content


def _is_flat(row: object, names: tuple[str, ...]) -> bool:
    return isinstance(row, dict) and not any(isinstance(row.get(name), dict | list) for name in names)


def _shown(data: bytes) -> str:
    start = redact(" ".join(data[:_SHOWN].decode(errors="replace").split()))[:80]
    return f"{len(data)} bytes, which begin with {start!r}" if start else "an empty reply"
