"""Whether the rows of a file ascend strictly by their key, from frame to frame as well.

Looked at alike when rows are written and when they are read back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl


@dataclass
class Order:
    """Looks at the frames of one file, one after the other.

    Parameters
    ----------
    key : tuple of str
        Columns, the most significant first.

    """

    key: tuple[str, ...]
    _last: pl.DataFrame | None = field(default=None, init=False)

    def first_break(self, rows: pl.DataFrame) -> int | None:
        """Take in a frame and find its first row that does not sort after the one before.

        Parameters
        ----------
        rows : polars.DataFrame
            With the key's columns.

        Returns
        -------
        int or None
            Position in the frame; None when all ascend. A key with a null ascends.

        """
        keys = rows.select(self.key)
        before = self._last if self._last is not None else keys.clear()
        steps = pl.concat([before, keys]).select(self._ascends()).to_series()
        self._last = keys.tail(1) if keys.height else self._last
        return None if steps.all() else (steps.arg_min() or 0) - before.height

    def _ascends(self) -> pl.Expr:
        """Compare neighbours from the last part of the key to the first."""
        *first, last = self.key
        ascends = pl.col(last) > pl.col(last).shift()
        for name in reversed(first):
            ascends = (pl.col(name) > pl.col(name).shift()) | ((pl.col(name) == pl.col(name).shift()) & ascends)
        return ascends.fill_null(value=True).alias("ascends")
