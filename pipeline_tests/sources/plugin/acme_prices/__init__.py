"""Daily prices of Acme, a vendor that does not exist."""

from pipeline_defs.sources.entry import SourceEntry

ENTRY = SourceEntry("acme_prices.adapter:AcmeSource", market="US", tables=("equity_daily",), meaning="Shares, daily.")
