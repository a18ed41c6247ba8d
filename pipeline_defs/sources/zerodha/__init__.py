"""Zerodha's Kite Connect: minute and daily bars of the NSE and the BSE, and ticks as they happen.

``adapter``         the source: what it can give, and one question to one request
``intervals``       lengths of bars that Kite has, and how many days of each it gives at once
``client``          the vendor's client, giving its replies unread and its errors in our words
``candles``         a reply's candles to the rows of an answer
``dumps``           the instruments dump of each day, fetched once and kept
``contracts``       the universe's shares, indices and chains, as dumps know them
``session``         the access token, which ends at 06:00 in India
``login``           the daily login of a person
``listening``       a stream: the ticker's process, and what it tells
``ticks``           what the ticker tells to the rows of an answer
``ticker_process``  the vendor's ticker, in a process of its own
"""
