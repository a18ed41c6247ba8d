"""Several months as one backtest, and the combinations that are refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from fsspec.registry import _registry  # type: ignore[import-untyped]
from nautilus_trader.backtest.config import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.backtest.node import BacktestNode
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.data import OptionGreeks, QuoteTick, TradeTick
from nautilus_trader.model.identifiers import InstrumentId

from pipeline_defs.errors import ConfigurationError, ExportError
from pipeline_defs.exports.manifest import MANIFEST_NAME, write_manifest
from pipeline_defs.exports.nautilus.exporter import NautilusExporter
from pipeline_defs.exports.nautilus.reading import open_months
from pipeline_defs.exports.nautilus.s3 import StorageOptions, storage_options
from pipeline_defs.schema.exports import MarketSlice, Verification
from pipeline_tests.exports.nautilus.slices import rewrite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline_defs.exports.run import PublishedExport

type Published = PublishedExport[Path]

pytestmark = pytest.mark.filterwarnings("ignore:Timestamp.utcnow is deprecated")

INDEX = "NIFTY.NSE-1-MINUTE-LAST-EXTERNAL"
FUTURE = "NIFTY25AUGFUT.NSE"
WEEK = dt.timedelta(days=7)


def _a_week_later(market: MarketSlice) -> MarketSlice:
    """The same bars a week later, without the contracts that have expired by then."""
    moved = pl.col("first_timestamp", "last_timestamp").dt.offset_by("7d")
    end = market.sessions["close"].max()
    living = market.instruments.filter(pl.col("expiry_close").is_null() | (pl.col("expiry_close") > end))
    ids = living["instrument_id"].to_list()

    def read_bars(instrument_ids: list[int] | None = None) -> Iterator[pl.DataFrame]:
        for bars in market.read_bars(instrument_ids or ids):
            yield bars.with_columns(pl.col("timestamp").dt.offset_by("7d"))

    return dataclasses.replace(
        market,
        start_date=market.start_date + WEEK,
        end_date=market.end_date + WEEK,
        sessions=market.sessions.with_columns(pl.col("session_date", "open", "close").dt.offset_by("7d")),
        instruments=living.with_columns(moved),
        read_bars=read_bars,
        settlements=None,
        resolutions=(),
        ticks=None,
    )


@pytest.fixture(scope="module")
def later(market: MarketSlice, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second partition, described but not verified: verifying is not what is tested here."""
    root = tmp_path_factory.mktemp("later")
    moved = _a_week_later(market)
    built = NautilusExporter().build(moved, root)
    write_manifest(root, "nautilus", moved, built, Verification(True, built.engine, {}, ()))  # noqa: FBT003 -- it passed
    return root


@pytest.fixture
def copy(later: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(later, tmp_path / "copy"))


def _venue(**options: Any) -> BacktestVenueConfig:
    return BacktestVenueConfig(
        name="NSE", oms_type="NETTING", account_type="MARGIN", starting_balances=["1 INR"], **options
    )


def _engine() -> BacktestEngineConfig:
    return BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True))


def _iterations(config: BacktestRunConfig) -> int:
    (result,) = BacktestNode([config]).run()
    return int(result.iterations)


@pytest.mark.parametrize("chunk_size", [None, 400])
def test_two_months_are_read_as_one_at_once_and_in_chunks(
    published: Published, later: Path, chunk_size: int | None
) -> None:
    months = open_months([later, published.path])
    assert [Path(month.path) for month in months.months] == [published.path, later]
    config = months.run_config([_venue()], months.bars(INDEX), _engine(), chunk_size, raise_exception=True)
    assert _iterations(config) == 1_500


