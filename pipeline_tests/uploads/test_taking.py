"""Uploads: imported once, moved whole, with a report; whatever interrupts it."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.cli import main as cli
from pipeline_defs.errors import StorageError, WarehouseError
from pipeline_defs.uploads import moving, taking
from pipeline_defs.uploads.moving import Place, find_place
from pipeline_defs.uploads.taking import TakenIn, take_in
from pipeline_defs.uploads.waiting import settled_uploads
from pipeline_defs.warehouse.loading import import_source
from pipeline_defs.warehouse.reports import refuse_damage
from pipeline_tests.sources.manual_csv.books import BOOK_HEADER, BOOK_MAPPING, BOOK_ROW, write_book
from pipeline_tests.sources.manual_csv.reading import HEADER, MAPPING, OWN_HEADER, OWN_ROW, ROW, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse

BAD_ROW = OWN_ROW.replace("09:15", "09:16").replace("1401.25", "1.4e3")


class KilledError(BaseException):
    """Ends the process at an instant of the test's choice."""


def upload(folder: Path, *rows: str, name: str = "mine.csv", mapping: str = MAPPING) -> Path:
    (folder / name).with_suffix(".mapping.toml").write_text(mapping, encoding="utf-8")
    return write(folder / name, OWN_HEADER, *(rows or (OWN_ROW,)))


def take(warehouse: Warehouse, folder: Path) -> TakenIn:
    return take_in(warehouse, folder, pause_seconds=0)


def files(folder: Path) -> list[str]:
    """Every file below the folder but the lock, with the date of today as DATE."""
    today = dt.datetime.now(dt.UTC).date().isoformat()
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name.replace(today, "DATE") for name in names if name != ".lock")


