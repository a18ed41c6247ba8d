from __future__ import annotations

import datetime as dt
import threading
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import SchemaDriftError, SourceError
from pipeline_defs.sources.zerodha.dumps import Dump, Dumps, checked
from pipeline_tests.sources.zerodha.server import DUMP, HEADER, error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.batches import ImportBatch
    from pipeline_defs.sources.zerodha.adapter import ZerodhaSource
    from pipeline_tests.sources.zerodha.server import KiteServer

type Make = Callable[..., ZerodhaSource]
type Fetch = Callable[..., dict[tuple[str, dt.date], ImportBatch]]

INDEX = {"indices": ["NIFTY 50"]}


def at(hour: int, minute: int = 0, day: int = 20) -> dt.datetime:
    zone = dt.timezone(dt.timedelta(hours=5, minutes=30))
    return dt.datetime(2025, 8, day, hour, minute, tzinfo=zone).astimezone(dt.UTC)


def test_a_dump_is_fetched_once_a_day_and_kept_as_it_came(
    source: Make, fetch: Fetch, kite: KiteServer, home: Path
) -> None:
    for now in (at(16), at(23), at(8, 29, day=21)):
        fetch(source(now=now, **INDEX), first=dt.date(2025, 8, 19))
    folder = home / "instruments" / "zerodha"
    assert [path.name for path in folder.glob("*.csv")] == ["2025-08-20.csv"]
    assert (folder / "2025-08-20.csv").read_bytes() == kite.dump
    assert kite.paths.count("/instruments") == 1

    fetch(source(now=at(8, 30, day=21), **INDEX), first=dt.date(2025, 8, 19))
    assert sorted(path.name for path in folder.glob("*.csv")) == ["2025-08-20.csv", "2025-08-21.csv"]


def test_processes_that_start_together_ask_once(tmp_path: Path) -> None:
    asked: list[int] = []

    def fetch() -> bytes:
        asked.append(1)
        return DUMP.encode()

    dumps = Dumps(tmp_path / "dumps", fetch, lambda: at(16))
    threads = [threading.Thread(target=dumps.newest) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1


def test_the_dump_nearest_to_a_day_is_taken_and_other_files_are_left_alone(tmp_path: Path) -> None:
    dumps = Dumps(tmp_path, DUMP.encode, lambda: at(16))
    for name in ("2025-08-01", "2025-08-05", "2025-08-08", "notes"):
        (tmp_path / f"{name}.csv").write_text(DUMP)
    chosen = [dumps.nearest(dt.date(2025, 8, day)).date.day for day in (1, 3, 4, 6, 7, 14, 15, 31)]
    assert chosen == [1, 1, 5, 5, 8, 8, 20, 20]
    assert dumps.nearest(dt.date(2020, 1, 1)).date.day == 1


def test_a_dump_is_read_as_the_contract_master_reads_it_with_kites_tokens(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(DUMP)
    found = Dump(dt.date(2025, 8, 20), tmp_path / "d.csv").instruments()
    shown = found.select("vendor_id", "kind", "venue", "underlying", "symbol").rows()
    assert ("256265", "SPOT", "NSE", "NIFTY", "NIFTY 50") in shown
    assert ("10222594", "OPT", "NSE", "NIFTY", "NIFTY30DEC24550CE") in shown
    assert ("128083204", "EQ", "BSE", "RELIANCE", "RELIANCE") in shown
    assert "CRUDEOIL30DECFUT" not in found["symbol"]


def test_a_renamed_column_of_the_dump_is_named_and_nothing_is_kept(
    source: Make, fetch: Fetch, kite: KiteServer, home: Path
) -> None:
    kite.dump = DUMP.replace("instrument_token", "token").encode()
    with pytest.raises(SchemaDriftError) as caught:
        fetch(source(**INDEX))
    assert str(caught.value) == (
        "zerodha instruments: Kite's instruments lack the columns instrument_token; the header is token,"
        " exchange_token, tradingsymbol, name, last_price, expiry, strike, tick_size, lot_size, instrument_type,"
        " segment, exchange\n"
        "Next: nothing was kept; look whether Kite has changed its format"
    )
    assert list((home / "instruments" / "zerodha").glob("*.csv")) == []


@pytest.mark.parametrize("cut", [DUMP.encode()[:-40], HEADER.encode() + b"\n", DUMP.encode() + b'"'])
def test_a_dump_that_was_cut_short_is_asked_for_again(source: Make, fetch: Fetch, kite: KiteServer, cut: bytes) -> None:
    kite.next_dumps.append((200, {"Content-Type": "text/csv"}, cut))
    fetch(source(**INDEX))
    assert kite.paths.count("/instruments") == 2


def test_a_whole_dump_passes_unchanged() -> None:
    assert checked(DUMP.encode()) == DUMP.encode()
    assert checked(b"\xef\xbb\xbf" + DUMP.encode().rstrip()) == b"\xef\xbb\xbf" + DUMP.encode().rstrip()


def test_a_dump_that_comes_as_json_is_no_dump(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.next_dumps.append((200, {"Content-Type": "application/json"}, b'{"data": []}'))
    with pytest.raises(SchemaDriftError, match="the instruments came as list, expected CSV"):
        fetch(source(**INDEX))


def test_a_dump_that_is_refused_is_an_error(source: Make, fetch: Fetch, kite: KiteServer) -> None:
    kite.next_dumps.append(error(400, "InputException", "no"))
    with pytest.raises(SourceError, match=r"zerodha instruments: Kite refused \(400 no\)"):
        fetch(source(**INDEX))
