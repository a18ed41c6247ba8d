"""Bars of spot pairs from any exchange that CCXT speaks to; one exchange a universe.

``client``    one exchange's client: spot only, its address, credentials, and what each reply really was
``refusals``  errors of the client to ours: try again, refused for good, or set up wrongly
``paging``    one question to as many pages as it takes, none of them missing at the end
``rows``      candles as text to the rows of an answer
``pairs``     a market as the exchange describes it to the terms of an instrument
``listening`` candles as they happen, in a loop of its own; a bar is told when a later one has begun
``adapter``   the `ApiSource` that runs it all
"""
