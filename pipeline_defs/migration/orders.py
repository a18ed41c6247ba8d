"""What a person asked for: which store is to be moved in, and what they know that it does not say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline_defs.migration.plan import Plan
    from pipeline_defs.migration.stamping import Stamps


@dataclass(frozen=True, slots=True)
class MigrationOrder:
    """A store and the choices about it.

    Parameters
    ----------
    system : {"rustybt", "csvdir"}
        A store of rustybt or zipline, or one csvdir folder.
    root : Path or None
        The store, or the folder; None for ``ZIPLINE_ROOT`` or ``~/.zipline``.
    cache_root : Path or None
        The smart cache; None for the one beside the store.
    bundles : tuple of str
        Only these; empty is all. Of a folder, the bundle's name.
    markets : mapping of str to str
        Market by bundle.
    stamps : mapping of str to {"start", "end"}
        Which end of a minute the stamps of a bundle name.
    accept : tuple of str
        Bundles that are taken in spite of a checksum that does not fit.
    take_caches : bool
        Take cached answers, too.
    decimals : int or None
        Of a folder: what prices with more than eight decimals are rounded to; None refuses them.

    """

    system: Literal["rustybt", "csvdir"]
    root: Path | None = None
    cache_root: Path | None = None
    bundles: tuple[str, ...] = ()
    markets: Mapping[str, str] = field(default_factory=dict)
    stamps: Mapping[str, Stamps] = field(default_factory=dict)
    accept: tuple[str, ...] = ()
    take_caches: bool = False
    decimals: int | None = None

    def plan(self) -> Plan:
        """Read the store and plan it.

        Raises
        ------
        ConfigurationError
            If there is no such folder, or a bundle or market is named that there is not.
        SourceError
            If it may not be read.

        """
        from pipeline_defs.migration.planning import plan_csvdir, plan_store  # noqa: PLC0415 -- imports polars

        if self.system == "csvdir":
            folder = (self.root or Path()).expanduser()
            name = self.bundles[0] if self.bundles else folder.absolute().name
            return plan_csvdir(folder, name=name, market=self.markets.get(name), decimals=self.decimals)
        return plan_store(
            self.root,
            self.cache_root,
            markets=self.markets,
            accept=self.accept,
            take_caches=self.take_caches,
            bundles=self.bundles or None,
        )
