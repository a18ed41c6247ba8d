"""What users name as a place, and the layout below a base."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.storage.locations import S3Location, catalog_place, parse_location, parse_s3, raw_place

PARTS = st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=9)


@given(st.lists(PARTS.filter(lambda part: part not in {".", ".."}), max_size=4), st.sampled_from(["", "/", "//"]))
def test_a_location_is_read_as_it_is_printed(parts: list[str], end: str) -> None:
    location = S3Location("bucket-1", "/".join(parts))
    assert parse_s3(f"{location}{end}") == location
    assert parse_location(str(location)) == location


def test_places_are_joined_as_paths_are() -> None:
    base = S3Location("bucket")
    assert str(base) == "s3://bucket"
    assert str(base / "a" / "b/c/") == "s3://bucket/a/b/c"
    assert base.folder == ""
    assert (base / "a").folder == "a/"


def test_a_path_is_absolute_and_may_begin_with_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert parse_location("~/out") == tmp_path / "out"
    assert parse_location("out/2025-08") == tmp_path / "out" / "2025-08"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("s3://", "is no name of a bucket"),
        ("s3:///x", "is no name of a bucket"),
        ("s3://b", "is no name of a bucket"),
        ("s3://bucket/a//b", "empty, '.' or '..' part"),
        ("s3://bucket//a", "empty, '.' or '..' part"),
        ("s3://bucket/a/../b", "empty, '.' or '..' part"),
        ("s3://bucket/a?versionId=1", "query or fragment"),
        ("gs://bucket/a", "does not know gs:// addresses"),
        ("https://bucket.example/a", "does not know https:// addresses"),
    ],
)
def test_an_impossible_address_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        parse_location(text)


@pytest.mark.parametrize(
    "url", ["s3://AKIAKEY:SeCrEt@bucket/a", "s3://AKIAKEY:Se/CrEt@bucket", "ftp://me:SeCrEt@host/a"]
)
def test_a_secret_in_an_address_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_location(url)
    assert "CrEt" not in str(caught.value)


def test_the_layout_below_a_base_is_the_same_on_a_disk_and_in_a_bucket() -> None:
    day = dt.date(2025, 8, 14)
    for base in (Path("/data"), S3Location("bucket", "prod")):
        catalog = catalog_place(base, "nautilus", "M&M", "2025-08")
        assert str(catalog) == f"{base}/catalogs/nautilus/M&M/2025-08"
        assert str(raw_place(base, "nse_csv", day)) == f"{base}/raw/nse_csv/08-2025"


@pytest.mark.parametrize("text", ["~nobody-at-all/x", "https://u:p@[]/x", "~\x00x", "a\x00b"])
def test_what_is_no_path_is_refused_by_an_error_of_ours_without_the_login(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_location(text)
    assert "u:p" not in str(caught.value)
