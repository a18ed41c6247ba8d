"""Checks that compare a price with others: what surrounds it, what its like did, what the underlying cost."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_tests.warehouse.deliveries import SESSION_OPEN, TRADE_DATE, Delivery, make_batch, option

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.quality.specs import Outcome

type Load = Callable[..., None]
type Check = Callable[..., dict[str, Outcome]]


def index(name: str) -> dict[str, Any]:
    return {"kind": "SPOT", "symbol": name, "underlying": name, "venue": "NSE", "currency": "INR"}


def future(name: str, expiry: dt.date = dt.date(2019, 1, 31)) -> dict[str, Any]:
    return option(name) | {"kind": "FUT", "underlying": name[:5], "expiry": expiry, "strike": None, "option_type": None}


def walk(start: float, seed: str, minutes: int = 375) -> list[Decimal]:
    """A quiet day: steps of some hundredths of a percent."""
    rng = random.Random(seed)  # noqa: S311 -- a day of prices, no secret
    prices = [start]
    for _ in range(minutes - 1):
        prices.append(prices[-1] * (1 + rng.gauss(0, 0.0003)))
    return [Decimal(f"{price:.2f}") for price in prices]


def rows_of(paths: dict[str, list[Decimal]]) -> list[tuple[str, int, str]]:
    return [(name, minute, str(price)) for name, path in paths.items() for minute, price in enumerate(path, start=1)]


@pytest.fixture
def indices() -> dict[str, list[Decimal]]:
    return {name: walk(level, name) for name, level in (("NIFTY", 10_800), ("BANK", 27_000), ("NEXT", 28_000))}


def test_one_index_that_jumps_and_returns_is_an_outlier_and_all_of_them_are_the_market(
    load: Load, check: Check, indices: dict[str, list[Decimal]]
) -> None:
    contracts = {name: index(name) for name in indices}
    indices["BANK"][200] *= Decimal("1.02")
    for path in indices.values():  # the whole market falls for a minute, and recovers
        path[100] *= Decimal("0.95")
    load(make_batch(Delivery(rows_of(indices), contracts=contracts), table="spot_prices"))

    outcome = check("spot_prices", TRADE_DATE)["outliers"]

    (failure,) = outcome.failures
    assert failure.timestamp == SESSION_OPEN + dt.timedelta(minutes=201)
    assert failure.detail.startswith("+1.9% against what surrounds it, usual 0.04%; open 27")


def test_a_move_that_lasts_is_no_outlier(load: Load, check: Check, indices: dict[str, list[Decimal]]) -> None:
    path = indices["BANK"]
    path[200:] = [price * Decimal("0.92") for price in path[200:]]
    load(make_batch(Delivery(rows_of({"BANK": path}), contracts={"BANK": index("BANK")}), table="spot_prices"))

    assert check("spot_prices", TRADE_DATE)["outliers"].passed


def test_a_few_ticks_of_a_cheap_option_are_no_outlier(load: Load, check: Check) -> None:
    prices = [Decimal("0.20")] * 375
    prices[50], prices[60], prices[70] = Decimal("0.35"), Decimal("0.10"), Decimal("5.00")
    load(make_batch(Delivery(rows_of({"A": prices}), contracts={"A": option("A")})))

    (failure,) = check("options_ticks", TRADE_DATE)["outliers"].failures

    assert failure.timestamp == SESSION_OPEN + dt.timedelta(minutes=71)


def test_a_share_is_held_against_its_closes_before_unless_it_was_split(
    warehouse: Any, load: Load, check: Check
) -> None:
    share = {"A": {"kind": "EQ", "symbol": "A", "underlying": "A", "venue": "NSE", "currency": "INR", "series": "EQ"}}
    days = [dt.date(2019, 1, day) for day in (1, 2, 3, 4)]
    for day, price in zip(days, ("100", "101", "10100", "102"), strict=True):
        load(
            make_batch(
                Delivery([("A", 375, price)], contracts=share), table="equity_daily", bar_seconds=86_400, trade_date=day
            )
        )

    found = {day: check("equity_daily", day)["outliers"].failing for day in days}
    assert found == {days[0]: 0, days[1]: 0, days[2]: 1, days[3]: 0}

    with warehouse.connect() as connection:
        connection.execute(
            "INSERT INTO corporate_actions (instrument_id, ex_date, kind, source, value, load_id)"
            " SELECT instrument_id, %s, 'split', 'nse_csv', 0.01, load_id FROM equity_daily LIMIT 1",
            [days[2]],
        )
    assert check("equity_daily", days[2])["outliers"].passed


def still(path: list[Decimal], first: int, minutes: int) -> None:
    path[first : first + minutes] = [path[first]] * minutes


def test_an_index_that_stands_still_is_stale_only_while_others_move(
    load: Load, check: Check, indices: dict[str, list[Decimal]]
) -> None:
    for path in indices.values():  # the exchange halts: all stand still, and nobody trades
        still(path, 50, 30)
    still(indices["NEXT"], 200, 30)
    contracts = {name: index(name) for name in indices}
    contracts = {name: index(name) for name in indices}
    prices = Delivery(rows_of(indices), contracts=contracts)
    load(make_batch(prices, table="spot_prices", measures={"volume": None}))

    outcome = check("spot_prices", TRADE_DATE)["stale_prices"]
    assert outcome.examined == 3
    assert [failure.timestamp for failure in outcome.failures] == [SESSION_OPEN + dt.timedelta(minutes=201)]

    # It was no halt: futures traded all the while.
    futures = [("NIFTYF", minute, "10850") for minute in range(50, 80)]
    load(make_batch(Delivery(futures, contracts={"NIFTYF": future("NIFTYF")}), table="futures_ticks"))
    assert check("spot_prices", TRADE_DATE)["stale_prices"].failing == 4


def test_a_future_that_seldom_moves_is_allowed_to_stand_still(load: Load, check: Check) -> None:
    rng = random.Random(5)  # noqa: S311 -- a day of prices, no secret
    quiet = [Decimal("7.05")]
    for _ in range(374):
        quiet.append(quiet[-1] + (Decimal("0.05") * rng.choice((-1, 1)) if rng.random() < 0.2 else 0))
    still(quiet, 100, 25)
    lively = walk(10_850, "lively")
    still(lively, 100, 25)
    rare = walk(10_900, "rare")[:100]
    still(rare, 20, 60)
    paths = {"QUIET": quiet, "NIFTY1": lively, "BANKN1": rare}
    load(make_batch(Delivery(rows_of(paths), contracts={name: future(name) for name in paths}), table="futures_ticks"))

    outcome = check("futures_ticks", TRADE_DATE)["stale_prices"]

    assert outcome.examined == 2
    assert [failure.detail.split(" while")[0] for failure in outcome.failures] == [
        f"stood at {lively[100]:f} for 24 minutes, from 10:56 to 11:20,"
    ]


def test_ticks_of_an_index_hang_as_bars_do(load: Load, check: Check) -> None:
    paths = {"NIFTY": walk(10_800, "t"), "BANK": walk(27_000, "u")}
    still(paths["NIFTY"], 100, 30)
    load(
        make_batch(
            Delivery(rows_of(paths), contracts={name: index(name) for name in paths}),
            table="spot_prices",
            bar_seconds=0,
        )
    )

    outcome = check("spot_prices", TRADE_DATE)["stale_prices"]

    assert (outcome.examined, outcome.failing) == (2, 1)


def chain(call: str, put: str) -> Delivery:
    contracts = {"C": option("C", 10_500, "CE"), "P": option("P", 11_500, "PE")}
    return Delivery([("C", 5, call), ("P", 5, put)], contracts=contracts)


def reference(table: str, name: str, contract: dict[str, Any]) -> Any:
    return make_batch(
        Delivery([(name, minute, "11000") for minute in (4, 5, 6)], contracts={name: contract}), table=table
    )


@pytest.mark.parametrize(
    ("call", "put", "expected"),
    [
        ("520", "520", 0),
        ("300", "520", 1),
        ("520", "200", 1),
        ("11200", "520", 1),
        ("520", "11700", 1),
        ("440", "440", 0),
    ],
)
def test_no_option_is_cheaper_than_exercise_or_dearer_than_what_it_can_bring(
    load: Load, check: Check, call: str, put: str, expected: int
) -> None:
    load(make_batch(chain(call, put)), reference("spot_prices", "NIFTY", index("NIFTY")))

    outcome = check("options_ticks", TRADE_DATE)["intrinsic_bounds"]

    assert (outcome.examined, outcome.failing) == (2, expected)
    assert all("the underlying being 11000 to 11000" in failure.detail for failure in outcome.failures)


def test_the_nearest_future_stands_in_for_an_index_nobody_delivered(load: Load, check: Check) -> None:
    near = option("N") | {"kind": "FUT", "strike": None, "option_type": None}
    far = near | {"symbol": "F", "expiry": dt.date(2019, 3, 28)}
    futures = Delivery(
        [("N", minute, "11000") for minute in (4, 5, 6)] + [("F", minute, "99000") for minute in (4, 5, 6)],
        contracts={"N": near, "F": far},
    )
    load(make_batch(chain("520", "100")), make_batch(futures, table="futures_ticks"))

    outcome = check("options_ticks", TRADE_DATE)["intrinsic_bounds"]

    assert (outcome.examined, outcome.failing) == (2, 1)


def test_the_index_of_another_source_is_the_same_index_but_ones_own_comes_first(load: Load, check: Check) -> None:
    load(make_batch(chain("520", "520")))
    load(reference("spot_prices", "NIFTY", index("NIFTY")), source="yahoo")
    assert check("options_ticks", TRADE_DATE)["intrinsic_bounds"].examined == 2

    wrong = Delivery([("NIFTY", minute, "20000") for minute in (4, 5, 6)], contracts={"NIFTY": index("NIFTY")})
    load(make_batch(wrong, table="spot_prices"))
    assert check("options_ticks", TRADE_DATE)["intrinsic_bounds"].failing == 1


def test_without_a_price_of_the_underlying_nothing_is_claimed(load: Load, check: Check) -> None:
    load(make_batch(chain("1", "1")))

    outcomes = check("options_ticks", TRADE_DATE)

    assert outcomes["intrinsic_bounds"].passed
    assert outcomes["intrinsic_bounds"].found == "no price of the underlying to compare with"
    assert outcomes["put_call_parity"].examined == 0


def test_a_call_and_a_put_that_disagree_on_the_underlying_are_told(load: Load, check: Check) -> None:
    def pair_at(put: str) -> Outcome:
        contracts = {"C": option("C", 11_000, "CE"), "P": option("P", 11_000, "PE")}
        load(make_batch(Delivery([("C", 5, "200"), ("P", 5, put)], contracts=contracts)))
        return check("options_ticks", TRADE_DATE)["put_call_parity"]

    load(reference("spot_prices", "NIFTY", index("NIFTY")))

    assert pair_at("180").passed
    off = pair_at("900")
    assert (off.examined, off.failing) == (1, 1)
    assert off.failures[0].detail.startswith("with a put at 900 it is -700.00 off")
