"""Generated, real-shaped market data with known defects: for the demo, for tests, for benchmarks.

Here belongs what invents a market and writes it the way vendors do. Nothing here reads vendor
files and nothing in the product depends on it: a generator that shared code with the readers
could not find their mistakes. Same arguments give the same bytes.

``underlyings``  the indices and shares of the sample market
``chain``        which contracts are listed on a trade date, and their names
``hours``        when derivatives, and when indices and shares, print on a date
``prices``       the path of an underlying, and what futures and options cost on it
``trading``      who trades how much in which minute, and the open interest that leaves
``market``       one trading day, put together from those
``ticks``        the same day as one-second snapshots
``layouts``      GDFL's text layouts; ``truedata`` and ``bhavcopy`` likewise
``delivery``     rows of text into files, archives and compressed twins, with steady bytes
``damage``       the catalogue of damaged rows; ``dirt`` plants them, ``dirty_day`` chooses where
``truth``        what is damaged, what only looks so, and what must be stored exactly
``products``     what a sample can consist of
``generate``     the presets, and the landing folder
"""
