"""The certificate of parity as an asset: one partition is one month of one underlying, in every format.

Comparing is `pipeline_defs.publishing`; here the outcome becomes metadata and a check.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

import pipeline_defs
from pipeline_defs.orchestration.assets import teaching
from pipeline_defs.orchestration.assets.catalogs import catalog_key
from pipeline_defs.orchestration.assets.describing import CATALOGS, OWNERS, failures_explained, partitioned_check
from pipeline_defs.orchestration.display import markdown_table
from pipeline_defs.orchestration.partitions import catalog_partitions, finished_sessions, split_catalog_key
from pipeline_defs.orchestration.places import catalogs_place
from pipeline_defs.orchestration.resources import WAREHOUSE, open_warehouse_of

if TYPE_CHECKING:
    from pipeline_defs.warehouse.certificates import Certificate

CERTIFICATE: Final = dg.AssetKey(["catalogs", "certificate"])

PARITY: Final = "parity"
"""The name of the check."""

_MEANING: Final = (
    "Every format gives the same when it is read. If it fails, the finding names the contracts that differ: export all"
    " formats again, and trade on none until it passes."
)


def build_certificate_asset(formats: Sequence[str]) -> dg.AssetsDefinition:
    """Make the asset that compares the catalogs of all formats.

    Parameters
    ----------
    formats : sequence of str
        As in `pipeline_defs.exports.registry`.

    Returns
    -------
    dagster.AssetsDefinition
        One asset, keyed ``catalogs/certificate``.

    """
    partitions = catalog_partitions()

    @dg.multi_asset(
        name="certify_catalogs",
        specs=[
            dg.AssetSpec(
                CERTIFICATE,
                deps=[catalog_key(name) for name in formats],
                description=teaching.of_certificate(),
                group_name=CATALOGS,
                owners=OWNERS,
                kinds={"json", "python"},
                tags={"market": "nse"},
                code_version=pipeline_defs.__version__,
                partitions_def=partitions,
                metadata={"storage": "<catalogs>/certificates/<UNDERLYING>/<YYYY-MM>/certificate.json"},
            )
        ],
        check_specs=[partitioned_check(PARITY, CERTIFICATE, _MEANING, partitions, blocking=True)],
        required_resource_keys={WAREHOUSE},
    )
    def certificate_asset(
        context: dg.AssetExecutionContext,
    ) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
        """Compare the catalogs of one month of one underlying."""
        from pipeline_defs.publishing import certify_partition  # noqa: PLC0415 -- only a run needs it

        month, underlying = split_catalog_key(context.partition_key)
        with failures_explained():
            output = catalogs_place() / "certificates" / underlying / month / "certificate.json"
            sessions = finished_sessions(month, dt.datetime.now(dt.UTC))
            certificate = certify_partition(
                open_warehouse_of(context.resources), underlying, sessions[0], sessions[-1], output=output
            )
        yield dg.MaterializeResult(
            asset_key=CERTIFICATE, metadata={"path": dg.MetadataValue.path(str(output)), **_described(certificate)}
        )
        yield dg.AssetCheckResult(
            asset_key=CERTIFICATE,
            check_name=PARITY,
            passed=certificate.passed,
            severity=dg.AssetCheckSeverity.ERROR,
            description=certificate.to_text().partition("\n")[0],
            metadata={
                "expected": "the same in every format",
                "found": dg.MetadataValue.md("\n\n".join(certificate.differences) or "the same"),
            },
        )

    return certificate_asset


def _described(certificate: "Certificate") -> dict[str, Any]:
    resolutions = [
        [part.bar_seconds, ", ".join(part.formats), part.contracts, part.rows, part.differing]
        for part in certificate.resolutions
    ]
    strategy = [
        [name, held["instrument"], held["quantity"], held["settlement_price"], held["gross_pnl"]]
        for name, held in sorted(certificate.strategy.items())
    ]
    catalogs = [[catalog.format, catalog.engine, catalog.catalog_hash] for catalog in certificate.catalogs]
    return {
        "certificate_id": certificate.certificate_id,
        "dagster/partition_row_count": sum(part.rows for part in certificate.resolutions),
        "catalogs": dg.MetadataValue.md(markdown_table(["format", "engine", "catalog hash"], catalogs)),
        "compared": dg.MetadataValue.md(
            markdown_table(["bar seconds", "formats", "contracts", "bars", "differing"], resolutions)
        ),
        "strategy": dg.MetadataValue.md(
            markdown_table(["format", "contract", "quantity", "settled at", "profit"], strategy)
        ),
    }
