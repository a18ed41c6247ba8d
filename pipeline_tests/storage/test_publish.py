"""A published directory is the old tree or the new one, whoever looks, and whenever the publisher dies."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.storage import publish
from pipeline_defs.storage.publish import publish_directory, staging

if TYPE_CHECKING:
    from pathlib import Path

FILES = 8

PUBLISHER = f"""
import sys
from pathlib import Path
from pipeline_defs.storage.publish import publish_directory, staging

def publish_generation(target, generation):
    with staging(target) as staged:
        (staged / "sub").mkdir()
        for number in range({FILES}):
            (staged / "sub" / f"{{generation}}-{{number}}").write_text(str(generation))
        publish_directory(staged, target)
"""

FOREVER = (
    PUBLISHER
    + """
generation = 0
while True:
    publish_generation(Path(sys.argv[1]), generation := generation + 1)
"""
)

# Kills a forked publisher at every line of the module, and of `shutil`, that it executes, one after the other.
KILLED_AT_EVERY_LINE = (
    PUBLISHER
    + f"FILES = {FILES}"
    + """
import itertools, json, os, shutil, signal
from pipeline_defs.storage import publish

target = Path(sys.argv[1])
publish.READERS_GRACE_SECONDS = 0
os.fsync = lambda descriptor: None  # a killed process loses nothing that it has written
if sys.argv[2] == "two steps":
    publish._exchange = lambda first, second: False

def finishes(generation, line):
    child = os.fork()
    if child == 0:
        lines = itertools.count(1)
        def trace(frame, event, _argument):
            if frame.f_code.co_filename not in (publish.__file__, shutil.__file__):
                return None
            if event == "line" and next(lines) == line:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace)
        publish_generation(target, generation)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0

def generation_of():
    if not target.exists():
        return None
    names = {path.name for path in (target / "sub").iterdir()}
    generations = {int(name.split("-")[0]) for name in names}
    (generation,) = generations or {-1}
    whole = len(names) == FILES and len(generations) == 1
    return generation if whole else -1

publish_generation(target, 0)
seen = {"old": 0, "new": 0, "absent": 0}
wrong = []
before = 0
for generation in itertools.count(1):
    finished = finishes(generation, generation)
    after = generation_of()
    if after is None:
        seen["absent"] += 1
        with staging(target):
            pass
        after = generation_of()
    seen["new" if after == generation else "old"] += 1
    if after not in (before, generation):
        wrong.append([generation, before, after])
    before = after
    if finished:
        break
