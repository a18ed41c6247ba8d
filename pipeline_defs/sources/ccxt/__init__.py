"""Bars of spot pairs from any exchange that CCXT speaks to; one exchange a universe.

``exchanges`` clients of exchanges: spot only, their addresses, keys, lengths of bars
``client``    one exchange that is asked, and what each of its replies really was
``refusals``  errors of the client to ours: try again, refused for good, or set up wrongly
``paging``    one question to as many pages as it takes, none of them missing at the end
``rows``      candles as text to the rows of an answer
``pairs``     a market as the exchange describes it to the terms of an instrument
``listening`` candles as they happen, in a loop of its own; a bar is told when a later one has begun
``adapter``   the `ApiSource` that runs it all
"""
