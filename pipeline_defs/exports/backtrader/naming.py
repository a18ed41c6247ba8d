"""What contracts and files are called, and how a bar length is said in Backtrader.

=======  ==========================  ===============================================
kind     example                     rule
=======  ==========================  ===============================================
option   ``NIFTY_250814_24500_CE``   underlying, YYMMDD of expiry, strike, right
future   ``NIFTY_250828_FUT``        underlying, YYMMDD of expiry
share    ``RELIANCE_EQ``             another series than EQ follows: ``X_EQ_BE``
index    ``NIFTY_IDX``               underlying
pair     ``BTCUSDT_PAIR``            underlying: base and quote currency
=======  ==========================  ===============================================

A file is named after its contract and its bar length: ``_1m``, ``_5m``, ``_60m``, ``_15s``, nothing for daily bars.
Names depend on a contract's own terms alone, so they are the same in every month. Letters, digits, ``&``,
``.``, ``-`` and ``_`` may appear (``M&M``, ``J&KBANK``, ``NAM-INDIA``); a shell needs quotes around ``&``. Names are
read by people: a program takes the terms from the sidecar.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.schema.tables import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable

_SAFE: Final = r"^[A-Za-z0-9][A-Za-z0-9&._-]*$"
_MINUTE: Final = 60
_UNITS: Final = {"s": 1, "m": _MINUTE, "h": 60 * _MINUTE, "d": DAY}


@dataclass(frozen=True, slots=True)
class BarLength:
    """A bar length in Backtrader's terms.

    Parameters
    ----------
    bar_seconds : int
        Its seconds.
    timeframe : str
        Name in ``backtrader.TimeFrame``.
    compression : int
        Units of the time frame in a bar.
    suffix : str
        End of a file's name, before ``.csv``.

    """

    bar_seconds: int
    timeframe: str
    compression: int
    suffix: str

    @property
    def resolution(self) -> str:
        """What it is called: ``1m``, ``60m``, ``15s``, ``1d``."""
        return self.suffix.removeprefix("_") or "1d"

    def to_json(self) -> dict[str, str | int]:
        """Give it as a JSON object."""
        return {
            "resolution": self.resolution,
            "bar_seconds": self.bar_seconds,
            "timeframe": self.timeframe,
            "compression": self.compression,
        }


def bar_length(bar_seconds: int) -> BarLength:
    """Say a bar length in Backtrader's terms.

    Parameters
    ----------
    bar_seconds : int
        Length of a bar in seconds.

    Returns
    -------
    BarLength

    Raises
    ------
    ExportError
        If it is neither a day nor a positive part of one.

    """
    if bar_seconds == DAY:
        return BarLength(DAY, "Days", 1, "")
    if not 0 < bar_seconds < DAY:
        raise ExportError(
            f"bars of {bar_seconds} seconds have no form in Backtrader's files",
            next_step="export bars of 60, 300, 3600 or 86400 seconds; ticks are not part of this format",
        )
    minutes, seconds = divmod(bar_seconds, _MINUTE)
    if seconds == 0:
        return BarLength(bar_seconds, "Minutes", minutes, f"_{minutes}m")
    return BarLength(bar_seconds, "Seconds", bar_seconds, f"_{bar_seconds}s")


def resolution_seconds(text: str) -> int:
    """Read what a bar length is called: ``15s``, ``1m``, ``60m`` or ``1h``, ``1d``.

    Parameters
    ----------
    text : str
        A number and one of the units ``s``, ``m``, ``h``, ``d``.

    Returns
    -------
    int
        Seconds.

    Raises
    ------
    ConfigurationError
        If it has another form.

    """
    parts = re.fullmatch(r"([1-9]\d{0,4})([smhd])", text)
    if parts is None:
        raise ConfigurationError(
            f"resolution was {text!r}, expected a number and a unit: 15s, 1m, 1h, 1d",
            next_step="take one that contracts.json names under 'resolutions'",
        )
    return int(parts[1]) * _UNITS[parts[2]]


def plain_decimal(column: str) -> pl.Expr:
    """Write a decimal column as its shortest exact text: ``24500.5``, ``275.45``, ``24500``.

    Parameters
    ----------
    column : str
        Column of a Decimal type with a scale above 0.

    Returns
    -------
    polars.Expr
        Strings, never in scientific notation.

    """
    return pl.col(column).cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")


def with_names(instruments: pl.DataFrame, length: BarLength) -> pl.DataFrame:
    """Name every instrument and its file.

    Parameters
    ----------
    instruments : polars.DataFrame
        `INSTRUMENT_SCHEMA`.
    length : BarLength
        Of the bars.

    Returns
    -------
    polars.DataFrame
        With `name` and `file` added.

    Raises
    ------
    ExportError
        If a kind is unknown, a term that the name needs is missing, a name holds a character that is
        not safe in a file's name, or two names differ at most in case.

    """
    kind, expiry = pl.col("kind"), pl.col("expiry").dt.strftime("%y%m%d")
    right = pl.when(pl.col("option_type").is_in(["CE", "PE"])).then("option_type")
    board = pl.when(pl.col("series").fill_null("EQ") == "EQ").then(pl.lit("")).otherwise("_" + pl.col("series"))
    named = instruments.with_columns(
        name=pl.when(kind == "OPT")
        .then(pl.concat_str("underlying", expiry, plain_decimal("strike"), right, separator="_"))
        .when(kind == "FUT")
        .then(pl.concat_str("underlying", expiry, pl.lit("FUT"), separator="_"))
        .when(kind == "EQ")
        .then(pl.concat_str("underlying", pl.lit("_EQ"), board))
        .when(kind == "SPOT")
        .then(pl.concat_str("underlying", pl.lit("_IDX")))
        .when(kind == "PAIR")
        .then(pl.concat_str("underlying", pl.lit("_PAIR")))
    ).with_columns(file=pl.concat_str("name", pl.lit(f"{length.suffix}.csv")))
    _refuse_unnamed(named)
    _refuse_unsafe(named)
    refuse_collisions([named])
    return named


def unite(named: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Give each instrument once.

    Parameters
    ----------
    named : iterable of polars.DataFrame
        What `with_names` returned, the finest resolution first.

    Returns
    -------
    polars.DataFrame
        Its terms and name, as the finest resolution that has it says; without what is told of a file.

    """
    of_file = ("file", "first_timestamp", "last_timestamp", "row_count")
    return pl.concat(part.drop(of_file) for part in named).unique("instrument_id", keep="first", maintain_order=True)


