"""Files that people and exchanges deliver: NSE files of every layout, files of one's own, workbooks, lists of terms."""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from functools import cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import polars as pl

from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.schema.terms import REFUSED_SCHEMA, TERMS_SCHEMA
from pipeline_defs.sources.manual_csv.adapter import ManualCsvSource
from pipeline_defs.sources.manual_csv.mapping import read_mapping
from pipeline_defs.sources.nse_csv.adapter import NseCsvSource
from pipeline_defs.sources.nse_csv.layouts import LAYOUTS_BY_NAME, Layout
from pipeline_defs.sources.terms.registry import READERS, read_terms
from pipeline_defs.sources.zerodha.dumps import Dump, checked
from pipeline_tests.fuzzing.helping import check_cells, check_lines, fresh, lines_of, place
from pipeline_tests.fuzzing.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_defs.schema.batches import ImportBatch, Source

_CM: Final = "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,"
_CM_ROW: Final = "RELIANCE,EQ,3000,3010.5,2990,3005.05,3004,2999,4500000,1.5e10,05-JUL-2024,90000,INE002A01018,"
_UDIFF: Final = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,OptnTp,"
    "FinInstrmNm,OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,ChngInOpnIntrst,"
    "TtlTradgVol,TtlTrfVal,TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4"
)
_UDIFF_FO: Final = (
    "2025-09-02,2025-09-02,FO,NSE,IDO,1,,NIFTY,,2025-09-09,2025-09-09,24100.00,PE,NIFTY2590924100PE,17.55,24.20,"
    "9.15,18.55,18.30,18.10,24579.60,18.55,1678575,0,140322,1.00,1,F1,75,,,,,"
)
_UDIFF_CM: Final = (
    "2025-09-02,2025-09-02,CM,NSE,STK,2885,INE002A01018,RELIANCE,EQ,,,,,RELIANCE INDUSTRIES LTD,1400.00,1410.00,1390.00,"  # noqa: E501
    "1405.50,1405.00,1399.00,,1405.50,,,5000000,7.0e9,90000,F1,1,,,,,"
)
_BAR: Final = "Ticker,Date,Time,Open,High,Low,Close,Volume,Open Interest"
_TICK: Final = "Ticker,Date,Time,LTP,BuyPrice,BuyQty,SellPrice,SellQty,LTQ,OpenInterest"
_TD: Final = "20250814,09:15:01,24600.05,75,1500,24600,75,24600.1,150"

