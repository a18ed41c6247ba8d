"""Market data in, one warehouse as the truth, engine-verified backtest catalogs out.

Rooms, each importable on its own, arrows pointing inward (see ``docs/architecture.md``):

``schema``         what a table, a frame and an import batch are; no input or output here
``markets``        sessions, expiry rules and ticker grammars of the exchanges
``sources``        one folder or file per data source: bytes in, canonical frames out
``warehouse``      PostgreSQL / TimescaleDB: migrations, the one import path, reads, bars
``exports``        one folder or file per engine format: frames in, verified catalogs out
``storage``        where files live, and how a directory is published atomically
``samples``        generated, real-shaped market data with known defects
``orchestration``  the Dagster wing: assets, checks, jobs; no logic of its own
``cli``            the ``pipeline`` command, a thin shell
"""

__version__ = "0.1.0"
