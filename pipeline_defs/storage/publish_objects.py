"""Publication of a verified export in an object store: readers of a manifest find every object it names, always.

An object store replaces one object at a time, and engines want plain paths. So what is to be replaced is first kept
aside under its digest, and what replaces it is uploaded aside, too; only then do copies inside the store, which take
moments, put the new objects in their places. The manifest comes last, by one conditional write. Whoever has read the
old manifest finds each object at its path or, by its digest, aside (`objects_aside`); so it stays until the next
publication. Killed at any instant, this leaves the old export whole for readers of its manifest, and the next
publication finishes or replaces what was begun.

Below the prefix, ``_publication/`` holds what that takes:

``lease.json``       who publishes now: publishers of one prefix queue.
``objects/SHA256``   objects aside: the new ones on their way, and those the last publication replaced.
``incoming.json``    paths that a publication may have written: tells its left-overs from strangers' objects.
``etags.json``       digest and ETag of every object as it was published: what is still so is not uploaded again.

Who reads plain paths while a correction is being copied may meet both; the read cache never does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline_defs.errors import ExportError, StorageError
from pipeline_defs.storage.answers import Answer, Stored, Upload
from pipeline_defs.storage.contents import (
    MANIFEST_NAME,
    PUBLICATION_FOLDER,
    Contents,
    ObjectEntry,
    parse_contents,
    read_contents_of,
    refuse_strangers,
)
from pipeline_defs.storage.turns import LEASE_SECONDS, WAIT_SECONDS, Turn, turn

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline_defs.storage.locations import S3Location
    from pipeline_defs.storage.objects import ObjectStore

LEASE: Final = f"{PUBLICATION_FOLDER}/lease.json"
INCOMING: Final = f"{PUBLICATION_FOLDER}/incoming.json"
ETAGS: Final = f"{PUBLICATION_FOLDER}/etags.json"
ASIDE: Final = f"{PUBLICATION_FOLDER}/objects/"


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publication did.

    Parameters
    ----------
    uploaded, unchanged, removed : int
        Objects of the export that were sent, were there already, and were there and are gone; the manifest apart.

    """

    uploaded: int
    unchanged: int
    removed: int


@dataclass(frozen=True, slots=True)
class Site:
    """A prefix as it is found.

    Parameters
    ----------
    listing : dict of str to Stored
        Everything that lies there, by path.
    published : Contents or None
        The export whose manifest is there.
    manifest_etag : str or None
        Of that manifest.
    incoming : frozenset of str
        Paths that a publication which did not end may have written.
    etags : dict of str to list of str
        Digest and ETag by path.

    """

    listing: dict[str, Stored]
    published: Contents | None
    manifest_etag: str | None
    incoming: frozenset[str]
    etags: dict[str, list[str]]

    def holds(self, entry: ObjectEntry) -> bool:
        """Tell whether an object lies in its place as it was published."""
        stored = self.listing.get(entry.path)
        return (
            stored is not None
            and stored.size_bytes == entry.size_bytes
            and self.etags.get(entry.path) == [entry.sha256, stored.etag]
        )

    def has_aside(self, entry: ObjectEntry) -> bool:
        """Tell whether an object's content lies aside."""
        stored = self.listing.get(ASIDE + entry.sha256)
        return stored is not None and stored.size_bytes == entry.size_bytes

    def strays(self, contents: Contents) -> list[str]:
        """List what lies there and is neither of an export nor of publishing."""
        return [
            path
            for path in self.listing
            if path not in contents.objects and path != MANIFEST_NAME and not path.startswith(f"{PUBLICATION_FOLDER}/")
        ]


def objects_aside(prefix: S3Location, sha256: str) -> S3Location:
    """Give the place where an object of a published export is kept while, and after, it is replaced."""
    return prefix / f"{ASIDE}{sha256}"


