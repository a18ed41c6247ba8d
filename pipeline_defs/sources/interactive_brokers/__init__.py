"""Interactive Brokers: history of shares, indices, futures and options from a running TWS or IB Gateway.

``loop``       the one thread of the process in which the client lives
``errors``     what TWS says of a request, as what a user should read and whether asking again helps
``replies``    bars and ticks as the text that TWS sent, kept before the client makes floats of it
``connecting`` from an address to a client that is ready
``session``    one connection: requests, their answers and their errors
``contracts``  what to look for, and terms of what was found
``expiries``   which contracts of a chain are wanted
``listing``    the universe's instruments, each found in TWS
``bars``       bars of one request
``ticks``      trades and quotes of one day, page by page
``adapter``    the source
"""
