"""What an index is called in derivatives, by the name it has in index files."""

from __future__ import annotations

from functools import cache

from pipeline_defs.markets.tables import INDEX_NAMES, read_table


def underlying_of_index(name: str) -> str:
    """Translate an index name; one without derivatives of another name is kept as it is."""
    return index_names().get(name, name)


@cache
def index_names() -> dict[str, str]:
    """Map index names to the symbols of their derivatives."""
    columns = ("index_name", "underlying", "source")
    return dict(read_table(INDEX_NAMES, columns, lambda row: (row["index_name"], row["underlying"])))
