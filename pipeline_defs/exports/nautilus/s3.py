"""The options with which Nautilus 1.231 reads a catalog from S3: one dictionary for Python, one for Rust.

``ParquetDataCatalog.from_uri`` and ``DataCatalogConfig.as_catalog`` fail on S3 in that version, whatever they are
given; the constructor and `BacktestDataConfig` work with both dictionaries. Nautilus' Rust side asks no environment and
no profile for credentials, so they are found here, by the usual order of AWS. Python's side needs ``s3fs`` in the
version of the ``fsspec`` that Nautilus pins.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pipeline_defs.encrypted import check_endpoint
from pipeline_defs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """Both dictionaries, under the names of ``ParquetDataCatalog``'s parameters.

    Parameters
    ----------
    fs_storage_options : dict
        For ``s3fs``, which lists the files and reads the instruments.
    fs_rust_storage_options : dict
        For Nautilus' own reader of the data; every value a string.

    """

    fs_storage_options: dict[str, Any]
    fs_rust_storage_options: dict[str, str]

    def for_catalog(self) -> dict[str, Any]:
        """Give the keyword arguments of ``ParquetDataCatalog(path=..., ...)``.

        Returns
        -------
        dict

        """
        return {
            "fs_protocol": "s3",
            "fs_storage_options": self.fs_storage_options,
            "fs_rust_storage_options": self.fs_rust_storage_options,
        }

    def for_config(self) -> dict[str, Any]:
        """Give the keyword arguments of ``BacktestDataConfig(catalog_path=..., ...)``.

        Returns
        -------
        dict

        """
        return {f"catalog_{name}": value for name, value in self.for_catalog().items()}


def storage_options(
    *, endpoint_url: str | None = None, region: str | None = None, environment: Mapping[str, str] | None = None
) -> StorageOptions:
    """Put the options together from the AWS environment.

    Parameters
    ----------
    endpoint_url : str, optional
        Of an S3 that is not Amazon's; default ``AWS_ENDPOINT_URL_S3``, then ``AWS_ENDPOINT_URL``, then Amazon's.
    region : str, optional
        Default ``AWS_REGION``, then ``AWS_DEFAULT_REGION``, then ``us-east-1``, which most other servers answer to.
    environment : mapping, optional
        Default the process's own.

    Returns
    -------
    StorageOptions

    Raises
    ------
    ConfigurationError
        If no credentials are found: neither ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``, nor, where botocore is
        installed, a profile or a role.

    """
    found = os.environ if environment is None else environment
    endpoint = endpoint_url or found.get("AWS_ENDPOINT_URL_S3") or found.get("AWS_ENDPOINT_URL")
    place = region or found.get("AWS_REGION") or found.get("AWS_DEFAULT_REGION") or "us-east-1"
    key, secret, token = _credentials(found)
    python: dict[str, Any] = {"key": key, "secret": secret, "client_kwargs": {"region_name": place}}
    rust = {"access_key_id": key, "secret_access_key": secret, "region": place}
    if token:
        python["token"] = token
        rust["session_token"] = token
    if endpoint:
        check_endpoint(endpoint, "AWS_ENDPOINT_URL_S3")
        python["endpoint_url"] = endpoint
        rust["endpoint_url"] = endpoint
        if endpoint.startswith("http://"):
            rust["allow_http"] = "true"
    return StorageOptions(python, rust)


def _credentials(environment: Mapping[str, str]) -> tuple[str, str, str | None]:
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return key, secret, environment.get("AWS_SESSION_TOKEN")
    if environment is os.environ and find_spec("botocore") is not None:
        held = import_module("botocore.session").get_session().get_credentials()
        if held is not None:
            frozen = held.get_frozen_credentials()
            return frozen.access_key, frozen.secret_key, frozen.token
    raise ConfigurationError(
        "no AWS credentials were found",
        next_step="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or, with botocore installed, AWS_PROFILE",
    )
