"""Workbooks: every cell exact, lines are rows of the sheet, and nothing that would end the process is opened."""

from __future__ import annotations

import datetime as dt
import struct
import sys
import zipfile
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError, SchemaDriftError, SourceError
from pipeline_defs.sources.manual_csv import unpacking
from pipeline_defs.sources.manual_csv.lines import LINE
from pipeline_defs.sources.manual_csv.unpacking import look_through
from pipeline_defs.sources.manual_csv.workbooks import read_sheet, read_sheet_columns
from pipeline_tests.sources.manual_csv.books import BOOK_HEADER, BOOK_MAPPING, BOOK_ROW, DAY, write_book
from pipeline_tests.sources.manual_csv.reading import HEADER, ROW, only, refused, write

if TYPE_CHECKING:
    from pathlib import Path


def cells(path: Path, sheet: str | None = None) -> list[tuple[Any, ...]]:
    return [row for chunk in read_sheet(path, sheet) for row in chunk.fields.drop(LINE).iter_rows()]


def column(tmp_path: Path, *values: Any, **options: Any) -> list[str]:
    """Write values below each other and read them back; a second column keeps blank ones in the sheet."""
    path = write_book(tmp_path / "one.xlsx", ("it", "k"), *((value, "x") for value in values), **options)
    return [first for first, _ in cells(path)]


def with_time(minute: int, **changed: Any) -> tuple[Any, ...]:
    row = dict(zip(BOOK_HEADER, BOOK_ROW, strict=True)) | {"Time": dt.time(9, minute)} | changed
    return tuple(row.values())


def mapped(folder: Path, *rows: tuple[Any, ...], mapping: str = BOOK_MAPPING, **options: Any) -> Path:
    (folder / "mine.mapping.toml").write_text(mapping, encoding="utf-8")
    return write_book(folder / "mine.xlsx", *rows, **options)


def test_a_workbook_is_read_as_the_same_rows_as_a_csv_file(tmp_path: Path) -> None:
    batch = only(mapped(tmp_path, BOOK_HEADER, BOOK_ROW, with_time(16, O=1400.1)))

    assert (batch.table, batch.trade_date, batch.bar_seconds) == ("spot_prices", DAY, 60)
    first, second = batch.observations.to_dicts()
    assert first["timestamp"] == dt.datetime(2025, 8, 13, 3, 46, tzinfo=dt.UTC)
    assert [str(first[name]) for name in ("open", "high", "close", "volume")] == [
        *("1400.05000000", "1402.00000000", "1401.25000000", "1200")
    ]
    assert second["open"] == Decimal("1400.1")
    assert (first["line"], second["line"]) == (2, 3)
    assert batch.files["layout"].to_list() == ["mapped"]


def test_a_workbook_whose_columns_are_fields_needs_no_mapping(tmp_path: Path) -> None:
    path = write_book(tmp_path / "plain.xlsx", tuple(HEADER.split(",")), tuple(ROW.split(",")))

    batch = only(path)

    assert batch.table == "options_ticks"
    assert batch.observations["open"].to_list() == [Decimal("93.05")]


def test_a_line_is_the_number_of_the_row_in_the_sheet(tmp_path: Path) -> None:
    bad = with_time(17, O="n/a")
    batch = only(mapped(tmp_path, (), BOOK_HEADER, BOOK_ROW, (None,), (" ",), bad))

    assert batch.observations["line"].to_list() == [3]
    assert refused([batch]) == [
        (4, "blank_line", ""),
        (5, "blank_line", ""),
        (6, "bad_price", "2025-08-13,09:17:00,n/a,1402,1400,1401.25,1200,first"),
    ]


def test_numbers_are_the_shortest_decimals_that_mean_them_and_never_rounded(tmp_path: Path) -> None:
    values = (1400.05, 17, 0.1, 1400.0000000001, 123456789.123456, 1e-12, 5e15, -3.5)

    assert column(tmp_path, *values) == [
        *("1400.05", "17", "0.1", "1400.0000000001", "123456789.123456", "0.000000000001", "5000000000000000", "-3.5")
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.decimals(-(10**6), 10**6, places=6), min_size=1, max_size=40))
def test_every_decimal_of_fifteen_digits_comes_back(tmp_path: Path, numbers: list[Decimal]) -> None:
    found = column(tmp_path, *map(float, numbers))

    assert list(map(Decimal, found)) == numbers


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1), min_size=1))
def test_text_is_left_as_it_stands(tmp_path: Path, texts: list[str]) -> None:
    kept = [text for text in texts if not text.startswith("=")]

    assert column(tmp_path, *kept) == kept


