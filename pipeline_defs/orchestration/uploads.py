"""People's own files: the asset that takes them in, the job that runs it, and the sensor that starts the job.

What is imported, and where it goes, is decided in `pipeline_defs.uploads`. The sensor starts stopped.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

import pipeline_defs
from pipeline_defs.orchestration.assets.describing import OWNERS, failures_explained
from pipeline_defs.orchestration.assets.teaching import taught
from pipeline_defs.orchestration.display import markdown_table
from pipeline_defs.orchestration.resources import WAREHOUSE, open_warehouse_of
from pipeline_defs.orchestration.sharing import require_shared
from pipeline_defs.settings import load_settings
from pipeline_defs.uploads.waiting import judge_uploads, waiting_uploads

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline_defs.uploads.reporting import UploadOutcome
    from pipeline_defs.uploads.taking import TakenIn

KEY: Final = dg.AssetKey(["manual_csv", "uploads"])
GROUP: Final = "uploads"
NOTHING_REJECTED: Final = "nothing_rejected"
_NOTHING_REJECTED_MEANING: Final = (
    "Everything that was uploaded could be stored. If it fails, the report beside each rejected file says why: mend the"
    " file or its mapping, and put both into the folder again."
)
SENSOR_SECONDS: Final = 30
_MAX_SHOWN: Final = 50


@dg.multi_asset(
    name="take_in_manual_csv_uploads",
    specs=[
        dg.AssetSpec(
            KEY,
            description=taught(
                "Files of one's own, from the folder `uploads` of PIPELINE_HOME: each is imported with the mapping"
                " beside it, then moved to `done` or `rejected` with a report. Rows go to the observation tables.",
                run="When files were put there; the sensor `uploads_sensor` does it by itself once it is switched on.",
                mend="The database did not answer: `pipeline doctor` says why. What was not taken in stays there.",
            ),
            group_name=GROUP,
            owners=OWNERS,
            kinds={"csv", "excel", "postgres"},
            tags={"source": "manual_csv"},
            code_version=pipeline_defs.__version__,
        )
    ],
    check_specs=[dg.AssetCheckSpec(NOTHING_REJECTED, asset=KEY, description=_NOTHING_REJECTED_MEANING)],
    required_resource_keys={WAREHOUSE},
)
def uploads_asset(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Take in every file that has settled."""
    from pipeline_defs.uploads.taking import take_in  # noqa: PLC0415 -- imports polars

    folder = load_settings().uploads_dir
    with failures_explained():
        _require_shared(folder)
        taken = take_in(open_warehouse_of(context.resources), folder, dagster_run_id=context.run.run_id)
    yield dg.MaterializeResult(asset_key=KEY, metadata={"folder": dg.MetadataValue.path(folder), **_metadata(taken)})
    yield dg.AssetCheckResult(
        asset_key=KEY,
        check_name=NOTHING_REJECTED,
        passed=not taken.rejected,
        metadata={
            "expected": "nothing rejected",
            "found": "; ".join(f"{outcome.name}: {outcome.error}" for outcome in taken.rejected) or "nothing rejected",
        },
    )
    with failures_explained():
        for _, error in taken.failures:
            raise error


TAKE_IN_UPLOADS: Final = dg.define_asset_job(
    "take_in_uploads",
    selection=dg.AssetSelection.assets(KEY),
    description=(
        "Takes the files in the folder for uploads into the warehouse, each with its mapping. Run it when files were"
        " put there; what is rejected has a report beside it."
    ),
)


@dg.sensor(
    job=TAKE_IN_UPLOADS,
    minimum_interval_seconds=SENSOR_SECONDS,
    description=(
        "Looks at the folder for uploads twice a minute, and takes in what was the same at two looks. Switch it on if"
        " people put files there; what it waits for stands in its ticks."
    ),
)
def uploads_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Take in uploads once they are the same at two looks in a row.

    Files that a run left where they are (the server was down) are asked for again from time to time.
    """
    folder = load_settings().uploads_dir
    _require_shared(folder)  # files on another host would never be seen, and nobody would be told
    look = judge_uploads(waiting_uploads(folder), json.loads(context.cursor or "{}"))
    waiting = f"still arriving: {', '.join(look.arriving)}" if look.arriving else f"nothing new in {folder}"
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"uploads:{look.key}")] if look.settled else [],
        cursor=json.dumps(look.memory),
        skip_reason=None if look.settled else waiting,
    )


def _require_shared(folder: "Path") -> None:
    require_shared(folder, "the folder for uploads", "use 'pipeline import' on the host that has the files")


def _metadata(taken: "TakenIn") -> dict[str, Any]:
    totals: Counter[str] = Counter()
    for outcome in taken.outcomes:
        totals.update(outcome.counts())
    shown = taken.outcomes[:_MAX_SHOWN]
    more = f"\n\nand {len(taken.outcomes) - len(shown)} more" if len(taken.outcomes) > len(shown) else ""
    rows = [_row(outcome) for outcome in shown]
    return {
        "files_done": len(taken.outcomes) - len(taken.rejected),
        "files_rejected": len(taken.rejected),
        "still_arriving": len(taken.arriving),
        "left_where_they_are": len(taken.failures),
        **{f"rows_{name}": totals[name] for name in ("read", "stored", "unchanged", "corrected", "retired", "refused")},
        "dagster/row_count": totals["stored"] + totals["unchanged"] + totals["corrected"],
        "files": dg.MetadataValue.md(
            markdown_table(["file", "outcome", "rows read", "refused", "loads", "report"], rows) + more
            if rows
            else "Nothing was waiting."
        ),
        "reports": dg.MetadataValue.json([str(outcome.report) for outcome in taken.outcomes]),
    }


def _row(outcome: "UploadOutcome") -> tuple[object, ...]:
    counts = outcome.counts()
    loads = ", ".join(str(load.load_id) for load in outcome.loads[:_MAX_SHOWN])
    verdict = "rejected" if outcome.is_rejected else "done"
    report = "" if outcome.report is None else f"[{outcome.report.name}]({outcome.report.as_uri()})"
    return outcome.name, verdict, counts["read"], counts["refused"], loads, report
