"""What stays in memory of a process that evaluates every sensor and schedule, scrapes and is asked how it is, for long.

    python -m benchmarks.leaks [--rounds N]

The code server does that for days, once a minute or less often; here rounds follow each other, in one process with an
empty home, with every part of the metrics. What Dagster's own processes keep says `benchmarks.leaks_of_processes`. The
first half warms caches. The rise of the resident memory in the second half says whether anything stays. Then
tracemalloc watches a quarter as many rounds more, and says how much stays of what our own files allocated.
"""

# ruff: noqa: INP001 -- beside scripts, not in a package

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import gc
import json
import os
import sys
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import dagster as dg

_OURS: Final = "pipeline_defs"
_SHOWN: Final = 5
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def resident_mib() -> float:
    """Give what the process holds in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES / 2**20


def looks(instance: dg.DagsterInstance) -> Iterator[tuple[str, Callable[[], object]]]:
    """Give everything that is evaluated, by name."""
    import dagster as dg  # noqa: PLC0415 -- the home must be set first
    from dagster._core.definitions.automation_condition_sensor_definition import (  # noqa: PLC0415
        AutomationConditionSensorDefinition,
    )

    from pipeline_defs.definitions import defs  # noqa: PLC0415

    repository = defs.get_repository_def()
    cursors: dict[str, str | None] = {}

    def sensor_look(sensor: dg.SensorDefinition) -> Callable[[], object]:
        resources = {name: (defs.resources or {})[name] for name in sensor.required_resource_keys}

        def look() -> object:
            with dg.build_sensor_context(
                instance=instance, cursor=cursors.get(sensor.name), resources=resources, definitions=defs
            ) as context:
                told = sensor.evaluate_tick(context)
            cursors[sensor.name] = told.cursor
            return told.skip_message

        return look

    def schedule_look(schedule: dg.ScheduleDefinition) -> Callable[[], object]:
        def look() -> object:
            context: Any = dg.build_schedule_context(
                instance=instance, scheduled_execution_time=dt.datetime.now(dt.UTC), repository_def=repository
            )
            context._instance = context._instance_ref = instance  # noqa: SLF001 -- as the daemon would open it
            return schedule.evaluate_tick(context).skip_message

        return look

    for sensor in repository.sensor_defs:
        if not isinstance(sensor, AutomationConditionSensorDefinition):  # Dagster's own
            yield f"sensor {sensor.name}", sensor_look(sensor)
    for schedule in repository.schedule_defs:
        yield f"schedule {schedule.name}", schedule_look(schedule)


def read_all(scraped: str) -> None:
    """Refuse a scrape of which a part could not be read: it would have measured nothing."""
    unread = [line for line in scraped.splitlines() if line.startswith("pipeline_collector_success") and "} 0" in line]
    if unread:
        raise RuntimeError(f"not read: {unread}")


def work(rounds: int, things: list[tuple[str, Callable[[], object]]]) -> Counter[str]:
    """Evaluate everything so many times; count what failed."""
    failed = Counter[str]()
    for _ in range(rounds):
        for name, look in things:
            try:
                look()
            except Exception as error:  # noqa: BLE001 -- what fails at each tick may leak as well
                failed[f"{name}: {type(error).__name__}"] += 1
    return failed


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="of evaluations, half of them to warm up")
    rounds = max(8, parser.parse_args().rounds)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, contextlib.ExitStack() as stack:
        os.environ["PIPELINE_HOME"] = folder
        from pipeline_defs.operations.metrics import registry_of, render  # noqa: PLC0415
        from pipeline_defs.operations.warehouse_metrics import warehouse_parts  # noqa: PLC0415
        from pipeline_defs.orchestration.operations.metrics import instance_parts  # noqa: PLC0415
        from pipeline_defs.orchestration.runs import open_instance  # noqa: PLC0415
        from pipeline_defs.settings import load_settings  # noqa: PLC0415
        from pipeline_defs.warehouse import embedded  # noqa: PLC0415
        from pipeline_defs.warehouse.connection import Warehouse  # noqa: PLC0415
        from pipeline_defs.warehouse.migrations import upgrade  # noqa: PLC0415

        settings = load_settings()
        url = embedded.ensure_running(settings.postgres_dir)
        stack.callback(embedded.stop, settings.postgres_dir)
        warehouse = Warehouse(url)
        upgrade(warehouse)
        instance = stack.enter_context(open_instance(settings))
        registry = registry_of(warehouse_parts(warehouse) | instance_parts(instance), reuse_seconds=0)
        things = [*looks(instance), ("metrics", lambda: read_all(render(registry)))]
        failed = work(rounds // 2, things)
        begun = resident_mib()
        failed += work(rounds - rounds // 2, things)
        ended = resident_mib()
        tracemalloc.start(12)
        work(2, things)
        gc.collect()
        before = tracemalloc.take_snapshot()
        watched = rounds // 4
        work(watched, things)
        gc.collect()
        grown = tracemalloc.take_snapshot().compare_to(before, "lineno")
        ours = [one for one in grown if f"/{_OURS}/" in one.traceback[0].filename and one.size_diff > 0]
    json.dump(
        {
            "evaluated": len(things),
            "rounds": rounds,
            "resident_mib": [round(begun, 1), round(ended, 1)],
            "risen_kib_per_round": round((ended - begun) * 1024 / (rounds - rounds // 2), 2),
            "traced_rounds": watched,
            "traced_kib_per_round": round(sum(one.size_diff for one in grown) / 1024 / watched, 2),
            "traced_kib_per_round_ours": round(sum(one.size_diff for one in ours) / 1024 / watched, 2),
            "largest": [f"{one.traceback[0]} {one.size_diff / watched:.0f} B" for one in grown[:_SHOWN]],
            "failed": failed,
        },
        sys.stdout,
        indent=1,
    )
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
