"""A client of the object store, configured as AWS tools are, and its failures as errors that say what to do.

boto3 is imported when a client is made, never before: whoever keeps everything on a local disk does not need it.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pipeline_defs.encrypted import check_endpoint
from pipeline_defs.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.storage.locations import S3Location

CONNECT_SECONDS: Final = 5
READ_SECONDS: Final = 60
ATTEMPTS: Final = 5
"""Of a request that failed in a way that may pass; ``AWS_MAX_ATTEMPTS`` changes it."""

_ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_CREDENTIALS_HINT: Final = (
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile that AWS_PROFILE names, and that they belong to"
    " this endpoint"
)

_HINTS: Final = {
    "NoSuchBucket": ("there is no such bucket", "create the bucket, or check its name, the endpoint and the region"),
    "InvalidAccessKeyId": ("the store does not know the access key", _CREDENTIALS_HINT),
    "SignatureDoesNotMatch": ("the secret key does not belong to the access key", _CREDENTIALS_HINT),
    "ExpiredToken": ("the session token has expired", "log in again, e.g. 'aws sso login'"),
    "InvalidToken": ("the session token is not valid", _CREDENTIALS_HINT),
    "AccessDenied": (
        "access is denied",
        "allow these credentials to get, put, delete and list objects there, or use others",
    ),
    "403": ("access is denied", _CREDENTIALS_HINT),
    "PermanentRedirect": ("the bucket lies in another region", "set AWS_REGION to the bucket's region"),
    "AuthorizationHeaderMalformed": ("the region is wrong", "set AWS_REGION to the bucket's region"),
    "IllegalLocationConstraintException": ("the region is wrong", "set AWS_REGION to the bucket's region"),
    "301": ("the bucket lies in another region", "set AWS_REGION to the bucket's region"),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set the clock"),
    "NotImplemented": (
        "the store cannot do that",
        "use a store that knows conditional writes: AWS S3, MinIO, Cloudflare R2, Ceph of 2024 or later",
    ),
    "BadDigest": ("what arrived is not what was sent", "try again; if it happens again, check the network"),
}


def make_client(*, connections: int) -> Any:  # noqa: ANN401 -- boto3 makes its classes at run time
    """Make a client from the environment: the usual AWS variables, profile files, roles.

    Parameters
    ----------
    connections : int
        How many requests are to run at once.

    Returns
    -------
    botocore.client.S3
        Usable from several threads. ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` name another store than AWS; it is
        then spoken to by paths, unless ``PIPELINE_S3_PATH_STYLE`` says otherwise.

    Raises
    ------
    ConfigurationError
        If boto3 is not installed, a variable has an impossible value, or the profile does not exist.

    """
    try:
        import boto3  # noqa: PLC0415 -- half a second, and only those need it who use an object store
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from botocore.handlers import add_expect_header  # noqa: PLC0415
        from botocore.session import get_session  # noqa: PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"object stores need boto3, which is not installed ({error})",
            next_step="pip install 'market-data-pipeline[s3]'",
        ) from error
    for variable in _ENDPOINT_VARIABLES:
        if endpoint := os.environ.get(variable):
            check_endpoint(endpoint, variable)
            break
    read_seconds = _seconds("PIPELINE_S3_TIMEOUT", READ_SECONDS)
    retries: dict[str, Any] = {"mode": os.environ.get("AWS_RETRY_MODE") or "standard"}
    if not os.environ.get("AWS_MAX_ATTEMPTS"):  # a number given here would win over the user's
        retries["total_max_attempts"] = ATTEMPTS
    config = Config(
        connect_timeout=min(CONNECT_SECONDS, read_seconds),
        read_timeout=read_seconds,
        retries=retries,
        max_pool_connections=connections,
        s3={"addressing_style": _addressing_style()},
        # Every object is sent and read with its SHA-256; what else the library would add, some stores do not know.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        user_agent_extra="market-data-pipeline",
    )
    try:
        core = get_session()
        core.register_component("data_loader", _loader())
        session = boto3.Session(botocore_session=core)
        region = session.region_name or os.environ.get("AWS_REGION")
        client = session.client("s3", region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(
            f"no client of the object store can be made: {_one_line(error)}",
            next_step="check the AWS_* variables and the profile files",
        ) from None
    # Asking first whether an object may be sent costs a round trip for each, and most of ours are small.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client


@cache
def _loader() -> Any:  # noqa: ANN401 -- botocore's
    """Give what reads the descriptions of the service, which then reads them once."""
    from botocore.loaders import create_loader  # noqa: PLC0415 -- see make_client

    return create_loader()


@contextmanager
def explained(location: S3Location) -> Iterator[None]:
    """Turn the library's errors into ours.

    Parameters
    ----------
    location : S3Location
        What was asked for.

    Raises
    ------
    StorageError
        If the store refused or could not be reached; names the location and what to do next. Neither it nor anything
        it is raised from holds a secret.

    """
    from botocore import exceptions as boto  # noqa: PLC0415 -- there is a client, so it is loaded
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from s3transfer.exceptions import RetriesExceededError  # noqa: PLC0415

    where = str(location)
    try:
        yield
    except ClientError as error:
        raise _refused(error, where) from None
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as error:
        raise StorageError(
            f"no credentials were found ({_one_line(error)})",
            where=where,
            next_step="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
        ) from None
    except (boto.ReadTimeoutError, boto.ConnectTimeoutError):
        raise StorageError(
            "the store did not answer in time, also when asked again",
            where=where,
            next_step="try again later; PIPELINE_S3_TIMEOUT (seconds) and AWS_MAX_ATTEMPTS say how long to wait",
        ) from None
    except boto.SSLError as error:
        raise StorageError(
            f"the certificate of the store at {_endpoint()} is not to be trusted ({_reason(error)})",
            where=where,
            next_step="check the address; AWS_CA_BUNDLE names a file with the certificates of your own authority",
        ) from None
    except (boto.ConnectionError, boto.HTTPClientError, boto.IncompleteReadError, RetriesExceededError) as error:
        # The library's own text repeats the endpoint with whatever login it may hold.
        raise StorageError(
            f"the store at {_endpoint()} cannot be reached ({type(error).__name__})",
            where=where,
            next_step="check AWS_ENDPOINT_URL, the network and whether the store is running",
        ) from None
    except BotoCoreError as error:
        raise StorageError(
            f"the request could not be made: {_one_line(error)}",
            where=where,
            next_step="check the AWS_* variables and the profile files",
        ) from None


def code_of(error: Exception) -> str:
    """Give the store's code of a refusal, e.g. ``NoSuchKey``."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def _refused(error: Exception, where: str) -> StorageError:
    response = getattr(error, "response", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = code_of(error)
    if status >= 500 and code != "NotImplemented":  # noqa: PLR2004 -- the server's own failures
        return StorageError(
            f"the store failed with {status} {code}, also when asked again",
            where=where,
            next_step="try again later; AWS_MAX_ATTEMPTS says how often it is asked",
        )
    what, next_step = _HINTS.get(code, ("the store refused", "check the address and the rights of the credentials"))
    said = " ".join(str(response.get("Error", {}).get("Message", "")).split())
    return StorageError(f"{what} ({code}: {said})", where=where, next_step=next_step)


def _addressing_style() -> str:
    text = os.environ.get("PIPELINE_S3_PATH_STYLE", "").lower()
    if text in _TRUE:
        return "path"
    if text in _FALSE:
        return "virtual"
    if text:
        raise ConfigurationError(f"PIPELINE_S3_PATH_STYLE is {text!r}, expected 1 or 0")
    for variable in _ENDPOINT_VARIABLES:
        if endpoint := os.environ.get(variable):
            if "@" in urlsplit(endpoint).netloc:
                raise ConfigurationError(
                    f"{variable} holds a login, which is neither needed nor safe there",
                    next_step="give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile",
                )
            return "path"
    return "auto"


def _reason(error: Exception) -> str:
    """Find what the check of a certificate said, in a text that repeats the address as well."""
    found = re.search(r"certificate verify failed: ([^(\]]+)", str(error))
    return type(error).__name__ if found is None else found[1].strip()


def _endpoint() -> str:
    endpoint = next((os.environ[name] for name in _ENDPOINT_VARIABLES if os.environ.get(name)), "AWS")
    return endpoint.rpartition("@")[2]


def _seconds(variable: str, default: float) -> float:
    text = os.environ.get(variable) or str(default)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise ConfigurationError(f"{variable} is {text!r}, expected a positive number of seconds")
    return seconds


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
