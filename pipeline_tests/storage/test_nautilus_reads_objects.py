"""Nautilus 1.231 itself reads a published catalog out of the object store, with the options that we give."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import polars as pl

from pipeline_defs.exports.run import export_slice
from pipeline_defs.storage.locations import S3Location
from pipeline_tests.exports.nautilus.slices import nifty_slice

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from pipeline_tests.storage.door import Door

# In a process of its own: the engine's Rust side keeps a client for its lifetime, and may end its process.
READ = """
import json, sys
from nautilus_trader.persistence.catalog import ParquetDataCatalog
from pipeline_defs.exports.nautilus.s3 import storage_options

catalog = ParquetDataCatalog(path=sys.argv[1], **storage_options().for_catalog())
bars = catalog.bars(bar_types=[sys.argv[2]])
print(json.dumps({
    "instruments": sorted(str(instrument.id) for instrument in catalog.instruments()),
    "closes": [str(bar.close) for bar in bars],
    "order": [bar.ts_init for bar in bars] == sorted(bar.ts_init for bar in bars),
}))
"""


def test_a_catalog_in_the_store_is_read_by_the_engine_as_it_is(
    s3: Door, base: S3Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    market = nifty_slice()
    # Not below the prefix with a blank that other tests use: the engine writes it in a way that the server here signs
    # otherwise.
    prefix = S3Location(base.bucket, "catalogs/nautilus/NIFTY/2025-08")
    published = export_slice("nautilus", market, prefix)
    s3.forget()

    read = subprocess.run(
        [sys.executable, "-c", READ, str(prefix), "NIFTY.NSE-1-MINUTE-LAST-EXTERNAL"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert read.returncode == 0, read.stderr
    found = json.loads(read.stdout.splitlines()[-1])
    (index,) = market.instruments.filter(kind="SPOT")["instrument_id"]
    bars = pl.concat(market.read_bars()).filter(instrument_id=index)
    assert found["instruments"] == sorted(published.instruments["engine_id"].unique())
    assert found["closes"] == [f"{close:.2f}" for close in bars["close"]]
    assert found["order"]
    assert {method for method, _ in s3.passed} <= {"GET", "HEAD"}
