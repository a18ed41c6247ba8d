"""What the readers have in common: a CSV as text with line numbers, and statements from columns of it."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.schema.terms import REFUSED_SCHEMA, TERMS_SCHEMA, TermsDelivery
from pipeline_defs.zips import DAMAGE, open_zip, read_member

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_DECIMAL: Final = r"^[0-9]{1,12}(?:\.[0-9]{1,8}0*)?$"
_MOST_BYTES: Final = 256 << 20
"""Of a file, packed and unpacked: several times the longest list of contracts there is."""

_WHOLE: Final = r"^[0-9]{1,18}(?:\.0+)?$"


def read_table(path: Path, required: Collection[str], known: Collection[str] | None = None) -> tuple[pl.DataFrame, str]:
    """Read a CSV with a header as text.

    Parameters
    ----------
    path : Path
        A CSV, or a zip archive with one in it.
    required : collection of str
        Columns that must be there.
    known : collection of str, optional
        Columns that may be there; default any.

    Returns
    -------
    tuple of (polars.DataFrame, str)
        ``line`` and the columns as text, stripped, null where empty; and the SHA-256 of the file.

    Raises
    ------
    SourceError
        If the file is missing, empty or no CSV.
    SchemaDriftError
        If a required column is missing, or one is not known.

    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SourceError(
            f"cannot be read: {error.strerror}", where=str(path), next_step="check the path of the file"
        ) from error
    if len(content) > _MOST_BYTES:
        raise SourceError(
            f"is longer than {_MOST_BYTES >> 20} MiB", where=str(path), next_step="check that it is a list of contracts"
        )
    digest = hashlib.sha256(content).hexdigest()
    try:
        table = pl.read_csv(io.BytesIO(_unpacked(content, path)), infer_schema=False, encoding="utf8-lossy")
        table = table.rename({name: name.strip() for name in table.columns})
    # Of bytes that only look like a zip, its modules raise more than they promise; Polars unpacks gzip by itself.
    except (pl.exceptions.PolarsError, *DAMAGE) as error:
        raise SourceError(
            f"is not a CSV with a header: {str(error).partition(chr(10))[0]}",
            where=str(path),
            next_step="fetch the file again",
        ) from error
    missing = sorted(set(required) - set(table.columns))
    strange = sorted(set(table.columns) - set(known)) if known is not None else []
    if missing or strange:
        what = f"lacks the columns {', '.join(missing)}" if missing else f"has unknown columns {', '.join(strange)}"
        raise SchemaDriftError(
            f"{what}; the header is {', '.join(table.columns)}",
            where=str(path),
            next_step="check that --format names the kind of file this is",
        )
    text = table.with_columns(pl.all().str.strip_chars(' "')).with_columns(
        pl.when(pl.all() != "").then(pl.all()).name.keep()
    )
    return text.select(pl.int_range(2, pl.len() + 2, dtype=pl.UInt32()).alias("line"), pl.all()), digest


def _unpacked(content: bytes, path: Path) -> bytes:
    if not content.startswith(b"PK"):
        return content
    with open_zip(io.BytesIO(content)) as archive:
        names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
        if len(names) != 1:
            raise SourceError(f"holds {len(names)} CSV files, expected one", where=str(path))
        return read_member(archive, names[0], _MOST_BYTES)


def price(column: str) -> pl.Expr:
    """Read a non-negative decimal exactly; null where the text is none."""
    text = pl.col(column)
    return pl.when(text.str.contains(_DECIMAL)).then(text.cast(PRICE, strict=False))


def whole(column: str) -> pl.Expr:
    """Read a whole number, also written with zero decimals; null where the text is none."""
    text = pl.col(column)
    return pl.when(text.str.contains(_WHOLE)).then(text.str.split(".").list.first().cast(pl.Int64, strict=False))


def day(column: str) -> pl.Expr:
    """Read an ISO date; null where the text is none."""
    return pl.col(column).str.to_date("%Y-%m-%d", strict=False)


def deliver(
    path: Path, sha256: str, said: pl.DataFrame, *, source: str, precedence: int, unread: dict[str, pl.Expr]
) -> TermsDelivery:
    """Part statements from lines that cannot be taken.

    Parameters
    ----------
    path, sha256
        The file.
    said : polars.DataFrame
        Any columns of `TERMS_SCHEMA`, and ``reason``: why a line is not a statement, or null.
    source, precedence
        As in `TermsDelivery`.
    unread : dict
        Further reasons to refuse a line, each with the expression over `said` that tells.

    Returns
    -------
    TermsDelivery

    """
    option, expires = pl.col("kind") == "OPT", pl.col("kind").is_in(["OPT", "FUT"])
    absent = [pl.lit(None, kind).alias(name) for name, kind in TERMS_SCHEMA.items() if name not in said.columns]
    full = said.with_columns(absent)
    reasons = {
        "the kind is none of OPT, FUT, EQ, SPOT": ~pl.col("kind").is_in(["OPT", "FUT", "EQ", "SPOT"]),
        "the date from which it is valid is missing or no date": pl.col("valid_from").is_null(),
        "it had expired by then": pl.max_horizontal("expiry", "new_expiry") < pl.col("valid_from"),
        "the underlying or the venue is missing": pl.any_horizontal(pl.col("underlying", "venue").is_null()),
        "the expiry is missing or no date": expires & pl.col("expiry").is_null(),
        "the strike is missing or not positive": option & ~(pl.col("strike") > 0).fill_null(value=False),
        "the option type is neither CE nor PE": option & ~pl.col("option_type").is_in(["CE", "PE"]).fill_null(False),  # noqa: FBT003
        "a size is not positive": pl.any_horizontal(
            pl.col("lot_size", "tick_size", "multiplier", "new_strike").fill_null(1) <= 0
        ),
        **unread,
    }
    judged = full.with_columns(
        reason=pl.coalesce(
            pl.col("reason"),
            *(pl.when(bad.fill_null(value=True)).then(pl.lit(reason)) for reason, bad in _nullsafe(reasons).items()),
        )
    )
    good = judged.filter(pl.col("reason").is_null())
    statements = good.select(pl.col(name).cast(kind) for name, kind in TERMS_SCHEMA.items())
    refused = judged.filter(pl.col("reason").is_not_null()).select(
        pl.col(name).cast(kind) for name, kind in REFUSED_SCHEMA.items()
    )
    return TermsDelivery(source, precedence, path, sha256, statements, refused)


def _nullsafe(reasons: dict[str, pl.Expr]) -> dict[str, pl.Expr]:
    """Make every verdict true or false; an unknown kind is refused, an unknown expiry of a share is not."""
    unknown_is_bad = "the kind is none of OPT, FUT, EQ, SPOT"
    return {reason: bad.fill_null(value=reason == unknown_is_bad) for reason, bad in reasons.items()}
