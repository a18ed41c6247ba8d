"""Descriptions for people who meet an asset, a check or a job in the UI for the first time: all in the same shape.

What it is, when it runs or should be run, what to do when it fails, and the page that tells more. Words only.
"""

from __future__ import annotations


def taught(what: str, *, run: str, mend: str, page: str = "docs/dagster.md") -> str:
    """Write the description of an asset, in Markdown.

    Parameters
    ----------
    what : str
        What it holds; sentences.
    run : str
        When it is made, or should be.
    mend : str
        What to do when it fails.
    page : str, default "docs/dagster.md"
        Page of the documentation, in the clone.

    Returns
    -------
    str

    """
    return f"{what}\n\n**When to run.** {run}\n\n**When it fails.** {mend}\n\nMore in `{page}`."


def of_source(meaning: str, source: str, *, is_api: bool) -> str:
    """Describe a table of a source."""
    what = f"{meaning} What `{source}` said, kept with every correction; one partition a trading session."
    if is_api:
        return taught(
            what,
            run=(
                "After the session's close, or for many sessions at once as a backfill. What is stored already is not"
                f" asked for again, unless `resources: {{{source}_import: {{config: {{refetch: always}}}}}}` says so."
            ),
            mend=(
                "The error says what was refused, and what to do next. What came before it is stored; run the partition"
                " again and only the rest is asked for. A vendor that does not answer is asked again by itself, twice."
            ),
            page="docs/adding-a-source.md",
        )
    return taught(
        what,
        run=(
            "When the files of the session lie in the landing folder, `landing` below PIPELINE_HOME; the sensor"
            " `landing_sensor` does it by itself once it is switched on. Reading the same files twice changes no row."
        ),
        mend=(
            "The error names the file, the line and the next step; of a table that is too damaged nothing is stored."
            " `pipeline quarantine --load N` lists what was refused. Put the right files there and run it again."
        ),
    )


def of_bars(meaning: str) -> str:
    """Describe a table of bars."""
    return taught(
        f"{meaning} Made of `options_ticks` by `refresh_bars`; resolutions and sources are never mixed.",
        run="After an import, with it in the job `nse_daily`. An import refreshes its bars by itself as well.",
        mend="There were no observations of the session: materialise `options_ticks` of it first, then this again.",
        page="docs/warehouse.md",
    )


def of_catalog(format_name: str) -> str:
    """Describe the catalogs of a format."""
    return taught(
        (
            f"Minute bars of an underlying, its futures and options as a {format_name} catalog: one month of one"
            " underlying, replaced as a whole, published only when the engine has confirmed it."
        ),
        run=(
            "When a month is over, or whenever its data were corrected; the job `month_catalogs` makes all formats. The"
            " running month may be exported too, and ends with the last session that is over."
        ),
        mend=(
            "Nothing was published, and what was there before is still there. The error names the instrument that the"
            " engine did not confirm, or the sessions that are missing; import those, then run it again."
        ),
        page=f"docs/exports/{format_name if format_name not in {'csv', 'parquet'} else 'generic'}.md",
    )


def of_certificate() -> str:
    """Describe the certificate of parity."""
    return taught(
        (
            "What every published format gave when it was read back, compared contract by contract: number of bars,"
            " first and last, sums of closes and volumes, and one option held to expiry in each engine."
        ),
        run="After the catalogs of a month, with them in the job `month_catalogs`.",
        mend=(
            "The check `parity` names the contracts that differ. Export all formats again from the same data; if they"
            " still differ, do not trade on any of them."
        ),
        page="docs/exports/certificate.md",
    )
