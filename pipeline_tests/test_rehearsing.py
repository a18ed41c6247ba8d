"""An import that stores nothing: what it shows, without a database, and when it says that all would be well."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.cli import main as cli
from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.rehearsing import Rehearsal, rehearse
from pipeline_defs.samples.generate import tiny_day
from pipeline_defs.schema.batches import ImportRequest, Source, SourceMetadata
from pipeline_defs.sources.registry import get_source
from pipeline_tests.sources.manual_csv.books import BOOK_HEADER, BOOK_MAPPING, BOOK_ROW, write_book
from pipeline_tests.sources.manual_csv.reading import HEADER, MAPPING, OWN_HEADER, OWN_ROW, ROW, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline_defs.schema.batches import ImportBatch

BAD_ROW = OWN_ROW.replace("09:15", "09:16").replace("1401.25", "1.4e3")


def rehearsed(path: Path) -> Rehearsal:
    return rehearse(get_source("manual_csv"), ImportRequest(path=path))


def mapped(folder: Path, *rows: str, mapping: str = MAPPING) -> Path:
    write(folder / "mapping.toml", mapping)
    return write(folder / "mine.csv", OWN_HEADER, *rows)


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pipeline", *arguments])
        patch.setenv("PIPELINE_DATABASE_URL", "postgresql://nobody@localhost:1/nowhere")
        with pytest.raises(SystemExit) as ended:
            cli.main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_every_column_is_shown_with_what_was_read_and_what_could_not_be(tmp_path: Path) -> None:
    told = rehearsed(mapped(tmp_path, OWN_ROW, BAD_ROW))

    (file,) = told.files
    assert file.preview is not None
    shown = {column.field: column for column in file.preview.columns}
    assert list(shown) == ["timestamp", "open", "high", "low", "close", "volume"]
    assert shown["timestamp"].column == "Date + Time"
    assert shown["timestamp"].kind == "open of the bar, %d/%m/%Y %H:%M, in Asia/Kolkata"
    assert shown["timestamp"].values[0] == ("13/08/2025 09:15", "2025-08-13T03:45:00Z")
    assert shown["close"].values == (("1401.25", "1401.25"), ("1.4e3", None))
    assert shown["volume"].kind == "whole quantity"
    assert file.preview.left_alone == ("Remark",)
    assert file.preview.fixed["symbol"] == "RELIANCE"


def test_rows_are_counted_by_file_and_by_partition_and_refused_lines_are_named(tmp_path: Path) -> None:
    path = mapped(tmp_path, OWN_ROW, BAD_ROW)

    told = rehearsed(path)

    assert [(file.good, dict(file.refused)) for file in told.files] == [(1, {"bad_price": 1})]
    (partition,) = told.partitions
    assert (partition.dataset, partition.good, partition.refused, partition.damage) == ("spot_prices", 1, 1, None)
    assert str(told.first_refused[0]) == f"{path}:3: bad_price: {BAD_ROW}"
    assert told.is_importable


def test_only_the_first_ten_refused_lines_are_shown(tmp_path: Path) -> None:
    bad = [BAD_ROW.replace("09:16", f"09:{minute}") for minute in range(20, 35)]

    told = rehearsed(mapped(tmp_path, OWN_ROW, *bad))

    assert [line.line for line in told.first_refused] == list(range(3, 13))
    assert told.files[0].refused == {"bad_price": 15}


def test_when_every_line_is_refused_the_columns_and_the_first_lines_are_still_shown(tmp_path: Path) -> None:
    told = rehearsed(mapped(tmp_path, OWN_ROW, OWN_ROW, mapping=MAPPING.replace("%H:%M", "%H.%M")))

    assert told.files[0].preview is not None
    assert told.files[0].preview.columns[0].values[0] == ("13/08/2025 09:15", None)
    assert told.files[0].refused == {"bad_timestamp": 2}
    assert [line.reason for line in told.first_refused] == ["bad_timestamp"] * 2
    assert "none of 2 lines was usable" in str(told.error)
    assert not told.is_importable


def test_too_much_damage_is_not_importable(tmp_path: Path) -> None:
    bad = [BAD_ROW.replace("09:16", f"{10 + minute // 60}:{minute % 60:02}") for minute in range(120)]

    told = rehearsed(mapped(tmp_path, OWN_ROW, *bad))

    assert [one.damage for one in told.partitions] == ["120 of 121 lines were refused, more than 50%"]
    assert not told.is_importable


def test_a_mapping_that_cannot_be_used_is_the_error_of_the_import(tmp_path: Path) -> None:
    told = rehearsed(mapped(tmp_path, OWN_ROW, mapping=MAPPING.replace('stamp = "open"', "")))

    assert isinstance(told.error, ConfigurationError)
    assert told.files == []


def test_plain_files_of_every_type_and_workbooks_show_their_fields(tmp_path: Path) -> None:
    header, row = f"{HEADER},rank,isin", f"{ROW},,"
    write(tmp_path / "plain.csv", header, row)
    write(tmp_path / "book.mapping.toml", BOOK_MAPPING)
    write_book(tmp_path / "book.xlsx", BOOK_HEADER, BOOK_ROW)
    write(tmp_path / "empty.csv", header)

    told = rehearsed(tmp_path)

    book, empty, plain = (file.preview for file in told.files)
    assert book is not None
    assert book.columns[0].values == (("2025-08-13 09:15:00", "2025-08-13T03:45:00Z"),)
    assert empty is not None
    assert empty.columns[0].values == ()
    assert plain is not None
    shown = {column.field: (column.kind, column.values[0][1]) for column in plain.columns}
    assert shown["timestamp"] == ("close of the bar, ISO 8601, with its own offset", "2025-08-13T03:46:00Z")
    assert shown["expiry"] == ("date", "2025-08-14")
    assert shown["strike"] == ("price", "24500")
    assert shown["bar_seconds"] == ("whole number", "60")
    assert shown["symbol"] == ("text", "NIFTY14AUG2524500CE")
    assert shown["rank"] == ("whole number", None)


def test_quantities_of_pairs_are_decimals_and_ticks_have_no_open(tmp_path: Path) -> None:
    header = "timestamp,kind,symbol,underlying,base_currency,currency,venue,bar_seconds,price,size"
    row = "2018-05-01T01:00:00.123Z,PAIR,BTC/USDT,BTCUSDT,BTC,USDT,BINANCE,0,9246.01,0.25"

    (file,) = rehearsed(write(tmp_path / "pair.csv", header, row)).files

    assert file.preview is not None
    shown = {column.field: (column.kind, column.values[0][1]) for column in file.preview.columns}
    assert shown["size"] == ("decimal quantity", "0.25")
    assert shown["timestamp"] == ("time of the tick, ISO 8601, with its own offset", "2018-05-01T01:00:00.123Z")


def test_a_source_without_declared_columns_is_rehearsed_too(tmp_path: Path) -> None:
    told = rehearse(get_source("nse_csv"), ImportRequest(path=tiny_day(tmp_path).landing))

    assert told.is_importable
    assert {one.dataset for one in told.partitions} == {"options_ticks", "futures_ticks", "spot_prices", "equity_daily"}
    assert all(file.preview is None for file in told.files)
    assert sum(file.good for file in told.files) == sum(one.good for one in told.partitions) > 300


def test_a_source_that_asks_a_vendor_cannot_be_rehearsed() -> None:
    class Asking(Source):
        name = "vendor"

        def get_metadata(self) -> SourceMetadata:
            return SourceMetadata("vendor", "api", "https://vendor.example", "1", supports_live=False)

        def fetch(self, request: ImportRequest) -> Iterator[ImportBatch]:
            raise AssertionError(request)

    with pytest.raises(SourceError, match="source vendor: only sources of files can be rehearsed"):
        rehearse(Asking(), ImportRequest())


def test_the_command_shows_all_of_it_and_needs_no_database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = mapped(tmp_path, OWN_ROW, BAD_ROW.replace(",1200,", ",,"))

    code, out, _ = run("import", "--source", "manual-csv", "--path", str(path), "--dry-run", capsys=capsys)

    assert code == 0
    assert out.splitlines() == [
        f"{path} (mapped): 1 good; 1 bad_price",
        (
            "  Date + Time -> timestamp (open of the bar, %d/%m/%Y %H:%M, in Asia/Kolkata):"
            " '13/08/2025 09:15' = 2025-08-13T03:45:00Z, '13/08/2025 09:16' = 2025-08-13T03:46:00Z"
        ),
        "  O -> open (price): '1400.5' = 1400.5, '1400.5' = 1400.5",
        "  H -> high (price): '1402' = 1402, '1402' = 1402",
        "  L -> low (price): '1400' = 1400, '1400' = 1400",
        "  C -> close (price): '1401.25' = 1401.25, '1.4e3' cannot be read",
        "  Vol -> volume (whole quantity): '1200' = 1200, '' is blank",
        (
            "  in all rows: kind = EQ, symbol = RELIANCE, underlying = RELIANCE, series = EQ, venue = NSE,"
            " currency = INR, bar_seconds = 60"
        ),
        "  left alone: Remark",
        "spot_prices 2025-08-13 minute: 1 good, 1 refused; would be stored",
        "the first 1 refused lines:",
        f"  {path}:3: bad_price: 13/08/2025,09:16,1400.5,1402,1400,1.4e3,,first",
    ]


def test_exit_code_and_one_json_object_tell_that_it_would_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mapped(tmp_path, OWN_ROW.replace("09:15", "nine"))

    code, out, err = run("import", "--source", "manual-csv", "--path", str(path), "--dry-run", "--json", capsys=capsys)

    told = json.loads(out)
    assert code == 1
    assert told["importable"] is False
    assert told["files"][0]["columns"][0]["field"] == "timestamp"
    assert told["files"][0]["refused"] == {"bad_timestamp": 1}
    assert told["first_refused"][0]["line"] == 2
    assert told["error"] in err


def test_damage_gives_exit_code_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = [BAD_ROW.replace("09:16", f"{10 + minute // 60}:{minute % 60:02}") for minute in range(120)]
    path = mapped(tmp_path, OWN_ROW, *bad)

    code, out, _ = run("import", "--source", "manual-csv", "--path", str(path), "--dry-run", capsys=capsys)
    as_json, told, _ = run(
        "import", "--source", "manual-csv", "--path", str(path), "--dry-run", "--json", capsys=capsys
    )

    assert (code, as_json) == (1, 1)
    assert "nothing would be stored: 120 of 121 lines were refused, more than 50%" in out
    assert json.loads(told)["partitions"][0]["damage"].startswith("120 of 121")


def test_a_rehearsal_shows_a_source_without_columns_by_its_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    landing = tiny_day(tmp_path).landing

    code, out, _ = run("import", "--source", "nse-csv", "--path", str(landing), "--dry-run", capsys=capsys)

    assert code == 0
    assert "would be stored" in out
    assert "->" not in out
