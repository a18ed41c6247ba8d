"""Builds the catalog of one slice: checks, names, encodes and writes, frame by frame.

The order of things belongs here; the things themselves live in `checks`, `naming`, `encode`,
`files` and `instruments`. Importing this module imports Nautilus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import nautilus_trader
import polars as pl
import pyarrow as pa
from nautilus_trader.model import data, instruments
from nautilus_trader.persistence.funcs import class_to_filename

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.nautilus import encode, files, naming
from pipeline_defs.exports.nautilus.checks import check_bars, check_precision, decimals_needed
from pipeline_defs.exports.nautilus.instruments import (
    check_expiries,
    instrument_files,
    instrument_rows,
    with_precisions,
)
from pipeline_defs.exports.nautilus.settlement import IS_UNDERLYING, settlement_notes, settlements
from pipeline_defs.exports.periods import change_notes, changing_terms, terms_as_text
from pipeline_defs.schema.exports import BAR_SCHEMA, BuiltExport, MarketSlice

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

ENGINE: Final = f"nautilus_trader {nautilus_trader.__version__}"

_NAMES_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class _Target:
    """Where the files of a partition go, and what all of them have in common."""

    data: Path
    start: dt.datetime
    end: dt.datetime
    file_name: str
    specification: str

    def folder_of(self, class_name: str) -> Path:
        """Name the folder of a class as the installed Nautilus does, e.g. ``option_contract``."""
        return self.data / class_to_filename(getattr(data, class_name, None) or getattr(instruments, class_name))

    def write(self, file: pa.Buffer | bytes, class_folder: Path, identifier: str) -> None:
        """Write the one file that an identifier has in a partition."""
        folder = class_folder / naming.folder_name(identifier)
        folder.mkdir(parents=True)
        (folder / self.file_name).write_bytes(file)


@dataclass(frozen=True, slots=True)
class _Written:
    """What came of one frame: the terms and sums of its instruments, and what else must be told."""

    terms: pl.DataFrame
    underlying: pl.DataFrame
    greeks_rows: int
    open_interest_left_out: int


def build_catalog(market: MarketSlice, root: Path) -> BuiltExport:
    """Write the catalog of a slice.

    Parameters
    ----------
    market : MarketSlice
        What to export.
    root : Path
        Existing, empty directory.

    Returns
    -------
    BuiltExport
        `details` says what cannot be read off the files: versions, conventions, the price on which
        each expiry will be settled, and under `notes` every shortcoming a user must know of.

    Raises
    ------
    ExportError
        If the slice has no sessions or no bars, its reader gives other bars than it announces, or
        `checks`, `naming` or `instruments` refuses it.

    """
    target = _target(market, root)
    named = naming.with_identifiers(market.instruments)
    check_expiries(named)
    changes = changing_terms(market)
    written = [_write_frame(frame, named, target) for frame in _frames(market, target)]
    if not written:
        raise ExportError("the reader gave no bars", where=_where(market), next_step="import the days first")
    terms = pl.concat(part.terms for part in written)
    _refuse_other_bars_than_announced(terms, named)
    rows = instrument_rows(terms, target.start, terms_as_text(changes))
    for class_name, instrument_id, file in instrument_files(rows):
        target.write(file, target.folder_of(class_name), instrument_id)
    greeks_rows = sum(part.greeks_rows for part in written)
    return BuiltExport(
        root=root,
        counts={"bars": int(terms["rows"].sum()), "instruments": terms.height, "option_greeks": greeks_rows},
        instruments=terms.select(
            "instrument_id", "engine_id", "rows", "first_timestamp", "last_timestamp", "close_sum", "volume_sum"
        ).sort("instrument_id"),
        engine=ENGINE,
        details=_details(market, target, terms, written, changes),
    )


def _where(market: MarketSlice) -> str:
    return f"{market.underlying} {market.start_date} to {market.end_date}"


def _target(market: MarketSlice, root: Path) -> _Target:
    if market.sessions.is_empty() or market.instruments.is_empty():
        raise ExportError(
            f"the slice holds {market.sessions.height} sessions and {market.instruments.height} instruments, "
            "expected some of both",
            where=_where(market),
            next_step="import the days, and check that the session calendar covers them",
        )
    start, end = market.sessions.select(pl.col("open").min(), pl.col("close").max()).row(0)
    return _Target(
        root / "data", start, end, naming.file_name(start, end), naming.bar_specification(market.bar_seconds)
    )


def _frames(market: MarketSlice, target: _Target) -> Iterator[pl.DataFrame]:
    """Give the reader's frames, checked, each instrument in one of them only."""
    seen = pl.Series(dtype=BAR_SCHEMA["instrument_id"])
    for frame in market.read_bars():
        if frame.is_empty():
            continue
        check_bars(frame, target.start, target.end)
        ids = frame["instrument_id"].unique()
        again = ids.filter(ids.is_in(seen.implode()))
        if again.len() > 0:
            raise ExportError(
                "the reader gave the bars of one instrument in two frames, expected one",
                where=f"instrument {again[0]}",
            )
        seen = seen.append(ids)
        yield frame


