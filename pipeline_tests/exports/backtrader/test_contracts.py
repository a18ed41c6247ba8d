from __future__ import annotations

import datetime as dt
import hashlib
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.contracts import SIDECAR_NAME, read_sidecar
from pipeline_defs.exports.backtrader.values import BarFile, Contract, Session, Settlement

if TYPE_CHECKING:
    from pathlib import Path

NAIVE_CLOSE = dt.datetime(2025, 8, 14, 15, 30)  # noqa: DTZ001 -- exchange time


def test_the_sidecar_gives_back_the_terms_of_an_option_exactly(export: Path) -> None:
    contracts = {contract.name: contract for contract in read_sidecar(export).contracts}
    file = "NIFTY_250814_24600_CE_1m.csv"
    assert contracts["NIFTY_250814_24600_CE"] == Contract(
        name="NIFTY_250814_24600_CE",
        kind="OPT",
        symbol="OPT12",
        underlying="NIFTY",
        expiry=dt.date(2025, 8, 14),
        strike=Decimal(24600),
        right="CE",
        series=None,
        isin=None,
        lot_size=75,
        multiplier=1,
        tick_size=Decimal("0.05"),
        currency="INR",
        venue="NSE",
        expiry_close=NAIVE_CLOSE,
        files=(
            BarFile(
                bar_seconds=60,
                file=file,
                rows=60,
                first=dt.datetime(2025, 8, 13, 15, 1),  # noqa: DTZ001
                last=NAIVE_CLOSE,
                sha256=hashlib.sha256((export / file).read_bytes()).hexdigest(),
            ),
        ),
        settlement=Settlement(
            price=Decimal("7.85"),
            basis="last underlying bar",
            underlying_close=Decimal("24607.85"),
            underlying_time=NAIVE_CLOSE,
        ),
    )


def test_what_does_not_expire_within_the_export_has_no_settlement(export: Path) -> None:
    contracts = {contract.name: contract for contract in read_sidecar(export).contracts}
    assert contracts["NIFTY_250828_24500_CE"].settlement is None
    index = contracts["NIFTY_IDX"]
    assert (index.expiry, index.strike, index.right, index.expiry_close, index.settlement) == (None,) * 5


def test_the_sidecar_says_how_the_files_are_to_be_read(export: Path) -> None:
    sidecar = read_sidecar(export)
    assert (sidecar.underlying, sidecar.underlying_name) == ("NIFTY", "NIFTY_IDX")
    assert (sidecar.resolutions, sidecar.timezone) == ((60,), "Asia/Kolkata")
    assert sidecar.sessions[1] == Session(
        dt.date(2025, 8, 14),
        dt.datetime(2025, 8, 14, 9, 15),  # noqa: DTZ001
        NAIVE_CLOSE,
    )
    content = json.loads((export / SIDECAR_NAME).read_text())
    assert content["timezone"] == "Asia/Kolkata"
    assert content["stamp"] == "close of the bar"
    assert any("todate at midnight leaves out all intraday bars of that day" in line for line in content["conventions"])


def test_prices_in_the_sidecar_are_minimal_text(export: Path) -> None:
    content = json.loads((export / SIDECAR_NAME).read_text())
    (option,) = (entry for entry in content["contracts"] if entry["name"] == "NIFTY_250814_24650.5_PE")
    assert (option["strike"], option["tick_size"]) == ("24650.5", "0.05")
    assert option["settlement"] == {
        "price": "42.65",
        "basis": "last underlying bar",
        "underlying_close": "24607.85",
        "underlying_time": "2025-08-14 15:30:00",
    }


def test_a_folder_without_a_sidecar_is_not_an_export(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"holds no contracts\.json"):
        read_sidecar(tmp_path)


def test_a_sidecar_of_a_newer_version_is_refused(export: Path, tmp_path: Path) -> None:
    content = json.loads((export / SIDECAR_NAME).read_text())
    (tmp_path / SIDECAR_NAME).write_text(json.dumps({**content, "version": 3}))
    with pytest.raises(ExportError, match="has version 3, expected at most 2"):
        read_sidecar(tmp_path)
