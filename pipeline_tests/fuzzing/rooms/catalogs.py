"""What exports are read back from: manifests, sidecars, archives and texts of every format, and notes beside them."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import zipfile
from decimal import Decimal
from typing import Any, Final

import polars as pl

from pipeline_defs.errors import ExportError
from pipeline_defs.exports.backtrader.contracts import SIDECAR_NAME as BACKTRADER_SIDECAR
from pipeline_defs.exports.backtrader.contracts import SIDECAR_VERSION as BACKTRADER_VERSION
from pipeline_defs.exports.backtrader.contracts import read_sidecar as read_backtrader_sidecar
from pipeline_defs.exports.backtrader.readback import read_texts
from pipeline_defs.exports.backtrader.text import HEADER
from pipeline_defs.exports.generic.reading import read_csv, read_parquet
from pipeline_defs.exports.generic.sidecar import read_sidecar
from pipeline_defs.exports.lean.databases import read_hours
from pipeline_defs.exports.lean.market_hours import segments_on
from pipeline_defs.exports.lean.paths import parse_path
from pipeline_defs.exports.lean.reading import read_zip
from pipeline_defs.exports.lean.symbol_properties import read_rows
from pipeline_defs.exports.manifest import MANIFEST_NAME, catalog_hash, check_manifest, read_manifest
from pipeline_defs.exports.nautilus.structure import _bounds
from pipeline_defs.schema.interchange import SIDECAR_KIND, SIDECAR_NAME, SIDECAR_VERSION
from pipeline_defs.sources.asking.answers import Answers
from pipeline_defs.sources.asking.questions import Action, Answer
from pipeline_defs.sources.manual_csv.exported import read_export
from pipeline_defs.sources.yahoo.ledger import ActionLedger
from pipeline_defs.storage.cache import CatalogCache
from pipeline_defs.storage.contents import parse_contents, read_contents_of
from pipeline_tests.fuzzing.helping import check_answer, fresh, place, question
from pipeline_tests.fuzzing.target import Target

_DAY: Final = dt.date(2023, 10, 5)
_SCHEMA: Final = {
    "timestamp": pl.Datetime("us", "UTC"),
    "symbol": pl.String(),
    "close": pl.Decimal(20, 8),
    "volume": pl.Int64(),
}
_ROWS: Final = pl.DataFrame(
    {
        "timestamp": [dt.datetime(2023, 10, 5, 13, 31, tzinfo=dt.UTC)] * 2,
        "symbol": ["GS", None],
        "close": [Decimal("310.5"), None],
        "volume": [100, None],
    },
    schema=_SCHEMA,
)


def _manifest(data: bytes) -> None:
    root = place(MANIFEST_NAME, data).parent
    (root / "a.csv").write_bytes(b"x\n")
    parsed = parse_contents(data, MANIFEST_NAME)
    assert all(not path.startswith("/") and ".." not in path.split("/") for path in parsed.objects)
    assert read_contents_of(root).objects == parsed.objects
    try:
        content = read_manifest(root)
    except ExportError as refusal:
        assert "version" in str(refusal)
        raise
    differences = check_manifest(root)
    assert all(isinstance(line, str) and line for line in differences)
    assert content["kind"]


def _generic_sidecar(data: bytes) -> None:
    root = place(SIDECAR_NAME, data).parent
    (root / "sessions.csv").write_bytes(b"session_date,x\n2023-10-05,1\n")
    export = read_export(root)
    if export is not None:
        assert all(isinstance(file.rows, int) and isinstance(file.bar_seconds, int) for file in export.files)
        assert all(file.path.is_relative_to(root) and ".." not in file.path.parts for file in export.files)
    content = read_sidecar(root)
    assert content["version"] == SIDECAR_VERSION


def _generic_csv(data: bytes) -> None:
    path = place("spot_prices.csv", data)
    rows = pl.concat(read_csv(path, _SCHEMA))
    assert rows.schema == pl.Schema(_SCHEMA)


def _generic_parquet(data: bytes) -> None:
    path = place("spot_prices.parquet", data)
    assert pl.concat(read_parquet(path, _SCHEMA)).schema == pl.Schema(_SCHEMA)


def _backtrader_sidecar(data: bytes) -> None:
    sidecar = read_backtrader_sidecar(place(BACKTRADER_SIDECAR, data).parent)
    for contract in sidecar.contracts:
        assert contract.strike is None or contract.strike.is_finite()
        assert contract.tick_size is None or contract.tick_size.is_finite()


def _backtrader_text(data: bytes) -> None:
    path = place("NIFTY_IDX.csv", data)
    (found,) = read_texts(path.parent, [path.name])
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    if found.defect is None:
        lines = data.decode().splitlines()[1:]
        assert found.rows == len(lines)
        assert found.sums["close"] == sum(Decimal(line.split(",")[4]) for line in lines if line.split(",")[4])


_LEAN: Final = parse_path("indexoption/india/minute/nifty/20250813_trade_european.zip")
_ENTRY: Final = "20250813_nifty_minute_trade_european_call_245000000_20250814.csv"


def _lean_zip(data: bytes) -> None:
    root = fresh("lean")
    path = root / _LEAN.path
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    contents = list(read_zip(root, _LEAN))
    assert any(content.findings or content.entries for content in contents), "silence"


def _zipped(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(_ENTRY), data)
    return stream.getvalue()


def _lean_text(data: bytes) -> None:
    """Read lines in a zip that is whole."""
    _lean_zip(_zipped(data))


def _lean_properties(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    assert all(row.text in text for row in read_rows(text))


def _lean_hours(data: bytes) -> None:
    for entry in read_hours(place("market-hours-database.json", data)).values():
        segments_on(entry, _DAY)


def _nautilus_name(data: bytes) -> None:
    first, last = _bounds(data.decode("utf-8", "replace"))
    assert isinstance(first, int)
    assert isinstance(last, int)


def _cache_note(data: bytes) -> None:
    folder = fresh("cache")
    (folder / "note.json").write_bytes(data)
    note = CatalogCache(folder, 1)._read_note(folder / "note.json")
    assert note is None or isinstance(note.size_bytes, int)


def _kept_answer(data: bytes) -> None:
    """Read the two texts of a kept answer; its rows are our own Parquet file."""
    note, _, actions = data.decode("utf-8", "replace").partition("\n")
    answers, asked = Answers(fresh("answers")), question("yahoo", _DAY)
    answers.put(asked, Answer(check_answer(_EMPTY), "", None))
    path = answers.path(asked)
    _EMPTY.write_parquet(path, metadata={"note": note, "actions": actions, "question": ""})
    answer = answers.get(asked)
    assert answer is None or answer.actions is None or all(isinstance(one, Action) for one in answer.actions)
    if answer is not None:
        assert isinstance(answer.note, str), "a note that is no text"
        answers.put(asked, answer)
        again = answers.get(asked)
        assert again is not None
        assert again.actions == answer.actions


def _kept_answer_file(data: bytes) -> None:
    answers, asked = Answers(fresh("answers")), question("yahoo", _DAY)
    answers.path(asked).write_bytes(data)
    answers.get(asked)


def _split_ledger(data: bytes) -> None:
    folder = fresh("splits")
    ledger = ActionLedger(folder)
    ledger.path("GS").write_bytes(data)
    known = ledger.known("GS")
    assert known.until is None or isinstance(known.until, dt.date)


def _answer_rows() -> pl.DataFrame:
    from pipeline_defs.sources.asking.questions import answer_rows  # noqa: PLC0415 -- beside its use

    return answer_rows({"timestamp": pl.Series([], dtype=pl.Datetime("us", "UTC"))})


_EMPTY: Final = _answer_rows()


def _bytes_of(frame: pl.DataFrame, **more: Any) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream, compression="uncompressed", **more)
    return stream.getvalue()


_OBJECTS: Final = [{"path": "a.csv", "sha256": hashlib.sha256(b"x\n").hexdigest(), "size_bytes": 2}]
_MANIFEST: Final = json.dumps(
    {
        "kind": "market-data-pipeline export",
        "version": 1,
        "format": "generic-csv",
        "partition": {"underlying": "GS", "start": "2023-10-01T00:00:00+00:00", "end": "2023-10-31T00:00:00+00:00"},
        "catalog_hash": catalog_hash(_OBJECTS),
        "objects": _OBJECTS,
    }
).encode()
_SIDECAR: Final = json.dumps(
    {
        "kind": SIDECAR_KIND,
        "version": SIDECAR_VERSION,
        "partition": {"underlying": "GS", "start_date": "2023-10-01", "end_date": "2023-10-31"},
        "files": [
            {
                "path": "bars.csv",
                "content": "bars",
                "columns": [{"name": "close"}],
                "rows": 1,
                "bar_seconds": 60,
                "derived_from": None,
            },
            {
                "path": "sessions.csv",
                "content": "sessions",
                "columns": [{"name": "session_date"}],
                "rows": 1,
                "bar_seconds": None,
                "derived_from": None,
            },
        ],
    }
).encode()
_CONTRACT: Final = {
    "name": "NIFTY_250814_24500_CE",
    "file": "a.csv",
    "kind": "OPT",
    "symbol": "NIFTY14AUG2524500CE",
    "underlying": "NIFTY",
    "expiry": "2025-08-14",
    "strike": "24500",
    "right": "CE",
    "series": None,
    "isin": None,
    "lot_size": 75,
    "multiplier": 1,
    "tick_size": "0.05",
    "currency": "INR",
    "base_currency": None,
    "venue": "NSE",
    "expiry_close": "2025-08-14 15:30:00",
    "settlement": None,
    "terms": None,
    "files": [
        {
            "bar_seconds": 60,
            "file": "a.csv",
            "rows": 1,
            "first": "2025-08-13 09:16:00",
            "last": "2025-08-13 09:16:00",
            "sha256": "00",
        }
    ],
}
_BACKTRADER: Final = json.dumps(
    {
        "version": BACKTRADER_VERSION,
        "underlying": "NIFTY",
        "timezone": "Asia/Kolkata",
        "underlying_name": None,
        "sessions": [{"date": "2025-08-13", "open": "2025-08-13 09:15:00", "close": "2025-08-13 15:30:00"}],
        "contracts": [_CONTRACT],
    }
).encode()
_LEAN_LINES: Final = b"33300000,930000,940000,925000,931000,750\n33360000,931000,931000,931000,931000,75\n"
_HOURS: Final = json.dumps(
    {
        "entries": {
            "Index-india-[*]": {
                "dataTimeZone": "UTC",
                "exchangeTimeZone": "Asia/Kolkata",
                **{
                    day: [{"start": "09:15:00", "end": "15:30:00", "state": "market"}]
                    for day in ("monday", "tuesday", "wednesday", "thursday", "friday")
                },
                "saturday": [],
                "sunday": [],
                "holidays": ["10/2/2023"],
                "earlyCloses": {"10/5/2023": "13:00:00"},
                "lateOpens": {},
            }
        }
    }
).encode()

TARGETS: Final = (
    Target(
        name="export-manifest",
        reads=(
            "exports.manifest:read_manifest",
            "storage.contents:parse_contents",
            "storage.contents:read_contents_of",
        ),
        check=_manifest,
        form="json",
        seeds=(_MANIFEST,),
        place="_manifest.json",
    ),
    Target(
        name="generic-sidecar",
        reads=("exports.generic.sidecar:read_sidecar", "sources.manual_csv.exported:read_export"),
        check=_generic_sidecar,
        form="json",
        seeds=(_SIDECAR,),
    ),
    Target(
        name="generic-csv",
        reads=("exports.generic.reading:read_csv",),
        check=_generic_csv,
        form="lines",
        seeds=(b"timestamp,symbol,close,volume\n2023-10-05T13:31:00Z,GS,310.50000000,100\n2023-10-05T13:32:00Z,,,\n",),
        place="spot_prices.csv",
        pays=False,
    ),
    Target(
        name="generic-parquet",
        reads=("exports.generic.reading:read_parquet",),
        check=_generic_parquet,
        form="binary",
        seeds=(_bytes_of(_ROWS),),
        place="spot_prices.parquet",
        pays=False,
    ),
    Target(
        name="backtrader-sidecar",
        reads=("exports.backtrader.contracts:read_sidecar", "exports.backtrader.contracts:read_terms"),
        check=_backtrader_sidecar,
        form="json",
        seeds=(_BACKTRADER,),
        place=BACKTRADER_SIDECAR,
    ),
    Target(
        name="backtrader-text",
        reads=(
            "exports.backtrader.readback:read_texts",
            "exports.backtrader.readback:_read_batch",
            "exports.backtrader.readback:_parse",
        ),
        check=_backtrader_text,
        form="lines",
        seeds=(f"{HEADER}\n2025-08-14 10:00:00,1.5,2,1,1.25,75,0\n2025-08-14 10:01:00,1,1,1,1,,\n".encode(),),
        pays=False,
    ),
    Target(
        name="lean-zip",
        reads=("exports.lean.reading:read_zip", "exports.lean.reading:_read_entry", "exports.lean.reading:_parsed"),
        check=_lean_zip,
        form="archive",
        seeds=(_zipped(_LEAN_LINES),),
    ),
    Target(
        name="lean-text",
        reads=("exports.lean.reading:_parsed",),
        check=_lean_text,
        form="lines",
        seeds=(_LEAN_LINES,),
        pays=False,
    ),
    Target(
        name="lean-symbol-properties",
        reads=("exports.lean.symbol_properties:read_rows",),
        check=_lean_properties,
        form="lines",
        seeds=(
            b"market,symbol,type,description,quote_currency,contract_multiplier,minimum_price_variation,lot_size,x\n"
            b"india,[*],equity,,INR,1,0.05,1,,\n",
        ),
    ),
    Target(
        name="lean-hours",
        reads=("exports.lean.databases:read_hours",),
        check=_lean_hours,
        form="json",
        seeds=(_HOURS,),
    ),
    Target(
        name="nautilus-file-name",
        reads=("exports.nautilus.structure:_bounds",),
        check=_nautilus_name,
        form="text",
        seeds=(b"2025-08-14T03-45-00-000000000Z_2025-08-14T10-00-00-000000000Z.parquet",),
    ),
    Target(
        name="cached-catalog",
        reads=("storage.cache:_read_note",),
        check=_cache_note,
        form="json",
        seeds=(b'{"url": "s3://b/x", "etag": "e", "size_bytes": 1}',),
    ),
    Target(
        name="kept-answer",
        reads=("sources.asking.answers:_read_actions", "sources.asking.answers:get"),
        check=_kept_answer,
        form="json",
        seeds=(b'"unadjusted"\n[["2023-10-05", "split", "2"], ["2023-10-05", "dividend", "0.5"]]', b'""\nnull'),
    ),
    Target(
        name="kept-answer-file",
        reads=("sources.asking.answers:get",),
        check=_kept_answer_file,
        form="binary",
        seeds=(_bytes_of(_EMPTY, metadata={"note": '""', "actions": "null", "question": ""}),),
        pays=False,
    ),
    Target(
        name="yahoo-splits",
        reads=("sources.yahoo.ledger:known",),
        check=_split_ledger,
        form="json",
        seeds=(
            b'{"actions": [{"ex_date": "2023-10-05", "kind": "split", "value": "2.00000000", "text": "2:1"}],'
            b' "until": "2023-10-06"}',
        ),
    ),
)
