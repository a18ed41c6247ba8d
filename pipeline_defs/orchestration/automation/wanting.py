"""What the universe wants of a source, for schedules: a source of which nothing is wanted is skipped, not failed."""

from __future__ import annotations


def tables_of(source: str, *, within_the_day: bool = False) -> frozenset[str]:
    """Name the tables that are wanted of a source.

    Parameters
    ----------
    source : str
        As in the registry.
    within_the_day : bool, default False
        Whether only bars shorter than a day count.

    Returns
    -------
    frozenset of str
        Not empty.

    Raises
    ------
    ConfigurationError
        If the universe wants nothing; its text says what to write where.

    """
    # Adapters import polars: only a tick needs one.
    from pipeline_defs.micro_batches import intraday_datasets  # noqa: PLC0415
    from pipeline_defs.sources.asking.source import ApiSource  # noqa: PLC0415
    from pipeline_defs.sources.registry import get_source, source_entry  # noqa: PLC0415

    adapter, tables = get_source(source), frozenset(source_entry(source).tables)
    if not isinstance(adapter, ApiSource):  # a third-party source may know no universe
        return tables
    wanted = intraday_datasets(adapter) if within_the_day else adapter.datasets_wanted()
    return frozenset(dataset.table for dataset in wanted) & tables