def test_chunks_with_optimized_loading_of_several_catalogs_lose_data_and_are_refused(
    published: Published, later: Path
) -> None:
    months = open_months([published.path, later])
    data = months.bars(INDEX, optimize_file_loading=True)
    silently = BacktestRunConfig(venues=[_venue()], data=data, engine=_engine(), chunk_size=400)
    assert _iterations(silently) == 750
    with pytest.raises(ConfigurationError, match="drop the others in silence"):
        months.run_config([_venue()], data, _engine(), chunk_size=400)
    assert _iterations(months.run_config([_venue()], data, _engine())) == 1_500
    alone = open_months([later])
    one = alone.run_config([_venue()], alone.bars(INDEX, optimize_file_loading=True), _engine(), chunk_size=400)
    assert _iterations(one) == 750


def test_only_months_that_hold_a_series_are_configured(published: Published, later: Path) -> None:
    months = open_months([published.path, later])
    option = "NIFTY250814C24500.NSE"
    configs = months.bars(INDEX, f"{option}-5-MINUTE-LAST-EXTERNAL")
    assert [config.bar_types for config in configs] == [[INDEX, f"{option}-5-MINUTE-LAST-EXTERNAL"], [INDEX]]
    kinds = [months.trade_ticks(option), months.quote_ticks(option), months.open_interest(option)]
    assert [[config.data_cls for config in found] for found in kinds] == [[TradeTick], [QuoteTick], [OptionGreeks]]


def test_a_series_that_no_month_holds_is_refused_with_some_that_they_do(published: Published) -> None:
    months = open_months([published.path])
    with pytest.raises(ConfigurationError, match=r"no catalog holds X\.NSE-1-MINUTE-LAST-EXTERNAL as bar") as caught:
        months.bars("X.NSE-1-MINUTE-LAST-EXTERNAL")
    assert "choose from the 32 there are, e.g. NIFTY.NSE-1-DAY" in str(caught.value)
    with pytest.raises(ConfigurationError, match="no catalog holds nothing"):
        months.trade_ticks()


def test_instruments_and_settlement_prices_come_from_all_months(published: Published, later: Path) -> None:
    months = open_months([published.path, later])
    assert len(months.instruments) == 9
    assert months.settlement_prices[InstrumentId.from_str("NIFTY250814C24500.NSE")] == 108.4
    assert months.end_ns == 1755165600 * 10**9 + 7 * 86_400 * 10**9
    # A later month's definition is taken, of which the first only differs in when it was known.
    assert months.instruments[FUTURE].ts_init > months.months[0].instruments[FUTURE].ts_init


def test_the_same_time_twice_is_refused(later: Path, copy: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"both hold .* further series .* rows would be read twice"):
        open_months([later, copy])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"price_precision": pl.lit(4, pl.UInt8), "price_increment": pl.lit("0.0500")},
            "price_precision was 2, then 4",
        ),
        ({"expiration_ns": pl.col("expiration_ns") - 86_400 * 10**9}, "expiration_ns was"),
        ({"multiplier": pl.lit("75")}, "multiplier was 1, then 75"),
    ],
)
def test_other_terms_by_which_the_engine_goes_are_refused(
    published: Published, copy: Path, change: dict[str, pl.Expr], told: str
) -> None:
    (file,) = (copy / "data" / "futures_contract" / FUTURE).iterdir()
    rewrite(file, lambda terms: terms.with_columns(**change))
    with pytest.raises(ConfigurationError, match=f"{FUTURE} has other terms in .*: {told}"):
        open_months([published.path, copy])


def test_another_lot_is_not_refused_since_the_engine_does_not_go_by_it(published: Published, copy: Path) -> None:
    (file,) = (copy / "data" / "futures_contract" / FUTURE).iterdir()
    rewrite(file, lambda terms: terms.with_columns(lot_size=pl.lit("65")))
    assert int(open_months([published.path, copy]).instruments[FUTURE].lot_size) == 65


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"target": "1.231"', '"target": "2"', "expected a catalog for Nautilus 1.231"),
        ('"format": "nautilus"', '"format": "backtrader"', "is of format 'backtrader'"),
        ('"schema_fingerprint": "', '"schema_fingerprint": "0', "is not that of the installed Nautilus"),
    ],
)
def test_catalogs_of_another_format_are_refused(copy: Path, old: str, new: str, message: str) -> None:
    manifest = copy / MANIFEST_NAME
    manifest.write_text(manifest.read_text().replace(old, new))
    with pytest.raises(ConfigurationError, match=message):
        open_months([copy])


