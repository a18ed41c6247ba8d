"""A private PostgreSQL in a folder, for those who have no server: its life, not its tables.

``server``   start, stop and status: what the rest of the product calls
``cluster``  the programs, `initdb`, the settings
``process``  recognising a running server, whoever started it
``account``  as whom it runs: PostgreSQL refuses root
"""

from pipeline_defs.warehouse.embedded.server import EmbeddedStatus, ensure_running, status, stop

__all__ = ["EmbeddedStatus", "ensure_running", "status", "stop"]
