"""Which instruments a universe means."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import ConfigurationError, PipelineError, SchemaDriftError, SourceError
from pipeline_defs.sources.asking.questions import Window
from pipeline_tests.sources.polygon.offline import DAY, contract
from pipeline_tests.sources.polygon.questions import DATASETS
from pipeline_tests.sources.polygon.server import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_defs.sources.asking.questions import Listed
    from pipeline_defs.sources.polygon.adapter import PolygonSource
    from pipeline_tests.sources.polygon.server import PolygonServer

RECORDED = Path(__file__).parent / "recorded"
LISTING = "/v3/reference/options/contracts"
WINDOW = Window(dt.date(2024, 1, 16), dt.date(2024, 1, 31))
OPTIONS = DATASETS["options_ticks"]


def options(source: Callable[..., PolygonSource], window: Window = WINDOW, **chain: Any) -> list[Listed]:
    asking = source({"options": [{"underlying": "AAPL", **chain}]})
    try:
        return asking.list_instruments(OPTIONS, window)
    finally:
        asking.close()


def test_shares_and_indices_are_named_as_the_vendor_does(source: Callable[..., PolygonSource]) -> None:
    asking = source({"equities": ["AAPL", {"symbol": "BRK.B", "venue": "XNYS"}], "indices": ["SPX", "I:NDX"]})
    listed = asking.list_instruments(DATASETS["spot_prices"], WINDOW)
    assert [(one.vendor_id, one.kind, one.terms["underlying"], one.terms["venue"]) for one in listed] == [
        ("AAPL", "EQ", "AAPL", "US"),
        ("BRK.B", "EQ", "BRK.B", "XNYS"),
        ("I:SPX", "SPOT", "SPX", "US"),
        ("I:NDX", "SPOT", "NDX", "US"),
    ]
    assert [one.vendor_id for one in asking.list_instruments(DATASETS["equity_daily"], WINDOW)] == ["AAPL", "BRK.B"]
    assert {one.terms["currency"] for one in listed} == {"USD"}


def test_the_nearest_expiry_of_each_day_is_wanted_also_the_one_that_expires_within_the_window(
    source: Callable[..., PolygonSource], server: PolygonServer
) -> None:
    listed = options(source, strikes=["185", "185"], option_types=["CE"])
    assert [(one.vendor_id, one.first_date, one.last_date) for one in listed] == [
        ("O:AAPL240216C00185000", dt.date(2024, 1, 22), dt.date(2024, 1, 31)),
        ("O:AAPL240119C00185000", dt.date(2024, 1, 16), dt.date(2024, 1, 19)),
    ]
    assert [("expired=true" in one, "as_of=2024-01-31" in one) for one in server.asked] == [
        (True, True),
        (False, True),
        (False, True),
    ]
    assert all("strike_price.gte=185" in one and "contract_type=call" in one for one in server.asked)


def test_expiries_are_looked_for_nearby_first(source: Callable[..., PolygonSource], server: PolygonServer) -> None:
    server.listings[LISTING] += [contract("AAPL", dt.date(2024, 1, 26), "C", 185)]
    near = options(source, Window(DAY, DAY), expiries=2, strikes=["185", "185"], option_types=["CE"])
    assert [one.terms["expiry"].day for one in near] == [19, 26]
    assert [("2024-02-03" in one) for one in server.asked] == [False, True]
    server.asked.clear()
    far = options(source, Window(DAY, DAY), expiries=4, strikes=["185", "185"], option_types=["CE"])
    assert max(one.terms["expiry"] for one in far) == dt.date(2024, 3, 15)
    assert [
        ("expiration_date.lte=2024-02-17" in one, "expiration_date.lte=2025-02-19" in one) for one in server.asked
    ] == [
        (False, False),
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    "chain", [{"last_date": "2023-12-31"}, {"first_date": "2024-02-01"}, {"expiries": ["2023-12-15"]}]
)
def test_a_chain_that_is_not_wanted_in_a_window_is_not_asked_for(
    source: Callable[..., PolygonSource], server: PolygonServer, chain: dict[str, Any]
) -> None:
    assert options(source, **chain) == []
    assert server.asked == []


def test_a_contract_of_two_chains_is_wanted_on_the_days_of_both(source: Callable[..., PolygonSource]) -> None:
    strikes = {"underlying": "AAPL", "strikes": ["185", "185"], "option_types": ["CE"]}
    asking = source(
        {
            "options": [
                {**strikes, "expiries": 1},
                {**strikes, "expiries": ["2024-02-16"], "first_date": "2024-01-18", "last_date": "2024-01-23"},
            ],
            "equities": [{"symbol": "AAPL", "last_date": "2024-01-17"}, {"symbol": "AAPL", "first_date": "2024-01-17"}],
        }
    )
    listed = {one.vendor_id: one for one in asking.list_instruments(OPTIONS, WINDOW)}
    one = listed["O:AAPL240216C00185000"]
    assert (one.first_date, one.last_date) == (dt.date(2024, 1, 18), dt.date(2024, 1, 31))
    (share,) = asking.list_instruments(DATASETS["spot_prices"], WINDOW)
    assert (share.first_date, share.last_date) == (None, None)


def test_a_contract_has_the_terms_of_its_listing(source: Callable[..., PolygonSource]) -> None:
    (one,) = options(source, Window(DAY, DAY), strikes=["185", "185"], option_types=["PE"], expiries=["2024-03-15"])
    assert one.terms == {
        "kind": "OPT",
        "symbol": "O:AAPL240315P00185000",
        "underlying": "AAPL",
        "expiry": dt.date(2024, 3, 15),
        "strike": Decimal(185),
        "option_type": "PE",
        "lot_size": 100,
        "venue": "OPRA",
        "currency": "USD",
    }


def test_a_chain_is_wanted_within_its_own_dates_only(source: Callable[..., PolygonSource]) -> None:
    listed = options(
        source, strikes=["185", "185"], expiries=["2024-02-16"], first_date="2024-01-18", last_date="2024-01-23"
    )
    assert {(one.first_date, one.last_date) for one in listed} == {(dt.date(2024, 1, 18), dt.date(2024, 1, 23))}


def test_the_recorded_pages_of_contracts_are_put_together(
    source: Callable[..., PolygonSource], server: PolygonServer
) -> None:
    pages = [(RECORDED / f"options_contracts_page{number}.json").read_text(encoding="utf-8") for number in (1, 2)]
    server.fail(Fault(body='{"status":"OK","results":[]}'), *[Fault(body=page) for page in pages])
    asking = source({"options": [{"underlying": "A", "expiries": ["2022-05-20"]}]})
    day = dt.date(2022, 5, 16)
    listed = asking.list_instruments(OPTIONS, Window(day, day))
    assert len(listed) == sum(page.count('"ticker"') for page in pages) == 20
    assert {one.terms["strike"] for one in listed} == {Decimal(strike) for strike in range(65, 161, 5)}
    assert server.asked[2] == f"{LISTING}?cursor=YXA9JTdCJTIySUQlMjIlM0ElMjIy"


def test_contracts_of_another_root_are_left_out(source: Callable[..., PolygonSource], server: PolygonServer) -> None:
    expiry = dt.date(2024, 2, 16)
    server.listings[LISTING] = [contract(root, expiry, "C", 185, "AAPL") for root in ("AAPL", "AAPL1")]
    assert [one.vendor_id for one in options(source)] == ["O:AAPL240216C00185000"]


def test_weekly_options_of_an_index_are_asked_for_under_the_index(
    source: Callable[..., PolygonSource], server: PolygonServer
) -> None:
    expiry = dt.date(2024, 2, 16)
    server.listings[LISTING] = [contract(root, expiry, "C", 4800, "SPX") for root in ("SPX", "SPXW")]
    assert [one.vendor_id for one in options(source, underlying="SPXW")] == ["O:SPXW240216C04800000"]
    assert [one.vendor_id for one in options(source, underlying="SPX")] == ["O:SPX240216C04800000"]
    assert "underlying_ticker=SPX&" in server.asked[0]


def test_a_root_is_the_underlying_without_its_point(
    source: Callable[..., PolygonSource], server: PolygonServer
) -> None:
    server.listings[LISTING] = [contract("BRKB", dt.date(2024, 2, 16), "C", 360, "BRK.B")]
    (one,) = options(source, underlying="BRK.B")
    assert (one.vendor_id, one.terms["underlying"]) == ("O:BRKB240216C00360000", "BRK.B")


def test_a_strike_of_half_a_dollar_is_exact(source: Callable[..., PolygonSource], server: PolygonServer) -> None:
    row = contract("AAPL", dt.date(2024, 2, 16), "C", 185)
    server.listings[LISTING] = [row.replace('price":185', 'price":187.5').replace("C00185000", "C00187500")]
    (one,) = options(source)
    assert one.terms["strike"] == Decimal("187.5")


def test_a_listing_of_several_pages_takes_a_turn_for_each(
    source: Callable[..., PolygonSource], server: PolygonServer
) -> None:
    server.page_size = 4
    assert len(options(source, expiries=["2024-02-16", "2024-03-15"])) == 12
    assert sum("cursor" in one for one in server.asked) == 3


def test_a_chain_of_which_there_is_no_contract_is_an_error(source: Callable[..., PolygonSource]) -> None:
    with pytest.raises(SourceError, match="Polygon knows no option of MSFT that the universe's chain means"):
        options(source, underlying="MSFT")


@pytest.mark.parametrize(
    ("old", "new"),
    [('price":185', 'price":186'), ("2024-02-16", "2024-02-17"), ('"call"', '"put"'), ('contract":100', 'contract":0')],
)
def test_a_contract_that_contradicts_its_ticker_is_an_error(
    source: Callable[..., PolygonSource], server: PolygonServer, old: str, new: str
) -> None:
    server.listings[LISTING] = [contract("AAPL", dt.date(2024, 2, 16), "C", 185).replace(old, new)]
    with pytest.raises(SourceError, match="1 contracts contradict their own ticker, such as O:AAPL240216C00185000"):
        options(source)


def test_a_renamed_column_of_a_contract_is_named(source: Callable[..., PolygonSource], server: PolygonServer) -> None:
    row = json.loads(contract("AAPL", dt.date(2024, 2, 16), "C", 185))
    row["strike"] = row.pop("strike_price")
    server.listings[LISTING] = [json.dumps(row)]
    with pytest.raises(SchemaDriftError, match="missing 'strike_price' and unknown 'strike'"):
        options(source)


def test_a_listing_without_results_is_another_shape(
    source: Callable[..., PolygonSource], server: PolygonServer
) -> None:
    server.fail(Fault(body='{"status":"OK"}'))
    with pytest.raises(SchemaDriftError, match="no list 'results', got status"):
        options(source)


def test_an_unknown_place_is_shown_as_the_vendor_said_it(
    source: Callable[..., PolygonSource], server: PolygonServer
) -> None:
    server.listings.clear()
    with pytest.raises(PipelineError, match=r"Polygon does not know it \(404 page not found\)"):
        options(source)


@pytest.mark.parametrize("section", [{"futures": ["ES"]}, {"pairs": ["BTC/USD"]}])
def test_futures_and_pairs_are_refused(source: Callable[..., PolygonSource], section: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="neither futures nor pairs"):
        source({"equities": ["AAPL"], **section}).list_instruments(DATASETS["spot_prices"], WINDOW)


def test_a_symbol_that_is_no_ticker_is_refused(source: Callable[..., PolygonSource]) -> None:
    with pytest.raises(ConfigurationError, match="'BTC/USD' is no ticker of Polygon's"):
        source({"equities": ["BTC/USD"]}).list_instruments(DATASETS["spot_prices"], WINDOW)
