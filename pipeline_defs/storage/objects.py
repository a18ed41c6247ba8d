"""Objects in a bucket: put, get, list, copy and delete, one or thousands at a time.

What an object means belongs to the callers. Every object is sent with its SHA-256, which the store compares with what
arrived and keeps beside it; large ones go in parts. A failure that may pass is tried again by the client.
"""

from __future__ import annotations

import base64
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from pipeline_defs.errors import StorageError
from pipeline_defs.storage.answers import Answer, Content, Stored, Upload
from pipeline_defs.storage.client import code_of, explained, make_client
from pipeline_defs.storage.locations import S3Location

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable

CONCURRENCY: Final = 16
PART_BYTES: Final = 8 << 20
"""Objects larger than this go in parts of this size."""

MOST_COPIED_BYTES: Final = 5 << 30
"""The store copies up to this at once; more goes in parts."""

MOST_DELETED: Final = 1_000
"""Keys of one request to delete, by the protocol."""

_CHUNK_BYTES: Final = 1 << 20
_BODY_ATTEMPTS: Final = 3
_MISSING_CODES: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_CONDITION_CODES: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class ObjectStore:
    """Speaks to one store, whatever the bucket.

    Parameters
    ----------
    client : botocore.client.S3
        What `make_client` gave.
    concurrency : int, default 16
        How many requests run at once.

    """

    def __init__(self, client: Any, concurrency: int = CONCURRENCY) -> None:  # noqa: ANN401 -- made at run time
        self._client = client
        self._concurrency = concurrency

    @classmethod
    def open(cls, concurrency: int = CONCURRENCY) -> Self:
        """Open the store that the environment names; see `make_client`."""
        return cls(make_client(connections=concurrency), concurrency)

    @property
    def client(self) -> Any:  # noqa: ANN401
        """The client itself, for what is asked of a bucket and not of objects."""
        return self._client

    def read(self, location: S3Location, *, unless_etag: str | None = None) -> Content | Answer:
        """Read a small object.

        Parameters
        ----------
        location : S3Location
            The object.
        unless_etag : str, optional
            Read it only if its ETag is another.

        Returns
        -------
        Content or Answer
            `Answer.MISSING` if there is no such object (a missing bucket is an error), `Answer.UNCHANGED` if its ETag
            is `unless_etag`.

        """
        condition = {} if unless_etag is None else {"IfNoneMatch": unless_etag}
        with explained(location):
            try:
                response = self._client.get_object(Bucket=location.bucket, Key=location.key, **condition)
            except self._client.exceptions.ClientError as error:
                if code_of(error) in _MISSING_CODES:
                    return Answer.MISSING
                if code_of(error) in {"304", "NotModified"}:
                    return Answer.UNCHANGED
                raise
            data = response["Body"].read()
        return Content(data, response["ETag"], _age(response))

    def write(
        self, location: S3Location, data: bytes, *, if_absent: bool = False, if_etag: str | None = None
    ) -> str | None:
        """Write a small object.

        Parameters
        ----------
        location : S3Location
            The object.
        data : bytes
            Its content.
        if_absent : bool, default False
            Write it only if there is none.
        if_etag : str, optional
            Write it only over the object with this ETag.

        Returns
        -------
        str or None
            Its ETag; None if the condition did not hold, and nothing was written.

        """
        condition = {"IfNoneMatch": "*"} if if_absent else {} if if_etag is None else {"IfMatch": if_etag}
        digest = hashlib.sha256(data)
        with explained(location):
            try:
                response = self._client.put_object(
                    Bucket=location.bucket,
                    Key=location.key,
                    Body=data,
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                    Metadata={"sha256": digest.hexdigest()},
                    **condition,
                )
            except self._client.exceptions.ClientError as error:
                # An object that was to be replaced, and is gone, is as little there as one that was changed.
                if condition and code_of(error) in _CONDITION_CODES | _MISSING_CODES:
                    return None
                raise
        return str(response["ETag"])

    def upload(self, upload: Upload) -> None:
        """Upload one file; in parts, several at once, if it is large."""
        location = upload.target
        if upload.size_bytes > PART_BYTES:
            from boto3.s3.transfer import S3UploadFailedError, TransferConfig  # noqa: PLC0415 -- see make_client

            config = TransferConfig(
                multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=self._concurrency
            )
            extra = {"ChecksumAlgorithm": "SHA256", "Metadata": {"sha256": upload.sha256}}
            with explained(location):
                try:
                    self._client.upload_file(
                        str(upload.path), location.bucket, location.key, ExtraArgs=extra, Config=config
                    )
                except S3UploadFailedError as error:
                    raise (error.__context__ or error) from None
            return
        data = upload.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != upload.sha256:
            raise StorageError("was changed while it was published", where=str(upload.path))
        self.write(location, data)

    def download(self, location: S3Location, target: Path) -> str | None:
        """Download one object, with constant memory.

        Parameters
        ----------
        location : S3Location
            The object.
        target : Path
            File to write; the folder must exist. Not for others to see: it grows.

        Returns
        -------
        str or None
            SHA-256 of what was written, in hexadecimal; None if there is no such object.

        """
        return self._receive(location, target)

    def digest(self, location: S3Location) -> str | None:
        """Read one object for its SHA-256 alone; None if there is no such object."""
        return self._receive(location, Path(os.devnull))

    def _receive(self, location: S3Location, target: Path) -> str | None:
        from botocore import exceptions as boto  # noqa: PLC0415 -- see make_client

        with explained(location):
            for attempts_left in reversed(range(_BODY_ATTEMPTS)):
                try:
                    body = self._client.get_object(Bucket=location.bucket, Key=location.key)["Body"]
                except self._client.exceptions.ClientError as error:
                    if code_of(error) in _MISSING_CODES:
                        return None
                    raise
                try:
                    return _write_and_digest(body, target)
                except (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError):
                    # The client asks again until an answer begins; one that breaks off is for us to ask for again.
                    if not attempts_left:
                        raise
        raise AssertionError("unreachable")

    def list_below(self, location: S3Location) -> dict[str, Stored]:
        """List everything below a prefix, page by page.

        Parameters
        ----------
        location : S3Location
            The prefix, taken as a folder.

        Returns
        -------
        dict of str to Stored
            By path relative to the prefix, in the order of the keys.

        """
        found: dict[str, Stored] = {}
        with explained(location):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=location.bucket, Prefix=location.folder
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    path = entry["Key"].removeprefix(location.folder)
                    found[path] = Stored(entry["Size"], entry["ETag"], entry["LastModified"])
        return found

    def copy(self, source: S3Location, target: S3Location, size_bytes: int) -> None:
        """Copy an object inside the store, without its bytes passing here."""
        place = {"Bucket": source.bucket, "Key": source.key}
        with explained(source):
            if size_bytes > MOST_COPIED_BYTES:
                self._client.copy(place, target.bucket, target.key)
            else:
                self._client.copy_object(Bucket=target.bucket, Key=target.key, CopySource=place)

    def delete_many(self, locations: Iterable[S3Location]) -> None:
        """Delete objects, as many as a request can hold at a time; one that is gone already is no error."""
        by_bucket: dict[str, list[str]] = {}
        for location in locations:
            by_bucket.setdefault(location.bucket, []).append(location.key)
        for bucket, keys in by_bucket.items():
            for start in range(0, len(keys), MOST_DELETED):
                self._delete(bucket, keys[start : start + MOST_DELETED])

    def _delete(self, bucket: str, keys: list[str]) -> None:
        with explained(S3Location(bucket, keys[0])):
            response = self._client.delete_objects(
                Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )
        if errors := response.get("Errors"):
            first = errors[0]
            raise StorageError(
                f"{len(errors)} objects were not deleted, the first for {first.get('Code')}: {first.get('Message')}",
                where=str(S3Location(bucket, first.get("Key", keys[0]))),
                next_step="allow these credentials to delete objects there, and try again",
            )

    def each[Item, Result](self, work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Do work that asks the store, several at once; results in order.

        The first failure is raised as soon as what runs has ended; what has not begun is left out.
        """
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="object-store")
        try:
            futures = [pool.submit(work, item) for item in items]
            return [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)


def _write_and_digest(body: Any, target: Path) -> str:  # noqa: ANN401 -- botocore's stream
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for chunk in body.iter_chunks(_CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _age(response: dict[str, Any]) -> float:
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 -- rarely needed

    now = response["ResponseMetadata"]["HTTPHeaders"].get("date")
    written: dt.datetime = response["LastModified"]
    return 0.0 if now is None else (parsedate_to_datetime(now) - written).total_seconds()
