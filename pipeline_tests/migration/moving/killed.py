"""A process that moves a bundle in and is killed (SIGKILL, by itself) at a point that its arguments name.

Arguments: the database's URL, and the point: ``step:N`` before the N-th step, ``copy:N`` within the transaction of the
N-th step, when its rows were sent and nothing is committed; ``finish`` within the transaction that ends the bundle.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.migration import moving
from pipeline_defs.migration.applying import apply_plan
from pipeline_defs.warehouse import loading_days
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_defs.warehouse.named_bundles import add_to_bundle
from pipeline_defs.warehouse.transport import copy_in
from pipeline_tests.migration.moving.made import MONDAY, Made, days, readers_of, store_of

if TYPE_CHECKING:
    from pipeline_defs.progress import Step

SYMBOLS: Final = ("TCS", "INFY", "SBIN")


def long_bundle() -> Made:
    """Two years of three shares, in file order by symbol; holidays are refused along the way."""
    rows = [
        (symbol, day, f"{100 + (number * 7) % 50}.{number % 100:02}")
        for symbol in SYMBOLS
        for number, day in enumerate(days(MONDAY, 530))
    ]
    return Made("long", rows, refused=[(5, "bad_price", "x")], actions=[("TCS", days(MONDAY, 300)[-1], "split", "2")])


class Killer:
    """Counts down to the point."""

    def __init__(self, point: str) -> None:
        self.what, _, number = point.partition(":")
        self.left = int(number or 1)

    def reached(self, what: str) -> None:
        if what == self.what:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, point: str) -> None:
    killer = Killer(point)

    def copying(connection: Any, table: str, *rest: Any, **more: Any) -> None:
        copy_in(connection, table, *rest, **more)
        if table == "equity_daily":
            killer.reached("copy")

    def adding(*arguments: Any) -> None:
        add_to_bundle(*arguments)
        killer.reached("finish")

    def stepping(step: Step) -> None:
        del step
        killer.reached("step")

    vars(loading_days)["copy_in"], vars(moving)["add_to_bundle"] = copying, adding
    made = long_bundle()
    apply_plan(Warehouse(url), store_of(made), readers_of(made), on_progress=stepping)


if __name__ == "__main__":
    main(*sys.argv[1:])
