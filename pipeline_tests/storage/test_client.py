"""What a store, a network or an environment does wrong becomes one clear error, without a secret in it."""

from __future__ import annotations

import socket
import sys
import traceback
from typing import TYPE_CHECKING

import pytest

from pipeline_defs.errors import ConfigurationError, PipelineError
from pipeline_defs.storage.client import make_client
from pipeline_defs.storage.locations import S3Location
from pipeline_defs.storage.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline_tests.storage.door import Door

SECRET = "wJalrXUtnFEMIsecretK7MDENG"  # noqa: S105 -- nobody's


def failure_of(work: Callable[[], object]) -> str:
    """Give the whole text that a person could see, having made sure that no secret is in it."""
    with pytest.raises(PipelineError) as caught:
        work()
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert caught.value.next_step
    assert repr(caught.value).count(SECRET) == 0
    return str(caught.value)


def test_a_wrong_secret_is_told_from_a_wrong_key(s3: Door, base: S3Location, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.url
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    said = failure_of(lambda: ObjectStore.open().list_below(base))
    assert said.startswith(f"{base}: the secret key does not belong to the access key (SignatureDoesNotMatch")
    assert "Next: check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
    said = failure_of(lambda: ObjectStore.open().write(base / "a", b""))
    assert said.startswith(f"{base}/a: the store does not know the access key (InvalidAccessKeyId")


def test_no_credentials_at_all_are_asked_for(s3: Door, base: S3Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3.forget()
    said = failure_of(lambda: ObjectStore.open().list_below(base))
    assert said.startswith(f"{base}: no credentials were found")
    assert "or AWS_PROFILE" in said
    assert s3.passed == []


def test_a_missing_bucket_is_named(store: ObjectStore) -> None:
    there = S3Location("no-such-bucket", "a")
    for work in (
        lambda: store.list_below(there),
        lambda: store.read(there),
        lambda: store.write(there, b""),
        lambda: store.write(there, b"", if_absent=True),
    ):
        assert failure_of(work).startswith("s3://no-such-bucket/a: there is no such bucket (NoSuchBucket")


@pytest.mark.parametrize(
    "code", ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"]
)
def test_a_wrong_region_is_said(
    store: ObjectStore, base: S3Location, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 -- as the client raises it

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "expecting 'ap-south-1'"}}, "PutObject")

    monkeypatch.setattr(store.client, "put_object", refuse)
    said = failure_of(lambda: store.write(base, b""))
    assert "region" in said
    assert "expecting 'ap-south-1'" in said
    assert "Next: set AWS_REGION to the bucket's region" in said


@pytest.mark.parametrize("status", [500, 503])
def test_a_failing_store_is_asked_again_and_then_named(
    s3: Door, store: ObjectStore, base: S3Location, status: int
) -> None:
    s3.fault = lambda _method, _path: status if len(s3.passed) < 1 else None
    store.write(base / "a", b"")
    assert len(s3.passed) == 2
    s3.forget()
    s3.fault = lambda _method, _path: status
    said = failure_of(lambda: store.write(base / "a", b""))
    assert said.startswith(f"{base}/a: the store failed with {status}")
    assert len(s3.passed) == 2


def test_a_slow_store_is_not_waited_for_without_end(
    s3: Door, base: S3Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_S3_TIMEOUT", "0.2")
    s3.fault = lambda _method, _path: 1.0
    said = failure_of(lambda: ObjectStore.open().list_below(base))
    assert said.startswith(f"{base}: the store did not answer in time")
    assert "PIPELINE_S3_TIMEOUT" in said


def test_a_store_that_is_not_running_is_named_with_its_address(s3: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.url
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    said = failure_of(lambda: ObjectStore.open().list_below(S3Location("bucket", "a")))
    assert said.startswith(f"s3://bucket/a: the store at http://127.0.0.1:{port} cannot be reached")
    assert "Next: check AWS_ENDPOINT_URL" in said


def test_a_login_in_the_endpoint_is_refused_and_not_repeated(s3: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.url
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://key:{SECRET}@127.0.0.1:9")
    assert failure_of(ObjectStore.open).startswith("AWS_ENDPOINT_URL_S3 holds a login")


def test_credentials_endpoint_and_region_come_from_a_profile(
    s3: Door, base: S3Location, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3_address: dict[str, str]
) -> None:
    for name in s3_address:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "desk")
    (tmp_path / "config").write_text(f"[profile desk]\nregion = ap-south-1\nendpoint_url = {s3.url}\n")
    keys = s3_address["AWS_ACCESS_KEY_ID"], s3_address["AWS_SECRET_ACCESS_KEY"]
    (tmp_path / "credentials").write_text(f"[desk]\naws_access_key_id = {keys[0]}\naws_secret_access_key = {keys[1]}\n")
    store = ObjectStore.open()
    assert store.client.meta.region_name == "ap-south-1"
    assert store.list_below(base) == {}
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "The config profile (nobody) could not be found" in failure_of(ObjectStore.open)


@pytest.mark.parametrize(
    ("variables", "style"),
    [
        ({}, "auto"),
        ({"AWS_ENDPOINT_URL": "http://minio:9000"}, "path"),
        ({"AWS_ENDPOINT_URL": "http://minio:9000", "PIPELINE_S3_PATH_STYLE": "0"}, "virtual"),
        ({"PIPELINE_S3_PATH_STYLE": "1"}, "path"),
    ],
)
def test_how_a_bucket_is_addressed(
    s3: Door, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], style: str
) -> None:
    assert s3.url
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert make_client(connections=1).meta.config.s3["addressing_style"] == style


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PIPELINE_S3_PATH_STYLE", "maybe", "expected 1 or 0"),
        ("PIPELINE_S3_TIMEOUT", "soon", "expected a positive number of seconds"),
        ("PIPELINE_S3_TIMEOUT", "-1", "expected a positive number of seconds"),
        ("AWS_ENDPOINT_URL_S3", "nonsense", "no client of the object store can be made"),
    ],
)
def test_an_impossible_setting_is_refused(
    s3: Door, monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    assert s3.url
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=why):
        make_client(connections=1)


def test_without_the_library_it_is_said_how_to_get_it(s3: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    assert s3.url
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(ConfigurationError, match="boto3, which is not installed") as caught:
        make_client(connections=1)
    assert "pip install" in str(caught.value)


def test_a_bucket_that_no_store_can_have_is_an_error_of_the_request(store: ObjectStore) -> None:
    said = failure_of(lambda: store.list_below(S3Location("a..b c")))
    assert said.startswith("s3://a..b c: the request could not be made")