NSE_FILES: Final[dict[str, tuple[str, str]]] = {
    "gdfl-minute": (
        "GDFLNFO_BACKADJUSTED_14082025.csv",
        f"{_BAR}\nNIFTY28AUG2524500CE.NFO,14/08/2025,09:15:59,275.45,278.7,270.4,271.65,2175,150\n"
        "NIFTY28AUG2524500CE.NFO,14/08/2025,09:16:59,271.65,272,271,271.5,75,150\n"
        "NIFTY-I.NFO,14/08/2025,09:15:59,24600,24610.5,24590,24600.05,750,1500\n",
    ),
    "gdfl-tick": (
        "GDFLNFO_TICK_14082025.csv",
        f"{_TICK}\nNIFTY28AUG2524500CE.NFO,14/08/2025,09:15:01,275.45,275.4,75,275.5,150,75,1500\n"
        "NIFTY28AUG2524500CE.NFO,14/08/2025,09:15:01,275.5,275.4,75,275.5,150,75,1500\n",
    ),
    "gdfl-cash-minute": (
        "GDFLCM_INDICES_14082025.csv",
        f"{_BAR}\nNIFTY 50.NSE_IDX,14/08/2025,09:15:59,24600,24610.5,24590,24600.05,0,0\n"
        "RELIANCE.NSE,14/08/2025,09:15:59,1400,1401.5,1399,1400.05,1200,0\n",
    ),
    "gdfl-cash-tick": (
        "GDFLCM_TICK_14082025.csv",
        f"{_TICK}\nRELIANCE.NSE,14/08/2025,09:15:01,1400.05,1400,75,1400.1,150,75,0\n",
    ),
    "expiry-column-minute": (
        "options_2025-08-14.csv",
        "Ticker,Date,Time,ExpiryDate,Open,High,Low,Close,Volume,Open Interest,PaddingFlag\n"
        "NIFTY28AUG2524500CE,2025-08-14,09:15:59,2025-08-28,275.45,278.7,270.4,271.65,2175,150,0\n",
    ),
    "truedata-index-tick": ("NSE_IDX_TICK_20250814/NIFTY 50.csv", "20250814,09:15:01,24600.05,0,0\n"),
    "truedata-tick": ("NSE_OPT_TICK_20250814/NIFTY25082824500CE.csv", f"{_TD}\n{_TD.replace(':01', ':02')}\n"),
    "truedata-contract-tick": ("NSE_FUT_TICK_20250814/CONTRACT FUTURES/NIFTY25AUGFUT.csv", f"{_TD}\n"),
    "fo-bhavcopy": (
        "fo05JUL2024bhav.csv",
        "INSTRUMENT,SYMBOL,EXPIRY_DT,STRIKE_PR,OPTION_TYP,OPEN,HIGH,LOW,CLOSE,SETTLE_PR,CONTRACTS,VAL_INLAKH,OPEN_INT,"
        "CHG_IN_OI,TIMESTAMP,\nOPTIDX,NIFTY,25-Jul-2024,24000,CE,100,110.5,99,105,105.2,12,7.2,4500,-50,05-JUL-2024,\n"
        "FUTSTK,RELIANCE,25-Jul-2024,0,XX,3000,3010,2990,3005,3005,10,75.1,250000,500,05-JUL-2024,\n",
    ),
    "cash-bhavcopy": ("cm05JUL2024bhav.csv", f"{_CM}\n{_CM_ROW}\n"),
    "cash-bhavcopy-2010": (
        "cm05JUL2010bhav.csv",
        f"{','.join(_CM.split(',')[:11])},\n{','.join(_CM_ROW.split(',')[:10])},05-JUL-2010,\n",
    ),
    "cash-bhavcopy-r": (
        "cm05JUL2024bhav.csv",
        '"",'
        + ",".join(f'"{name}"' for name in _CM.rstrip(",").split(","))
        + ',"X"\n"1",'
        + ",".join(f'"{cell}"' for cell in _CM_ROW.rstrip(",").split(","))
        + ",NA\n",
    ),
    "cash-bhavdata-full": (
        "sec_bhavdata_full_05072024.csv",
        "SYMBOL, SERIES, DATE1, PREV_CLOSE, OPEN_PRICE, HIGH_PRICE, LOW_PRICE, LAST_PRICE, CLOSE_PRICE, AVG_PRICE,"
        " TTL_TRD_QNTY, TURNOVER_LACS, NO_OF_TRADES, DELIV_QTY, DELIV_PER\n"
        "RELIANCE, EQ, 05-Jul-2024, 2999, 3000, 3010.5, 2990, 3004, 3005.05, 3002.1, 4500000, 150000.5, 90000, -, -\n",
    ),
    "udiff": ("BhavCopy_NSE_FO_0_0_0_20250902_F_0000.csv", f"{_UDIFF}\n{_UDIFF_FO}\n"),
    "udiff-cash": ("BhavCopy_NSE_CM_0_0_0_20250902_F_0000.csv", f"{_UDIFF}\n{_UDIFF_CM}\n"),
}
"""A file of each layout: the name that promises it, and what it holds."""


def _checked(source: Source, path: Path) -> list[ImportBatch]:
    """Read all of a path; every batch is what a source promises, and says something."""
    batches = []
    for batch in source.fetch(ImportRequest(path=path)):
        source.validate_data(batch)
        assert batch.observations.height or batch.rejects.height or batch.empty_reason, "silence"
        batches.append(batch)
    assert batches, "an iterator without a batch"
    return batches


def _check_rows(batches: list[ImportBatch], layout: Layout, data: bytes) -> None:
    """Hold numbers against the cells they came from, and stamps against the clock times beside them."""
    zone = dt.timedelta(hours=5.5)
    lines = lines_of(data)
    check_cells(batches, lines, layout.columns, has_quotes=False)
    for batch in batches:
        for line, stamp in batch.observations.select("line", "timestamp").rows():
            cells = [cell.strip(' "\r\ufeff') for cell in lines[line - 1].split(",")]
            if layout.has("date"):
                day = dt.datetime.strptime(cells[layout.columns.index("date")], layout.date_format)  # noqa: DTZ007
                assert (stamp + zone).date() == day.date(), f"line {line}: {stamp}"
            if layout.has("time"):
                clock = dt.datetime.strptime(cells[layout.columns.index("time")], "%H:%M:%S")  # noqa: DTZ007
                late = (stamp + zone).replace(tzinfo=None) - dt.datetime.combine((stamp + zone).date(), clock.time())
                most = dt.timedelta(seconds=max(layout.bar_seconds - 1, 0))
                assert dt.timedelta() <= late <= most, f"line {line}: {stamp} of {clock:%H:%M:%S}"


