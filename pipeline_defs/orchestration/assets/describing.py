"""What all assets say about themselves, and how an error raised on purpose reaches the UI."""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Final

import dagster as dg

from pipeline_defs.errors import PipelineError, UnansweredError
from pipeline_defs.orchestration.hiding import without_secrets_in

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNERS: Final = ("team:market-data",)

INGESTION, API_INGESTION, BARS, CATALOGS = "ingestion", "api_ingestion", "bars", "catalogs"
RECONCILIATION: Final = "reconciliation"
"""Groups."""


@contextlib.contextmanager
def failures_explained() -> Iterator[None]:
    """Turn an error raised on purpose into a step failure that shows what, where and the next step.

    Raises
    ------
    Exception
        As it was raised, without secrets.
    dagster.Failure
        In place of a `PipelineError`. It is not retried, since the same input gives the same error, but for a source
        that could not be asked now.

    """
    try:
        yield
    except PipelineError as error:
        raise failure(error) from error
    except Exception as error:
        shown = without_secrets_in(error)
        if shown is not error:
            raise shown from None
        raise


def failure(error: PipelineError) -> dg.Failure:
    """Say in Dagster's words what went wrong, without secrets, which are taken out of the error itself, too."""
    without_secrets_in(error)
    metadata = {"what": error.what, "where": error.where, "next_step": error.next_step}
    return dg.Failure(
        description=str(error),
        metadata={name: dg.MetadataValue.text(text) for name, text in metadata.items() if text is not None},
        allow_retries=isinstance(error, UnansweredError),
    )


def partitioned_check(
    name: str, key: dg.AssetKey, meaning: str, partitions: dg.PartitionsDefinition, *, blocking: bool
) -> dg.AssetCheckSpec:
    """Describe a check that is evaluated, and can be run again, for one partition at a time.

    Parameters
    ----------
    name : str
        Steady snake_case name.
    key : dagster.AssetKey
        What is checked.
    meaning : str
        What holds when it passes.
    partitions : dagster.PartitionsDefinition
        Those of the asset.
    blocking : bool
        Whether a failure stops what comes after.

    Returns
    -------
    dagster.AssetCheckSpec

    """
    with warnings.catch_warnings():
        # Partitions of checks are announced as a preview; without them a check forgets which day it looked at.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=key, description=meaning, blocking=blocking, partitions_def=partitions)
