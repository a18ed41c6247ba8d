"""What can be wrong with the files of a catalog before Nautilus opens it, found with Arrow alone.

Nautilus aborts its process on most of these, and reads the rest wrongly without a word. So whoever has a catalog but
not the market data that it was made of looks here first.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_defs.exports.nautilus.naming import CLASSES, folder_name
from pipeline_defs.exports.nautilus.targets import FIXED_BYTES, FIXED_PRECISION, SERIES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.exports.nautilus.targets import Target

_STRICT: Final = {"Bar", "IndexPriceUpdate", "OptionGreeks"}
"""Classes of which an instrument has one row at an instant; of ticks there may be several."""

_PRECISIONS: Final = ("price_precision", "size_precision")
_DEPTH: Final = 4
"""Parts of the path of a data file: ``data``, class, identifier, name."""


def check_files(root: Path, target: Target) -> tuple[list[str], dict[str, int]]:
    """Look at every Parquet file of a catalog.

    Parameters
    ----------
    root : Path
        The catalog.
    target : Target
        Format that its manifest names.

    Returns
    -------
    list of str
        One line per file with a fault, sorted by path: the path, and what is wrong.
    dict
        Rows by class of what could be read.

    """
    classes = {target.folder(name): name for name in (*_known_series(target), *CLASSES.values())}
    failures, counts = [], dict.fromkeys(classes.values(), 0)
    precisions: dict[str, set[tuple[str, str]]] = {}
    for path in sorted(root.rglob("*.parquet")):
        where = path.relative_to(root)
        try:
            class_name = classes[where.parts[1]] if len(where.parts) == _DEPTH else None
            if class_name is None:
                failures.append(f"{where.as_posix()}: lies where Nautilus would read it, but is no file of a catalog")
                continue
            table = pq.read_table(path)
        except KeyError:
            failures.append(f"{where.as_posix()}: {where.parts[1]} is no class of Nautilus {target.name}")
            continue
        except (pa.ArrowException, OSError) as error:
            failures.append(f"{where.as_posix()}: is truncated or damaged: {str(error).splitlines()[0]}")
            continue
        counts[class_name] += table.num_rows
        found = list(_faults(table, target, class_name, where.parts[2], where.stem))
        failures += [f"{where.as_posix()}: {fault}" for fault in found]
        if not found:
            for name, precision in _said_precisions(table, class_name):
                precisions.setdefault(name, set()).add(precision)
    failures += [
        f"{name}: its files say different precisions of price and size, {sorted(said)}, which Nautilus refuses"
        for name, said in sorted(precisions.items())
        if len(said) > 1
    ]
    return failures, {name: rows for name, rows in counts.items() if rows > 0}


def _known_series(target: Target) -> tuple[str, ...]:
    return tuple(name for name in SERIES if name != "IndexPriceUpdate" or target.has_index_prices)


def _faults(table: pa.Table, target: Target, class_name: str, identifier: str, name: str) -> Iterator[str]:
    """Say what is wrong with one file; what comes first explains the rest."""
    schema = target.schema(class_name)
    if table.schema.names != schema.names:
        yield f"has the columns {table.schema.names}, expected {schema.names} in this order"
        return
    wrong = [
        f"{field.name} is {found.type}, expected {field.type}"
        for field, found in zip(schema, table.schema, strict=True)
        if field.type != found.type
    ]
    if wrong:
        yield f"has columns of another type or width: {'; '.join(wrong)}"
        return
    empty = [field.name for field in schema if not field.nullable and table[field.name].null_count > 0]
    if empty:
        yield f"has missing values in {', '.join(empty)}"
        return
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    if class_name in SERIES:
        yield from _metadata_faults(metadata, target, class_name, identifier)
        yield from _row_faults(table, class_name, name)
    else:
        said = metadata.get("class", metadata.get("type_name"))
        if said != class_name:
            yield f"its metadata names the class {said}, expected {class_name}"
        ids = table["id"].cast(pa.string()).to_pylist()
        if [folder_name(one) for one in ids] != [identifier]:
            yield f"holds the instruments {ids}, but lies in the folder {identifier}: the file was swapped"


def _metadata_faults(metadata: dict[str, str], target: Target, class_name: str, identifier: str) -> Iterator[str]:
    expected = target.metadata(class_name, "", (0, 0), "")
    missing = sorted(expected.keys() - metadata.keys())
    if missing:
        yield f"its metadata lacks {', '.join(missing)}"
        return
    said = metadata["bar_type" if class_name == "Bar" else "instrument_id"]
    if folder_name(said) != identifier:
        yield f"its metadata names {said}, but it lies in the folder {identifier}: the file was swapped"
    further = sorted(metadata.keys() - expected.keys())
    if further:
        yield f"its metadata has {', '.join(further)} besides, and files that differ in it cannot be read together"


def _row_faults(table: pa.Table, class_name: str, name: str) -> Iterator[str]:
    times = pl.DataFrame(table.select(["ts_event", "ts_init"])).with_columns(pl.all().cast(pl.Int64))
    time, before = pl.col("ts_init"), pl.col("ts_init").shift()
    start, end = _bounds(name)
    rules = {
        "its rows are not sorted by ts_init, or one is there twice": (
            time <= before if class_name in _STRICT else time < before
        ),
        "ts_event and ts_init differ": pl.col("ts_event") != time,
        "rows lie outside the interval that the file is named after": ~time.is_between(start, end),
    }
    yield from (what for what, is_bad in rules.items() if times.select(is_bad.any()).item())
    if class_name == "Bar":
        prices = pl.DataFrame({column: _decimals(table[column]) for column in ("open", "high", "low", "close")})
        encloses = (pl.col("high") >= pl.max_horizontal("open", "low", "close")) & (
            pl.col("low") <= pl.min_horizontal("open", "close")
        )
        if not prices.select(encloses.all()).item():
            yield "high and low do not enclose the prices of a bar"


def _decimals(column: pa.ChunkedArray) -> pl.Series:
    """View fixed point as the decimals that it is; decimals stay."""
    if column.type != pa.binary(FIXED_BYTES):
        return pl.Series(column)
    values = column.combine_chunks()
    buffers = [None, values.buffers()[1]]
    return pl.Series(
        pa.Array.from_buffers(pa.decimal128(38, FIXED_PRECISION), len(values), buffers, offset=values.offset)
    )


def _bounds(name: str) -> tuple[int, int]:
    """Read the interval from a file's name, in nanoseconds; an empty one from any other name."""
    try:
        first, last = (_instant(part) for part in name.split("_"))
    except ValueError:
        return 1, 0
    return first, last


def _instant(text: str) -> int:
    whole, fraction = text[:19], text[20:29]
    instant = dt.datetime.strptime(f"{whole}+0000", "%Y-%m-%dT%H-%M-%S%z")
    return int(instant.timestamp()) * 10**9 + int(fraction)


def _said_precisions(table: pa.Table, class_name: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Give what a sound file says about the decimals of its instrument."""
    if class_name in {"Bar", "TradeTick", "QuoteTick"}:
        metadata: dict[Any, Any] = table.schema.metadata
        price, size = (metadata[key.encode()].decode() for key in _PRECISIONS)
        yield metadata[b"instrument_id"].decode(), (price, size)
    elif class_name not in SERIES:
        price, size = (str(table[key][0].as_py()) if key in table.schema.names else "0" for key in _PRECISIONS)
        yield str(table["id"].cast(pa.string())[0].as_py()), (price, size)
