"""One truth, every engine: whatever format a month is exported in, reading it gives what the database holds."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.exports.registry import EXPORTERS
from pipeline_tests.end_to_end import crypto

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_tests.end_to_end.conftest import CommandLine

type Ask = Callable[..., list[tuple[Any, ...]]]

NIFTY = ("--underlying", "NIFTY", "--start-date", "2025-08-08", "--end-date", "2025-08-14")
BITCOIN = (
    *("--underlying", crypto.UNDERLYING),
    *("--start-date", str(crypto.FIRST_DAY), "--end-date", str(crypto.LAST_DAY)),
)
FORMATS = sorted(EXPORTERS)

# What reading a format back gave that the database does not say, or says otherwise, of the bars as they are stored.
UNEQUAL = """
WITH stored AS (
    SELECT coalesce(c.contract_id, o.instrument_id) AS instrument_id, count(*) AS rows, min("timestamp") AS first,
           max("timestamp") AS last, sum(close) AS closes, sum(coalesce(volume, 0)) AS volumes
    FROM (SELECT "timestamp", instrument_id, bar_seconds, close, volume FROM options_ticks
          UNION ALL SELECT "timestamp", instrument_id, bar_seconds, close, volume FROM futures_ticks
          UNION ALL SELECT "timestamp", instrument_id, bar_seconds, close, volume FROM spot_prices) AS o
    LEFT JOIN continuous_contracts AS c
        ON c.instrument_id = o.instrument_id AND c.trade_date = ("timestamp" AT TIME ZONE 'Asia/Kolkata')::date
    WHERE bar_seconds = %s AND o.instrument_id IN (SELECT instrument_id FROM instrument_terms WHERE underlying = %s)
    GROUP BY 1
), read AS (
    SELECT format, r.* FROM catalog_readbacks AS r JOIN catalogs USING (catalog_id) WHERE bar_seconds = %s
), wanted AS (
    SELECT s.*, f.format FROM stored AS s CROSS JOIN (SELECT DISTINCT format FROM catalogs) AS f
)
SELECT format, instrument_id, w.rows, r.rows, w.closes, r.close_sum, w.volumes, r.volume_sum
FROM wanted AS w FULL JOIN read AS r USING (format, instrument_id)
WHERE (w.rows, w.first, w.last, w.closes, w.volumes)
   IS DISTINCT FROM (r.rows, r.first_timestamp, r.last_timestamp, r.close_sum, r.volume_sum)
"""


def export_all(pipeline: CommandLine, folder: Path, *selection: str) -> None:
    for name in FORMATS:
        published = pipeline.json("export", "--format", name, *selection, "--output", folder / name)
        assert published["verified"] is True


def test_a_month_of_options_is_the_same_in_every_format(filled: CommandLine, tmp_path: Path, ask: Ask) -> None:
    export_all(filled, tmp_path, *NIFTY, "--bars", "1m,1h,1d")

    certificate = filled.json("certify", *NIFTY, "--output", tmp_path / "certificate.json")

    assert certificate["passed"], certificate["differences"]
    assert ask(UNEQUAL, 60, "NIFTY", 60) == []
    compared = {part["bar_seconds"]: part for part in certificate["resolutions"]}
    assert {seconds: part["formats"] for seconds, part in compared.items()} == dict.fromkeys(
        (60, 3600, 86_400), FORMATS
    )
    assert len({part["contracts"] for part in compared.values()}) == 1
    assert compared[60]["rows"] > compared[3600]["rows"] > compared[86_400]["rows"] > compared[60]["contracts"]
    held = certificate["strategy"]
    assert sorted(held) == ["backtrader", "nautilus"]
    assert len({Decimal(engine["gross_pnl"]) for engine in held.values()}) == 1
    assert json.loads((tmp_path / "certificate.json").read_text()) == certificate


@pytest.mark.thorough(
    "a month of options says it of every format, and sizes in fractions are shared with test_fractional_shares"
)
def test_a_month_of_a_pair_is_the_same_in_every_format(pipeline: CommandLine, tmp_path: Path, ask: Ask) -> None:
    file = crypto.write_crypto_month(tmp_path)
    loads = pipeline.json("import", "--source", "manual-csv", "--path", file)["loads"]
    assert sum(load["stored"] for load in loads) == len(crypto.crypto_rows())
    assert ask("SELECT close, volume FROM spot_prices ORDER BY timestamp") == [
        (Decimal(row["close"]), Decimal(row["volume"])) for row in crypto.crypto_rows()
    ]

    export_all(pipeline, tmp_path, *BITCOIN, "--bars", "1h,1d")
    certificate = pipeline.json("certify", *BITCOIN)

    assert certificate["passed"], certificate["differences"]
    assert ask(UNEQUAL, 3600, crypto.UNDERLYING, 3600) == []
    assert [(part["bar_seconds"], part["formats"], part["rows"]) for part in certificate["resolutions"]] == [
        (3600, FORMATS, 120),
        (86_400, FORMATS, 5),
    ]


def test_catalogs_of_different_knowledge_do_not_agree(filled: CommandLine, tmp_path: Path, ask: Ask) -> None:
    filled.json("export", "--format", "csv", *NIFTY, "--output", tmp_path / "csv")
    ((instrument_id,),) = ask(
        'UPDATE options_ticks SET close = high WHERE ("timestamp", instrument_id) ='
        ' (SELECT "timestamp", instrument_id FROM options_ticks WHERE bar_seconds = 60 AND high > close'
        "  ORDER BY 1, 2 LIMIT 1) AND bar_seconds = 60 RETURNING instrument_id"
    )
    filled.json("export", "--format", "parquet", *NIFTY, "--output", tmp_path / "parquet")

    completed = filled.run("certify", *NIFTY)

    assert completed.returncode == 1
    assert f"instrument {instrument_id}, 60 s: csv has" in completed.stdout
    assert "the formats do not agree" in completed.stderr