def underlying_id(named: pl.DataFrame) -> int | None:
    """Find the instrument that the derivatives of a slice are settled on.

    Parameters
    ----------
    named : polars.DataFrame
        What `with_names` returned.

    Returns
    -------
    int or None
        Its `instrument_id`: the index, or else the share in its main series, or else the pair; None if none is there.

    """
    for ending in ("_IDX", "_EQ", "_PAIR"):
        found = named.filter(pl.col("name") == pl.concat_str("underlying", pl.lit(ending)))
        if found.height > 0:
            return int(found.item(0, "instrument_id"))
    return None


def _refuse_unnamed(named: pl.DataFrame) -> None:
    for row in named.filter(pl.col("name").is_null()).head(1).iter_rows(named=True):
        terms = ", ".join(f"{name} {row[name]}" for name in ("kind", "underlying", "expiry", "strike", "option_type"))
        raise ExportError(
            f"terms do not name a contract: {terms}; expected kind OPT, FUT, SPOT, EQ or PAIR with its terms complete",
            where=f"instrument {row['instrument_id']} ({row['symbol']})",
            next_step="a rolling future is resolved to its contract before export; complete the instrument's terms",
        )


def _refuse_unsafe(named: pl.DataFrame) -> None:
    for row in named.filter(~pl.col("name").str.contains(_SAFE)).head(1).iter_rows(named=True):
        raise ExportError(
            f"the name {row['name']!r} holds a character that is not safe in a file's name; expected letters, digits, "
            "'&', '.', '-' and '_'",
            where=f"instrument {row['instrument_id']} ({row['symbol']})",
            next_step="correct the underlying or the series in the instrument's terms",
        )


def refuse_collisions(named: Iterable[pl.DataFrame]) -> None:
    """Refuse files that would overwrite one another on some disk.

    Parameters
    ----------
    named : iterable of polars.DataFrame
        What `with_names` returned, for each resolution.

    Raises
    ------
    ExportError
        If the names of two files differ at most in case.

    """
    files = pl.concat(part.select("instrument_id", "symbol", "file") for part in named)
    on_disk = pl.col("file").str.to_lowercase()
    clashing = files.filter(on_disk.is_duplicated()).sort(on_disk, "instrument_id").head(2)
    if clashing.height > 0:
        described = clashing.select(pl.format("{} (instrument {}, {})", "file", "instrument_id", "symbol")).to_series()
        raise ExportError(
            f"two instruments would share one file: {described[0]} and {described[1]}",
            next_step="export the two apart, or merge them if they are one contract",
        )
