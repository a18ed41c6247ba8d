from __future__ import annotations

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.exports.registry import EXPORTERS, FURTHER_EXPORTERS, get_exporter
from pipeline_defs.schema.exporters import Exporter


@pytest.mark.parametrize("name", sorted(EXPORTERS | FURTHER_EXPORTERS))
def test_every_format_is_found_under_its_own_name(name: str) -> None:
    exporter = get_exporter(name)
    assert isinstance(exporter, Exporter)
    assert exporter.name == name


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    known = "backtrader, csv, lean, nautilus, nautilus-2, parquet, rustybt"
    with pytest.raises(ConfigurationError, match=f"no export format 'lean2', expected one of {known}"):
        get_exporter("lean2")
