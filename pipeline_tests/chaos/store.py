"""An object store that fails on command: a real S3 server behind a door."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from typing import TYPE_CHECKING, Final, Self
from unittest import mock

from pipeline_defs.exports.manifest import MANIFEST_NAME
from pipeline_tests.chaos.planning import OBJECTS_CUT, OBJECTS_REFUSE
from pipeline_tests.storage.door import CUT, Door, Fault
from pipeline_tests.storage.s3_server import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.storage.objects import ObjectStore

_REQUESTS_THAT_FAIL: Final = 25
_SLOW_SECONDS: Final = 0.15


class ObjectsOfChaos:
    """The store, started with the engine."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start it."""
        address = self._stack.enter_context(serving())
        self.door = self._stack.enter_context(Door(address["AWS_ENDPOINT_URL_S3"]))
        self.secret = address["AWS_SECRET_ACCESS_KEY"]
        self.variables = {
            **address,
            "AWS_ENDPOINT_URL_S3": self.door.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "2",
        }
        self.store = self._open({**self.variables, **address})
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._stack.close()

    @staticmethod
    def _open(variables: dict[str, str]) -> ObjectStore:
        from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415 -- its client takes a moment

        with mock.patch.dict(os.environ, variables):
            return ObjectStore.open()

    def new_bucket(self, name: str) -> str:
        """Make a bucket."""
        self.store.client.create_bucket(Bucket=name)
        return name

    def fail(self, kind: str) -> None:
        """Let the next requests fail in a way."""
        numbers = itertools.count()

        def fault(_method: str, _path: str) -> Fault:
            if next(numbers) >= _REQUESTS_THAT_FAIL:
                return None
            if kind == OBJECTS_REFUSE:
                return 503
            return CUT if kind == OBJECTS_CUT else _SLOW_SECONDS

        self.door.fault = fault

    def recover(self) -> None:
        """Fail no more."""
        self.door.fault = lambda _method, _path: None

    def check(self, place: str) -> Iterator[str]:
        """Say what a published prefix has that it should not have, and what it lacks."""
        from pipeline_defs.storage.locations import S3Location, parse_location  # noqa: PLC0415

        prefix = parse_location(place)
        assert isinstance(prefix, S3Location)
        listed = self.store.list_below(prefix)
        manifest = json.loads(self._content(prefix / MANIFEST_NAME))
        wanted = {entry["path"]: entry["sha256"] for entry in manifest["objects"]}
        found = {path for path in listed if not path.startswith("_publication/")} - {MANIFEST_NAME}
        if found != wanted.keys():
            yield f"{place} holds {sorted(found ^ wanted.keys())}, or lacks it"
        for path in found & wanted.keys():
            if hashlib.sha256(self._content(prefix / path)).hexdigest() != wanted[path]:
                yield f"{place}/{path} is not what the manifest says"
        for path in listed:
            if path in {"_publication/lease.json", "_publication/incoming.json"}:
                yield f"litter: {place}/{path}"

    def _content(self, location: S3Location) -> bytes:
        return bytes(getattr(self.store.read(location), "data", b""))
