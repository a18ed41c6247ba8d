"""Polygon.io (now Massive): bars of US shares, indices and options, and what else a backtest wants to know of them.

``adapter``    the source: instruments, questions, answers
``connection`` the vendor's own client, watched so that a reply's status and headers can be seen
``refusals``   what the vendor refused, in words a user can act on
``pages``      all pages of one reply, or none
``numbers``    numbers of the vendor's JSON, digit for digit
``bars``       pages of aggregates to the rows of an answer
``contracts``  the option contracts that a chain of the universe means
``tickers``    whether a ticker exists, and which ones look like it
``snapshots``  a chain as it stands now: quotes, open interest, implied volatility, greeks
``actions``    splits and dividends of a share
``listening``  a connection to one of the vendor's streams
``live``       bars as they are completed, from those
"""
