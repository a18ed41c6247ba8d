"""``pipeline certify``: whether all formats of a partition give the same."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline_defs.cli.options import AsJson, parse_date
from pipeline_defs.errors import ExportError
from pipeline_defs.settings import load_settings


def certify(
    *,
    underlying: Annotated[str, typer.Option("--underlying", help="E.g. NIFTY.")],
    start_date: Annotated[
        dt.date, typer.Option("--start-date", help="First trade date of the exports.", parser=parse_date)
    ],
    end_date: Annotated[dt.date, typer.Option("--end-date", help="Last trade date of the exports.", parser=parse_date)],
    output: Annotated[Path | None, typer.Option("--output", help="File to write the certificate to, as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the published catalogs of a partition, contract by contract.

    What is compared is what each engine or reader gave when the catalog was verified. Exit code 1 if any two differ.
    """
    from pipeline_defs.publishing import certify_partition  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.warehouse.connection import open_warehouse  # noqa: PLC0415

    certificate = certify_partition(open_warehouse(load_settings()), underlying, start_date, end_date, output=output)
    typer.echo(json.dumps(certificate.to_json()) if as_json else certificate.to_text())
    if not certificate.passed:
        raise ExportError(
            "the formats do not agree",
            where=f"certificate {certificate.certificate_id}",
            next_step="export the partition again in every format, from the same data, and certify again",
        )
