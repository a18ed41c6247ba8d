"""Every name that somebody gives, against every hostile text: refused clearly, or given back exactly."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from pipeline_defs.alerting.alert import Alert, compose
from pipeline_defs.alerting.mail import MailNotifier
from pipeline_defs.cli.options import parse_dataset, parse_date, parse_instant, parse_source
from pipeline_defs.encrypted import check_endpoint
from pipeline_defs.errors import PipelineError, showable
from pipeline_defs.exports.registry import get_exporter
from pipeline_defs.markets.tickers.grammars import parse_auto
from pipeline_defs.operations.logs import JsonLines, json_line
from pipeline_defs.orchestration.partitions import exported_underlyings, month_dates, split_catalog_key
from pipeline_defs.quality.expectations import COLUMNS, parse_expectations
from pipeline_defs.reconciliation.tolerances import parse_tolerances
from pipeline_defs.schema.lengths import parse_lengths
from pipeline_defs.settings import load_settings
from pipeline_defs.sources.asking import credentials
from pipeline_defs.sources.asking.universe import Chain, Named, SourceUniverse
from pipeline_defs.sources.manual_csv.mapping import read_mapping
from pipeline_defs.sources.nse_csv.archives import Archives
from pipeline_defs.sources.nse_csv.gzipped import ArchiveLimits
from pipeline_defs.sources.plugins import _NAME as PLUGIN_NAME
from pipeline_defs.sources.registry import get_source, source_entry
from pipeline_defs.storage.locations import catalog_place, folder_name, parse_location, parse_s3
from pipeline_defs.uploads.moving import find_place
from pipeline_defs.uploads.waiting import waiting_uploads
from pipeline_defs.warehouse.named_bundles import check_bundle_name
from pipeline_defs.warehouse.precedence import parse_orders
from pipeline_tests.security.hostile import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from email.message import EmailMessage

DAY: Final = dt.date(2025, 8, 14)


def _checked(check: Callable[[str], object]) -> Callable[[str], object]:
    """Give the text itself after a check that gives nothing."""

    def entry(text: str) -> object:
        check(text)
        return text

    return entry


def _by_environment(name: str, read: Callable[[], object]) -> Callable[[str], object]:
    def entry(text: str) -> object:
        with pytest.MonkeyPatch.context() as patch:
            try:
                patch.setenv(name, text)
            except (ValueError, UnicodeEncodeError):
                return text  # no environment holds it
            return read()

    return entry


def _orders(text: str) -> object:
    return parse_orders(f"options_ticks: [{json.dumps(text)}]", "precedence.yaml", {"nse_csv"})


def _place(text: str) -> object:
    place = catalog_place(Path("/base"), "nautilus", text, "2025-08")
    assert place == Path("/base/catalogs/nautilus") / text / "2025-08"
    return place.parent.name if isinstance(place, Path) else place


def _mapping(text: str) -> object:
    path = Path(os.environ["PIPELINE_HOME"]) / "x.mapping.toml"
    path.write_text(f"zone = {json.dumps(text)}\nstamp = {json.dumps(text)}\n", encoding="utf-8")
    return read_mapping(path)


ENTRIES: Final[dict[str, Callable[[str], object]]] = {
    "source of a command": parse_source,
    "dataset of a command": parse_dataset,
    "date of a command": parse_date,
    "instant of a command": parse_instant,
    "length of bars": parse_lengths,
    "source to make": get_source,
    "source to describe": source_entry,
    "format of an export": get_exporter,
    "place": lambda text: str(parse_location(text)),
    "place in a bucket": lambda text: str(parse_s3(text)),
    "key in a bucket": lambda text: parse_s3(f"s3://bucket/{text}").key,
    "folder of an export": folder_name,
    "catalog": _place,
    "bundle": _checked(check_bundle_name),
    "partition of a month": month_dates,
    "partition of a catalog": lambda text: split_catalog_key(f"2025-08|{text}")[1],
    "whole key of a catalog": split_catalog_key,
    "ticker": lambda text: parse_auto(text, DAY),
    "symbol of the universe": lambda text: Named(symbol=text).symbol,
    "underlying of the universe": lambda text: Chain(underlying=text).underlying,
    "exchange of the universe": lambda text: SourceUniverse(exchange=text).exchange,
    "venue of the universe": lambda text: Named(symbol="X", venue=text).venue,
    "source of the precedence": _orders,
    "table of the precedence": lambda text: parse_orders(f"{json.dumps(text)}: [nse_csv]", "precedence.yaml"),
    "line of expectations": lambda text: parse_expectations(f"{','.join(COLUMNS)}\n{text}", "expectations.csv"),
    "tolerances": lambda text: parse_tolerances(text, "tolerances.csv"),
    "mapping": _mapping,
    "underlyings setting": _by_environment("PIPELINE_UNDERLYINGS", lambda: exported_underlyings()[0]),
    "cache setting": _by_environment("PIPELINE_CACHE_GIB", load_settings),
    "home setting": _by_environment("PIPELINE_HOME", lambda: str(load_settings().home)),
    "endpoint setting": _checked(lambda text: check_endpoint(text, "PIPELINE_YAHOO_ENDPOINT")),
}

TAKES: Final = {"place", "home setting", "key in a bucket", "endpoint setting", "folder of an export", "catalog"}
"""Entries to which most of the texts are good names; all others refuse whatever does anything."""

HARMLESS: Final = {"empty", "metadata address", "file address", "nul", "half a character"}
"""Texts that some of the others take: nothing, what is spelled of letters of a symbol, what no environment holds."""


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("entry", ENTRIES)
def test_a_hostile_text_is_refused_with_an_error_or_given_back_exactly(
    entry: str, hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    text = HOSTILE[hostile]
    try:
        given = ENTRIES[entry](text)
    except PipelineError as error:
        refused: Exception = error
    except ValueError as error:  # of pydantic, and how a parser of an option says it
        refused = error
    else:
        assert entry in TAKES or hostile in HARMLESS, f"{entry} took {text[:80]!r}"
        if entry in TAKES - {"home setting"}:
            assert isinstance(given, str)
            named = os.path.normpath(text.removeprefix("~root/")).lstrip("./")
            assert given.startswith("s3://") or os.path.normpath(given).endswith(named)
        return
    finally:
        assert not (tmp_path.parent / "outside").exists()
        assert not (tmp_path / "outside").exists()
    said = str(refused)
    assert said
    if isinstance(refused, PipelineError):
        assert said == showable(said)
        assert "\n" not in (refused.where or "")


def test_no_name_of_a_folder_leads_elsewhere() -> None:
    taken = []
    for text in HOSTILE.values():
        try:
            taken.append(folder_name(text))
        except PipelineError:
            continue
    base = Path("/base")
    assert taken
    assert all(Path(os.path.normpath(base / name)).parent == base for name in taken)
    assert folder_name("M&M") == "M&M"


def test_members_of_a_zip_are_labels_and_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "day.zip"
    names = [text.encode("utf-8", "replace").decode() for text in HOSTILE.values() if 0 < len(text) < 60_000]
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            info = zipfile.ZipInfo(f"{name}.csv")
            info.external_attr = 0o120777 << 16 if number % 2 else 0  # a link, to whoever would unpack it as one
            archive.writestr(info, "/etc/passwd")
    before = sorted(tmp_path.parent.rglob("*"))

    with Archives(ArchiveLimits()) as archives:
        listing = archives.list_files(path)
        assert all(archives.read(entry) == b"/etc/passwd" for entry in listing.entries)

    assert len(listing.entries) + len(listing.unsafe) + len(listing.foreign) == len(names)
    assert not any(".." in entry.packed_name.split("/") for entry in listing.entries)
    assert {entry.label.rpartition(".zip")[2][:3] for entry in listing.unsafe}
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_an_upload_moves_below_its_folder_whatever_its_name_and_links_are_passed_over(tmp_path: Path) -> None:
    drop, outside = tmp_path / "uploads", tmp_path / "outside.csv"
    drop.mkdir()
    outside.write_text("secret", encoding="utf-8")
    (drop / "link.csv").symlink_to(outside)
    (drop / "folder.csv").symlink_to(tmp_path)
    (drop / "gone.csv").symlink_to(tmp_path / "nothing")
    names = set()
    for text in HOSTILE.values():
        name = f"{text}.csv".replace("/", "_").replace("\x00", "_").encode("utf-8", "replace").decode()
        if len(name) < 200:
            (drop / name).write_text("x", encoding="utf-8")
            names.add(name)

    waiting = {upload.path.name for upload in waiting_uploads(drop)}

    assert not waiting & {"link.csv", "folder.csv", "gone.csv"}
    assert waiting == {name for name in names if not name.startswith((".", "~$"))}
    for name in waiting:
        place = find_place(drop / "done", name)
        for path in (place.file, place.mapping, place.report, place.note):
            assert path.parent == drop / "done"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_one_line_of_a_log_stays_one_line_and_an_error_commands_no_terminal(
    hostile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_known", set())  # a test of webhooks reads one of these texts as a secret
    text = HOSTILE[hostile]
    record = logging.LogRecord("vendor", logging.ERROR, "x.py", 1, "said %s", (text,), None)

    line = JsonLines().format(record)
    error = PipelineError(f"symbol {text} is unknown", where=text, next_step=f"correct {text}")

    assert json.loads(line)["message"] == f"said {text}"
    for said in (line, json_line("ERROR", text, text, {text or "x": text})):
        assert len(said.splitlines()) == 1
        assert showable(said) == said
    assert showable(str(error)) == str(error)
    assert len((error.where or "").splitlines()) <= 1
    str(error).encode()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_mail_keeps_its_headers_whatever_the_alert_is_about(hostile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOST": "127.0.0.1", "FROM": "a@example.com", "TO": "b@example.com"}.items():
        monkeypatch.setenv(f"PIPELINE_ALERT_SMTP_{name}", value)
    sent: list[EmailMessage] = []

    def deliver(_: MailNotifier, mail: EmailMessage, _seconds: float) -> dict[str, object]:
        sent.append(mail)
        return {}

    monkeypatch.setattr(MailNotifier, "_deliver", deliver)

    MailNotifier().send(compose([Alert("run failed", HOSTILE[hostile], "2025-08-14")]), timeout_seconds=1)

    (mail,) = sent
    assert mail.keys() == ["Subject", "From", "To", "Content-Type", "Content-Transfer-Encoding", "MIME-Version"]
    assert len(mail["Subject"].splitlines()) == 1
    mail.as_bytes()


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0/", "http://[::]/", "http://2852039166/", "http://203.0.113.5.nip.io/", "ws://example.com",
    ],
)  # fmt: skip
def test_an_address_of_strangers_gets_nothing_without_encryption(address: str) -> None:
    with pytest.raises(PipelineError, match="without being encrypted"):
        check_endpoint(address, "PIPELINE_YAHOO_ENDPOINT")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_plugin_has_a_hostile_name(hostile: str) -> None:
    assert PLUGIN_NAME.fullmatch(HOSTILE[hostile]) is None
