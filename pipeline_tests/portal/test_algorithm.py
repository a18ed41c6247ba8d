"""The example runner: when orders are filled, what they cost, and what it refuses."""

from __future__ import annotations

import datetime as dt
import runpy
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.portal import DataPortal, PortalError
from pipeline_defs.portal.algorithm import BarData, Context, run_algorithm
from pipeline_defs.portal.orders import Ledger
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_tests.portal.landing import bar, ist, land, share

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.warehouse.connection import Warehouse

    PortalAt = Callable[..., DataPortal]

D = Decimal
FIRST, EX, LAST = dt.date(2025, 8, 13), dt.date(2025, 8, 14), dt.date(2025, 8, 18)


def nothing(*_: Any) -> None:
    pass


def test_an_order_is_filled_whole_at_the_open_of_the_next_bar(warehouse: Warehouse, portal_at: PortalAt) -> None:
    rows = [bar(ist("09:16"), 10), bar(ist("09:19"), 11, 13, 11, 12), bar(ist("09:20"), 20)]
    land(warehouse, share("AAA"), rows)
    seen: list[Any] = []

    def initialize(context: Context) -> None:
        context.share = context.symbol("AAA")
        context.bought = False

    def handle_data(context: Context, data: BarData) -> None:
        if not context.bought:
            context.order(context.share, 5)
            context.bought = True
        seen.append((context.now, len(context.ledger.open_orders), data.current("AAA", "price")))
        context.record(units=context.ledger.positions.get("AAA", D(0)))

    run = run_algorithm(
        initialize, handle_data, portal=portal_at(ist("09:15")), start=ist("09:15"), end=ist("09:20"), assets=["AAA"],
        capital_base=1000, fee=D("0.05"),
    )  # fmt: skip
    order: Any = run.orders[0]
    assert len(run.orders) == 1
    assert (order.placed_at, order.filled_at, order.price) == (ist("09:16"), ist("09:19"), 11)
    assert seen == [
        (ist("09:16"), 1, 10),
        (ist("09:17"), 1, 10),
        (ist("09:18"), 1, 10),
        (ist("09:19"), 0, 12),
        (ist("09:20"), 0, 20),
    ]
    assert run.performance.rows()[-2:] == [
        (ist("09:19"), D("944.75"), D("1004.75"), 5),
        (ist("09:20"), D("944.75"), D("1044.75"), 5),
    ]
    assert run.ledger.positions == {"AAA": 5}


@pytest.mark.parametrize("results", ["polars", "pandas"])
def test_splits_and_dividends_change_what_is_held(warehouse: Warehouse, portal_at: PortalAt, results: str) -> None:
    for day, price, actions in (
        (FIRST, "100", []),
        (EX, "50", [(EX, "split", "2")]),
        (LAST, "49", [(LAST, "dividend", "1")]),
    ):
        rows = [bar(ist("15:30", day), price)]
        land(warehouse, share("AAA"), rows, seconds=86_400, day=day, source="manual_csv", actions=actions)

    def handle_data(context: Context, data: BarData) -> None:
        del data
        context.order_target("AAA", 3)
        context.order_target("AAA", 3)  # what is ordered already counts

    run = run_algorithm(
        nothing, handle_data, portal=portal_at(ist("09:00", FIRST), results=results), start=ist("09:00", FIRST),
        end=ist("15:30", LAST), assets=["AAA"], capital_base=1000, data_frequency="daily",
    )  # fmt: skip
    # Three were ordered before the split: six were bought at 50, then three sold; each of six was paid 1.
    assert [(one.amount, one.price) for one in run.orders] == [(D(6), D(50)), (D(-3), D(49))]
    assert run.performance["cash"].to_list() == [1000, 700, 700 + 6 + 147]
    assert run.performance["value"].to_list() == [1000, 1000, 700 + 6 + 147 + 3 * 49]


def test_what_cannot_be_run_is_refused(warehouse: Warehouse, portal_at: PortalAt) -> None:
    land(warehouse, share("AAA"), [bar(ist("09:16"), 10)])
    times: dict[str, Any] = {"start": ist("09:15"), "end": ist("09:17")}
    portal = portal_at(ist("09:15"))

    class Fixed:
        def now(self) -> dt.datetime:
            return ist("09:15")

    with pytest.raises(PortalError, match="the portal's clock is a Fixed, which cannot be moved"):
        run_algorithm(nothing, nothing, portal=portal_at(ist("09:15"), clock=Fixed()), assets=["AAA"], **times)
    wrongs: tuple[dict[str, Any], ...] = ({"assets": []}, {"assets": ["AAA"], "data_frequency": "weekly"})
    for wrong in wrongs:
        with pytest.raises(PortalError, match="expected one of minute, hour, daily and at least one asset"):
            run_algorithm(nothing, nothing, portal=portal, **times, **wrong)

    def orders_another(context: Context, data: BarData) -> None:
        del data
        context.order("BBB", 1)

    with pytest.raises(PortalError, match="order 1 is for BBB, which is not among the assets"):
        run_algorithm(nothing, orders_another, portal=portal, assets=["AAA"], **times)
    with pytest.raises(AttributeError, match="context has no 'missing': set it in initialize"):
        run_algorithm(lambda context: context.missing, nothing, portal=portal, assets=["AAA"], **times)


@pytest.mark.parametrize("amount", [1.5, True, D("NaN"), "1"])
def test_amounts_are_exact(amount: Any) -> None:
    with pytest.raises(PortalError, match="expected a whole number or a Decimal"):
        Ledger(D(0)).place("AAA", amount, ist("09:16"))


def test_a_ledger_knows_short_positions_and_forgets_none() -> None:
    ledger = Ledger(D(100))
    assert ledger.place("AAA", 0, ist("09:16")) is None
    sold = ledger.place("AAA", -2, ist("09:16"))
    assert sold is not None
    ledger.fill(sold, D(10), ist("09:17"))
    ledger.dividend("AAA", D(1))
    assert (ledger.cash, ledger.positions, ledger.value({"AAA": D(9)})) == (D(118), {"AAA": D(-2)}, D(100))
    back = ledger.place("AAA", 2, ist("09:18"))
    assert back is not None
    ledger.fill(back, D(9), ist("09:19"))
    assert (ledger.cash, ledger.positions) == (D(100), dict[str, Decimal]())


def test_the_example_runs_as_it_stands(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opens = ist("09:15")
    prices = [100 + (at % 40 if at % 40 < 20 else 40 - at % 40) for at in range(120)]
    rows = [bar(opens + dt.timedelta(minutes=at + 1), price) for at, price in enumerate(prices)]
    land(warehouse, share("AAA"), rows)
    monkeypatch.setenv("PIPELINE_DATABASE_URL", warehouse.url)
    monkeypatch.setattr("sys.argv", ["portal_algorithm.py", "AAA", "2025-08-13", "--fast", "5", "--slow", "15"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(PROJECT_ROOT / "examples/portal_algorithm.py"), run_name="__main__")
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert " UTC  buy  100 at 1" in lines[0]
    assert any("sell" in line for line in lines)
    assert lines[-1].startswith("375 calls, ")
