"""Rows put down on disk by part and taken up again."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline_defs.errors import ExportError
from pipeline_defs.schema.columns import PRICE
from pipeline_defs.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path


def rows(*prices: str) -> pl.DataFrame:
    return pl.DataFrame({"price": [Decimal(price) for price in prices]}, schema={"price": PRICE})


def test_a_part_comes_back_as_it_was_put_down_and_once() -> None:
    with Spool() as spool:
        spool.put("a", rows("0.00000001", "2"))
        spool.put("b", rows("3"))
        spool.put("a", rows("4"))
        (first, second), (other,) = spool.take("a"), spool.take("b")
        assert list(spool.take("a")) == []

    assert pl.concat([first, second]).equals(rows("0.00000001", "2", "4"))
    assert other.equals(rows("3"))


def test_nothing_belongs_to_a_part_that_was_never_named() -> None:
    with Spool() as spool:
        assert list(spool.take("a")) == []


def test_no_name_of_a_spool_is_ever_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Spool() as spool:
        spool.put("a", rows("1"))
        assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_where_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "r+b", buffering=0) as full, monkeypatch.context() as patched:  # noqa: PTH123 -- a device
        patched.setattr(tempfile, "TemporaryFile", lambda **_: full)
        spool = Spool()
        with pytest.raises(ExportError, match="No space left on device") as refused:
            spool.put("a", rows("1"))
        assert refused.value.where == tempfile.gettempdir()
        assert "TMPDIR" in str(refused.value)
