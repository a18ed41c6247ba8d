"""Files in, batches out: which files, which dates, and what is told about them."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import ConfigurationError, SourceError
from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.manual_csv import batches as batches_module
from pipeline_defs.sources.manual_csv.adapter import ManualCsvSource
from pipeline_defs.sources.registry import get_source
from pipeline_tests.sources.manual_csv.reading import HEADER, ROW, finding, only, read, refused, write

if TYPE_CHECKING:
    from pathlib import Path

WEDNESDAY, THURSDAY = dt.date(2025, 8, 13), dt.date(2025, 8, 14)


def at(minute: int, day: int = 13, cells: dict[str, str] | None = None) -> str:
    """Give the good row at another minute, with other texts in place of its own."""
    text = ROW.replace("2025-08-13T03:46", f"2025-08-{day}T03:{minute}")
    for old, new in (cells or {}).items():
        text = text.replace(old, new)
    return text


def test_a_file_is_told_by_trade_date_table_and_resolution(tmp_path: Path) -> None:
    future = at(47, cells={"OPT": "FUT", "NIFTY14AUG2524500CE": "NIFTY28AUG25FUT"}).replace(",24500,CE,", ",,,")
    hourly = ROW.replace("T03:46", "T04:45").replace(",60,", ",3600,")
    path = write(tmp_path / "mine.csv", HEADER, at(46, 14), hourly, future, ROW)

    found = read(path)

    assert [(batch.trade_date, batch.table, batch.bar_seconds) for batch in found] == [
        (WEDNESDAY, "futures_ticks", 60),
        (WEDNESDAY, "options_ticks", 60),
        (WEDNESDAY, "options_ticks", 3600),
        (THURSDAY, "options_ticks", 60),
    ]
    (file,) = found[0].files.to_dicts()
    assert file["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (file["size_bytes"], file["path"], file["member"], file["layout"]) == (
        *(path.stat().st_size, str(path), None),
        "plain",
    )


def test_dates_and_underlying_restrict_what_is_given(tmp_path: Path) -> None:
    other = at(46, cells={"NIFTY": "BANKNIFTY"})
    path = write(
        tmp_path / "mine.csv", HEADER, ROW, at(46, 14), other, at(48, cells={"93.05": "x"}), other.replace("94", "x")
    )

    assert [batch.trade_date for batch in read(path, start_date=THURSDAY)] == [THURSDAY]
    batch = only(path, end_date=WEDNESDAY, underlying="NIFTY")
    assert batch.underlying == "NIFTY"
    assert batch.contracts["underlying"].to_list() == ["NIFTY"]
    assert [line for line, *_ in refused([batch])] == [5], "a refused line of another underlying is not ours"
    with pytest.raises(SourceError, match="it has 2025-08-13 to 2025-08-14"):
        read(path, start_date=dt.date(2025, 9, 1))
    with pytest.raises(SourceError, match="holds no row of underlying SENSEX"):
        read(path, underlying="SENSEX")


def test_rows_behind_a_later_one_are_sorted_and_told(tmp_path: Path) -> None:
    batch = only(write(tmp_path / "mine.csv", HEADER, at(48), at(46), at(47), at(49)))

    assert batch.observations["line"].to_list() == [3, 4, 2, 5]
    assert finding(batch, "out_of_order").found == "2 rows, sorted"


def test_the_same_bar_again_is_refused_and_differing_ones_are_all_refused(tmp_path: Path) -> None:
    same, other = at(46), at(47)
    differing = other.replace(",94,", ",95,")
    batch = only(write(tmp_path / "mine.csv", HEADER, same, other, same, differing, at(48)))

    assert batch.observations["line"].to_list() == [2, 6]
    assert refused([batch]) == [
        (3, "conflicting_duplicate", other),
        (4, "duplicate", same),
        (5, "conflicting_duplicate", differing),
    ]


def test_a_file_of_which_most_is_refused_says_so(tmp_path: Path) -> None:
    bad = [ROW.replace("93.05", "x")] * 60
    batch = only(write(tmp_path / "mine.csv", HEADER, *[at(m) for m in range(46, 60)] * 4, *bad))

    assert finding(batch, "damaged_fraction").found == "102 of 116"
    assert not finding(batch, "damaged_fraction").passed


def test_contradicting_lots_are_told_and_the_first_is_taken(tmp_path: Path) -> None:
    header = f"{HEADER},lot_size,tick_size"
    batch = only(write(tmp_path / "mine.csv", header, f"{at(46)},75,0.05", f"{at(47)},50,0.05"))

    assert batch.contracts.select("lot_size", "tick_size").rows() == [
        (75, pl.Series(["0.05"]).cast(pl.Decimal(20, 8))[0])
    ]
    assert finding(batch, "disputed_terms").detail == "NIFTY14AUG2524500CE"
    assert batch.observations.height == 2


def test_refused_lines_without_a_place_go_where_most_rows_of_their_file_went(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", HEADER, at(46, 14), at(47, 14), ROW, "cut,off")
    write(tmp_path / "b.csv", HEADER, "only,this")

    first, second = read(tmp_path)
    assert (first.trade_date, first.rejects.height) == (WEDNESDAY, 0)
    assert (second.trade_date, second.rejects["text"].to_list()) == (THURSDAY, ["cut,off", "only,this"])
    assert second.files.height == 2


def test_a_date_of_which_only_refused_lines_are_known_has_a_batch(tmp_path: Path) -> None:
    found = read(write(tmp_path / "mine.csv", HEADER, ROW, at(46, 14).replace("93.05", "x")))

    assert [(batch.trade_date, batch.observations.height, batch.rejects.height) for batch in found] == [
        (WEDNESDAY, 1, 0),
        (THURSDAY, 0, 1),
    ]


def test_an_empty_file_is_refused_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", HEADER, ROW)
    write(tmp_path / "b.csv", HEADER)
    (tmp_path / "c.csv").touch()

    rejects = only(tmp_path).rejects
    assert rejects.select("file_index", "line", "reason").rows() == [(1, 0, "empty_file"), (2, 0, "empty_file")]


def test_nothing_usable_names_the_first_refusal(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="none of 1 lines was usable; the first: line 2, wrong_field_count: cut,off"):
        read(write(tmp_path / "mine.csv", HEADER, "cut,off"))
    with pytest.raises(SourceError, match="line 0, empty_file"):
        read(write(tmp_path / "other" / "mine.csv", HEADER))
    with pytest.raises(SourceError, match=r"looked for \.csv, \.parquet, \.xlsx, \.xlsm files"):
        read(write(tmp_path / "third" / "notes.txt", "x").parent)
    with pytest.raises(SourceError, match="does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="no path to read"):
        list(ManualCsvSource().fetch(ImportRequest()))


def test_a_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    path.write_bytes(b"PAR1 and then nothing")

    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        read(path)


def test_a_parquet_file_with_a_text_that_is_none_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    frame = pl.DataFrame([dict(zip(HEADER.split(","), ROW.split(","), strict=True))])
    frame.write_parquet(path, compression="uncompressed")
    assert only(tmp_path).observations.height == 1
    path.write_bytes(path.read_bytes().replace(b"NIFTY", b"NIF\xc3\x28"))

    with pytest.raises(SourceError, match=r"mine\.parquet: cannot be read as Parquet"):
        read(path)


def test_other_files_are_told_and_hidden_ones_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "mine.csv", HEADER, ROW)
    write(tmp_path / "sub" / "book.ods", "x")
    write(tmp_path / ".hidden", "x")

    found = finding(only(tmp_path), "ignored_files")
    assert (found.passed, found.found, found.detail) == (False, "1 others", str(tmp_path / "sub" / "book.ods"))


def test_ticks_of_one_instant_in_two_files_have_no_order(tmp_path: Path) -> None:
    header = "timestamp,kind,symbol,underlying,venue,currency,bar_seconds,price"
    tick = "2025-08-13T03:45:00Z,SPOT,NIFTY 50,NIFTY,NSE,INR,0,24600.05"
    write(tmp_path / "a.csv", header, tick)
    write(tmp_path / "b.csv", header, tick)

    with pytest.raises(SourceError, match="their order is not known"):
        read(tmp_path)
    write(tmp_path / "a.csv", f"{header},sequence", f"{tick},0")
    write(tmp_path / "b.csv", f"{header},sequence", f"{tick},1", f"{tick},0")
    batch = only(tmp_path)
    assert batch.observations["sequence"].to_list() == [0, 1]
    assert [reason for _, reason, _ in refused([batch])] == ["duplicate"]


def test_rows_that_go_by_way_of_the_disk_are_the_same(tmp_path: Path) -> None:
    for name in "abc":
        write(
            tmp_path / f"{name}.csv",
            HEADER,
            *(at(m, d, {"24500,": f"{ord(name)},"}) for m in range(46, 56) for d in (13, 14)),
        )

    in_memory, by_disk = read(tmp_path), read(tmp_path, source=ManualCsvSource(rows_in_memory=7))

    assert [batch.trade_date for batch in by_disk] == [WEDNESDAY, THURSDAY]
    for one, other in zip(in_memory, by_disk, strict=True):
        assert one.observations.equals(other.observations)
        assert one.contracts.equals(other.contracts)


def test_a_source_reads_its_own_path_and_describes_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.csv", HEADER, ROW)
    source = get_source("manual-csv", path=str(path))

    assert next(iter(source.fetch(ImportRequest()))).observations.height == 1
    metadata = source.get_metadata()
    assert (metadata.source, metadata.source_url, metadata.source_type) == ("manual_csv", str(path), "file")


def test_a_place_is_what_it_should_be() -> None:
    with pytest.raises(TypeError, match="trade date was None"):
        batches_module._key((None, "spot_prices", 60, False))


def test_many_names_are_told_in_part() -> None:
    assert batches_module.shown([str(k) for k in range(7)]) == "0, 1, 2, 3, 4 and 2 more"