def test_text_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    texts = ["12.50", "0012", "1.4e3", "1234567890.123456789", "12345678901234567890", "2025-08-13 00:00:00", "true"]

    assert column(tmp_path, *texts) == texts


def test_dates_times_and_both_become_iso_text(tmp_path: Path) -> None:
    midnight, later = dt.datetime(2025, 8, 13), dt.datetime(2025, 8, 13, 9, 15, 0, 250_000)  # noqa: DTZ001

    assert column(tmp_path, DAY, dt.date(2024, 2, 29)) == ["2025-08-13", "2024-02-29"]
    assert column(tmp_path, midnight, later) == ["2025-08-13 00:00:00", "2025-08-13 09:15:00.250"]
    assert column(tmp_path, dt.time(9, 15), dt.time(0, 0)) == ["09:15:00", "00:00:00"]
    assert column(tmp_path, dt.timedelta(hours=9, minutes=15), dt.timedelta(hours=30)) == ["09:15:00", "30:00:00"]
    assert column(tmp_path, DAY, date_1904=True) == ["2025-08-13"]


def test_cells_that_are_dates_need_no_format_though_texts_beside_them_have_one(tmp_path: Path) -> None:
    mapping = BOOK_MAPPING.replace("[columns]", 'format = "%d/%m/%Y %H:%M"\n\n[columns]', 1)
    as_text = with_time(16, Date="13/08/2025", Time="09:16")
    other = with_time(17, Date="08-13-2025", Time="09:17")

    batch = only(mapped(tmp_path, BOOK_HEADER, BOOK_ROW, as_text, other, mapping=mapping))

    assert [stamp.minute for stamp in batch.observations["timestamp"]] == [46, 47]
    assert [reason for _, reason, _ in refused([batch])] == ["bad_timestamp"]


def test_a_formula_is_its_stored_value_and_an_error_is_refused_not_taken_for_blank(tmp_path: Path) -> None:
    rows = (with_time(15, O="=C3*1|1400.5"), with_time(16, Vol="=1/0|#DIV/0!"), with_time(17, C="=NA()|#N/A"))

    batch = only(mapped(tmp_path, BOOK_HEADER, *rows))

    assert batch.observations["open"].to_list() == [Decimal("1400.5")]
    assert [(line, reason) for line, reason, _ in refused([batch])] == [(3, "bad_quantity"), (4, "bad_price")]
    assert "#DIV/0!" in refused([batch])[0][2]


@pytest.mark.parametrize(
    "cell",
    [b'<c r="B3"><f>A3*2</f></c>', b'<c r="B3" s="1"><f t="shared" si="0"/></c>', b"<c r='B3'><f>1&lt;2</f></c>"],
)
def test_a_formula_that_was_never_computed_is_an_error_and_not_a_blank(tmp_path: Path, cell: bytes) -> None:
    book = write_book(tmp_path / "a.xlsx", ("O", "C"), (1, "=A2*2|2"), (2, 4), sheet="A & B")
    path = repacked(book, lambda sheet: sheet.replace(b'<c r="B3"><v>4</v></c>', cell))

    with pytest.raises(
        SourceError, match=r"sheet 'A & B' has formulas that were never computed, the first in cell B3\nNext: open it"
    ):
        read_sheet_columns(path, None)


def test_formulas_of_other_sheets_do_not_matter(tmp_path: Path) -> None:
    book = write_book(tmp_path / "a.xlsx", ("O", "C"), (1, 2), others=("Notes",))
    path = repacked(book, lambda sheet: sheet.replace(b'<c r="B2"><v>2</v></c>', b'<c r="B2"><f>A2*2</f></c>'))

    assert read_sheet_columns(path, "Notes") == ["notes"]
    with pytest.raises(SourceError, match="never computed"):
        read_sheet_columns(path, "Prices")


def test_duplicates_show_the_cells_of_their_row(tmp_path: Path) -> None:
    batch = only(mapped(tmp_path, BOOK_HEADER, BOOK_ROW, BOOK_ROW))

    assert refused([batch]) == [(3, "duplicate", "2025-08-13,09:15:00,1400.05,1402,1400,1401.25,1200,first")]


