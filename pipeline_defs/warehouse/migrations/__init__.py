"""Numbered SQL files under ``sql/``: applied once each, in order, by one process at a time, with a way back.

``files``       the files: migrations, their layers, and the way back that lies beside each
``statements``  cutting SQL text into statements, for what no transaction may hold
``ledger``      which migrations a database holds, and whether they are the ones of this version
``snapshot``    the schema as the migrations left it, to tell what was changed by hand since
``privileges``  owners and rights of what they made, by group roles
``running``     upgrade and downgrade
"""

from pipeline_defs.warehouse.migrations.files import LAYERS, SQL_DIR, Migration, read_migrations
from pipeline_defs.warehouse.migrations.ledger import MigrationState, State, migration_states, server_layers
from pipeline_defs.warehouse.migrations.running import OLDEST_SERVER, downgrade, upgrade
from pipeline_defs.warehouse.migrations.snapshot import Drift, find_drift

__all__ = [
    "LAYERS",
    "OLDEST_SERVER",
    "SQL_DIR",
    "Drift",
    "Migration",
    "MigrationState",
    "State",
    "downgrade",
    "find_drift",
    "migration_states",
    "read_migrations",
    "server_layers",
    "upgrade",
]
