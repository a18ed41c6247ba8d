"""A file name loses its extension and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.markets.tickers.filenames import ticker_from_filename


@pytest.mark.parametrize(
    ("name", "ticker"),
    [
        ("ASHOKLEY25JUN25122.5CE.NFO.csv", "ASHOKLEY25JUN25122.5CE.NFO"),
        ("ASHOKLEY25JUN25122.5PE.NFO.csv", "ASHOKLEY25JUN25122.5PE.NFO"),
        ("BANKBARODA250626256.65CE.csv", "BANKBARODA250626256.65CE"),
        ("NIFTY 50.NSE_IDX.csv", "NIFTY 50.NSE_IDX"),
        ("RELIANCE.NSE.CSV", "RELIANCE.NSE"),
        ("NIFTY-I.NFO.Csv.GZ", "NIFTY-I.NFO"),
        ("NIFTY-I.NFO.csv.gz", "NIFTY-I.NFO"),
        ("Futures/-I/NIFTY-I.NFO.csv", "NIFTY-I.NFO"),
        ("Options\\M&M28AUG253200CE.NFO.csv", "M&M28AUG253200CE.NFO"),
        ("NIFTY-I.NFO", "NIFTY-I.NFO"),
        ("csv", "csv"),
        ("", ""),
    ],
)
def test_only_the_extension_goes(name: str, ticker: str) -> None:
    assert ticker_from_filename(name) == ticker


@given(
    st.text("ABCXYZ0123456789&-. _", min_size=1).filter(lambda text: not text.lower().endswith((".csv", ".gz"))),
    st.sampled_from(["", ".csv", ".CSV", ".csv.gz", ".CSV.GZ", ".gz"]),
    st.sampled_from(["", "Options/", "a/b/"]),
)
def test_a_ticker_comes_back_out_of_any_file_name_made_of_it(ticker: str, extension: str, folder: str) -> None:
    assert ticker_from_filename(f"{folder}{ticker}{extension}") == ticker
