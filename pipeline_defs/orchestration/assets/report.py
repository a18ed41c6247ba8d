"""The data report as an asset: one HTML file, made anew each time, and a check that nothing due is late.

What is in it is `pipeline_defs.reporting`; here it gets a place, a picture in the metadata, and a judgement.
"""

import datetime as dt
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

import pipeline_defs
from pipeline_defs.orchestration.assets.describing import OWNERS, failures_explained
from pipeline_defs.orchestration.assets.teaching import taught
from pipeline_defs.orchestration.display import markdown_table
from pipeline_defs.orchestration.resources import WAREHOUSE, open_warehouse_of
from pipeline_defs.orchestration.sharing import require_shared
from pipeline_defs.plots.drawing import to_markdown
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    from pipeline_defs.reporting.building import DataReport

KEY: Final = dg.AssetKey("data_report")
GROUP: Final = "reports"
NOTHING_LATE: Final = "nothing_late"
_MAX_PICTURES: Final = 4


def report_path() -> Path:
    """Where the report of this PIPELINE_HOME is put."""
    path = load_settings().home / "reports" / "data-report.html"
    require_shared(path, "the data report", "use 'pipeline report --output FILE' on the host that serves it")
    return path


@dg.multi_asset(
    name="write_data_report",
    specs=[
        dg.AssetSpec(
            KEY,
            description=taught(
                "What the warehouse holds, as one HTML file that opens without a server: coverage calendar, freshness,"
                " gaps, quality, provenance, catalogs, sizes. `pipeline report --output FILE` writes the same.",
                run="Whenever you want to look. It reads one state of the database and changes nothing.",
                mend="The database did not answer in time: `pipeline doctor` says why. The older file stays.",
                page="docs/data-report.md",
            ),
            group_name=GROUP,
            owners=OWNERS,
            kinds={"html"},
            code_version=pipeline_defs.__version__,
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(
            NOTHING_LATE,
            asset=KEY,
            description=(
                "Every session that is due has come, from every source that delivers daily. If it fails, the report's"
                " section Freshness names what is late: materialise those partitions."
            ),
        )
    ],
    required_resource_keys={WAREHOUSE},
)
def report_asset(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Write the report."""
    from pipeline_defs.reporting.building import build_report  # noqa: PLC0415 -- only a run needs it
    from pipeline_defs.reporting.rendering import write_report  # noqa: PLC0415 -- imports Jinja

    started = time.perf_counter()
    with failures_explained():
        output = report_path()
        built = build_report(open_warehouse_of(context.resources), dt.datetime.now(dt.UTC))
        size_bytes = write_report(built, output)
    yield dg.MaterializeResult(
        asset_key=KEY,
        metadata={
            "report": dg.MetadataValue.url(output.as_uri()),
            "path": dg.MetadataValue.path(output),
            "size_bytes": size_bytes,
            "seconds": round(time.perf_counter() - started, 3),
            **_key_numbers(built),
            **_pictures(built),
        },
    )
    late = built.facts().get("freshness-late")
    yield dg.AssetCheckResult(
        asset_key=KEY,
        check_name=NOTHING_LATE,
        passed=late is None or late.value.startswith("0 "),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"expected": "nothing late", "found": "nothing imported" if late is None else f"{late.value} late"},
    )


def _key_numbers(built: "DataReport") -> dict[str, Any]:
    rows = [(fact.label, fact.value) for fact in built.facts().values()]
    return {"key_numbers": dg.MetadataValue.md(markdown_table(["what", "how much"], rows))}


def _pictures(built: "DataReport") -> dict[str, dg.MarkdownMetadataValue]:
    drawn = [(section.name, plot) for section in built.sections for plot in section.plots]
    return {
        f"{name}_{number}": dg.MetadataValue.md(to_markdown(plot.svg, plot.caption))
        for number, (name, plot) in enumerate(drawn[:_MAX_PICTURES], start=1)
    }
