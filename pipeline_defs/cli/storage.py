"""``pipeline storage``: catalogs in an object store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipeline_defs.cli.exit_codes import ExitCode
from pipeline_defs.cli.help_page import command_group
from pipeline_defs.cli.options import AsJson
from pipeline_defs.errors import ConfigurationError
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.locations import S3Location, parse_s3

storage = command_group(
    """Catalogs in an object store: list, publish, download, verify; rules of the bucket.

    The store is found as AWS tools find it: AWS_* variables, profiles, roles; AWS_ENDPOINT_URL_S3 names another than
    AWS. PIPELINE_OBJECT_STORE=s3://bucket/prefix is the base.
    """,
)
lifecycle = command_group("Rules by which the bucket of PIPELINE_OBJECT_STORE tidies itself.")
storage.add_typer(lifecycle, name="lifecycle")


@storage.command("list")
def list_published(
    *,
    url: Annotated[
        str | None, typer.Argument(help="s3://bucket/prefix; default: the catalogs of PIPELINE_OBJECT_STORE.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the catalogs below URL (default: those of PIPELINE_OBJECT_STORE)."""
    from pipeline_defs.storage.download import list_exports  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

    base = _base() / "catalogs" if url is None else parse_s3(url)
    found = list_exports(ObjectStore.open(), base)
    if as_json:
        exports = [{"url": str(place), "objects": objects, "size_bytes": size} for place, objects, size in found]
        typer.echo(json.dumps({"exports": exports}))
        return
    for place, objects, size_bytes in found:
        typer.echo(f"{place}  {objects:,} objects, {size_bytes / 1e6:,.1f} MB")
    if not found:
        typer.echo(f"no export lies below {base}", err=True)


@storage.command()
def publish(
    *,
    folder: Annotated[Path, typer.Argument(help="Folder of the export.", exists=True, file_okay=False)],
    url: Annotated[str, typer.Argument(help="s3://bucket/prefix of the catalog.")],
    as_json: AsJson = False,
) -> None:
    """Publish a local export at URL: send what changed, remove what is gone, then the manifest."""
    from pipeline_defs.exports.manifest import check_manifest  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415
    from pipeline_defs.storage.publish_objects import publish_objects  # noqa: PLC0415

    prefix = parse_s3(url)
    if differences := check_manifest(folder):
        raise ConfigurationError(
            f"is not as it was exported: {'; '.join(differences[:5])}", where=str(folder), next_step="export it again"
        )
    report = publish_objects(ObjectStore.open(), folder, prefix)
    if as_json:
        counts = {"uploaded": report.uploaded, "unchanged": report.unchanged, "removed": report.removed}
        typer.echo(json.dumps({"url": str(prefix), **counts}))
    else:
        typer.echo(f"{prefix}: {report.uploaded} sent, {report.unchanged} unchanged, {report.removed} removed")


@storage.command()
def download(
    *,
    url: Annotated[str, typer.Argument(help="s3://bucket/prefix of the catalog.")],
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
    as_json: AsJson = False,
) -> None:
    """Make FOLDER a copy of the catalog at URL, every byte verified; goes on where it was broken off."""
    from pipeline_defs.storage.download import download_export  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

    contents = download_export(ObjectStore.open(), parse_s3(url), folder.expanduser())
    if as_json:
        told = {"url": url, "folder": str(folder), "files": len(contents.objects), "size_bytes": contents.size_bytes}
        typer.echo(json.dumps(told))
    else:
        typer.echo(f"{folder}: {len(contents.objects)} files, {contents.size_bytes:,} bytes, as the manifest says")


@storage.command()
def verify(
    *,
    url: Annotated[str, typer.Argument(help="s3://bucket/prefix of the catalog.")],
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte; else sizes and ETags are compared.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare what lies at URL with its manifest; exit code 1 if anything is missing, damaged or too much."""
    from pipeline_defs.storage.download import check_published  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

    differences = check_published(ObjectStore.open(), parse_s3(url), deep=deep)
    if as_json:
        typer.echo(json.dumps({"url": url, "differences": differences}))
    else:
        for difference in differences:
            typer.echo(difference)
        if not differences:
            typer.echo("as it was published")
    raise typer.Exit(ExitCode.FAILED if differences else ExitCode.SUCCESS)


@lifecycle.command()
def show(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rules as the store gives them.")] = False,
) -> None:
    """Show all rules of the bucket, and which of them would delete catalogs."""
    from pipeline_defs.storage.lifecycle import read_rules  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

    base = _base()
    _show(read_rules(ObjectStore.open(), base), base, as_json=as_json)


@lifecycle.command()
def apply(
    *,
    abort_uploads_after: Annotated[
        int, typer.Option("--abort-uploads-after", help="Days until unfinished uploads are removed.")
    ] = 7,
    raw_class: Annotated[
        str | None, typer.Option("--raw-class", help="Storage class that raw files move to, e.g. GLACIER_IR.")
    ] = None,
    raw_class_after: Annotated[int, typer.Option("--raw-class-after", help="Days until they move.")] = 90,
    raw_expire_after: Annotated[
        int | None, typer.Option("--raw-expire-after", help="Days until raw files are deleted; default: never.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the rules as the store gives them.")] = False,
) -> None:
    """Set the pipeline's rules; rules of others stay. Catalogs never expire by them."""
    from pipeline_defs.storage.lifecycle import LifecyclePlan, apply_rules  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

    base = _base()
    plan = LifecyclePlan(abort_uploads_after, raw_class, raw_class_after, raw_expire_after)
    _show(apply_rules(ObjectStore.open(), base, plan), base, as_json=as_json)


def _show(rules: list[dict[str, object]], base: S3Location, *, as_json: bool) -> None:
    from pipeline_defs.storage.lifecycle import describe, endangers_catalogs  # noqa: PLC0415 -- keeps --help quick

    if as_json:
        typer.echo(json.dumps(rules, default=str))
        return
    for rule in rules:
        typer.echo(describe(rule))
        if endangers_catalogs(rule, base):
            typer.echo("warning: this rule deletes catalogs", err=True)
    if not rules:
        typer.echo(f"s3://{base.bucket} has no rules; 'pipeline storage lifecycle apply' sets the pipeline's")


def _base() -> S3Location:
    text = load_settings().object_store
    if text is None:
        raise ConfigurationError(
            "PIPELINE_OBJECT_STORE is not set", next_step="set it to s3://bucket/prefix, or name a URL"
        )
    return parse_s3(text)
