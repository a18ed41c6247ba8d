"""Yahoo Finance: bars of shares and indices, corporate actions, and last prices as they happen.

``client``      yfinance's session, cookie and crumb, apart from every other one of the process
``replies``     what came back: a chart, an explicit nothing, or what was wrong
``drift``       the error about a reply of another shape
``checking``    whether a chart speaks of what was asked for
``bars``        a chart's bars to the rows of an answer
``actions``     splits and dividends of a chart
``ledger``      corporate actions as last heard, on disk
``reach``       which lengths of bars there are, and how far back
``naming``      names in the warehouse of Yahoo's symbols
``ticks``       messages of the stream to rows
``streaming``   the stream, in a thread of its own
``adapter``     the source
"""
