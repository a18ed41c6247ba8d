from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline_defs.exports.lean.kinds import LeanFormatError, SecurityType
from pipeline_defs.exports.lean.universes import FUTURE_HEADER, OPTION_HEADER, check_universe
from pipeline_tests.exports.lean.samples import SAMPLES, needs_samples
from pipeline_tests.exports.lean.slices import pair_slice

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.schema.exports import BuiltExport, MarketSlice


def test_the_universe_of_a_day_holds_what_is_known_at_its_end_and_can_be_traded_after_it(built: BuiltExport) -> None:
    folder = built.root / "indexoption/india/universes/nifty"
    first, second = ((folder / f"{day}.csv").read_text().splitlines() for day in ("20250813", "20250814"))
    assert first[:3] == [
        OPTION_HEADER,
        ",,,24580.35,24607.85,24580.35,24604.1,0,,,,,,,",
        "20250814,24500,C,90.05,93.35,90.05,92.9,32625,2175,,,,,,",
    ]
    assert [line.split(",")[:3] for line in first[2:]] == [
        ["20250814", "24500", "C"],
        ["20250814", "24500", "P"],
        ["20250814", "24600", "C"],
        ["20250814", "24650.5", "P"],
        ["20250828", "24500", "C"],
        ["20250828", "24500", "P"],
    ]
    # Those of the fourteenth expired that day.
    assert [line.split(",")[0] for line in second[2:]] == ["20250828", "20250828"]


def test_futures_have_a_universe_by_contract_month(built: BuiltExport) -> None:
    text = (built.root / "future/india/universes/nifty/20250813.csv").read_text()
    assert text == f"{FUTURE_HEADER}\n202508,24600.05,24627.55,24600.05,24623.8,32625,2175\n"


def test_a_share_is_the_first_row_of_its_options(share: BuiltExport) -> None:
    lines = (share.root / "option/india/universes/m&m/20250813.csv").read_text().splitlines()
    assert lines[1] == ",,,1400,1400.7,1400,1400.7,225,,,,,,,"


def test_a_pair_has_no_universe(build: Callable[[MarketSlice], BuiltExport]) -> None:
    assert build(pair_slice()).counts["universes"] == 0


@needs_samples
def test_every_universe_of_leans_own_samples_is_understood() -> None:
    files = sorted(SAMPLES.rglob("universes/*/*.csv"))
    assert len(files) == 55
    for file in files:
        security = SecurityType(file.relative_to(SAMPLES).parts[0])
        assert check_universe(file.read_text(), security, file.name) > 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected the header #expiry,strike,right"),
        (f"{OPTION_HEADER}\n", "names no contract"),
        (f"{OPTION_HEADER}\n20250814,24500,X,1,1,1,1,1,,,,,,,\n", "line 2 is not one of a universe"),
        (f"{OPTION_HEADER}\n20250814,24500,C,1,1,1,1,1,,,,,,\n", "line 2 is not one of a universe"),
    ],
)
def test_a_universe_that_lean_would_misread_is_refused(text: str, why: str) -> None:
    with pytest.raises(LeanFormatError, match=why):
        check_universe(text, SecurityType.INDEX_OPTION, "x.csv")
