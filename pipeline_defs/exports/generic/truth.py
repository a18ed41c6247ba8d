"""What the reader must find, written down from the slice for another process.

The slice is read again here, so that a verification compares the files with the market data and not with what the
builder believed. The truth lies outside the export and is deleted afterwards.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline_defs.exports.generic.datasets import datasets
from pipeline_defs.exports.generic.sidecar import partition_of
from pipeline_defs.exports.generic.summaries import summary_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice

EXPECTED_FILE: Final = "expected.json"
"""``partition``, and ``files``: for each file its content and resolution."""

_CLAIMED: Final = ("rows", "first_timestamp", "last_timestamp", "close_sum", "volume_sum")


def write_truth(built: BuiltExport, market: MarketSlice, folder: Path, file_format: str) -> list[str]:
    """Write down what the files of a slice must hold.

    Parameters
    ----------
    built : BuiltExport
        What the builder claims to have written.
    market : MarketSlice
        Read in full, once.
    folder : Path
        Existing directory outside the export; receives `EXPECTED_FILE`, and for each file of the export a Parquet file
        of its name: sums and hashes by instrument, or all rows of a small one.
    file_format : str
        ``csv`` or ``parquet``.

    Returns
    -------
    list of str
        Where the builder's claims differ from the slice; empty when they agree.

    """
    files, summaries = {}, []
    for dataset in datasets(market):
        files[f"{dataset.stem}.{file_format}"] = {"content": dataset.content, "bar_seconds": dataset.bar_seconds}
        if dataset.bar_seconds is None:
            truth = pl.concat(dataset.read())
        else:
            truth = summary_of(dataset, with_hashes=True).by_instrument()
            summaries.append(truth.with_columns(bar_seconds=pl.lit(dataset.bar_seconds, pl.Int32())))
        truth.write_parquet(folder / f"{dataset.stem}.parquet")
    expected = {"partition": partition_of(market), "files": files}
    (folder / EXPECTED_FILE).write_text(json.dumps(expected), encoding="utf-8")
    return _false_claims(built, pl.concat(summaries, how="diagonal"))


def _false_claims(built: BuiltExport, truth: pl.DataFrame) -> list[str]:
    key = ["instrument_id", "bar_seconds"]
    both = truth.select(*key, *_CLAIMED).join(
        built.instruments.select(*key, *_CLAIMED), on=key, how="full", coalesce=True, suffix="_built"
    )
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_built")) for name in _CLAIMED)
    return [
        f"instrument {row['instrument_id']} at {row['bar_seconds']} s: built as "
        + ", ".join(f"{name} {row[f'{name}_built']}" for name in _CLAIMED)
        + "; expected "
        + ", ".join(f"{name} {row[name]}" for name in _CLAIMED)
        for row in both.filter(differs).sort(key).iter_rows(named=True)
    ]
