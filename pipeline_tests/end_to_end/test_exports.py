"""What was exported is what is stored, read by the engines themselves, and both engines agree to the paisa."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import backtrader as bt
import pytest
from nautilus_trader.model.instruments import FuturesContract, OptionContract
from nautilus_trader.persistence.catalog import ParquetDataCatalog

from pipeline_defs.exports.manifest import check_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_tests.end_to_end.conftest import CommandLine

type Ask = Callable[..., list[tuple[Any, ...]]]

DAYS = ("--underlying", "NIFTY", "--start-date", "2025-08-08", "--end-date", "2025-08-14")

LAST_DAY = ("--underlying", "NIFTY", "--start-date", "2025-08-14", "--end-date", "2025-08-14")

CLOSES = """
SELECT kind, expiry::text, trim_scale(strike)::text, option_type, array_agg(close ORDER BY timestamp)
FROM {} WHERE underlying = 'NIFTY' AND bar_seconds = 60 GROUP BY 1, 2, 3, 4
"""


def stored_closes(ask: Ask) -> dict[tuple[str, ...], list[Decimal]]:
    """Give the closes by contract; a rolling future under the contract it meant."""
    rows = [
        row for table in ("v_options_ticks", "v_futures_ticks", "v_spot_prices") for row in ask(CLOSES.format(table))
    ]
    return {("FUT" if kind == "CONT" else kind, *map(str, terms)): closes for kind, *terms, closes in rows}


def test_plain_nautilus_reads_every_contract_value_by_value(filled: CommandLine, tmp_path: Path, ask: Ask) -> None:
    published = filled.json("export", "--format", "nautilus", *DAYS, "--output", tmp_path / "catalog")
    assert published["verified"] is True

    catalog = ParquetDataCatalog(published["path"])
    found: dict[tuple[str, ...], list[Decimal]] = {}
    for instrument in catalog.instruments():
        bars = catalog.bars(bar_types=[f"{instrument.id}-1-MINUTE-LAST-EXTERNAL"])
        if isinstance(instrument, OptionContract):
            terms = (
                str(instrument.expiration_utc.tz_convert("Asia/Kolkata").date()),
                f"{instrument.strike_price.as_decimal().normalize():f}",
            )
            key = ("OPT", *terms, "CE" if instrument.option_kind.name == "CALL" else "PE")
        elif isinstance(instrument, FuturesContract):
            key = ("FUT", str(instrument.expiration_utc.tz_convert("Asia/Kolkata").date()), "None", "None")
        else:
            key = ("SPOT", "None", "None", "None")
        found[key] = [bar.close.as_decimal() for bar in bars]
    assert found == stored_closes(ask)


def test_backtrader_with_default_parameters_reads_every_contract_value_by_value(
    filled: CommandLine, tmp_path: Path, ask: Ask
) -> None:
    published = filled.json("export", "--format", "backtrader", *DAYS, "--output", tmp_path / "csv")
    root = Path(published["path"])
    described = json.loads((root / "contracts.json").read_text(encoding="utf-8"))
    found: dict[tuple[str, ...], list[Decimal]] = {}
    for contract in described["contracts"]:
        cerebro = bt.Cerebro(stdstats=False)
        feed = bt.feeds.GenericCSVData(dataname=str(root / contract["file"]))
        cerebro.adddata(feed)
        cerebro.run(runonce=True, preload=True)
        key = (contract["kind"], str(contract["expiry"]), str(contract["strike"]), str(contract["right"]))
        found[key] = [Decimal(repr(value)) for value in feed.close.array]
    assert found == stored_closes(ask)


def hold(module: str, *arguments: str) -> dict[str, Any]:
    completed = subprocess.run(
        [sys.executable, "-m", f"pipeline_defs.backtests.{module}", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(completed.stdout)
    return result


@pytest.mark.thorough("test_demo and the certificate of test_parity compare what both engines earn")
def test_both_engines_hold_an_option_to_expiry_with_the_same_fills_and_profit(
    filled: CommandLine, tmp_path: Path, ask: Ask
) -> None:
    nautilus = filled.json("export", "--format", "nautilus", *DAYS, "--output", tmp_path / "n")["path"]
    backtrader = filled.json("export", "--format", "backtrader", *DAYS, "--output", tmp_path / "b")["path"]
    described = json.loads((Path(backtrader) / "contracts.json").read_text(encoding="utf-8"))
    ((spot,),) = ask(
        "SELECT close FROM v_spot_prices WHERE underlying = 'NIFTY' AND timestamp <= '2025-08-14 10:00+00'"
        " ORDER BY timestamp DESC LIMIT 1"
    )
    for option_type in ("CE", "PE"):
        ((strike, entry),) = ask(
            "SELECT trim_scale(strike), (array_agg(close ORDER BY timestamp))[1] FROM v_options_ticks"
            " WHERE bar_seconds = 60 AND expiry = '2025-08-14' AND option_type = %s GROUP BY strike"
            " ORDER BY count(*) DESC, strike LIMIT 1",
            option_type,
        )
        intrinsic = max(Decimal(0), spot - strike if option_type == "CE" else strike - spot)
        (contract,) = (
            row
            for row in described["contracts"]
            if (row["expiry"], row["right"]) == ("2025-08-14", option_type) and Decimal(str(row["strike"])) == strike
        )
        name = contract["file"].removesuffix("_1m.csv")

        instrument = f"NIFTY250814{option_type[0]}{strike:f}.NSE"
        ours = hold("nautilus_hold", "--catalog", nautilus, "--instrument", instrument, "--quantity", "75")
        theirs = hold("backtrader_hold", "--directory", backtrader, "--contract", name, "--quantity", "75")

        for result in (ours, theirs):
            assert Decimal(result["fills"][0]["price"]) == entry
            assert Decimal(result["gross_pnl"]) == (intrinsic - entry) * 75
        bought_and_settled = [[Decimal(fill["price"]) for fill in result["fills"]] for result in (ours, theirs)]
        assert bought_and_settled[0] == bought_and_settled[1]


@pytest.mark.parametrize(
    "format_name",
    ["nautilus", pytest.param("backtrader", marks=pytest.mark.thorough("test_as_of compares the bytes of text files"))],
)
def test_an_export_of_unchanged_data_gives_the_same_bytes(
    filled: CommandLine, tmp_path: Path, format_name: str
) -> None:
    first = filled.json("export", "--format", format_name, *LAST_DAY, "--output", tmp_path / "a")
    second = filled.json("export", "--format", format_name, *LAST_DAY, "--output", tmp_path / "b")

    assert first["catalog_hash"] == second["catalog_hash"]
    assert (tmp_path / "a" / "_manifest.json").read_bytes() == (tmp_path / "b" / "_manifest.json").read_bytes()


@pytest.mark.thorough("pipeline_tests/chaos kills an export at each of its steps, not at a time")
@pytest.mark.parametrize("delay_seconds", [1.4])
def test_an_export_killed_at_any_moment_leaves_the_old_or_the_new_catalog(
    filled: CommandLine, tmp_path: Path, delay_seconds: float
) -> None:
    output = tmp_path / "catalog"
    days = ("--underlying", "NIFTY", "--start-date", "2025-08-13", "--end-date")
    old = filled.json("export", "--format", "nautilus", *days, "2025-08-13", "--output", output)["catalog_hash"]

    process = filled.start("export", "--format", "nautilus", *days, "2025-08-14", "--output", output)
    time.sleep(delay_seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert check_manifest(output) == []
    new = filled.json("export", "--format", "nautilus", *days, "2025-08-14", "--output", output)["catalog_hash"]
    assert new != old
    assert check_manifest(output) == []
    assert [path.name for path in tmp_path.iterdir() if "catalog" in path.name and path.is_dir()] == ["catalog"]


def test_nothing_to_export_fails_and_publishes_nothing(pipeline: CommandLine, tmp_path: Path) -> None:
    completed = pipeline.run_apart("export", "--format", "nautilus", *DAYS, "--output", tmp_path / "catalog", "--json")

    assert completed.returncode == 1
    assert "no 60-second bars of NIFTY" in completed.stderr
    assert not (tmp_path / "catalog").exists()
