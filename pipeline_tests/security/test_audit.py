"""The audit of dependencies, with the real pip-audit asking a service of advisories on loopback."""

from __future__ import annotations

import datetime as dt
import json
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tools import audit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HASH = "0" * 64
TODAY = dt.date(2026, 6, 1)
ADVISORY = {
    "id": "PYSEC-2026-7",
    "aliases": ["CVE-2026-7"],
    "summary": "made up",
    "affected": [
        {
            "package": {"name": "harmless", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.0"}]}],
            "versions": ["1.0"],
        }
    ],
}


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Speak OSV's API: one package has an advisory."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found: dict[str, Any] = {"vulns": [ADVISORY]} if asked["package"]["name"] == "harmless" else {}
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def run(folder: Path, url: str, requirements: str, exceptions: str = "", *more: str) -> int:
    file, explained = folder / "requirements.txt", folder / "exceptions.toml"
    file.write_text(requirements, encoding="utf-8")
    explained.write_text(exceptions, encoding="utf-8")
    arguments = ["--requirements", str(file), "--exceptions", str(explained), "--osv-url", url, *more]
    return audit.main(arguments, today=TODAY)


def exception(expires: str) -> str:
    return f'[[advisory]]\nid = "CVE-2026-7"\npackage = "Harmless"\nreason = "not called"\nexpires = {expires}\n'


SOUND = f"sound==1.0 --hash=sha256:{HASH}\n"
HARMLESS = f"harmless==1.0 \\\n    --hash=sha256:{HASH}\n"


def test_a_clean_answer_passes_and_says_how_many_were_asked_about(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, service, SOUND, "", "--strict") == 0
    assert "advisories: 1 packages were asked about" in capsys.readouterr().out


def test_a_finding_fails_unless_it_is_explained_until_a_day_that_has_not_passed(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, service, SOUND + HARMLESS) == 1
    assert "FAILED: harmless 1.0: PYSEC-2026-7 / CVE-2026-7, mended in 2.0" in capsys.readouterr().out
    assert run(tmp_path, service, SOUND + HARMLESS, exception("2026-06-01")) == 0
    assert "until 2026-06-01: not called" in capsys.readouterr().out
    assert run(tmp_path, service, SOUND + HARMLESS, exception("2026-05-31")) == 1
    assert "the exception for it ended on 2026-05-31" in capsys.readouterr().out


def test_an_exception_that_explains_nothing_fails(service: str, tmp_path: Path) -> None:
    assert run(tmp_path, service, SOUND, exception("2026-12-31")) == 1


def test_a_service_that_cannot_be_asked_is_no_clean_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = "http://127.0.0.1:9/v1/query"

    assert run(tmp_path, nowhere, SOUND) == 0
    assert "NOT AUDITED: advisories" in capsys.readouterr().out
    assert run(tmp_path, nowhere, SOUND, "", "--strict") == 1


def test_a_package_that_the_service_skipped_was_not_audited() -> None:
    outcome = audit.Outcome()
    locked = [audit.Locked("sound", "1.0", (HASH,))]
    report = {"dependencies": [{"name": "sound", "skip_reason": "Dependency not found and could not be audited"}]}

    audit.judge_advisories(report, locked, {}, TODAY, outcome)

    assert outcome.failures == []
    assert "not found" in outcome.unasked[0]
    assert outcome.tell(strict=True) == 1
    assert outcome.tell(strict=False) == 0


@pytest.mark.parametrize("line", ["sound==1.0", "sound>=1.0", "sound @ git+https://example.com/sound", "-e ."])
def test_what_is_not_pinned_with_a_hash_fails(line: str, tmp_path: Path) -> None:
    outcome = audit.Outcome()
    (tmp_path / "requirements.txt").write_text(f"# locked\n{line}\n")

    audit.read_locked(tmp_path / "requirements.txt", outcome)

    assert len(outcome.failures) == 1


def test_a_licence_that_asks_something_is_explained_or_fails() -> None:
    locked = [audit.Locked("backtrader", "1", (HASH,)), audit.Locked("polars", "1", (HASH,))]
    outcome = audit.Outcome()
    audit.judge_licences(locked, {}, outcome)
    assert [line.partition(" ")[0] for line in outcome.failures] == ["backtrader"]


def test_the_bill_of_materials_names_every_locked_package_with_hashes_and_its_licence(tmp_path: Path) -> None:
    outcome = audit.Outcome()
    locked = audit.read_locked(audit.LOCKED[0], outcome)
    licences = audit.judge_licences(locked, tomllib.loads(audit.EXCEPTIONS.read_text()), outcome)

    assert audit.write_sbom(audit.LOCKED[0], licences, tmp_path / "sbom.json") == []
    assert outcome.failures == []

    components = {
        (audit.canonical(one["name"]), one["version"]): one
        for one in json.loads((tmp_path / "sbom.json").read_text())["components"]
    }
    assert set(components) == {(one.name, one.version) for one in locked}
    for one in locked:
        component = components[one.name, one.version]
        told = {digest["content"] for part in component["externalReferences"] for digest in part["hashes"]}
        assert told == set(one.hashes)
        assert ("licenses" in component) == (one.name in licences)
    assert len(licences) > len(locked) * 0.9