def _nse(name: str) -> Target:
    layout, (file, seed) = LAYOUTS_BY_NAME[name], NSE_FILES[name]

    def check(data: bytes) -> None:
        path = place(file, data)
        batches = _checked(NseCsvSource(), path)
        read = sum(batch.rows_read for batch in batches)
        count = len(lines_of(data)) - (1 if layout.header is not None else 0)
        if any((batch.rejects["line"] == 0).any() for batch in batches):
            return  # the file as a whole was refused, as one
        assert read >= count, f"{read} rows of {count} lines: some were lost"
        assert read <= max(count, 1), f"{read} rows of {count} lines: some came twice"
        layouts = {row for batch in batches for row in batch.files["layout"].to_list() if row}
        if layouts == {name}:
            _check_rows(batches, layout, data)

    return Target(
        name=f"nse_csv-{name}",
        reads=(
            *("sources.nse_csv.reading:read_date", "sources.nse_csv.reading:_read_undated"),
            *("sources.nse_csv.normalize:_read_names", "sources.nse_csv.contracts:read_tickers"),
            *("sources.nse_csv.contracts:_parse", "sources.nse_csv.lines:_parse", "sources.nse_csv.parts:split_dates"),
            *("sources.nse_csv.lines:_parse_waiting", "sources.nse_csv.deliveries:read"),
            *("sources.nse_csv.deliveries:_read", "sources.nse_csv.archives:_read_raw"),
        ),
        check=check,
        form="lines",
        seeds=(seed.encode(),),
        place=file.rpartition("/")[2],
        pays=False,
    )


def _zipped(name: str, data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


def _nse_archive(data: bytes) -> None:
    _checked(NseCsvSource(), place("GDFLNFO_BACKADJUSTED_14082025.zip", data))


# Files of one's own -----------------------------------------------------------------------------------------------

_HEADER: Final = (
    "timestamp,kind,symbol,underlying,expiry,strike,option_type,venue,currency,bar_seconds,"
    "open,high,low,close,volume,open_interest"
)
_OPTION: Final = "OPT,NIFTY14AUG2524500CE,NIFTY,2025-08-14,24500,CE,NSE,INR,60"
_PLAIN: Final = (
    f"{_HEADER}\n2025-08-13T03:46:00Z,{_OPTION},93.05,94,92.5,93.1,750,1500\n"
    f'2025-08-13T09:17:00+05:30,"OPT",NIFTY14AUG2524500CE,NIFTY,2025-08-14,24500,CE,NSE,INR,60,93,94,92.5,93,0,1500\n'
).encode()
_PAIR: Final = (
    b"timestamp,kind,symbol,underlying,base_currency,venue,currency,bar_seconds,open,high,low,close,volume\n"
    b"2025-08-13T03:46:00Z,PAIR,BTC/USDT,BTCUSDT,BTC,BINANCE,USDT,60,119294.01,119300,119000.5,119294.2,0.12345678\n"
)
_MAPPING: Final = b"""stamp = "open"
zone = "Asia/Kolkata"
format = "%d/%m/%Y %H:%M"
separator = ","

[columns]
timestamp = ["Date", "Time"]
open = "O"
high = "H"
low = "L"
close = "C"
volume = "Vol"

[fixed]
kind = "EQ"
symbol = "RELIANCE"
underlying = "RELIANCE"
series = "EQ"
venue = "NSE"
currency = "INR"
bar_seconds = 60
"""
_OWN: Final = (
    b"Date,Time,O,H,L,C,Vol,Remark\n13/08/2025,09:15,1400.5,1402,1400,1401.25,1200,first\n"
    b'13/08/2025,09:16,1401,1402,1400,1401.25,,"second, quoted"\n'
)
_TICKS_MAPPING: Final = b"""stamp = "close"
zone = "America/New_York"
separator = ";"

[columns]
timestamp = "when"
price = "last"
size = "n"

[fixed]
kind = "EQ"
symbol = "GS"
underlying = "GS"
venue = "NYSE"
currency = "USD"
bar_seconds = 0
"""
_TICKS: Final = b"when;last;n\n2023-10-05 09:31:00;310.5;100\n2023-10-05 09:31:00.5;310.51;0.5\n"


def _own_file(
    file: str,
    instant: Callable[[dict[str, str]], dt.datetime | None],
    *,
    mapping: bytes | None = None,
    separator: str = ",",
) -> Callable[[bytes], None]:
    """Read a file of one's own: no line is lost, no number changed, no instant shifted."""

    def check(data: bytes) -> None:
        path = place(file, data)
        if mapping is not None:
            path.with_suffix(".mapping.toml").write_bytes(mapping)
        batches = _checked(ManualCsvSource(), path)
        lines = lines_of(data)
        if len(lines) > 1 or lines[0].strip():
            check_lines(batches, len(lines) - 1, 2)
        header = next(csv.reader([lines[0].strip("\r\ufeff")], delimiter=separator))
        columns = [_MEANING.get(name, name) for name in header]
        check_cells(batches, lines, columns, separator=separator, instant=instant)

    return check


_MEANING: Final = {"O": "open", "H": "high", "L": "low", "C": "close", "Vol": "volume", "last": "close", "n": "volume"}
"""Columns of the seeds, as their mappings name them."""


def _iso(cells: dict[str, str]) -> dt.datetime | None:
    """Read a stamp with its offset; a date alone is the end of its session."""
    return dt.datetime.fromisoformat(cells["timestamp"]) if len(cells["timestamp"]) > 10 else None


def _minute_end(cells: dict[str, str]) -> dt.datetime:
    begun = dt.datetime.strptime(f"{cells['Date']} {cells['Time']} +0530", "%d/%m/%Y %H:%M %z")
    return begun + dt.timedelta(minutes=1)


def _new_york(cells: dict[str, str]) -> dt.datetime:
    stamp = dt.datetime.fromisoformat(cells["when"])
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=ZoneInfo("America/New_York"))