def stored(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(
            'SELECT "timestamp", open::text, close::text, volume::text FROM spot_prices ORDER BY 1'
        ).fetchall()


def history(warehouse: Warehouse) -> int:
    with warehouse.connect() as connection:
        (row,) = connection.execute("SELECT count(*) FROM spot_prices_history").fetchall()
    return int(row[0])


DONE = ["done/DATE/mine.csv", "done/DATE/mine.csv.report.md", "done/DATE/mine.mapping.toml"]


def test_an_upload_is_imported_and_moved_with_its_mapping_and_a_report(warehouse: Warehouse, folder: Path) -> None:
    upload(folder, OWN_ROW, BAD_ROW)

    (outcome,) = take(warehouse, folder).outcomes

    assert files(folder) == DONE
    assert [row[1:] for row in stored(warehouse)] == [("1400.50", "1401.25", "1200")]
    assert outcome.counts() == {"read": 2, "stored": 1, "unchanged": 0, "corrected": 0, "retired": 0, "refused": 1}
    assert outcome.report is not None
    text = outcome.report.read_text(encoding="utf-8")
    load = outcome.loads[0].load_id
    assert text.startswith("# mine.csv: imported\n")
    assert outcome.sha256 in text
    assert f"| {load} | spot_prices | 2025-08-13 | 60 | complete | 2 | 1 | 0 | 0 | 0 |" in text
    assert f"{folder}/mine.csv:3: bad_price: {BAD_ROW}" in text
    assert f"pipeline quarantine --load {load}" in text


def test_a_workbook_is_taken_in_like_any_file(warehouse: Warehouse, folder: Path) -> None:
    (folder / "mapping.toml").write_text(BOOK_MAPPING, encoding="utf-8")
    write_book(folder / "book.xlsx", BOOK_HEADER, BOOK_ROW)

    assert not take(warehouse, folder).rejected
    assert files(folder) == [
        *("done/DATE/book.mapping.toml", "done/DATE/book.xlsx", "done/DATE/book.xlsx.report.md", "mapping.toml")
    ]
    assert len(stored(warehouse)) == 1


def test_a_file_that_cannot_be_used_is_moved_to_rejected_with_the_error_and_the_next_step(
    warehouse: Warehouse, folder: Path
) -> None:
    upload(folder, mapping=MAPPING.replace('"Vol"', '"Volume"'))

    (outcome,) = take(warehouse, folder).rejected

    assert files(folder) == [name.replace("done", "rejected") for name in DONE]
    assert outcome.report is not None
    text = outcome.report.read_text(encoding="utf-8")
    assert text.startswith("# mine.csv: rejected\n")
    assert "has no column Volume; it has Date, Time, O, H, L, C, Vol, Remark" in text
    assert "Next: correct the file, or " in text
    assert "Then put the file, with its mapping, into the folder for uploads again." in text
    assert "Nothing was stored." in text
    assert stored(warehouse) == []


def test_a_file_of_which_every_line_is_refused_shows_the_first_of_them(warehouse: Warehouse, folder: Path) -> None:
    path = upload(folder, mapping=MAPPING.replace("%H:%M", "%H.%M"))

    (outcome,) = take(warehouse, folder).rejected

    assert outcome.report is not None
    assert f"{path}:2: bad_timestamp: {OWN_ROW}" in outcome.report.read_text(encoding="utf-8")


def test_a_damaged_partition_rejects_the_file_and_the_report_names_its_load(warehouse: Warehouse, folder: Path) -> None:
    upload(folder, BAD_ROW)

    (outcome,) = take(warehouse, folder).rejected

    assert outcome.report is not None
    text = outcome.report.read_text(encoding="utf-8")
    assert "rejected: none of 1 lines was usable" in text
    assert "Next: see the refused lines with 'pipeline quarantine --load" in text


def test_a_file_of_another_kind_is_rejected_and_says_what_is_read(warehouse: Warehouse, folder: Path) -> None:
    (folder / "photo.jpg").write_bytes(b"\xff\xd8")

    (outcome,) = take(warehouse, folder).rejected

    assert "looked for .csv, .parquet, .xlsx, .xlsm files" in str(outcome.error)


def test_one_bad_file_does_not_keep_the_others_waiting(warehouse: Warehouse, folder: Path) -> None:
    write(folder / "a.csv", "what,is,this", "1,2,3")
    write(folder / "b.csv", HEADER, ROW)

    taken = take(warehouse, folder)

    assert [(outcome.name, outcome.is_rejected) for outcome in taken.outcomes] == [("a.csv", True), ("b.csv", False)]


def test_what_nobody_foresaw_rejects_the_file_and_not_those_after_it(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(folder, name="a.csv")
    upload(folder, name="b.csv")

    def defect(warehouse: Warehouse, source: Any, request: Any, **options: Any) -> Any:
        if request.path.name == "a.csv":
            raise ZeroDivisionError("what")
        return real(warehouse, source, request, **options)

    real = import_source
    monkeypatch.setattr(taking, "import_source", defect)

    first, second = take(warehouse, folder).outcomes

    assert "could not be read: ZeroDivisionError: what" in str(first.error)
    assert not second.is_rejected


def test_files_of_one_name_lie_beside_each_other_and_the_second_corrects_the_first(
    warehouse: Warehouse, folder: Path
) -> None:
    upload(folder)
    take(warehouse, folder)
    upload(folder, OWN_ROW.replace("1400.5", "1400.55"))

    (outcome,) = take(warehouse, folder).outcomes

    assert outcome.counts()["corrected"] == 1
    assert "done/DATE/mine-2.csv" in files(folder)
    assert "done/DATE/mine-2.mapping.toml" in files(folder)


def test_a_file_of_the_same_name_retires_what_is_no_longer_in_it_and_nothing_of_other_files(
    warehouse: Warehouse, folder: Path
) -> None:
    later = OWN_ROW.replace("09:15", "09:20")
    upload(folder, OWN_ROW, later)
    upload(folder, OWN_ROW.replace("09:15", "09:25"), name="other.csv")
    take(warehouse, folder)
    upload(folder, later)

    (outcome,) = take(warehouse, folder).outcomes

    assert (outcome.counts()["retired"], outcome.counts()["unchanged"]) == (1, 1)
    assert len(stored(warehouse)) == 2


def test_a_mapping_of_two_files_leaves_with_the_last_of_them(warehouse: Warehouse, folder: Path) -> None:
    upload(folder)
    upload(folder, OWN_ROW.replace("09:15", "09:20"), name="mine.CSV")

    assert not take(warehouse, folder).rejected
    assert not (folder / "mine.mapping.toml").exists()
    assert [name for name in files(folder) if name.endswith(".toml")] == [
        *("done/DATE/mine-2.mapping.toml", "done/DATE/mine.mapping.toml")
    ]


def test_what_waits_twice_in_a_row_is_nothing(warehouse: Warehouse, folder: Path) -> None:
    upload(folder)
    take(warehouse, folder)

    assert take(warehouse, folder) == TakenIn()


def test_a_file_that_changes_while_it_is_imported_is_left_for_the_next_time(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = upload(folder)
    real = refuse_damage

    def change(reports: Any) -> None:
        write(path, OWN_HEADER, OWN_ROW.replace("1400.5", "1400.55"))
        real(reports)

    monkeypatch.setattr(taking, "refuse_damage", change)
    assert take(warehouse, folder).arriving == ["mine.csv"]
    monkeypatch.setattr(taking, "refuse_damage", real)

    (outcome,) = take(warehouse, folder).outcomes

    assert outcome.counts()["corrected"] == 1
    assert [row[1] for row in stored(warehouse)] == ["1400.55"]


def test_a_file_that_is_taken_away_before_it_is_read_is_left_out(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(folder)
    real = settled_uploads

    def gone(folder: Path, pause_seconds: float) -> Any:
        found = real(folder, pause_seconds)
        (folder / "mine.csv").unlink()
        return found

    monkeypatch.setattr(taking, "settled_uploads", gone)

    assert take(warehouse, folder).outcomes == []


@pytest.mark.parametrize("error", [StorageError("full"), psycopg.OperationalError("gone")])
def test_what_is_not_the_files_fault_moves_nothing(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    upload(folder)
    upload(folder, name="other.csv")

    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(taking, "import_source", refuse)

    taken = take(warehouse, folder)

    assert [name for name, _ in taken.failures] == ["mine.csv", "other.csv"]
    assert isinstance(taken.failures[0][1], StorageError | WarehouseError)
    assert files(folder) == ["mine.csv", "mine.mapping.toml", "other.csv", "other.mapping.toml"]


def test_a_file_that_cannot_be_read_or_moved_stays_and_does_not_keep_the_others_waiting(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(folder)
    upload(folder, OWN_ROW.replace("09:15", "09:20"), name="other.csv")
    real = taking._digest

    def refuse(path: Path) -> str:
        if path.name == "mine.csv":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(taking, "_digest", refuse)

    taken = take(warehouse, folder)

    assert [outcome.name for outcome in taken.outcomes] == ["other.csv"]
    ((name, error),) = taken.failures
    assert name == "mine.csv"
    assert "mine.csv: cannot be read or moved: Permission denied\nNext: give the pipeline's account" in str(error)


def test_a_name_that_is_no_text_is_rejected_and_moved_like_any_other(warehouse: Warehouse, folder: Path) -> None:
    write(folder / os.fsdecode(b"caf\xe9.csv"), HEADER, ROW)

    taken = take(warehouse, folder)

    assert len(taken.rejected) + len(taken.failures) == 1
    assert take(warehouse, folder).outcomes == []


def test_a_server_that_does_not_answer_is_asked_once_and_not_for_every_file(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(folder)
    upload(folder, name="other.csv")

    def refuse(*_: Any, **__: Any) -> Any:
        raise WarehouseError("the server is away")

    monkeypatch.setattr(taking, "import_source", refuse)
    monkeypatch.setattr(type(warehouse), "connect", refuse)

    assert [name for name, _ in take(warehouse, folder).failures] == ["mine.csv"]


# Killed at any instant.


def at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "import_source", _kill)


def after_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "report_text", _kill)


def before_the_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", _kill)


def before_the_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "copy2", _kill)


def in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    real = moving._settle

    def kill(arriving: Path, path: Path) -> None:
        if path.name.endswith(".report.md"):
            raise KilledError
        real(arriving, path)

    monkeypatch.setattr(moving, "_settle", kill)


def before_the_file_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "rename", _kill)


def before_the_mapping_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "finish", _kill)


def before_the_note_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.unlink

    def kill(path: Path, **options: Any) -> None:
        if path.name.endswith(".moving"):
            raise KilledError
        real(path, **options)

    monkeypatch.setattr(Path, "unlink", kill)


def _kill(*_: Any, **__: Any) -> Any:
    raise KilledError


@pytest.mark.parametrize(
    "instant",
    [
        at_import,
        after_import,
        before_the_note,
        before_the_mapping,
        in_the_report,
        before_the_file_moves,
        before_the_mapping_leaves,
        before_the_note_goes,
    ],
)
def test_killed_at_any_instant_nothing_is_lost_and_nothing_is_imported_twice(
    warehouse: Warehouse, folder: Path, instant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    content = upload(folder, OWN_ROW, BAD_ROW).read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        instant(patch)
        with pytest.raises(KilledError):
            take(warehouse, folder)
    copies = [path for path in folder.rglob("mine.csv") if path.read_bytes() == content]
    assert len(copies) == 1

    take(warehouse, folder)

    assert files(folder) == DONE
    (moved,) = folder.rglob("mine.csv")
    assert moved.read_bytes() == content
    assert len(stored(warehouse)) == 1
    assert history(warehouse) == 0


def test_a_mapping_that_was_changed_after_the_kill_is_not_taken_away(warehouse: Warehouse, folder: Path) -> None:
    upload(folder)
    with pytest.MonkeyPatch.context() as patch:
        before_the_mapping_leaves(patch)
        with pytest.raises(KilledError):
            take(warehouse, folder)
    (folder / "mine.mapping.toml").write_text("# for the next file", encoding="utf-8")

    take(warehouse, folder)

    assert (folder / "mine.mapping.toml").read_text(encoding="utf-8") == "# for the next file"
    assert not list(folder.rglob(".*.moving"))


def test_a_process_that_was_really_killed_leaves_no_lock_and_no_half(
    warehouse: Warehouse, folder: Path, settings: Settings
) -> None:
    upload(folder)
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline_defs.uploads import moving\n"
        "from pipeline_defs.uploads.taking import take_in\n"
        "from pipeline_defs.warehouse.connection import Warehouse\n"
        "moving.finish = lambda place: os.kill(os.getpid(), signal.SIGKILL)\n"
        "take_in(Warehouse(sys.argv[1]), Path(sys.argv[2]), pause_seconds=0)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(settings.database_url), str(folder)], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert (folder / "mine.mapping.toml").exists()

    assert take(warehouse, folder).outcomes == []
    assert files(folder) == DONE


def test_two_processes_take_turns(warehouse: Warehouse, folder: Path, settings: Settings) -> None:
    for number in range(6):
        upload(folder, OWN_ROW.replace("09:15", f"09:{15 + number}"), name=f"{number}.csv")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pipeline_defs.uploads.taking import take_in\n"
        "from pipeline_defs.warehouse.connection import Warehouse\n"
        "print(len(take_in(Warehouse(sys.argv[1]), Path(sys.argv[2]), pause_seconds=0).outcomes))\n"
    )
    command = [sys.executable, "-c", program, str(settings.database_url), str(folder)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = [int(one.communicate()[0]) for one in both]

    assert sum(counts) == 6
    assert len(stored(warehouse)) == 6


def test_a_free_name_is_found_whatever_lies_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv.report.md").write_text("x")
    (tmp_path / ".a-2.csv.moving").write_text("x")

    assert find_place(tmp_path, "a.csv") == Place(tmp_path / "a-3.csv")


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pipeline", *arguments])
        patch.setattr(time, "sleep", lambda _: None)
        with pytest.raises(SystemExit) as ended:
            cli.main()
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_the_command_takes_in_what_is_there_and_fails_if_something_was_rejected(
    settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(folder)
    good, out, _ = run("uploads", capsys=capsys)
    assert good == 0
    assert out.startswith("mine.csv: done; read 1, stored 1, unchanged 0, corrected 0, retired 0, refused 0; ")
    assert out.strip().endswith("mine.csv.report.md")

    (folder / "photo.jpg").write_bytes(b"x")
    bad, out, err = run("uploads", capsys=capsys)
    assert bad == 1
    assert out.startswith("photo.jpg: rejected; read 0, ")
    assert "rejected: " in err
    assert "looked for .csv" in err

    nothing, out, _ = run("uploads", capsys=capsys)
    assert (nothing, out) == (0, f"nothing waits in {settings.uploads_dir}\n")


def test_the_command_gives_one_json_object(
    settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upload(folder, OWN_ROW, BAD_ROW)

    code, out, _ = run("uploads", "--json", capsys=capsys)

    told = json.loads(out)
    assert code == 0
    assert told["folder"] == str(settings.uploads_dir)
    assert told["uploads"][0]["counts"]["stored"] == 1
    assert told["uploads"][0]["first_refused"][0]["line"] == 3
    assert told["uploads"][0]["error"] is None
    assert os.path.isfile(told["uploads"][0]["place"])  # noqa: PTH113 -- as a reader of the JSON would
    assert told["failures"] == []


def test_the_command_says_what_stays_and_what_is_still_arriving(
    settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = TakenIn(arriving=["late.csv"], failures=[("mine.csv", WarehouseError("the server is away"))])
    monkeypatch.setattr(taking, "take_in", lambda *_, **__: taken)

    code, out, err = run("uploads", capsys=capsys)

    assert code == 1
    assert out == "late.csv: still arriving, left for the next time\n"
    assert err == "mine.csv stays where it is: the server is away\n"
    assert settings.uploads_dir == folder
