"""The client has one loop in the process: steps one after another, threads at once, and other users of the client."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.schema.batches import ImportRequest
from pipeline_defs.sources.interactive_brokers import loop
from pipeline_tests.sources.interactive_brokers.offline import TRADE_DATE
from pipeline_tests.sources.interactive_brokers.tws import START

if TYPE_CHECKING:
    from pipeline_tests.sources.interactive_brokers.conftest import MakeSource
    from pipeline_tests.sources.interactive_brokers.tws import Tws


def stored(make_source: MakeSource, days_before: int = 0) -> int:
    day = TRADE_DATE - dt.timedelta(days=days_before)
    request = ImportRequest(day, day, tables=frozenset({"equity_daily"}))
    (batch,) = make_source(universe={"equities": ["ACME"]}).fetch(request)
    return batch.observations.height


def test_two_steps_in_one_process_work(make_source: MakeSource, tws: Tws) -> None:
    assert [stored(make_source), stored(make_source)] == [1, 1]
    assert tws.connections == 2


def test_several_threads_at_once_work_with_a_client_id_each(make_source: MakeSource, tws: Tws) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda number: stored(make_source, number), range(3))) == [1] * 3
    assert len({fields[2] for fields in tws.of_kind(START)}) == 3


def test_another_user_of_the_client_with_a_loop_of_its_own_does_not_hinder(make_source: MakeSource) -> None:
    from ib_async import util  # noqa: PLC0415 -- only this test plays the other user

    assert stored(make_source) == 1

    async def other() -> None:
        util.getLoop.cache_clear()
        util.getLoop()
        await asyncio.sleep(0)

    asyncio.run(other())  # the loop that the client remembers now is closed
    assert stored(make_source) == 1


def test_an_import_works_within_a_running_loop(make_source: MakeSource) -> None:
    async def step() -> int:
        await asyncio.sleep(0)
        return stored(make_source)

    assert asyncio.run(step()) == 1


def test_a_failure_comes_back_to_whoever_waits() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("what")

    with pytest.raises(KeyError, match="what"):
        loop.run(fail())


def test_all_work_is_done_in_one_thread() -> None:
    async def where() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    with ThreadPoolExecutor(3) as pool:
        threads = set(pool.map(lambda _: loop.run(where()), range(6)))
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


def test_a_forked_child_starts_a_thread_of_its_own() -> None:
    script = """
import asyncio, os
from pipeline_defs.sources.interactive_brokers import loop
async def one(): return 1
assert loop.run(one()) == 1
child = os.fork()
if child == 0:
    os._exit(7 if loop.run(one()) == 1 else 8)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], timeout=30, check=False, env=dict(os.environ))
    assert done.returncode == 0


def test_importing_the_adapter_imports_no_client() -> None:
    script = """
import sys
import pipeline_defs.sources.interactive_brokers.adapter
assert not {"ib_async", "eventkit"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True, env=dict(os.environ))


def test_an_interrupt_leaves_no_work_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    async def long() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    original = asyncio.run_coroutine_threadsafe

    def interrupted(work: object, target: asyncio.AbstractEventLoop) -> object:
        future = original(work, target)  # type: ignore[arg-type, var-annotated]

        def wait(timeout: float | None = None) -> None:
            del timeout
            time.sleep(0.05)
            raise KeyboardInterrupt

        future.result = wait  # type: ignore[method-assign]
        return future

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
    with pytest.raises(KeyboardInterrupt):
        loop.run(long())
    assert ended.wait(2)
