"""Implied volatility and Greeks of option bars, one session at a time.

A model (`black`, `implied`), what it is fed with (`inputs`, `forwards`, `rates`), what it refuses (`masking`), and the
table it fills (`storing`). Nothing here knows Dagster; `session` is the way in.

Units inside: volatility, rates and yields per year, continuously compounded; time in years of 365 days; vega per 1.00
of volatility, theta per year, rho per 1.00 of rate. Whoever wants others converts at the edge.
"""