def look(store: ObjectStore, prefix: S3Location) -> Site:
    """See what lies at a prefix.

    Raises
    ------
    StorageError
        If the store cannot be read, or the manifest there is not one of ours.

    """
    listing = store.list_below(prefix)
    published, etag = None, None
    if MANIFEST_NAME in listing:
        found = store.read(prefix / MANIFEST_NAME)
        if not isinstance(found, Answer):
            published, etag = parse_contents(found.data, str(prefix / MANIFEST_NAME)), found.etag
    incoming = _json(store, prefix, INCOMING, listing)
    etags = _json(store, prefix, ETAGS, listing)
    return Site(listing, published, etag, frozenset(incoming.get("paths", ())), etags)


def publish_objects(
    store: ObjectStore,
    staged: Path,
    prefix: S3Location,
    *,
    wait_seconds: float = WAIT_SECONDS,
    lease_seconds: float = LEASE_SECONDS,
) -> Publication:
    """Make a finished export the one that readers of a prefix find.

    Parameters
    ----------
    store : ObjectStore
        Where to.
    staged : Path
        Folder of the export, with its manifest.
    prefix : S3Location
        What is there is replaced if it is one of our exports, and left alone if it is the very same.
    wait_seconds : float, default 600
        How long to queue behind another publisher of the prefix.
    lease_seconds : float, default 90
        When a publisher that cannot be heard of counts as dead.

    Returns
    -------
    Publication

    Raises
    ------
    ExportError
        If objects lie at the prefix that no export of ours put there; nothing is changed then.
    StorageError
        If the store refuses or fails, or another publisher did not end in time.

    """
    new = read_contents_of(staged)
    site = refuse_foreign_objects(store, prefix)
    if _is_published(site, new):
        return Publication(0, len(new.objects), 0)
    with turn(store, prefix / LEASE, wait_seconds=wait_seconds, lease_seconds=lease_seconds) as mine:
        site = look(store, prefix)  # whoever was first has changed it
        _refuse_foreign(site, prefix)
        if _is_published(site, new):
            return Publication(0, len(new.objects), 0)
        return _Publishing(store, staged, prefix, site, new, mine).run()


def refuse_foreign_objects(store: ObjectStore, prefix: S3Location) -> Site:
    """Refuse a prefix at which objects lie that no export of ours put there.

    Returns
    -------
    Site
        What lies there. While another publisher is at work nothing is refused, since a listing may be of two instants.

    Raises
    ------
    ExportError
        If there are such objects.
    StorageError
        If the store cannot be read: the place, the credentials, the network.

    """
    site = look(store, prefix)
    if LEASE in site.listing:
        return site
    try:
        _refuse_foreign(site, prefix)
    except ExportError:
        site = look(store, prefix)  # unless they were of somebody at work who has ended meanwhile
        _refuse_foreign(site, prefix)
    return site


def _refuse_foreign(site: Site, prefix: S3Location) -> None:
    ours = site.incoming if site.published is None else site.incoming | set(site.published.objects)
    found = (path for path in site.listing if not path.startswith(f"{PUBLICATION_FOLDER}/"))
    refuse_strangers(found, ours, str(prefix))


def _is_published(site: Site, new: Contents) -> bool:
    return (
        site.published is not None
        and site.published.manifest == new.manifest
        and INCOMING not in site.listing
        and not site.strays(new)
        and all(site.holds(entry) for entry in new.objects.values())
    )


