"""Commands as runs: what the command line does stands in the UI, and can be launched there with the same words.

``imports``  the job `import_data`
``backfills``  the job `backfill`
``exports``  the job `export_catalog`
``migrations``  the job `migrate_store`
``running``  executes a job in a command's own process, on the persistent instance
``telling``  how the command hears of it meanwhile

A job's op does what the command did: it calls one function of the core. Beside that it tells the assets which of their
partitions it has filled. Jobs bring their resources along, so that a command need not build all definitions.
"""

from typing import Final

from pipeline_defs.orchestration.commands.backfills import BACKFILL_JOB
from pipeline_defs.orchestration.commands.exports import EXPORT_JOB
from pipeline_defs.orchestration.commands.imports import IMPORT_JOB
from pipeline_defs.orchestration.commands.migrations import MIGRATE_JOB

JOBS: Final = [IMPORT_JOB, BACKFILL_JOB, EXPORT_JOB, MIGRATE_JOB]