print(json.dumps({"seen": seen, "wrong": wrong, "last": before, "beside": sorted(os.listdir(target.parent))}))
"""
)


def fill(staged: Path, word: str) -> None:
    (staged / "sub").mkdir()
    for number in range(FILES):
        (staged / "sub" / f"{word}-{number}").write_text(word)


def put(target: Path, word: str) -> None:
    with staging(target) as staged:
        fill(staged, word)
        publish_directory(staged, target)


def words(target: Path) -> set[str]:
    return {path.name.split("-")[0] for path in (target / "sub").iterdir()}


def run_script(script: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    ).stdout


def test_a_tree_is_published_where_nothing_was_and_then_replaced_leaving_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folders" / "M&M [2025]"
    put(target, "first")
    assert words(target) == {"first"}
    put(target, "second")
    assert words(target) == {"second"}
    assert list(target.parent.iterdir()) == [target]


def test_a_staging_directory_is_an_empty_hidden_sibling_and_two_are_never_the_same(tmp_path: Path) -> None:
    with staging(tmp_path / "out") as first, staging(tmp_path / "out") as second:
        assert first != second
        for staged in (first, second):
            assert staged.parent == tmp_path
            assert staged.name.startswith(".")
            assert list(staged.iterdir()) == []


def test_a_published_directory_has_the_permissions_that_any_new_directory_gets(tmp_path: Path) -> None:
    put(tmp_path / "out", "word")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_error_while_building_leaves_the_old_tree_and_no_staging(tmp_path: Path) -> None:
    target = tmp_path / "out"
    put(target, "old")
    with pytest.raises(FileNotFoundError), staging(target) as staged:
        (staged / "no folder" / "file").write_text("new")
    assert words(target) == {"old"}
    assert list(tmp_path.iterdir()) == [target]


def test_a_symbolic_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk" / "out")
    put(link, "first")
    put(link, "second")
    assert link.is_symlink()
    assert words(tmp_path / "disk" / "out") == {"second"}
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["out"]


def test_a_file_in_the_place_of_the_target_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ExportError, match="expected a directory or nothing, found a file"):
        put(tmp_path / "out", "word")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"could not publish: .*file") as caught, staging(tmp_path / "file" / "out"):
        pass
    assert caught.value.next_step is not None


def test_a_refusal_of_the_filesystem_is_explained_and_leaves_the_old_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_first: Path, _second: Path) -> bool:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    put(tmp_path / "out", "old")
    monkeypatch.setattr(publish, "_exchange", refuse)
    with pytest.raises(ExportError, match="not itself a mount point"):
        put(tmp_path / "out", "new")
    assert words(tmp_path / "out") == {"old"}
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_the_left_over_of_a_killed_publisher_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    target = tmp_path / "out"
    script = f"{PUBLISHER}\nimport time\nwith staging(Path(sys.argv[1])) as staged:\n    print(staged, flush=True)\n"
    script += "    time.sleep(60)\n"
    with (
        staging(target) as living,
        subprocess.Popen(
            [sys.executable, "-c", script, str(target)], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        dead = tmp_path / process.stdout.readline().strip().rpartition("/")[2]
        assert dead.is_dir()
        process.kill()
        process.wait()
        put(target, "word")
        assert not dead.exists()
        assert living.is_dir()


@pytest.mark.parametrize("way", ["exchange", "two steps"])
def test_killed_at_any_line_the_target_is_the_old_tree_or_the_new_one(tmp_path: Path, way: str) -> None:
    outcome = json.loads(run_script(KILLED_AT_EVERY_LINE, str(tmp_path / "out"), way))
    seen = outcome["seen"]
    assert outcome["wrong"] == []
    assert seen["old"] > 50
    assert seen["new"] > 10
    # Only where two names cannot be exchanged is there an instant without a target, which the next run mends.
    assert (seen["absent"] > 0) == (way == "two steps")
    assert outcome["last"] == seen["old"] + seen["new"]
    assert outcome["beside"] == ["out"]


def test_killed_at_any_moment_the_target_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "out"
    put(target, "0")
    for pause_ms in (3, 8, 15, 23, 34, 47):
        with subprocess.Popen([sys.executable, "-c", FOREVER, str(target)], cwd=PROJECT_ROOT) as process:
            before = words(target)
            while words(target) == before:
                time.sleep(0.001)
            time.sleep(pause_ms / 1000)
            process.send_signal(signal.SIGKILL)
        assert len(words(target)) == 1
        assert len(list((target / "sub").iterdir())) == FILES
    put(target, "last")
    assert list(tmp_path.iterdir()) == [target]


def test_one_who_lists_all_the_time_sees_one_whole_tree(tmp_path: Path) -> None:
    target = tmp_path / "out"

    def put_flat(word: str) -> None:
        with staging(target) as staged:
            for number in range(FILES):
                (staged / f"{word}-{number}").touch()
            publish_directory(staged, target)

    put_flat("0")
    wrong: list[list[str]] = []
    looks = 0
    done = threading.Event()

    def look() -> None:
        nonlocal looks
        while not done.is_set():
            names = os.listdir(target)  # noqa: PTH208 -- one call, as short as can be
            looks += 1
            if len(names) != FILES or len({name.split("-")[0] for name in names}) != 1:
                wrong.append(names)

    reader = threading.Thread(target=look)
    reader.start()
    for generation in range(1, 21):
        put_flat(str(generation))
    done.set()
    reader.join()
    assert wrong == []
    assert looks > 100


def test_many_publishers_of_one_target_queue(tmp_path: Path) -> None:
    target = tmp_path / "out"
    failures: list[BaseException] = []

    def publish_several(word: str) -> None:
        try:
            for _ in range(3):
                put(target, word)
        except BaseException as error:  # noqa: BLE001 -- handed to the test
            failures.append(error)

    threads = [threading.Thread(target=publish_several, args=(f"w{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(words(target)) == 1
    assert list(tmp_path.iterdir()) == [target]


def test_without_the_system_call_a_tree_is_replaced_in_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OldLibrary:
        """Has no ``renameat2``."""

    monkeypatch.setattr(ctypes, "CDLL", lambda *_args, **_options: OldLibrary())
    put(tmp_path / "out", "first")
    put(tmp_path / "out", "second")
    assert words(tmp_path / "out") == {"second"}
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


@pytest.mark.parametrize(
    ("code", "outcome"), [(errno.EINVAL, "two steps"), (errno.ENOSYS, "two steps"), (errno.EBUSY, "error")]
)
def test_only_a_missing_ability_leads_to_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, outcome: str
) -> None:
    class Refusing:
        @staticmethod
        def renameat2(*_arguments: object) -> int:
            ctypes.set_errno(code)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_args, **_options: Refusing)
    if outcome == "error":
        with pytest.raises(OSError, match=os.strerror(code)):
            publish._exchange(tmp_path, tmp_path)
    else:
        assert not publish._exchange(tmp_path, tmp_path)


def test_what_a_kill_between_two_steps_left_is_restored_or_removed(tmp_path: Path) -> None:
    target, previous = tmp_path / "out", tmp_path / ".out.previous"
    put(target, "old")
    target.rename(previous)
    with staging(target):
        assert words(target) == {"old"}
    fill_previous = previous / "sub"
    fill_previous.mkdir(parents=True)
    put(target, "new")
    assert words(target) == {"new"}
    assert list(tmp_path.iterdir()) == [target]


def test_the_files_are_on_the_disk_before_they_are_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out"
    visible_when_flushed = []
    flush = os.fsync

    def note(descriptor: int) -> None:
        visible_when_flushed.append(target.exists())
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    put(target, "word")
    # Every file, its folder and the staging folder before; the parent after.
    assert visible_when_flushed == [False] * (FILES + 2) + [True]