def test_the_mapping_names_the_sheet(tmp_path: Path) -> None:
    mapping = 'sheet = "Prices"\n' + BOOK_MAPPING
    path = mapped(tmp_path, BOOK_HEADER, BOOK_ROW, mapping=mapping, others=("Notes",))

    assert only(path).observations.height == 1


def test_several_sheets_of_which_none_is_named_are_an_error_that_lists_them(tmp_path: Path) -> None:
    path = mapped(tmp_path, BOOK_HEADER, BOOK_ROW, others=("Notes",))

    with pytest.raises(ConfigurationError, match=r"has the sheets 'Prices', 'Notes', and nothing says which"):
        only(path)


def test_a_sheet_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    path = mapped(tmp_path, BOOK_HEADER, BOOK_ROW, mapping='sheet = "prices"\n' + BOOK_MAPPING)

    with pytest.raises(SourceError, match=r"has no sheet 'prices'; it has 'Prices'"):
        only(path)


def test_a_sheet_for_a_file_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text('sheet = "Prices"\n' + BOOK_MAPPING, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"names the sheet 'Prices', but mine\.csv is no workbook"):
        only(write(tmp_path / "mine.csv", "a,b"))


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    header = tuple("Volume" if name == "Vol" else name for name in BOOK_HEADER)

    with pytest.raises(SchemaDriftError, match=r"has no column Vol; it has Date, Time, O, H, L, C, Volume"):
        only(mapped(tmp_path, header, BOOK_ROW))


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the header in row 1 of sheet 'Prices' has O twice"):
        read_sheet_columns(write_book(tmp_path / "b.xlsx", ("O", "O", "C")), None)


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    path = write_book(tmp_path / "b.xlsx", (None, "O", None, "C"), ("note", 1, 2, 3))

    assert read_sheet_columns(path, None) == ["O", "C"]
    assert cells(path) == [("1", "3")]


@pytest.mark.parametrize("rows", [(), ((" ",), (None, "  "))])
def test_an_empty_sheet_is_told_as_an_empty_file(tmp_path: Path, rows: tuple[Any, ...]) -> None:
    (tmp_path / "mapping.toml").write_text(BOOK_MAPPING, encoding="utf-8")
    write_book(tmp_path / "good.xlsx", BOOK_HEADER, BOOK_ROW)
    write_book(tmp_path / "empty.xlsx", *rows)

    assert refused([only(tmp_path)]) == [(0, "empty_file", "no data line")]


def test_what_a_spreadsheet_program_leaves_beside_an_open_workbook_is_left_alone(tmp_path: Path) -> None:
    mapped(tmp_path, BOOK_HEADER, BOOK_ROW)
    write(tmp_path / "~$mine.xlsx", "somebody")

    assert only(tmp_path).files.height == 1


@pytest.mark.parametrize("content", [b"no workbook at all", b""])
def test_what_is_no_workbook_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "b.xlsx"
    path.write_bytes(content)

    with pytest.raises(SourceError, match="cannot be read as a workbook: File is not a zip file"):
        read_sheet_columns(path, None)