class _Publishing:
    """The steps of one publication, in their order."""

    def __init__(  # noqa: PLR0917 -- called in one place
        self, store: ObjectStore, staged: Path, prefix: S3Location, site: Site, new: Contents, mine: Turn
    ) -> None:
        self._store = store
        self._staged = staged
        self._prefix = prefix
        self._site = site
        self._new = new
        self._turn = mine
        self._changed = [entry for entry in new.objects.values() if not site.holds(entry)]
        published = {} if site.published is None else site.published.objects
        self._replaced = [entry for entry in published.values() if new.objects.get(entry.path) != entry]
        # What somebody has damaged, or a killed publication has copied over already, is no longer what it was.
        self._to_keep = [entry for entry in self._replaced if site.holds(entry) and not site.has_aside(entry)]

    def run(self) -> Publication:
        self._announce()
        if self._site.published is None:
            self._upload((entry, self._prefix / entry.path) for entry in self._changed)
        else:
            aside = {entry.sha256: entry for entry in self._changed if not self._site.has_aside(entry)}
            self._upload((entry, objects_aside(self._prefix, sha256)) for sha256, entry in aside.items())
            self._copy((entry, entry.path, f"{ASIDE}{entry.sha256}") for entry in self._to_keep)
            self._copy((entry, f"{ASIDE}{entry.sha256}", entry.path) for entry in self._changed)
        strays = self._site.strays(self._new)
        self._turn.check()
        self._store.delete_many(self._prefix / path for path in strays)
        listing = self._record_etags()
        self._turn.check()
        self._write_manifest()
        # The new export is there; what follows is tidying, and the next publication can do it as well.
        kept = {f"{ASIDE}{entry.sha256}" for entry in self._replaced}
        gone = [path for path in listing if path == INCOMING or (path.startswith(ASIDE) and path not in kept)]
        self._store.delete_many(self._prefix / path for path in gone)
        return Publication(len(self._changed), len(self._new.objects) - len(self._changed), len(strays))

    def _announce(self) -> None:
        """Say which paths may be written, before the first one is."""
        paths = sorted(self._site.incoming | set(self._new.objects))
        self._store.write(self._prefix / INCOMING, _to_json({"paths": paths}))

    def _upload(self, entries: Iterable[tuple[ObjectEntry, S3Location]]) -> None:
        def work(item: tuple[ObjectEntry, S3Location]) -> None:
            self._turn.check()
            entry, target = item
            self._store.upload(Upload(self._staged / entry.path, target, entry.sha256, entry.size_bytes))

        self._store.each(work, list(entries))

    def _copy(self, copies: Iterable[tuple[ObjectEntry, str, str]]) -> None:
        def work(item: tuple[ObjectEntry, str, str]) -> None:
            self._turn.check()
            entry, source, target = item
            self._store.copy(self._prefix / source, self._prefix / target, entry.size_bytes)

        self._store.each(work, list(copies))

    def _record_etags(self) -> dict[str, Stored]:
        """Write down how every object is stored, having seen that it is."""
        listing = self._store.list_below(self._prefix)
        wrong = [
            path
            for path, entry in self._new.objects.items()
            if path not in listing or listing[path].size_bytes != entry.size_bytes
        ]
        if wrong:
            raise StorageError(
                f"{len(wrong)} objects are not there as they were sent, the first {wrong[0]}; the manifest is not"
                " written",
                where=str(self._prefix),
                next_step="see that nobody else writes below this prefix, and publish again",
            )
        etags = {path: [entry.sha256, listing[path].etag] for path, entry in self._new.objects.items()}
        self._store.write(self._prefix / ETAGS, _to_json(etags))
        return listing

    def _write_manifest(self) -> None:
        etag = self._site.manifest_etag
        written = self._store.write(
            self._prefix / MANIFEST_NAME, self._new.manifest, if_absent=etag is None, if_etag=etag
        )
        if written is None:
            raise StorageError(
                "somebody else has written the manifest during this publication",
                where=str(self._prefix / MANIFEST_NAME),
                next_step="see that only the pipeline publishes there, and publish again",
            )


def _json(store: ObjectStore, prefix: S3Location, path: str, listing: dict[str, Stored]) -> dict[str, list[str]]:
    """Read one of publishing's own notes; what cannot be read counts as not written."""
    if path not in listing:
        return {}
    found = store.read(prefix / path)
    if isinstance(found, Answer):
        return {}
    try:
        content = json.loads(found.data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _to_json(content: dict[str, list[str]]) -> bytes:
    return json.dumps(content, indent=0, sort_keys=True, separators=(",", ":")).encode()
