from __future__ import annotations
from pipeline_defs.greeks.session import compute_session
from pipeline_defs.greeks.parameters import GreeksParameters
from pipeline_tests.greeks.conftest import TINY_DATE

def test_x(imported, ask):
    for m in ("future","spot","parity"):
        r = compute_session(imported, "nse_csv", TINY_DATE, parameters=GreeksParameters(forward_method=m))
        print(r)
        print(compute_session(imported, "nse_csv", TINY_DATE, parameters=GreeksParameters(forward_method=m)).counts)
        for row in ask(imported, "select timestamp, instrument_id, price, underlying_price, underlying_timestamp, forward, rate, dividend_yield, time_to_expiry_years, implied_volatility, delta, gamma, vega, theta, rho, reason from option_greeks where timestamp < '2025-08-13 04:15+00' order by timestamp, instrument_id limit 12"): print(*row)
    print(ask(imported, "select instrument_id, symbol, expiry, strike, kind from instrument_terms order by 1 limit 30"))
    print(ask(imported, "select g.bucket, g.timestamp, g.instrument_id, implied_volatility from option_greeks_of('options_hourly','2025-08-13','2025-08-14') g limit 8"))
    print(ask(imported, "select g.bucket, g.timestamp, g.instrument_id, implied_volatility from option_greeks_of('options_daily','2025-08-13','2025-08-14') g limit 8"))
    assert 0
