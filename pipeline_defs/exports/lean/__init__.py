"""A LEAN data folder: zipped CSV by day and contract as QuantConnect's engine reads it, and all it looks for beside it.

Grammar, pure text, both ways: ``kinds``, ``paths``, ``entries``, ``lines``.

Writing: ``symbols`` (our instruments in LEAN's words), ``grid`` (close stamps to starts), ``interest`` (when open
interest is known), ``checks``, ``columns`` (frames to text), ``quotes`` (ticks to quote bars), ``archive`` (zips),
``writing``, ``universes``, ``corporate`` (map and factor files), ``market_hours``, ``symbol_properties``,
``listings``, ``databases``, ``build`` (the order of these things), ``exporter`` (the export port).

Reading: ``reading`` (zips to frames), ``findings``, ``scaling``, ``lookup`` (would LEAN find it?), ``validator`` (any
data folder), ``truth`` and ``verify`` (comparison with the slice, in a process of its own).

For users: ``merging`` (several months as one folder), ``databases.merge_databases``, the commands of ``__main__``.

Nothing here reads the warehouse or publishes a directory, and nothing runs LEAN, which is C#.
"""
