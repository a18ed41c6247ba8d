"""``pipeline storage`` and ``pipeline cache``: catalogs in an object store, and local copies of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline_defs.errors import ConfigurationError
from pipeline_defs.settings import load_settings
from pipeline_defs.storage.locations import S3Location, parse_s3

if TYPE_CHECKING:
    from pipeline_defs.storage.cache import CatalogCache


@click.group()
def storage() -> None:
    """Catalogs in an object store: list, publish, download, verify; rules of the bucket.

    The store is found as AWS tools find it: AWS_* variables, profiles, roles; AWS_ENDPOINT_URL_S3 names another than
    AWS. PIPELINE_OBJECT_STORE=s3://bucket/prefix is the base.
    """


@storage.command("list")
@click.argument("url", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def list_published(url: str | None, as_json: bool) -> None:  # noqa: FBT001 -- click passes flags by name
    """List the catalogs below URL (default: those of PIPELINE_OBJECT_STORE)."""
    from pipeline_defs.storage.download import list_exports  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

    base = _base() / "catalogs" if url is None else parse_s3(url)
    for location, objects, size_bytes in list_exports(ObjectStore.open(), base):
        if as_json:
            click.echo(json.dumps({"url": str(location), "objects": objects, "size_bytes": size_bytes}))
        else:
            click.echo(f"{location}  {objects:,} objects, {size_bytes / 1e6:,.1f} MB")


@storage.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def publish(folder: Path, url: str, as_json: bool) -> None:  # noqa: FBT001
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
        click.echo(json.dumps({"url": str(prefix), **counts}))
    else:
        click.echo(f"{prefix}: {report.uploaded} sent, {report.unchanged} unchanged, {report.removed} removed")


@storage.command()
@click.argument("url")
@click.argument("folder", type=click.Path(path_type=Path))
def download(url: str, folder: Path) -> None:
    """Make FOLDER a copy of the catalog at URL, every byte verified; goes on where it was broken off."""
    from pipeline_defs.storage.download import download_export  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

    contents = download_export(ObjectStore.open(), parse_s3(url), folder.expanduser())
    click.echo(f"{folder}: {len(contents.objects)} files, {contents.size_bytes:,} bytes, as the manifest says")


@storage.command()
@click.argument("url")
@click.option("--deep", is_flag=True, help="Read every byte; else sizes and ETags are compared.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(url: str, deep: bool, as_json: bool) -> None:  # noqa: FBT001
    """Compare what lies at URL with its manifest; exit code 1 if anything is missing, damaged or too much."""
    from pipeline_defs.storage.download import check_published  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

    differences = check_published(ObjectStore.open(), parse_s3(url), deep=deep)
    if as_json:
        click.echo(json.dumps({"url": url, "differences": differences}))
    else:
        for difference in differences:
            click.echo(difference)
        if not differences:
            click.echo("as it was published")
    click.get_current_context().exit(1 if differences else 0)


@storage.group()
def lifecycle() -> None:
    """Rules by which the bucket of PIPELINE_OBJECT_STORE tidies itself."""


@lifecycle.command()
@click.option("--json", "as_json", is_flag=True, help="Print the rules as the store gives them.")
def show(as_json: bool) -> None:  # noqa: FBT001
    """Show all rules of the bucket, and which of them would delete catalogs."""
    from pipeline_defs.storage.lifecycle import read_rules  # noqa: PLC0415 -- keeps --help quick
    from pipeline_defs.storage.objects import ObjectStore  # noqa: PLC0415

    base = _base()
    _show(read_rules(ObjectStore.open(), base), base, as_json=as_json)


@lifecycle.command()
@click.option("--abort-uploads-after", default=7, show_default=True, help="Days until unfinished uploads are removed.")
@click.option("--raw-class", help="Storage class that raw files move to, e.g. GLACIER_IR.")
@click.option("--raw-class-after", default=90, show_default=True, help="Days until they move.")
@click.option("--raw-expire-after", type=int, help="Days until raw files are deleted; default: never.")
@click.option("--json", "as_json", is_flag=True, help="Print the rules as the store gives them.")
def apply(
    abort_uploads_after: int,
    raw_class: str | None,
    raw_class_after: int,
    raw_expire_after: int | None,
    as_json: bool,  # noqa: FBT001
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
        click.echo(json.dumps(rules, default=str))
        return
    for rule in rules:
        click.echo(describe(rule))
        if endangers_catalogs(rule, base):
            click.echo("warning: this rule deletes catalogs", err=True)
    if not rules:
        click.echo(f"s3://{base.bucket} has no rules; 'pipeline storage lifecycle apply' sets the pipeline's")


@click.group()
def cache() -> None:
    """Local copies of catalogs that were read from an object store; PIPELINE_CACHE_GIB (default 10) bounds them."""


@cache.command("get")
@click.argument("url")
def get_copy(url: str) -> None:
    """Print the folder of a local copy of the catalog at URL; nothing is fetched if it did not change."""
    with _cache().open(parse_s3(url)) as folder:
        click.echo(folder)


@cache.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def list_copies(as_json: bool) -> None:  # noqa: FBT001
    """List the copies, those first that go first when room is needed."""
    import datetime as dt  # noqa: PLC0415 -- keeps --help quick

    for copy in _cache().catalogs():
        used = dt.datetime.fromtimestamp(copy.used_at, dt.UTC).isoformat(timespec="seconds")
        if as_json:
            note = {"url": copy.url, "size_bytes": copy.size_bytes, "used_at": used, "is_complete": copy.is_complete}
            click.echo(json.dumps(note))
        else:
            state = "" if copy.is_complete else ", incomplete"
            click.echo(f"{copy.url}  {copy.size_bytes / 1e6:,.1f} MB, last used {used}{state}")


@cache.command()
def clear() -> None:
    """Remove every copy that nobody is reading."""
    removed, kept = _cache().clear()
    click.echo(f"{len(removed)} removed, {sum(copy.size_bytes for copy in removed) / 1e6:,.1f} MB")
    for copy in kept:
        click.echo(f"being read: {copy.url}")


def _base() -> S3Location:
    text = load_settings().object_store
    if text is None:
        raise ConfigurationError(
            "PIPELINE_OBJECT_STORE is not set", next_step="set it to s3://bucket/prefix, or name a URL"
        )
    return parse_s3(text)


def _cache() -> CatalogCache:
    from pipeline_defs.storage.cache import CatalogCache  # noqa: PLC0415 -- keeps --help quick

    settings = load_settings()
    return CatalogCache(settings.cache_dir, settings.cache_bytes)
