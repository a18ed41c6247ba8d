"""Files that the pages show, read by the loader that reads them in the product."""

from __future__ import annotations

import csv
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from pipeline_defs.alerting import registry as notifiers
from pipeline_defs.errors import PipelineError
from pipeline_defs.greeks.rate_files import read_rates
from pipeline_defs.quality.expectations import parse_expectations
from pipeline_defs.reconciliation.tolerances import parse_tolerances
from pipeline_defs.schema.tables import OBSERVATION_TABLES
from pipeline_defs.settings import PROJECT_ROOT
from pipeline_defs.sources import plugins
from pipeline_defs.sources.asking.universe import SourceUniverse
from pipeline_defs.sources.manual_csv.mapping import read_mapping
from pipeline_defs.sources.migrated import EVERY as MIGRATED
from pipeline_defs.sources.registry import FURTHER_SOURCES, SOURCES
from pipeline_defs.sources.terms import own_csv
from pipeline_defs.warehouse.precedence import parse_orders

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline_tests.docs.blocks import Block

MARKET_TABLES: Final = PROJECT_ROOT / "pipeline_defs" / "markets" / "data"


def what_is_misread(block: Block) -> str | None:
    """Give a block's text to the loader that is meant for it; say what it objects to, None if nothing."""
    try:
        _LANGUAGES[block.language](block)
    except (PipelineError, ValueError, KeyError, TypeError) as error:  # YAML's, TOML's and pydantic's are ValueErrors
        return f"{type(error).__name__}: {error}"
    except yaml.YAMLError as error:
        return str(error)
    return None


def _yaml(block: Block) -> None:
    content = yaml.safe_load(block.text)
    if content.keys() <= OBSERVATION_TABLES.keys():
        parse_orders(block.text, str(block), {*SOURCES, *FURTHER_SOURCES, *MIGRATED})
    elif content.keys() == {"resources"}:
        from pipeline_defs.definitions import defs  # noqa: PLC0415 -- heavy

        assert defs.resources is not None
        for name, given in content["resources"].items():
            resource: Any = defs.resources[name]
            type(resource)(**{**resource.model_dump(), **given["config"]})
    elif "run_storage" in content or "storage" in content:
        from dagster._core.instance.config import dagster_instance_config_schema  # noqa: PLC0415 -- heavy

        unknown = content.keys() - dagster_instance_config_schema().keys()
        if unknown:
            raise ValueError(f"dagster.yaml knows no {', '.join(sorted(unknown))}")
    else:
        for source, section in content.items():
            if source not in SOURCES and source != "acme":
                raise ValueError(f"{source!r} is no source")
            SourceUniverse.model_validate(section)


def _toml(block: Block) -> None:
    content = tomllib.loads(block.text)
    if "columns" in content:
        _with_file(block, read_mapping)
        return
    for group in content["project"]["entry-points"]:
        if group not in {plugins.GROUP, notifiers.GROUP}:
            raise ValueError(f"nobody looks for entry points of the group {group!r}")


def _csv(block: Block) -> None:
    header, *rows = list(csv.reader(block.text.splitlines()))
    if "min_rows" in header:
        parse_expectations(block.text, str(block))
    elif header[0] == "comparison":
        parse_tolerances(block.text, str(block))
    elif "tenor_days" in header or "dividend_yield" in header:
        _with_file(block, read_rates)
    elif "new_expiry" in header:
        _with_file(block, lambda path: own_csv.read(path, None))
    elif block.file is None:
        # Lines for a table of market rules, which the page names: as wide as that table.
        widths = {len(table.read_text(encoding="utf-8").split("\n", 1)[0].split(",")) for table in _tables(block)}
        wrong = [row for row in (header, *rows) if len(row) not in widths]
        if wrong or not widths:
            raise ValueError(f"no table of market rules has lines of {len((wrong or [header])[0])} cells")


def _tables(block: Block) -> list[Path]:
    page = (PROJECT_ROOT / block.page).read_text(encoding="utf-8")
    return [table for table in MARKET_TABLES.glob("*.csv") if table.name in page]


def _with_file(block: Block, read: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"block.{block.language}"
        path.write_text(block.text, encoding="utf-8")
        read(path)


def _json(block: Block) -> None:
    yaml.safe_load(block.text)


_LANGUAGES: Final[dict[str, Callable[[Block], None]]] = {"yaml": _yaml, "toml": _toml, "csv": _csv, "json": _json}