def _mapping(data: bytes) -> None:
    path = place("own.mapping.toml", data)
    mapping = read_mapping(path)
    file = path.with_name("own.csv")
    file.write_bytes(_OWN if "Date" in str(mapping.columns) else _TICKS)
    assert len(mapping.separator) == 1
    _checked(ManualCsvSource(), file)


def _workbook(data: bytes) -> None:
    path = place("own.xlsx", data)
    path.with_suffix(".mapping.toml").write_bytes(
        _MAPPING.replace(b'format = "%d/%m/%Y %H:%M"\nseparator = ","\n', b"")
    )
    _checked(ManualCsvSource(), path)


def _parquet_file(data: bytes) -> None:
    _checked(ManualCsvSource(), place("plain.parquet", data))


@cache
def _book() -> bytes:
    from pipeline_tests.sources.manual_csv.books import BOOK_HEADER, BOOK_ROW, write_book  # noqa: PLC0415 -- heavy

    return write_book(fresh("book") / "own.xlsx", BOOK_HEADER, BOOK_ROW).read_bytes()


@cache
def _parquet() -> bytes:
    stream = io.BytesIO()
    pl.read_csv(io.BytesIO(_PLAIN), infer_schema=False).write_parquet(stream, compression="uncompressed")
    return stream.getvalue()


# Lists of terms ---------------------------------------------------------------------------------------------------

_TERMS: Final = {
    "kite": (
        "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
        "instrument_type,segment,exchange\n"
        "1,41000,NIFTY25SEP24500CE,NIFTY,80.05,2025-09-30,24500.0,0.05,75,CE,NFO-OPT,NFO\n"
        "738561,2885,RELIANCE,RELIANCE INDUSTRIES,1400,,0,0.1,1,EQ,NSE,NSE\n"
        "256265,1001,NIFTY 50,NIFTY 50,0,,0,0,0,EQ,INDICES,NSE\n"
    ),
    "udiff": f"{_UDIFF}\n{_UDIFF_FO}\n{_UDIFF_CM}\n",
    "csv": (
        "kind,underlying,valid_from,expiry,strike,option_type,lot_size,tick_size,symbol\n"
        "OPT,NIFTY,2025-09-01,2025-09-30,24500,CE,75,0.05,\nEQ,RELIANCE,2025-09-01,,,,,0.1,RELIANCE\n"
    ),
}


