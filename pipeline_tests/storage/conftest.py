"""An object store for the tests of everything that is kept in one."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.storage.locations import S3Location
from pipeline_defs.storage.objects import ObjectStore
from pipeline_tests.storage.door import Door
from pipeline_tests.storage.s3_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def s3_address() -> Iterator[dict[str, str]]:
    """The variables by which AWS tools find the one server of the session."""
    with serving() as address:
        yield address


@pytest.fixture(scope="session")
def s3_door(s3_address: dict[str, str]) -> Iterator[Door]:
    with Door(s3_address["AWS_ENDPOINT_URL_S3"]) as door:
        yield door


@pytest.fixture(scope="session")
def s3_variables(s3_address: dict[str, str], s3_door: Door) -> dict[str, str]:
    """An environment that leads through the door, and to nobody's own store or profile."""
    return {
        **s3_address,
        "AWS_ENDPOINT_URL_S3": s3_door.url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "2",
    }


@pytest.fixture(scope="session")
def shared_store(s3_variables: dict[str, str]) -> ObjectStore:
    """Making a client takes a third of a second: all tests that do not try its settings share one."""
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, s3_variables)
        return ObjectStore.open()


@pytest.fixture
def s3(s3_door: Door, s3_variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """A door to the server, with an environment that leads there."""
    set_environment(monkeypatch, s3_variables)
    s3_door.fault = lambda _method, _path: None
    s3_door.forget()
    yield s3_door
    s3_door.fault = lambda _method, _path: None


@pytest.fixture
def store(s3: Door, shared_store: ObjectStore) -> ObjectStore:
    assert s3.url
    return shared_store


@pytest.fixture(scope="session")
def template_url(migrated_url: str) -> str:
    """Every test works on a copy of a migrated database."""
    return migrated_url


def set_environment(patch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    for name, value in variables.items():
        patch.setenv(name, value)


@pytest.fixture
def base(s3: Door, store: ObjectStore) -> S3Location:
    """A prefix in a bucket of this test alone."""
    bucket = f"test-{next(_NUMBERS)}"
    store.client.create_bucket(Bucket=bucket)
    s3.forget()
    return S3Location(bucket, "market data")