def test_no_catalog_and_a_folder_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there was no catalog to open"):
        open_months([])
    with pytest.raises(ExportError, match=r"holds no _manifest\.json"):
        open_months([tmp_path])


KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def test_storage_options_come_from_the_environment_under_the_names_of_each_side() -> None:
    environment = KEYS | {
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL": "http://localhost:9000",
        "AWS_DEFAULT_REGION": "ap-south-1",
    }
    assert storage_options(environment=environment) == StorageOptions(
        {
            "key": "key",
            "secret": "secret",
            "token": "token",
            "endpoint_url": "http://localhost:9000",
            "client_kwargs": {"region_name": "ap-south-1"},
        },
        {
            "access_key_id": "key",
            "secret_access_key": "secret",
            "session_token": "token",
            "endpoint_url": "http://localhost:9000",
            "region": "ap-south-1",
            "allow_http": "true",
        },
    )


def test_arguments_win_over_the_environment_and_https_stays_https() -> None:
    environment = KEYS | {"AWS_ENDPOINT_URL_S3": "http://localhost:9000", "AWS_REGION": "eu-west-1"}
    options = storage_options(endpoint_url="https://s3.example", region="eu-west-2", environment=environment)
    assert options.fs_rust_storage_options["endpoint_url"] == "https://s3.example"
    assert options.fs_rust_storage_options["region"] == "eu-west-2"
    assert "allow_http" not in options.fs_rust_storage_options
    assert "endpoint_url" not in storage_options(environment=KEYS).fs_storage_options


def test_without_credentials_the_message_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="no AWS credentials were found") as caught:
        storage_options(environment={})
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)


def test_a_profile_is_asked_where_the_environment_has_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore", reason="botocore is not installed, so profiles are not looked up")
    (tmp_path / "credentials").write_text("[desk]\naws_access_key_id = key\naws_secret_access_key = secret\n")
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "desk")
    assert storage_options().fs_rust_storage_options["access_key_id"] == "key"
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(ConfigurationError, match="no AWS credentials were found"):
        storage_options()


class LocalBucket(LocalFileSystem):  # type: ignore[misc] # fsspec carries no types
    """Stands for S3 where there is none: what Nautilus' Python side does with a bucket, on a folder."""

    protocol = "s3"
    folder = ""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return f"{cls.folder}/{str(path).removeprefix('s3://').removeprefix(f'{cls.folder}/').strip('/')}".rstrip("/")


def test_months_on_s3_are_described_through_the_catalog_s_own_file_system(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(published.path, tmp_path / "bucket" / "2025-08")
    monkeypatch.setattr(LocalBucket, "folder", str(tmp_path))
    monkeypatch.setitem(_registry, "s3", LocalBucket)
    storage = StorageOptions({}, {"region": "us-east-1"})
    months = open_months(["s3://bucket/2025-08"], storage)
    assert len(months.instruments) == 9
    assert months.settlement_prices[InstrumentId.from_str("NIFTY250814C24600.NSE")] == 8.35
    (config,) = months.bars(INDEX)
    assert isinstance(config, BacktestDataConfig)
    assert (config.catalog_path, config.catalog_fs_protocol) == ("s3://bucket/2025-08", "s3")
    assert config.catalog_fs_rust_storage_options == {"region": "us-east-1"}
    assert json.loads((tmp_path / "bucket" / "2025-08" / MANIFEST_NAME).read_text())["format"] == "nautilus"
