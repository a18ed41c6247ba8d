"""Whose observations an export takes: a declared order of sources, by table and market.

The package's own order is ``precedence.yaml`` beside this module; ``PIPELINE_HOME/precedence.yaml`` takes the place of
what it names. The first source that has a contract-day at the wanted resolution gives all of it. Two sources are never
mixed within one: they stamp, round and sample differently and start counting volume at different trades, so that a bar
put between those of another source would show a jump, or a trade twice, that the market never had.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.own_yaml import compose_own_yaml
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.settings import read_own_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import psycopg
    import yaml

FILE_NAME: Final = "precedence.yaml"
MARKETS: Final = ("NSE", "US", "CRYPTO")
MARKET_OF_TERMS: Final = (
    "CASE WHEN t.kind = 'PAIR' THEN 'CRYPTO' WHEN t.currency = 'INR' THEN 'NSE'"
    " WHEN t.currency = 'USD' THEN 'US' ELSE 'CRYPTO' END"
)
"""SQL: the market of an instrument by its terms ``t``; what is neither Indian nor American has days of UTC."""

_NEXT: Final = "write, for example, 'options_ticks: [nse_csv, zerodha]'"

PATTERN_END: Final = "/*"
"""End of a name that stands for every source whose name begins with what is before the asterisk."""

type Orders = dict[str, dict[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Precedence:
    """The order of sources in force.

    Parameters
    ----------
    orders : dict of str to dict
        Table to market to sources, the first one first.

    """

    orders: Orders

    @property
    def digest(self) -> str:
        """SHA-256 of the orders, however they were written."""
        text = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def expanded(self, stored: Iterable[str]) -> Precedence:
        """Put names in the place of patterns (``rustybt/*``): those of sources that are not named themselves, sorted.

        Parameters
        ----------
        stored : iterable of str
            Sources of which anything is stored.

        Returns
        -------
        Precedence
            For choosing; what is declared, and its digest, is the one with the patterns.

        """
        names = sorted(set(stored))
        return Precedence(
            {
                table: {market: _expand(order, names) for market, order in markets.items()}
                for table, markets in self.orders.items()
            }
        )

    def order(self, table: str, market: str) -> tuple[str, ...]:
        """Give the sources of a table in a market, the first one first."""
        return self.orders[table][market]

    def sources(self, *tables: str) -> tuple[str, ...]:
        """List every source that some order of some tables (default all) names, as they are met."""
        named = (self.orders[table][market] for table in tables or OBSERVATION_TABLES for market in MARKETS)
        return tuple(dict.fromkeys(source for order in named for source in order))

    def to_json(self) -> dict[str, Any]:
        """Give the orders as a JSON object: one list where every market has the same."""
        return {
            table: list(markets["NSE"])
            if len(set(markets.values())) == 1
            else {market: list(order) for market, order in markets.items()}
            for table, markets in self.orders.items()
        }


def _expand(order: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    expanded: list[str] = []
    for entry in order:
        if entry.endswith(PATTERN_END):
            expanded += [name for name in names if name.startswith(entry[:-1]) and name not in order]
        else:
            expanded.append(entry)
    return tuple(dict.fromkeys(expanded))


def stored_sources(connection: psycopg.Connection) -> list[str]:
    """List what patterns can stand for: the sources of moved-in bundles that were found to be whole."""
    rows = connection.execute("SELECT source FROM migrated_bundles WHERE state = 'done' ORDER BY source").fetchall()
    return [str(source) for (source,) in rows]


def load_precedence(home: Path, known_sources: Collection[str] | None = None) -> Precedence:
    """Read the precedence in force.

    Parameters
    ----------
    home : Path
        ``PIPELINE_HOME``; its ``precedence.yaml`` need not exist.
    known_sources : collection of str, optional
        Names that may stand in the user's file; default any.

    Returns
    -------
    Precedence

    Raises
    ------
    ConfigurationError
        If a file is not understood; it names the line.

    """
    packaged = Path(__file__).with_name(FILE_NAME)
    orders = parse_orders(packaged.read_text(encoding="utf-8"), FILE_NAME)
    own = home / FILE_NAME
    if own.is_file():
        for table, markets in parse_orders(read_own_text(own), str(own), known_sources).items():
            orders[table] |= markets
    return Precedence({table: {market: orders[table][market] for market in MARKETS} for table in OBSERVATION_TABLES})


def parse_orders(text: str, name: str, known_sources: Collection[str] | None = None) -> Orders:
    """Read orders of sources from the text of a file.

    Parameters
    ----------
    text : str
        YAML: table to a list of sources, or to a mapping of markets to such lists.
    name : str
        Of the file, for errors.
    known_sources : collection of str, optional
        Names that may stand in it; default any.

    Returns
    -------
    dict
        Table to market to sources; only what the text names.

    Raises
    ------
    ConfigurationError
        If it is no YAML of that form, or names an unknown table, market or source, or one of them twice; it names the
        line.

    """
    root = compose_own_yaml(text, name)
    if root is None:
        return {}
    reader = _Reader(name, known_sources)
    tables = reader.mapping(root, "table", tuple(OBSERVATION_TABLES))
    return {table: reader.markets(node, table) for table, node in tables.items()}


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the nodes of a file, and says on which line one is wrong."""

    name: str
    known_sources: Collection[str] | None

    def markets(self, node: yaml.Node, table: str) -> dict[str, tuple[str, ...]]:
        import yaml  # noqa: PLC0415 -- only an export needs it

        if isinstance(node, yaml.SequenceNode):
            return dict.fromkeys(MARKETS, self.order(node))
        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f"{table} is neither a list of sources nor a mapping of markets to such lists")
        return {market: self.order(order) for market, order in self.mapping(node, "market", MARKETS).items()}

    def mapping(self, node: yaml.Node, what: str, choices: tuple[str, ...]) -> dict[str, yaml.Node]:
        import yaml  # noqa: PLC0415 -- as above

        if not isinstance(node, yaml.MappingNode):
            raise self.error(node, f"expected a mapping of {what}s")
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.value not in choices:
                raise self.error(key, f"{what} {key.value!r}, expected one of {', '.join(choices)}")
            if key.value in found:
                raise self.error(key, f"{what} {key.value} stands here a second time")
            found[key.value] = value
        return found

    def order(self, node: yaml.Node) -> tuple[str, ...]:
        import yaml  # noqa: PLC0415 -- as above

        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.error(node, "expected a list of at least one source")
        order: list[str] = []
        for item in node.value:
            source = item.value if isinstance(item, yaml.ScalarNode) else None
            if not source or not self._is_known(source):
                known = "a name" if self.known_sources is None else f"one of {', '.join(sorted(self.known_sources))}"
                raise self.error(item, f"source {source!r}, expected {known}")
            if source in order:
                raise self.error(item, f"source {source} stands in the list a second time")
            order.append(source)
        return tuple(order)

    def _is_known(self, source: str) -> bool:
        """Tell whether a name may stand in the file; one in parts may be of a bundle that is moved in later."""
        return self.known_sources is None or source in self.known_sources or self._begins_as_known(source)

    def _begins_as_known(self, source: str) -> bool:
        system = source.partition("/")[0]
        return "/" in source and any(known == f"{system}{PATTERN_END}" for known in self.known_sources or ())

    def error(self, node: yaml.Node, what: str) -> ConfigurationError:
        return ConfigurationError(what, where=f"{self.name} line {node.start_mark.line + 1}", next_step=_NEXT)


def declare_precedence(connection: psycopg.Connection, content: dict[str, Any], digest: str) -> None:
    """Let the database know the precedence in force, so that it can tell which catalogs were made under another one.

    Parameters
    ----------
    connection : psycopg.Connection
        In a transaction, or in autocommit mode.
    content : dict
        The orders, as `Precedence.to_json` gives them; recorded unless the newest record is the same.
    digest : str
        Its hash.

    """
    connection.execute(
        "INSERT INTO source_precedences (digest, content) SELECT %(digest)s, %(content)s::jsonb"
        " WHERE %(digest)s IS DISTINCT FROM"
        " (SELECT digest FROM source_precedences ORDER BY precedence_id DESC LIMIT 1)",
        {"digest": digest, "content": json.dumps(content)},
    )
