"""The exchange's day file: lots of contracts, ISINs of shares, and the exchange's numbers."""

from __future__ import annotations

import datetime as dt
import zipfile
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.sources.terms.registry import read_terms

if TYPE_CHECKING:
    from pathlib import Path

HEADER = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,OptnTp,"
    "FinInstrmNm,NewBrdLotQty"
)
LINES = (
    "2025-09-02,2025-09-02,FO,NSE,STO,61454,,ACME,,2025-10-28,2025-10-28,290.00,CE,ACME25OCT290CE,3100",
    "2025-09-02,2025-09-02,FO,NSE,STF,53013,,ACME,,2025-09-30,2025-09-29,,,ACME25SEPFUT,3100",
    "2025-09-02,2025-09-02,CM,NSE,STK,22,INE000A01012,ACME,EQ,,,,,ACME LIMITED,1",
    "2025-09-02,2025-09-02,FO,NSE,STF,53014,,ACME,,2025-10-28,2025-10-28,,,ACME25OCTFUT,many",
)


def write(folder: Path) -> Path:
    file = folder / "day.csv"
    file.write_text("\n".join([HEADER, *LINES]) + "\n")
    return file


def test_lots_isins_and_numbers_are_read(tmp_path: Path) -> None:
    delivery = read_terms("udiff", write(tmp_path), None)

    columns = ("line", "kind", "token", "expiry", "isin", "lot_size", "series", "symbol")
    assert delivery.statements.select(columns).rows() == [
        (2, "OPT", "NSE-FO:61454", dt.date(2025, 10, 28), None, 3100, None, "ACME25OCT290CE"),
        (3, "FUT", "NSE-FO:53013", dt.date(2025, 9, 29), None, 3100, None, "ACME25SEPFUT"),
        (4, "EQ", "NSE-CM:22", None, "INE000A01012", None, "EQ", "ACME"),
    ]
    assert delivery.statements["valid_from"].unique().to_list() == [dt.date(2025, 9, 2)]
    assert delivery.refused.rows() == [(5, "the lot size is no whole number")]


def test_the_archive_it_comes_in_reads_the_same(tmp_path: Path) -> None:
    file = write(tmp_path)
    with zipfile.ZipFile(tmp_path / "day.csv.zip", "w") as archive:
        archive.write(file, "day.csv")

    zipped = read_terms("udiff", tmp_path / "day.csv.zip", dt.date(2025, 9, 2))
    assert zipped.statements.equals(read_terms("udiff", file, None).statements)


def test_a_date_that_is_not_the_files_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the file is of 2025-09-02, not of 2025-09-03"):
        read_terms("udiff", write(tmp_path), dt.date(2025, 9, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is not a CSV"), (b"PK\x03\x04broken", "is not a CSV"), (b"\x1f\x8bno gzip", "is not a CSV")],
)
def test_what_is_no_csv_is_said_so(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "day.csv"
    file.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_terms("udiff", file, None)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        read_terms("udiff", tmp_path / "none.csv", None)


def test_an_unknown_format_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no format 'xml' of terms, expected one of kite, udiff, csv"):
        read_terms("xml", tmp_path, None)
