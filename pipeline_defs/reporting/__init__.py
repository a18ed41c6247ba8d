"""The data report: what the warehouse holds, how fresh, how whole, how good, and where it came from, as one HTML file.

``building`` reads the database once and asks each section for its part: ``coverage``, ``freshness``, ``gaps``,
``quality``, ``provenance``, ``catalogs``, ``sizes``. A section gives numbers, tables and pictures (``elements``) and
knows nothing of HTML; ``rendering`` writes the page and escapes every text. Nothing here changes the database, and
nothing here knows Dagster.
"""