def _terms(name: str) -> Target:
    as_of = None if name == "udiff" else dt.date(2025, 9, 2)

    def check(data: bytes) -> None:
        path = place(f"{name}.csv", data)
        delivery = read_terms(name, path, as_of)
        assert delivery.statements.schema == pl.Schema(TERMS_SCHEMA)
        assert delivery.refused.schema == pl.Schema(REFUSED_SCHEMA)
        assert delivery.refused["reason"].null_count() == 0
        lines = [*delivery.statements["line"], *delivery.refused["line"]]
        assert len(set(lines)) == len(lines)
        if b'"' not in data and b"\r" not in data:
            count = sum(1 for line in lines_of(data)[1:] if line)
            assert len(lines) >= count, f"{len(lines)} of {count} lines"
        if name == "kite":
            checked(data)
            Dump(dt.date(2025, 9, 2), path).instruments()

    return Target(
        name=f"terms-{name}",
        reads=(
            *("sources.terms.tables:read_table", "sources.terms.registry:read_terms"),
            *(f"{READERS[name].removeprefix('pipeline_defs.')}:read", "sources.zerodha.dumps:_read"),
        ),
        check=check,
        form="lines",
        seeds=(_TERMS[name].encode(),),
        place="" if name == "kite" else f"{name}.csv",
        pays=False,
    )


_MANUAL: Final = (
    *("sources.manual_csv.lines:read_header", "sources.manual_csv.lines:read_lines", "sources.manual_csv.lines:_parse"),
    *("sources.manual_csv.lines:_parse_quoted", "sources.manual_csv.lines:_split", "sources.manual_csv.rows:read_rows"),
    *("sources.manual_csv.contracts:_read", "sources.manual_csv.stamps:read_stamps"),
    "sources.manual_csv.adapter:_read",
)

TARGETS: Final = (
    *(_nse(name) for name in NSE_FILES),
    Target(
        name="nse_csv-archive",
        reads=(
            "sources.nse_csv.archives:read",
            "sources.nse_csv.deliveries:refuse_unread",
            "sources.nse_csv.deliveries:_register_unread",
            "sources.nse_csv.entries:unreadable",
        ),
        check=_nse_archive,
        form="archive",
        seeds=(_zipped("GDFLNFO_BACKADJUSTED_14082025.csv", NSE_FILES["gdfl-minute"][1].encode()),),
        place="GDFLNFO_BACKADJUSTED_14082025.",
    ),
    Target(
        name="manual_csv-plain",
        reads=_MANUAL,
        check=_own_file("plain.csv", _iso),
        form="lines",
        seeds=(_PLAIN, _PAIR),
        place="plain.csv",
        pays=False,
    ),
    Target(
        name="manual_csv-mapped",
        reads=_MANUAL,
        check=_own_file("own.csv", _minute_end, mapping=_MAPPING),
        form="lines",
        seeds=(_OWN,),
        place="own.csv",
        pays=False,
    ),
    Target(
        name="manual_csv-ticks",
        reads=_MANUAL,
        check=_own_file("ticks.csv", _new_york, mapping=_TICKS_MAPPING, separator=";"),
        form="lines",
        seeds=(_TICKS,),
        place="ticks.csv",
        pays=False,
    ),
    Target(
        name="manual_csv-mapping",
        reads=("sources.manual_csv.mapping:read_mapping",),
        check=_mapping,
        form="text",
        seeds=(_MAPPING, _TICKS_MAPPING),
        place="own.",
    ),
    Target(
        name="manual_csv-workbook",
        reads=(
            "sources.manual_csv.workbooks:read_sheet_columns",
            "sources.manual_csv.workbooks:read_sheet",
            "sources.manual_csv.workbooks:_read",
            "sources.manual_csv.workbooks:_read_once",
            "sources.manual_csv.workbooks:_split",
            "sources.manual_csv.workbooks:read",
            "sources.manual_csv.unpacking:unreadable",
        ),
        check=_workbook,
        form="archive",
        seeds=(_book(),),
        place="own.xlsx",
        pays=False,
    ),
    Target(
        name="manual_csv-parquet",
        reads=(
            "sources.manual_csv.chunks:read_columns",
            "sources.manual_csv.chunks:read_chunks",
            "sources.manual_csv.chunks:_unreadable",
        ),
        check=_parquet_file,
        form="binary",
        seeds=(_parquet(),),
        place="plain.parquet",
        pays=False,
    ),
    *(_terms(name) for name in READERS),
)
