"""A folder that cannot be listed is an error: rows that are silently not there would be the worst of all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pipeline_defs.errors import SourceError
from pipeline_defs.migration.planning import plan_store
from pipeline_defs.migration.walking import entries_below, entries_of, files_below, is_file, is_folder
from pipeline_tests.migration.stores import bars, bundle_row, global_database, symbol_rows, write_daily

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lock folders of some name, as permissions would; whoever runs the tests may be allowed everything."""
    real = {name: getattr(os, name) for name in ("scandir", "listdir", "stat")}

    def lock(folder: str) -> None:
        def refusing(name: str) -> Callable[..., Any]:
            def call(path: Any = ".", *more: Any, **options: Any) -> Any:
                told = os.fspath(path) if not isinstance(path, int) else ""
                if (told.endswith(folder) and name != "stat") or (f"{folder}/" in told):
                    raise PermissionError(13, "Permission denied", told)
                return real[name](path, *more, **options)

            return call

        for name in real:
            monkeypatch.setattr(os, name, refusing(name))

    return lock


def test_what_ends_as_asked_is_found_at_any_depth_and_not_gone_into(tmp_path: Path) -> None:
    for name in ("b/2.bcolz/x.bcolz", "a/1.bcolz", "a/.hidden.bcolz", "c/other"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    found = [path.relative_to(tmp_path).as_posix() for path in entries_below(tmp_path, ending=".bcolz")]

    assert found == ["a/1.bcolz", "b/2.bcolz"]
    assert len(list(files_below(tmp_path))) == 4
    assert list(entries_below(tmp_path / "none", ending="")) == entries_of(tmp_path / "none") == []


def test_a_linked_folder_is_an_error_and_not_an_absence(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store/year=2023").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(SourceError, match="links are not followed") as raised:
        list(files_below(tmp_path / "store"))

    assert raised.value.where == str(tmp_path / "store/year=2023")


def test_a_locked_folder_is_an_error_that_names_it(tmp_path: Path, locked: Callable[[str], None]) -> None:
    (tmp_path / "locked/inner").mkdir(parents=True)
    locked("locked")

    for ask in (entries_of, lambda path: list(files_below(path)), lambda path: is_file(path / "x")):
        with pytest.raises(SourceError, match="cannot be looked at: Permission denied"):
            ask(tmp_path / "locked")
    with pytest.raises(SourceError, match="Permission denied"):
        is_folder(tmp_path / "locked/inner")


def test_a_bundle_of_which_one_month_is_locked_is_quarantined(tmp_path: Path, locked: Callable[[str], None]) -> None:
    root = tmp_path / ".zipline"
    folder = root / "data/bundles/months"
    write_daily(folder, bars(1, first="2023-02-01"), where="year=2023/month=2")
    write_daily(folder, bars(1))
    global_database(root, 10, bundle_row("months"), *symbol_rows("months", "A"))
    locked("month=3")

    (plan,) = plan_store(root).bundles

    assert (plan.decision, plan.reason) == ("quarantine", "unreadable_file")
    assert "daily_bars/year=2023/month=3" in plan.detail


def test_a_locked_bundle_is_told_and_the_others_are_planned(tmp_path: Path, locked: Callable[[str], None]) -> None:
    root = tmp_path / ".zipline"
    write_daily(root / "data/bundles/good", bars(1))
    write_daily(root / "data/bundles/shut", bars(1))
    global_database(root, 10, bundle_row("good"), *symbol_rows("good", "A"))
    locked("shut")

    plan = plan_store(root)

    assert [(one.name, one.reason) for one in plan.bundles] == [("good", None), ("shut", "unreadable_file")]
    assert f"{root / 'data/bundles/shut'}" in plan.bundles[1].detail
