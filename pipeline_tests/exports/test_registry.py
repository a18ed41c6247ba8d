from __future__ import annotations

import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.exports.registry import EXPORTERS, get_exporter
from pipeline_defs.schema.exports import Exporter


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_every_format_is_found_under_its_own_name(name: str) -> None:
    exporter = get_exporter(name)
    assert isinstance(exporter, Exporter)
    assert exporter.name == name


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="export format was 'lean2', expected one of backtrader, .*lean, nautilus"):
        get_exporter("lean2")
