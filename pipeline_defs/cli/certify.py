"""``pipeline certify``: whether all formats of a partition give the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline_defs.cli.options import DATE
from pipeline_defs.errors import ExportError
from pipeline_defs.settings import load_settings

if TYPE_CHECKING:
    import datetime as dt


@click.command()
@click.option("--underlying", required=True, help="E.g. NIFTY.")
@click.option("--start-date", type=DATE, required=True, help="First trade date of the exports.")
@click.option("--end-date", type=DATE, required=True, help="Last trade date of the exports.")
@click.option("--output", type=click.Path(path_type=Path), help="File to write the certificate to, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def certify(
    underlying: str,
    start_date: dt.date,
    end_date: dt.date,
    output: Path | None,
    as_json: bool,  # noqa: FBT001 -- click passes flags by name
) -> None:
    """Compare the published catalogs of a partition, contract by contract.

    What is compared is what each engine or reader gave when the catalog was verified. Exit code 1 if any two differ.
    """
    from pipeline_defs.publishing import certify_partition  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    certificate = certify_partition(open_warehouse(load_settings()), underlying, start_date, end_date, output=output)
    click.echo(json.dumps(certificate.to_json()) if as_json else certificate.to_text())
    if not certificate.passed:
        raise ExportError(
            "the formats do not agree",
            where=f"certificate {certificate.certificate_id}",
            next_step="export the partition again in every format, from the same data, and certify again",
        )
