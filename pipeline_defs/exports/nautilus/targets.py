"""The catalog formats that can be written: that of the installed Nautilus 1.231, and that of its version 2.

A target says which schema, folder and metadata a class has; how a frame becomes columns follows from the schema. No
reading or writing here, and the import is light: the target of 1.231 imports Nautilus when it is made.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl
    import pyarrow as pa

FIXED_PRECISION: Final = 16
"""Decimals of Nautilus' high-precision fixed point."""

FIXED_BYTES: Final = 16

SERIES: Final = ("Bar", "TradeTick", "QuoteTick", "OptionGreeks", "IndexPriceUpdate")
"""Classes of data in a catalog, besides those of instruments."""

_TARGETS: Final = {
    "1.231": "pipeline_defs.exports.nautilus.target_1:Target1",
    "2": "pipeline_defs.exports.nautilus.target_2:Target2",
}


class Target(ABC):
    """A format of Nautilus catalogs.

    Everything that follows from a schema (fixed point or decimals, integers or time stamps) is not said again here.
    """

    name: str
    """As in `get_target`."""

    engine: str
    """Engine and version that the files are made for."""

    has_index_prices: bool
    """Whether the engine settles options on an index by index prices, which are then written beside its bars."""

    @abstractmethod
    def schema(self, class_name: str) -> pa.Schema:
        """Look up the columns of a class, in order, without metadata.

        Parameters
        ----------
        class_name : str
            One of `SERIES`, or the class of an instrument.

        Returns
        -------
        pyarrow.Schema

        """

    @abstractmethod
    def folder(self, class_name: str) -> str:
        """Name the folder of a class below ``data``.

        Parameters
        ----------
        class_name : str
            As for `schema`.

        Returns
        -------
        str
            E.g. ``option_contract``.

        """

    @abstractmethod
    def metadata(
        self, class_name: str, instrument_id: str, precisions: tuple[int, int], bar_type: str
    ) -> dict[str, str]:
        """Write what Nautilus reads from the metadata of a file.

        Parameters
        ----------
        class_name : str
            One of `SERIES`.
        instrument_id : str
            Nautilus' name.
        precisions : tuple of int
            Decimals of prices and of sizes.
        bar_type : str
            Used for bars alone.

        Returns
        -------
        dict

        """

    @abstractmethod
    def instrument_files(self, class_name: str, rows: pl.DataFrame) -> list[bytes]:
        """Write each instrument's file.

        Parameters
        ----------
        class_name : str
            Class of all of them.
        rows : polars.DataFrame
            From `instruments.instrument_rows`; has every column of the class.

        Returns
        -------
        list of bytes
            Parquet files of one row each, in the order of `rows`.

        """

    def fingerprint(self, class_names: Iterable[str]) -> str:
        """Digest the schemas of classes, to notice a Nautilus with another format.

        Parameters
        ----------
        class_names : iterable of str
            As for `schema`; their order does not matter.

        Returns
        -------
        str
            Hexadecimal SHA-256.

        """
        digest = hashlib.sha256()
        for class_name in sorted(class_names):
            text = self.schema(class_name).to_string(show_schema_metadata=False)
            digest.update(f"{class_name}\n{text}\n".encode())
        return digest.hexdigest()


def get_target(name: str) -> Target:
    """Make a target.

    Parameters
    ----------
    name : str
        ``1.231`` or ``2``.

    Returns
    -------
    Target

    Raises
    ------
    ConfigurationError
        If there is no such target.

    """
    if name not in _TARGETS:
        raise ConfigurationError(f"Nautilus target was {name!r}, expected one of {', '.join(sorted(_TARGETS))}")
    module, _, class_name = _TARGETS[name].partition(":")
    return cast("Target", getattr(import_module(module), class_name)())
