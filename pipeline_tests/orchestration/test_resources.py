from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.orchestration.resources import (
    ApiImport,
    ExportPort,
    FileImport,
    FolderExport,
    ImportPort,
    WarehouseResource,
)
from pipeline_tests.orchestration.conftest import TINY_DATE

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.samples.generate import GeneratedSample
    from pipeline_defs.settings import Settings
    from pipeline_defs.warehouse.connection import Warehouse


@pytest.mark.parametrize("port", [ImportPort, ExportPort])
def test_a_port_itself_cannot_be_used(port: type) -> None:
    with pytest.raises(TypeError, match="abstract"):
        port()


def test_the_warehouse_is_that_of_the_settings_unless_a_url_is_given(settings: Settings, template_url: str) -> None:
    assert WarehouseResource().open().url == settings.database_url
    assert WarehouseResource(database_url=template_url).open().url == template_url


def test_a_secret_is_in_no_text_made_of_the_resource() -> None:
    resource = WarehouseResource(database_url="postgresql://user:hunter2@host/db")

    assert "hunter2" not in f"{resource!r} {resource!s} {resource}"


def test_a_file_source_reads_the_landing_folder_unless_a_folder_is_given(settings: Settings, tmp_path: Path) -> None:
    assert FileImport(name="nse_csv").place() == settings.landing_dir
    assert FileImport(name="nse_csv", folder=str(tmp_path)).source().get_metadata().source_url == str(tmp_path)


def test_an_unknown_source_is_an_error_that_names_the_known_ones(settings: Settings) -> None:
    del settings
    with pytest.raises(ConfigurationError, match="nse_csv"):
        FileImport(name="bse_csv").source()


def test_catalogs_go_below_the_home_unless_a_folder_is_given(settings: Settings, tmp_path: Path) -> None:
    default, other = FolderExport(format_name="nautilus"), FolderExport(format_name="nautilus", folder=str(tmp_path))

    assert default.place("NIFTY", "2025-08") == settings.catalogs_dir / "nautilus" / "NIFTY" / "2025-08"
    assert other.place("M&M", "2025-08") == tmp_path / "nautilus" / "M&M" / "2025-08"


def test_a_resource_takes_its_secret_from_the_environment_when_a_run_begins(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.database_url is not None
    monkeypatch.setenv("OTHER_DATABASE_URL", settings.database_url)
    monkeypatch.delenv("PIPELINE_DATABASE_URL")

    @dg.op
    def opened(warehouse: WarehouseResource) -> str:
        return warehouse.open().url

    @dg.job(resource_defs={"warehouse": WarehouseResource(database_url=dg.EnvVar("OTHER_DATABASE_URL"))})
    def look() -> None:
        opened()

    assert look.execute_in_process().output_for_node("opened") == settings.database_url


def test_options_can_be_imported_without_dagster_and_give_the_classic_counts(
    tiny_sample: GeneratedSample, warehouse: Warehouse
) -> None:
    port = FileImport(name="nse_csv", folder=str(tiny_sample.landing))
    day = dt.date.fromisoformat(TINY_DATE)
    counts = port.import_options_data(warehouse, day, day)

    assert counts["read"] == counts["stored"] + counts["quarantined"] > 0
    again = port.import_options_data(warehouse, day, day, "NIFTY")
    assert again["unchanged"] > 0
    assert again["stored"] == 0


def test_an_api_reads_again_only_when_it_is_told_to() -> None:
    assert not ApiImport(name="zerodha").reads_again()
    assert ApiImport(name="zerodha", refetch="always").reads_again()
    assert FileImport(name="nse_csv").reads_again()
    assert ApiImport(name="zerodha").looked_for(dt.date(2025, 8, 1)) is None
    with pytest.raises(ConfigurationError, match="refetch is 'sometimes', expected missing or always"):
        ApiImport(name="zerodha", refetch="sometimes").reads_again()
