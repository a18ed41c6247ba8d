"""Encrypted ways to the database and to the object store: the right certificate works, every other is refused."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest

from pipeline_defs import encrypted
from pipeline_defs.encrypted import check_database, check_endpoint
from pipeline_defs.errors import ConfigurationError, StorageError, WarehouseError
from pipeline_defs.storage.client import explained, make_client
from pipeline_defs.storage.locations import parse_s3
from pipeline_defs.warehouse.connection import Warehouse
from pipeline_tests.security.authority import door

if TYPE_CHECKING:
    from pipeline_tests.security.authority import Authority


def through(url: str, port: int, host: str, **parameters: object) -> Warehouse:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    query = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())
    return Warehouse(parts._replace(netloc=f"{login}@{host}:{port}", query=query).geturl())


def test_a_database_is_reached_through_tls_only_with_the_right_authority_and_name(
    database_url: str, authority: Authority, stranger: Authority
) -> None:
    port = urlsplit(database_url).port or 0
    with door(authority.sign("localhost"), port, is_postgres=True) as entrance:
        right = through(database_url, entrance, "localhost", sslmode="verify-full", sslrootcert=authority.file)
        with right.connect() as connection:
            assert connection.pgconn.ssl_in_use
            assert connection.execute("SELECT count(*) FROM loads").fetchone() == (0,)

        wrong = through(database_url, entrance, "localhost", sslmode="verify-full", sslrootcert=stranger.file)
        with pytest.raises(WarehouseError, match="certificate verify failed"):
            wrong.connect()
        other = through(database_url, entrance, "127.0.0.1", sslmode="verify-full", sslrootcert=authority.file)
        with pytest.raises(WarehouseError, match="does not match host name"):
            other.connect()


def test_a_server_that_asks_for_a_client_s_certificate_gets_the_one_of_the_address(
    database_url: str, authority: Authority, stranger: Authority
) -> None:
    port = urlsplit(database_url).port or 0
    mine, his = authority.sign("client"), stranger.sign("client")
    certificate = authority.sign("localhost")
    with door(certificate, port, is_postgres=True, client_authority=authority.file) as entrance:
        known = {"sslmode": "verify-full", "sslrootcert": authority.file}
        with through(database_url, entrance, "localhost", **known, sslcert=mine, sslkey=mine).connect() as connection:
            assert connection.pgconn.ssl_in_use
        with pytest.raises(WarehouseError):
            through(database_url, entrance, "localhost", **known, sslcert=his, sslkey=his).connect()
        with pytest.raises(WarehouseError):
            through(database_url, entrance, "localhost", **known).connect()


def test_a_server_without_tls_is_refused_where_tls_is_asked_for(database_url: str) -> None:
    port = urlsplit(database_url).port or 0
    with pytest.raises(WarehouseError, match="does not support SSL"):
        through(database_url, port, "127.0.0.1", sslmode="require").connect()


def test_an_object_store_is_reached_through_tls_only_with_the_right_authority_and_name(
    s3_server: dict[str, str], authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    plain = urlsplit(s3_server["AWS_ENDPOINT_URL_S3"]).port or 0
    where = parse_s3("s3://bucket/prefix")

    def list_buckets(host: str, entrance: int, trusted: Authority) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://{host}:{entrance}")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(trusted.file))
        with explained(where):
            make_client(connections=1).list_buckets()

    with door(authority.sign("localhost"), plain, is_postgres=False) as entrance:
        list_buckets("localhost", entrance, authority)
        with pytest.raises(
            StorageError, match=r"not to be trusted \(unable to get local issuer certificate|self-signed"
        ):
            list_buckets("localhost", entrance, stranger)
        with pytest.raises(StorageError, match="not to be trusted"):
            list_buckets("127.0.0.1", entrance, authority)


def test_python_s_reader_of_catalogs_trusts_the_same_authority(
    s3_server: dict[str, str], authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs  # type: ignore[import-untyped]  # noqa: PLC0415 -- an extra

    from pipeline_defs.exports.nautilus.s3 import storage_options  # noqa: PLC0415

    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    plain = urlsplit(s3_server["AWS_ENDPOINT_URL_S3"]).port or 0
    with door(authority.sign("localhost"), plain, is_postgres=False) as entrance:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"https://localhost:{entrance}")
        for trusted, works in ((authority, True), (stranger, False)):
            monkeypatch.setenv("AWS_CA_BUNDLE", str(trusted.file))
            options = storage_options().fs_storage_options
            store = s3fs.S3FileSystem(
                **options, skip_instance_cache=True, config_kwargs={"retries": {"max_attempts": 0}}
            )
            if works:
                store.ls("")
            else:
                with pytest.raises(Exception, match=r"(?i)certificate"):
                    store.ls("")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "db.localhost"])
def test_this_machine_needs_no_encryption(host: str, caplog: pytest.LogCaptureFixture) -> None:
    check_endpoint(f"http://{host}:9000", "AWS_ENDPOINT_URL_S3")
    check_database({"host": host.strip("[]")}, "PIPELINE_DATABASE_URL")
    check_database({"host": "/run/postgresql"}, "PIPELINE_DATABASE_URL")
    check_database({}, "PIPELINE_DATABASE_URL")
    assert caplog.records == []


@pytest.mark.parametrize("host", ["10.1.2.3", "192.168.1.9", "fd00::7", "object-store"])
def test_a_private_network_is_warned_of_once_or_refused_where_tls_is_required(
    host: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    encrypted._warn.cache_clear()
    url = f"http://[{host}]:9000" if ":" in host else f"http://{host}:9000"
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            check_endpoint(url, "AWS_ENDPOINT_URL_S3")
    assert len(caplog.records) == 1

    monkeypatch.setenv("PIPELINE_REQUIRE_TLS", "1")
    with pytest.raises(ConfigurationError, match="without being encrypted"):
        check_endpoint(url, "AWS_ENDPOINT_URL_S3")
    with pytest.raises(ConfigurationError, match="sslmode=prefer"):
        check_database({"host": host}, "PIPELINE_DATABASE_URL")


@pytest.mark.parametrize(
    "host",
    [
        "s3.example.com",
        "8.8.8.8",
        "2001:4860:4860::8888",
        "db.example.com.",
        "0.0.0.0",  # noqa: S104 -- an address that is asked for
        "2130706433",
        "127.0.0.1.evil.com",
    ],
)
def test_what_lies_beyond_is_refused_unless_it_is_named(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://user@[{host}]:9000" if ":" in host else f"http://user@{host}:9000"
    with pytest.raises(ConfigurationError, match="without being encrypted") as refused:
        check_endpoint(url, "AWS_ENDPOINT_URL_S3")
    assert "user@" not in str(refused.value)
    for mode in ("disable", "allow", "prefer"):
        with pytest.raises(ConfigurationError, match="verify-full"):
            check_database({"host": f"127.0.0.1,{host}", "sslmode": mode}, "PIPELINE_DATABASE_URL")
    for mode in ("require", "verify-ca", "verify-full"):
        check_database({"host": host, "sslmode": mode}, "PIPELINE_DATABASE_URL")
    check_endpoint(url.replace("http:", "https:"), "AWS_ENDPOINT_URL_S3")

    monkeypatch.setenv("PIPELINE_PLAINTEXT_HOSTS", f"other, {host.upper()}")
    check_endpoint(url, "AWS_ENDPOINT_URL_S3")


def test_every_configurable_address_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline_defs.alerting.webhook import WebhookNotifier  # noqa: PLC0415
    from pipeline_defs.exports.nautilus.s3 import storage_options  # noqa: PLC0415
    from pipeline_defs.sources.registry import get_source  # noqa: PLC0415

    far = "http://collector.example.com/x"
    with pytest.raises(ConfigurationError, match="PIPELINE_DATABASE_URL: passwords"):
        Warehouse("postgresql://me:secret@db.example.com/market").connect()
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, far)
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL_S3: passwords"):
        make_client(connections=1)
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL_S3: passwords"):
        storage_options()
    monkeypatch.setenv("PIPELINE_ALERT_WEBHOOK_URL", far)
    with pytest.raises(ConfigurationError, match="PIPELINE_ALERT_WEBHOOK_URL: passwords"):
        WebhookNotifier()
    for source in ("zerodha", "polygon", "ccxt", "yahoo"):
        monkeypatch.setenv(f"PIPELINE_{source.upper()}_ENDPOINT", far)
        with pytest.raises(ConfigurationError, match=f"PIPELINE_{source.upper()}_ENDPOINT: passwords"):
            get_source(source)
