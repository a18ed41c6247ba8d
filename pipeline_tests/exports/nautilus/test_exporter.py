from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_defs.schema.exporters import Exporter
from pipeline_tests.exports.nautilus.slices import OPTION_BARS, file_of, rewrite

if TYPE_CHECKING:
    import pytest

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


def test_it_is_an_exporter_whose_import_is_light() -> None:
    assert isinstance(NautilusExporter(), Exporter)
    code = (
        "import sys; from pipeline_defs.exports.nautilus.exporter import NautilusExporter; NautilusExporter(); "
        "sys.exit(any(name in sys.modules for name in ('nautilus_trader', 'pandas', 'pyarrow')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_sound_catalog_passes_wherever_one_stands(
    market: MarketSlice, built: BuiltExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(built.root.parent)
    verified = NautilusExporter().verify(dataclasses.replace(built, root=Path(built.root.name)), market)
    assert verified.failures == ()
    assert verified.passed
    assert verified.engine == "nautilus_trader 1.231.0"
    assert verified.checks["instruments"] == {"IndexInstrument": 1, "FuturesContract": 1, "OptionContract": 6}
    assert (verified.checks["bars"], verified.checks["option_greeks"]) == (6_000, 4_500)
    assert verified.checks["bars_compared_one_by_one"] == 6_000
    assert verified.checks["unfiltered_query"]["bars"] == 8
    assert verified.checks["trial"]["hold_to_expiry"]["instrument"] == "NIFTY250814C24600.NSE"
    assert verified.checks["trial"]["hold_to_expiry"]["settlement_price"] == "7.85"


def test_a_truncated_file_is_a_failed_verification(market: MarketSlice, copy: BuiltExport) -> None:
    file = file_of(copy)
    file.write_bytes(file.read_bytes()[:-100])
    verified = NautilusExporter().verify(copy, market)
    assert not verified.passed
    assert "ended with" in verified.failures[0]
    assert f"reading {OPTION_BARS}" in verified.failures[0]


def test_prices_that_the_engine_refuses_are_a_failed_verification(market: MarketSlice, copy: BuiltExport) -> None:
    rewrite(file_of(copy), lambda bars: bars.with_columns(high="low"))
    (failure,) = NautilusExporter().verify(copy, market).failures
    assert "ended with exit code 1" in failure
    assert f"reading {OPTION_BARS}" in failure


def test_a_file_that_aborts_the_engine_is_a_failed_verification(market: MarketSlice, copy: BuiltExport) -> None:
    file = file_of(copy)
    pq.write_table(pq.read_table(file).replace_schema_metadata(None), file)
    verified = NautilusExporter().verify(copy, market)
    assert not verified.passed
    assert "ended with signal 6" in verified.failures[0]
    assert "bar_type" in verified.failures[0]