def test_a_workbook_that_was_cut_off_says_so(tmp_path: Path) -> None:
    path = write_book(tmp_path / "b.xlsx", BOOK_HEADER, BOOK_ROW)
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(SourceError, match=r"cannot be read as a workbook: .*\nNext: check the file, it may be cut"):
        read_sheet_columns(path, None)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_bytes_that_were_changed_give_all_rows_or_an_error_that_names_the_file(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "b.xlsx"
    good = path.with_name("good.xlsx")
    if not good.exists():
        write_book(good, BOOK_HEADER, *[BOOK_ROW] * 20)
    content = bytearray(good.read_bytes())
    # Most of them in the directory at the end, where everything else is found.
    place = st.integers(len(content) - 1200, len(content) - 1) | st.integers(0, len(content) - 1)
    for position in data.draw(st.lists(place, min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)

    said = ""
    rows: list[tuple[Any, ...]] = []
    try:
        rows = cells(path)
    except SourceError as error:
        said = str(error)
    assert len(rows) == 20 or str(path) in said


def test_a_zip_that_is_no_workbook_says_so(tmp_path: Path) -> None:
    path = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")

    with pytest.raises(SourceError, match="cannot be read as a workbook"):
        read_sheet_columns(path, None)


def test_a_sheet_whose_xml_is_broken_says_so(tmp_path: Path) -> None:
    path = repacked(write_book(tmp_path / "a.xlsx", ("O", "C"), (1, 2)), lambda sheet: sheet.replace(b"</c>", b"</d>"))

    with pytest.raises(SourceError, match=r"sheet 'Prices' cannot be read: .*\nNext: open it in a spreadsheet"):
        read_sheet_columns(path, None)


def test_a_sheet_that_ends_in_the_middle_says_so(tmp_path: Path) -> None:
    path = repacked(write_book(tmp_path / "a.xlsx", ("O", "C"), (1, 2), (3, 4)), lambda sheet: sheet[:-200])

    with pytest.raises(
        SourceError, match=r"cannot be read as a workbook: xl/worksheets/sheet1\.xml ends in the middle"
    ):
        read_sheet_columns(path, None)


def test_a_protected_workbook_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "b.xlsx"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512)

    with pytest.raises(SourceError, match=r"protected by a password, or of the old format \.xls .*\nNext: save it"):
        read_sheet_columns(path, None)


def test_a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = write_book(tmp_path / "b.xlsx", BOOK_HEADER, BOOK_ROW)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("xl/media/zeros.bin", "w", force_zip64=True) as member,
    ):
        for _ in range(33):
            member.write(bytes(16 << 20))
    assert path.stat().st_size < 4 << 20

    with pytest.raises(SourceError, match=r"b\.xlsx: unpacks to more than 512 MiB\nNext: clear stray cells"):
        read_sheet_columns(path, None)


def test_a_directory_that_lies_about_sizes_is_found_out(tmp_path: Path) -> None:
    path = write_book(tmp_path / "b.xlsx", BOOK_HEADER, BOOK_ROW)
    data = path.read_bytes()
    entry = data.rindex(b"xl/worksheets/sheet1.xml") - 46
    path.write_bytes(data[: entry + 24] + struct.pack("<I", 10) + data[entry + 28 :])

    with pytest.raises(SourceError, match="cannot be read as a workbook: Bad CRC-32"):
        read_sheet_columns(path, None)


def test_one_stray_cell_far_away_is_refused_and_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "b.xlsx"
    rows = repacked(
        write_book(path, ("O", "C"), (1, 2)),
        lambda sheet: sheet.replace(
            b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
        ),
    )

    with pytest.raises(SourceError, match=r"sheet1\.xml reaches to row 1048576 and column 16384: more than 8388608"):
        read_sheet_columns(rows, None)


def test_cells_that_do_not_say_where_they_are_are_refused(tmp_path: Path) -> None:
    path = repacked(
        write_book(tmp_path / "a.xlsx", ("O", "C"), (1, 2)), lambda sheet: sheet.replace(b'<c r="A2"', b"<c")
    )

    with pytest.raises(SourceError, match=r"sheet1\.xml has cells that do not say where they are"):
        read_sheet_columns(path, None)


@pytest.mark.parametrize(
    "begin", [b"<x:c t='n' r='XFD1048576'>", b'<c s="1"\n r="XFD1048576">', b'<c\tr="XFD1048576">']
)
def test_a_stray_cell_is_seen_however_it_is_written(tmp_path: Path, begin: bytes) -> None:
    path = repacked(
        write_book(tmp_path / "a.xlsx", ("O", "C"), (1, 2)),
        lambda sheet: sheet.replace(b"</sheetData>", b"<row>" + begin + b"<v>1</v></c></row></sheetData>"),
    )

    with pytest.raises(SourceError, match="reaches to row 1048576 and column 16384"):
        read_sheet_columns(path, None)


def test_a_cell_cut_by_the_end_of_a_portion_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_book(tmp_path / "b.xlsx", *[(row, row + 0.5) for row in range(300)])
    monkeypatch.setattr(unpacking, "_PORTION_BYTES", 7)
    monkeypatch.setattr(unpacking, "MOST_CELLS", 599)

    with pytest.raises(SourceError, match="reaches to row 300 and column 2: more than 599 cells"):
        look_through(path)


def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)

    with pytest.raises(ConfigurationError, match=r"needs the package fastexcel.*\nNext: install the extra 'sources'"):
        read_sheet_columns(write_book(tmp_path / "b.xlsx", ("O", "C")), None)


def repacked(path: Path, change: Any) -> Path:
    """Change the XML of the first sheet."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["xl/worksheets/sheet1.xml"] = change(members["xl/worksheets/sheet1.xml"])
    target = path.with_name("repacked.xlsx")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target
