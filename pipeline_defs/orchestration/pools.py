"""How many runs may ask a source at once: a pool for each API source, one run at a time unless a person says more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.sources.registry import api_sources

if TYPE_CHECKING:
    import dagster as dg

ASKING_QUEUE: Final = "asking"
"""Of what asks vendors: their rate limits, tokens and instrument dumps are kept by the one host that listens to it."""

ASKING_STEP: Final = {"dagster-celery/queue": ASKING_QUEUE}
"""Tags of a step that asks vendors: where steps are sent to workers one by one, it goes to that host, too."""

MOST: Final = 50
"""More runs at once than any vendor's rate limit is worth."""


def pool_names() -> list[str]:
    """Name the pools: the API sources."""
    return api_sources()


def pool_limits(instance: dg.DagsterInstance) -> dict[str, tuple[int, bool]]:
    """Read the limits, and make pools known that no run has used yet.

    Dagster learns of a pool from its first run; of several that are queued before, all would start.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Where they are kept.

    Returns
    -------
    dict of str to tuple of (int, bool)
        By pool: the limit, and whether a person has set it.

    """
    for name in set(pool_names()) - instance.event_log_storage.get_concurrency_keys():
        instance.event_log_storage.initialize_concurrency_limit_to_default(name)
    usual = instance.get_concurrency_config().pool_config.default_pool_limit or 1
    kept = {pool.name: pool for pool in instance.event_log_storage.get_pool_limits()}
    return {
        name: (kept[name].limit, not kept[name].from_default) if name in kept else (usual, False)
        for name in pool_names()
    }


def set_pool_limit(instance: dg.DagsterInstance, name: str, limit: int | None) -> None:
    """Change a limit; it holds from the next run on.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        Where it is kept.
    name : str
        An API source; hyphens count as underscores.
    limit : int or None
        Runs at once, 1 to 50; None takes a person's setting back.

    Raises
    ------
    ConfigurationError
        If there is no such pool, or the limit is outside.

    """
    pool = name.replace("-", "_")
    if pool not in pool_names():
        raise ConfigurationError(
            f"no pool {name!r}, expected one of {', '.join(pool_names())}", next_step="each API source has one"
        )
    if limit is None:
        instance.event_log_storage.delete_concurrency_limit(pool)
        return
    if not 1 <= limit <= MOST:
        raise ConfigurationError(f"limit {limit}, expected 1 to {MOST}", next_step="see the vendor's rate limit")
    instance.event_log_storage.set_concurrency_slots(pool, limit)
