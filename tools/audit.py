"""Audit what the project installs: advisories, hashes, licences; and write its bill of materials.

    python tools/audit.py [--strict] [--sbom FILE] [--service pypi|osv] [--osv-url URL]

Exit code 0 if nothing is wrong that ``audit_exceptions.toml`` does not explain; 1 otherwise. An advisory service that
could not be asked makes **no** clean audit: it is printed as NOT AUDITED with the reason, and fails with ``--strict``.

What cannot be known without a network is not claimed: whether a version was yanked, and when a package was last
released, are not looked at.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LOCKED: Final = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
EXCEPTIONS: Final = ROOT / "tools" / "audit_exceptions.toml"
TIMEOUT_SECONDS: Final = 600

_PIN: Final = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)")
_COPYLEFT: Final = re.compile(r"\b(?:A?GPL|LGPL|MPL|EUPL|CDDL|EPL|OSL|SSPL|CC-BY-SA)", re.IGNORECASE)
_PROPRIETARY: Final = re.compile(r"\b(?:SSPL|BUSL|Business Source|Commons Clause|Elastic License)", re.IGNORECASE)


@dataclass
class Outcome:
    """What was found.

    Parameters
    ----------
    failures : list of str
        What must be mended or explained.
    notes : list of str
        What is explained, or worth knowing.
    unasked : list of str
        Why something was not audited.

    """

    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)

    def tell(self, *, strict: bool) -> int:
        """Print it, and give the exit code."""
        for kind, lines in (("note", self.notes), ("NOT AUDITED", self.unasked), ("FAILED", self.failures)):
            for line in lines:
                print(f"{kind}: {line}")
        failed = bool(self.failures) or (strict and bool(self.unasked))
        print("audit failed" if failed else "audit passed" + (", in part" if self.unasked else ""))
        return int(failed)


@dataclass(frozen=True)
class Locked:
    """A package of a requirements file.

    Parameters
    ----------
    name, version : str
        As pinned; the name in its canonical form.
    hashes : tuple of str
        SHA-256 of its files.

    """

    name: str
    version: str
    hashes: tuple[str, ...]


def read_locked(path: Path, outcome: Outcome) -> list[Locked]:
    """Read the pins of a requirements file; whatever is not pinned with hashes is a failure."""
    found = []
    for entry in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        text = entry.strip()
        if not text or text.startswith("#"):
            continue
        pin = _PIN.match(text)
        if pin is None:
            outcome.failures.append(f"{path.name}: {text[:80]!r} is no version of a package of the index")
            continue
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", text))
        if not hashes:
            outcome.failures.append(f"{path.name}: {pin['name']} {pin['version']} is locked without a hash")
        found.append(Locked(canonical(pin["name"]), pin["version"], hashes))
    return found


def canonical(name: str) -> str:
    """Give the form in which two spellings of a package's name are equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def ask_for_advisories(requirements: Path, arguments: list[str]) -> dict[str, Any] | str:
    """Run pip-audit on a requirements file; gives its report, or why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "pip_audit", "--requirement", str(requirements), "--disable-pip", "--require-hashes",
            "--format", "json", "--output", str(report), "--progress-spinner", "off", "--cache-dir", folder, *arguments,
        ]  # fmt: skip
        try:
            completed = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return f"pip-audit did not end within {TIMEOUT_SECONDS} s"
        if not report.exists():
            lines = [line for line in completed.stderr.splitlines() if line.strip()]
            return f"pip-audit ended with {completed.returncode}: {lines[-1] if lines else 'it said nothing'}"
        content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return content


def judge_advisories(
    report: dict[str, Any] | str, locked: list[Locked], exceptions: dict[str, Any], today: dt.date, outcome: Outcome
) -> None:
    """Tell findings from what is explained, and both from what was never asked about."""
    if isinstance(report, str):
        outcome.unasked.append(f"advisories: {report}")
        return
    explained = {(canonical(one["package"]), one["id"]): one for one in exceptions.get("advisory", [])}
    told = {canonical(entry["name"]): entry for entry in report["dependencies"]}
    silent = [f"{one.name} {one.version}" for one in locked if "vulns" not in told.get(one.name, {})]
    used = set()
    for name, entry in sorted(told.items()):
        for finding in entry.get("vulns", []):
            names = [finding["id"], *finding.get("aliases", [])]
            key = next((one for one in ((name, known) for known in names) if one in explained), None)
            fixed = ", ".join(finding.get("fix_versions", [])) or "no version yet"
            what = f"{name} {entry['version']}: {' / '.join(names)}, mended in {fixed}"
            if key is None:
                outcome.failures.append(what)
                continue
            used.add(key)
            expires = explained[key]["expires"]
            if expires < today:
                outcome.failures.append(f"{what}; the exception for it ended on {expires}")
            else:
                outcome.notes.append(f"{what}; until {expires}: {explained[key]['reason']}")
    if silent:
        first = ", ".join(silent[:3]) + (", …" if len(silent) > 3 else "")  # noqa: PLR2004 -- enough to see why
        why = next(
            (str(told[one.name]["skip_reason"]) for one in locked if "skip_reason" in told.get(one.name, {})), ""
        )
        outcome.unasked.append(f"advisories of {len(silent)} of {len(locked)} packages ({first}): {why or 'no answer'}")
    else:
        outcome.notes.append(f"advisories: {len(locked)} packages were asked about")
        outcome.failures += [f"the exception for {p} {i} explains nothing any more" for p, i in explained.keys() - used]


def licence_of(name: str) -> str | None:
    """Give the licence that an installed package declares; None if it is not installed, or says nothing."""
    try:
        metadata = distribution(name).metadata
    except PackageNotFoundError:
        return None
    expression = metadata.get("License-Expression")
    classified = [
        one.rpartition(" :: ")[2] for one in metadata.get_all("Classifier") or [] if one.startswith("License")
    ]
    text = (metadata.get("License") or "").strip().partition("\n")[0]
    known = [one for one in (expression, text, *classified) if one and one != "UNKNOWN"]
    return "; ".join(dict.fromkeys(known)) or None


def judge_licences(locked: list[Locked], exceptions: dict[str, Any], outcome: Outcome) -> dict[str, str]:
    """Find licences that ask something of who distributes; gives the licence by package."""
    explained = {canonical(one["package"]): one["reason"] for one in exceptions.get("copyleft", [])}
    found = {one.name: licence for one in locked if (licence := licence_of(one.name)) is not None}
    for name, licence in sorted(found.items()):
        # A choice that includes a permissive licence asks nothing.
        binding = _COPYLEFT.search(licence) and not re.search(r"\bOR\b", licence)
        if _PROPRIETARY.search(licence) or (binding and name not in explained):
            outcome.failures.append(
                f"{name} is under {licence[:80]!r}, and audit_exceptions.toml does not say why it may be"
            )
        elif binding:
            outcome.notes.append(f"{name}: {licence[:80]}: {explained[name]}")
    unread = sorted({one.name for one in locked} - found.keys())
    if unread:
        outcome.notes.append(f"licences not read, not installed here or not declared: {', '.join(unread)}")
    return found


def write_sbom(requirements: Path, licences: dict[str, str], output: Path) -> list[str]:
    """Write the bill of materials of a requirements file as CycloneDX, checked against its schema.

    Returns
    -------
    list of str
        What is wrong with it.

    """
    command = [sys.executable, "-m", "cyclonedx_py", "requirements", "--output-reproducible", str(requirements)]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    if completed.returncode:
        return [f"cyclonedx-py ended with {completed.returncode}: {completed.stderr.strip()[-300:]}"]
    bom: dict[str, Any] = json.loads(completed.stdout)
    for component in bom["components"]:
        component.pop("description", None)  # the line of the requirements file, hashes and all
        component["bom-ref"] = component["purl"]
        for reference in component.get("externalReferences", []):
            # Which index it is fetched from is the installer's to say; the hashes are the same everywhere.
            reference["url"] = component["purl"]
        licence = licences.get(canonical(component["name"]))
        if licence is not None:
            component["licenses"] = [{"license": {"name": licence}}]
    bom["components"].sort(key=lambda component: str(component["purl"]))
    text = json.dumps(bom, indent=1, sort_keys=True) + "\n"
    from cyclonedx.schema import SchemaVersion  # noqa: PLC0415 -- of the tools, not of the project
    from cyclonedx.validation.json import JsonStrictValidator  # noqa: PLC0415

    wrong = JsonStrictValidator(SchemaVersion.from_version(bom["specVersion"])).validate_str(text)
    if wrong is not None:
        return [f"the bill of materials does not fit its schema: {str(wrong)[:300]}"]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    return []


def main(arguments: list[str] | None = None, *, today: dt.date | None = None) -> int:
    """Audit, print, and give the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--strict", action="store_true", help="fail if the advisory service could not be asked")
    parser.add_argument("--requirements", type=Path, action="append", help="file to audit; default both of the project")
    parser.add_argument("--exceptions", type=Path, default=EXCEPTIONS, help="what is explained")
    parser.add_argument("--sbom", type=Path, help="where to write the bill of materials of the first file")
    parser.add_argument("--service", choices=("pypi", "osv"), default="osv", help="where advisories come from")
    parser.add_argument("--osv-url", help="address of another service of the same kind")
    options = parser.parse_args(arguments)
    files = options.requirements or list(LOCKED)
    exceptions = tomllib.loads(options.exceptions.read_text(encoding="utf-8"))
    service = ["--vulnerability-service", options.service]
    service += ["--osv-url", options.osv_url] if options.osv_url else []
    outcome = Outcome()
    for path in files:
        locked = read_locked(path, outcome)
        judge_advisories(
            ask_for_advisories(path, service), locked, exceptions, today or dt.datetime.now(dt.UTC).date(), outcome
        )
        # What develops the project is not distributed with it: only its own requirements' licences are judged.
        if path == files[0]:
            licences = judge_licences(locked, exceptions, outcome)
            if options.sbom is not None:
                outcome.failures += write_sbom(path, licences, options.sbom)
                outcome.notes.append(f"bill of materials: {options.sbom}, {len(locked)} packages")
    return outcome.tell(strict=options.strict)


if __name__ == "__main__":
    sys.exit(main())
