"""`make audit`: known vulnerabilities in the locks. Python packages by pip-audit, Go modules by govulncheck.

Exit code: 0 nothing found, 1 something found, 3 a database could not be reached and nothing was found elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.go_build import build_environment, find_go
from toolchain.pulumi_cli import CLI, PROVIDERS
from toolchain.shell import CACHE, ROOT, SetupError, run, say

LOCKS = ("requirements-dev.lock", "sidecar_images/proxy/proxy.lock", "sidecar_images/supervise/supervise.lock")
GITLEAKS = ("sidecar_images/git_gate/gitleaks", "github.com/zricethezav/gitleaks/v8")
VULNCHECK = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
VULNDB = "golang.org/x/vulndb@latest"


@dataclass(frozen=True)
class Outcome:
    """holes: one line each. unreachable: why the result is unknown, or ""."""

    what: str
    holes: tuple[str, ...] = ()
    unreachable: str = ""


def audit() -> int:
    """Print the result for every lock. Returns the exit code."""
    outcomes = [*(_python(lock) for lock in LOCKS), *_go()]
    for outcome in outcomes:
        print(f"{outcome.what}: {outcome.unreachable or f'{len(outcome.holes)} found'}")
        for line in outcome.holes:
            print(f"  {line}")
    return exit_code(outcomes)


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """The exit code. A finding takes precedence over an unreachable database."""
    listed = list(outcomes)
    return 1 if any(o.holes for o in listed) else 3 if any(o.unreachable for o in listed) else 0


def python_outcome(lock: str, report: dict[str, Any]) -> Outcome:
    """Parse pip-audit's JSON. A package that the database does not know counts as not checked."""
    entries = report.get("dependencies", [])
    skipped = [entry["name"] for entry in entries if "skip_reason" in entry]
    if not entries or len(skipped) == len(entries):
        return Outcome(lock, unreachable="the database of Python vulnerabilities could not be reached")
    holes = [
        f"{entry['name']} {entry['version']}: {hole['id']}, fixed in {', '.join(hole['fix_versions']) or 'none yet'}"
        for entry in entries
        for hole in entry.get("vulns", [])
    ]
    return Outcome(lock, tuple(holes + [f"{name}: not checked" for name in skipped]))


def go_outcome(what: str, lines: Iterable[dict[str, Any]]) -> Outcome:
    """Parse govulncheck's JSON: each vulnerability whose function is in the binary, once, with the fixed version."""
    holes: dict[str, str] = {}
    for line in lines:
        finding = line.get("finding")
        if finding and finding["trace"][0].get("function"):
            at = finding["trace"][0]
            holes[finding["osv"]] = f"{finding['osv']}: {at['module']} {at.get('version', '')}, fixed in " + (
                finding.get("fixed_version") or "none yet"
            )
    return Outcome(what, tuple(holes[name] for name in sorted(holes)))


def database(source: Path, target: Path) -> None:
    """Convert Go's module of vulnerability reports to a database in govulncheck's format."""
    (target / "ID").mkdir(parents=True)
    (target / "index").mkdir()
    modules: dict[str, dict[str, dict[str, str]]] = {}
    holes = []
    for file in sorted(source.glob("*.json")):
        entry = json.loads(file.read_text())
        (target / "ID" / file.name).write_text(json.dumps(entry))
        hole = {"id": entry["id"], "modified": entry["modified"]}
        holes.append({**hole, "aliases": entry.get("aliases", [])})
        for affected in entry["affected"]:
            events = [event for way in affected.get("ranges", []) for event in way["events"]]
            fixed = [event["fixed"] for event in events if "fixed" in event]
            known = modules.setdefault(affected["package"]["name"], {})
            known[entry["id"]] = {**hole, **({"fixed": fixed[-1]} if fixed else {})}
    index = {
        "db": {"modified": max((hole["modified"] for hole in holes), default="")},
        "modules": [{"path": path, "vulns": list(known.values())} for path, known in sorted(modules.items())],
        "vulns": holes,
    }
    for name, value in index.items():
        (target / "index" / f"{name}.json").write_text(json.dumps(value))


def _python(lock: str) -> Outcome:
    home = CACHE / "audit" / hashlib.sha256((ROOT / "toolchain/audit.lock").read_bytes()).hexdigest()[:16]
    program = home / "bin/pip-audit"
    try:
        if not program.exists():
            run([sys.executable, "-m", "venv", home], "venv for pip-audit")
            install: list[str | Path] = [
                "install",
                "--require-hashes",
                "--no-deps",
                "-r",
                ROOT / "toolchain/audit.lock",
            ]
            run([home / "bin/pip", *install], "pip install pip-audit")
        asked = subprocess.run(
            [program, "--disable-pip", "--no-deps", "--progress-spinner", "off", "-f", "json", "-r", ROOT / lock],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        return python_outcome(lock, json.loads(asked.stdout))
    except (SetupError, OSError, ValueError, subprocess.TimeoutExpired):
        return Outcome(lock, unreachable="the database of Python vulnerabilities could not be reached")


def _go() -> list[Outcome]:
    """The results for the programs as they are built: gitleaks, and the pieces of the set-up."""
    go, environment = str(find_go()), build_environment()
    with tempfile.TemporaryDirectory(prefix="claude-bottle-audit-") as name:
        folder = Path(name)
        try:
            run([go, "install", VULNCHECK], "go install govulncheck", env={**environment, "GOBIN": name, "GOFLAGS": ""})
            asked = [go, "mod", "download", "-json", VULNDB]
            got = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=True, timeout=600)
            database(Path(json.loads(got.stdout)["Dir"]) / "data/osv", folder / "db")
        except (SetupError, subprocess.SubprocessError, OSError, ValueError, KeyError):
            return [Outcome("Go's modules", unreachable="the database of Go vulnerabilities could not be reached")]
        gitleaks = folder / "gitleaks"
        build: list[str | Path] = [go, "build", "-trimpath", "-buildvcs=false", "-o", gitleaks, GITLEAKS[1]]
        # With the modules of both variants in the image. This RE2 variant needs no C++.
        flags = {**environment, "GOFLAGS": "-mod=readonly -tags=gore2regex"}
        run(build, "build gitleaks", cwd=ROOT / GITLEAKS[0], env=flags)
        programs = {"gitleaks": gitleaks, **{p.binary: p.build() for p in (*CLI, *PROVIDERS.values())}}
        outcomes = []
        for what, program in programs.items():
            say(f"      {what}")
            check: list[str | Path] = [folder / "govulncheck", "-db", f"file://{folder}/db", "-format", "json"]
            ask = [*check, "-mode", "binary", program]
            said = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=900)
            outcomes.append(go_outcome(what, documents(said.stdout)))
        return outcomes


def documents(text: str) -> Iterable[dict[str, Any]]:
    """Concatenated JSON documents."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        while text[at].isspace():
            at += 1
        document, at = decoder.raw_decode(text, at)
        yield document