def _write_frame(frame: pl.DataFrame, named: pl.DataFrame, target: _Target) -> _Written:
    terms = with_precisions(named, decimals_needed(frame))
    unknown = terms.filter(pl.col("engine_id").is_null())
    if unknown.height > 0:
        raise ExportError(
            "the reader gave bars of an instrument that the slice does not announce",
            where=f"instrument {unknown.item(0, 'instrument_id')}",
        )
    check_precision(frame, terms)
    encoded, folder = encode.encode_bars(frame), target.folder_of("Bar")
    labels = zip(terms["engine_id"].to_list(), terms["price_precision"].to_list(), strict=True)
    for (_, offset, length), (engine_id, precision) in zip(encode.instrument_slices(frame), labels, strict=True):
        bar_type = f"{engine_id}-{target.specification}"
        metadata = encode.bar_metadata(bar_type, engine_id, precision)
        table = encoded.slice(offset, length).replace_schema_metadata(metadata)
        target.write(files.parquet_file(table, files.BAR_OPTIONS), folder, bar_type)
    is_option = _is_any_of(terms.filter(pl.col("kind") == "OPT"))
    has_interest = pl.col("open_interest").is_not_null()
    return _Written(
        terms=terms.drop("first_timestamp", "last_timestamp").join(
            _sums(frame), on="instrument_id", how="left", maintain_order="left"
        ),
        underlying=frame.filter(_is_any_of(terms.filter(IS_UNDERLYING))),
        greeks_rows=_write_open_interest(frame.filter(is_option & has_interest), terms, target),
        open_interest_left_out=frame.filter(~is_option & has_interest).height,
    )


def _sums(bars: pl.DataFrame) -> pl.DataFrame:
    return bars.group_by("instrument_id").agg(
        rows=pl.len().cast(pl.Int64),
        first_timestamp=pl.col("timestamp").min(),
        last_timestamp=pl.col("timestamp").max(),
        close_sum=pl.col("close").sum(),
        volume_sum=pl.col("volume").sum(),
    )


def _write_open_interest(known: pl.DataFrame, terms: pl.DataFrame, target: _Target) -> int:
    names = terms.select("instrument_id", "engine_id")
    known = known.join(names, on="instrument_id", how="left", maintain_order="left")
    encoded, folder = encode.encode_open_interest(known), target.folder_of("OptionGreeks")
    for _, offset, length in encode.instrument_slices(known):
        engine_id = known.item(offset, "engine_id")
        table = encoded.slice(offset, length).replace_schema_metadata(encode.greeks_metadata(engine_id))
        target.write(files.parquet_file(table, files.GREEKS_OPTIONS), folder, engine_id)
    return known.height


def _is_any_of(terms: pl.DataFrame) -> pl.Expr:
    return pl.col("instrument_id").is_in(terms["instrument_id"].implode())


def _refuse_other_bars_than_announced(terms: pl.DataFrame, named: pl.DataFrame) -> None:
    """Expiries were checked against what the slice announces, so that must be what was written."""
    pairs = {"row_count": "rows", "first_timestamp": "first_timestamp", "last_timestamp": "last_timestamp"}
    found = terms.select("instrument_id", **{f"found_{name}": pl.col(was) for name, was in pairs.items()})
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"found_{name}")) for name in pairs)
    for row in named.join(found, on="instrument_id", how="left").filter(differs).head(1).iter_rows(named=True):
        raise ExportError(
            f"the reader gave {row['found_row_count'] or 0} bars from {row['found_first_timestamp']} to "
            f"{row['found_last_timestamp']}, but the slice announces {row['row_count']} from "
            f"{row['first_timestamp']} to {row['last_timestamp']}",
            where=row["engine_id"],
            next_step="the data changed while it was read: export again",
        )


def _details(
    market: MarketSlice, target: _Target, terms: pl.DataFrame, written: list[_Written], changes: pl.DataFrame
) -> dict[str, Any]:
    expiries = settlements(
        terms.filter(pl.col("kind") == "OPT"),
        pl.concat(part.underlying for part in written),
        target.end,
    )
    venue = terms.item(0, "venue")
    underlying = f"{terms.item(0, 'root')}.{venue}"
    left_out = sum(part.open_interest_left_out for part in written)
    no_lot = terms.filter(pl.col("lot_size").is_null() & pl.col("kind").is_in(["FUT", "OPT"])).sort("engine_id")
    notes = settlement_notes(expiries, underlying, market.bar_seconds)
    notes += change_notes(
        changes, terms.select("instrument_id", name="engine_id"), "the instrument's info, under 'terms'"
    )
    if no_lot.height > 0:
        shown = ", ".join(no_lot["engine_id"].head(_NAMES_SHOWN).to_list())
        more = ", ..." if no_lot.height > _NAMES_SHOWN else ""
        notes.append(f"the lot size of {no_lot.height} contracts is not known, 1 was written: {shown}{more}")
    if left_out > 0:
        notes.append(f"open interest of {left_out} bars is left out: Nautilus has a place for that of options only")
    classes = {"Bar", "OptionGreeks", *(naming.CLASSES[kind] for kind in terms["kind"].unique())}
    return {
        "nautilus_trader": nautilus_trader.__version__,
        "pyarrow": pa.__version__,
        "precision_bytes": encode.FIXED_BYTES,
        "schema_fingerprint": encode.schema_fingerprint(classes),
        "venue": venue,
        "bar_specification": target.specification,
        "stamp": "close of the bar, in ts_event and in ts_init, UTC",
        "expiration": "close of the last session plus 1 ns",
        "start": target.start.isoformat(),
        "end": target.end.isoformat(),
        "settlements": [
            {
                "expiry": row["expiry"].isoformat(),
                "underlying": underlying,
                "price": None if row["close"] is None else str(row["close"]),
                "timestamp": None if row["timestamp"] is None else row["timestamp"].isoformat(),
            }
            for row in expiries.iter_rows(named=True)
        ],
        "lot_size_unknown": no_lot.height,
        "terms_changing": changes["instrument_id"].n_unique(),
        "open_interest_left_out": left_out,
        "notes": notes,
    }
