"""The log lines of old runs, each night: what people read of a run is kept, and the event log stops growing with it."""

import datetime as dt
from typing import Final

import dagster as dg

from pipeline_defs.orchestration.operations.event_retention import DEFAULT_AGE, prune_log_lines

NIGHT: Final = "30 22 * * *"
"""04:00 in India: no market of a source is being imported."""


@dg.op(
    name="prune_old_log_lines",
    description="Delete what runs wrote to the log long ago; materialisations, checks and run states stay.",
    config_schema={
        "days": dg.Field(
            dg.IntSource, default_value=DEFAULT_AGE.days, description="Since the run's last change; at least 1."
        )
    },
)
def prune_old_log_lines(context: dg.OpExecutionContext) -> None:
    """Prune the instance that this run is recorded on."""
    pruned = prune_log_lines(context.instance, dt.timedelta(days=context.op_config["days"]))
    context.log.info(
        "%d log lines of %d runs that ended before %s were deleted",
        pruned.rows, pruned.runs, f"{pruned.ended_before:%Y-%m-%d %H:%M} UTC",
    )  # fmt: skip


@dg.job(
    name="prune_events",
    description=(
        "Deletes the log lines of runs that ended long ago, so that the event log does not grow without end. What"
        " Dagster knows of partitions, checks, data versions and freshness stays as it is."
    ),
)
def prune_events() -> None:
    """Prune."""
    prune_old_log_lines()


prune_events_schedule: Final = dg.ScheduleDefinition(
    name="prune_events_schedule",
    job=prune_events,
    cron_schedule=NIGHT,
    execution_timezone="UTC",
    description=(
        f"04:00 in India: log lines of runs that ended {DEFAULT_AGE.days} days ago are deleted. What Dagster knows of"
        " partitions, checks and data versions stays, and so does what runs ended with."
    ),
)
