from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.entry import SourceEntry
from pipeline_defs.sources.migrated import migrated_entry
from pipeline_defs.sources.registry import SOURCES, get_source, source_entry, source_market


@pytest.mark.parametrize("name", ["nse_csv", "nse-csv"])
def test_source_is_found_with_hyphen_and_with_underscore(name: str) -> None:
    assert get_source(name).name == "nse_csv"


def test_every_registered_source_can_be_made_without_settings_and_describes_itself() -> None:
    for name in SOURCES:
        metadata = get_source(name).get_metadata()
        assert metadata.source == name
        assert metadata.source_url


def test_settings_reach_the_source() -> None:
    assert get_source("nse_csv", path="drop").get_metadata().source_url == "drop"


def test_unknown_source_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="nse_csv"):
        get_source("nse_tsv")


def test_unknown_setting_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="no setting folder, expected some of path"):
        get_source("nse_csv", folder="x")


def test_importing_the_registry_loads_no_source() -> None:
    code = "import sys, pipeline_defs.sources.registry; print([m for m in sys.modules if 'nse_csv' in m])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_a_source_cannot_settle_before_the_close() -> None:
    with pytest.raises(ValueError, match="settles_seconds -1, expected 0 or more"):
        SourceEntry("acme:Source", settles_seconds=-1)


def test_a_moved_in_bundle_is_known_by_how_it_is_called() -> None:
    source = get_source("rustybt/crypto/binance-1m")

    assert source.get_metadata().source == "rustybt/crypto/binance_1m"
    assert source_market("rustybt/crypto/binance_1m") == "CRYPTO"
    assert source_entry("csvdir/us/mine").source_type == "file"
    with pytest.raises(SourceError, match=r"run 'pipeline migrate rustybt', after --roll-back --bundle binance_1m"):
        list(source.fetch(ImportRequest()))


@pytest.mark.parametrize("name", ["rustybt/nse50", "rustybt/moon/nse50", "other/nse/nse50", "rustybt/nse/"])
def test_what_is_not_called_like_one_is_no_moved_in_bundle(name: str) -> None:
    with pytest.raises(ConfigurationError, match="no source"):
        source_entry(name)
    with pytest.raises(ConfigurationError, match="called like rustybt/nse/nse50"):
        migrated_entry(name)
