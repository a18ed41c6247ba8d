"""What the exchanges decided: trading sessions, expiry days and how contracts are named.

Rules that changed over time are rows of the files in ``data``, each with its source; the modules here only
look them up. Nothing here reads market data, opens a connection or knows a vendor's file layout.

``sessions``          when a segment was open
``running``           which session of a market is open now, and if none, why
``expiries``          on which day a contract of a month or week expires, as known on a date
``tickers``           names of contracts, read in a declared grammar
``tables``            the files themselves; ``session_tables`` and ``fixed_holidays`` serve the sessions
``calendar_refresh``  development only: brings the holiday list in line with the calendar library
"""
