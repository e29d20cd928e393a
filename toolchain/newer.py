"""Newer versions of what this checkout pins. Each query uses the client of its server, and has a time limit."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from claude_bottle.engines.images.base_image import BaseLock
from toolchain.docker_engine import snapshots_answer
from toolchain.go_build import find_go
from toolchain.shell import ROOT, quiet, run

AGENT = ROOT / "sidecar_images/agent"
GITLEAKS = ROOT / "sidecar_images/git_gate/gitleaks"
CLAUDE = "@anthropic-ai/claude-code"
# Release branches of the engine that Moby no longer maintains, and since which day (its BRANCHES-AND-TAGS.md).
ENGINE_ENDED = {"20.10": "2023-12-10", "23.0": "2025-05-19", "24.0": "2024-06-08", "27": "2025-05-03"}


@dataclass(frozen=True)
class Age:
    """One pin. now: its version. days: its age, if the version has a date. newer: None if no server answers."""

    name: str
    now: str
    days: int | None
    newer: str | None

    @property
    def is_old(self) -> bool:
        return self.newer not in (None, self.now)


def claude_now() -> str:
    """The version of Claude Code in the agent's image."""
    return str(json.loads((AGENT / "package.json").read_text())["dependencies"][CLAUDE])


def claude_newest() -> str | None:
    """The newest version of Claude Code; None without npm, or if its registry does not answer."""
    return (quiet("npm", "view", CLAUDE, "version", timeout=30) or None) if shutil.which("npm") else None


def go_now() -> str:
    """The version of Go that builds gitleaks."""
    match = re.search(r"^go (\S+)$", (GITLEAKS / "go.mod").read_text(), re.MULTILINE)
    return match[1] if match else ""


def go_newest() -> str | None:
    """The newest release that Go's own toolchain module lists; None if it cannot be queried."""
    asked = quiet(
        str(find_go()), "list", "-m", "-versions", "golang.org/toolchain", timeout=60, env={"GOTOOLCHAIN": "local"}
    )
    releases = re.findall(r"-go(\d+)\.(\d+)\.(\d+)\.linux-amd64\b", asked or "")
    return ".".join(max(releases, key=lambda parts: tuple(map(int, parts)))) if releases else None


def base_newest(lock: BaseLock) -> str | None:
    """The current digest of the base's tag; None if no registry answers. Pulls the image, a layer of 30 MB."""
    if quiet("docker", "pull", "--quiet", lock.upstream, timeout=300) is None:
        return None
    listing = quiet(
        "docker", "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", lock.upstream
    )
    digests = re.findall(r"@(sha256:[0-9a-f]{64})", listing or "")
    return digests[0] if digests else None


def packages_newer(lock: BaseLock) -> int | None:
    """How many of the base's packages have updates; None if Debian does not answer, or the base does not exist."""
    ask = "apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=10 -o APT::Update::Error-Mode=any update"
    ask += " && apt-get -s dist-upgrade"
    if snapshots_answer():  # the base's own sources are fixed to its snapshot
        ask = f"sed -i 's/{lock.snapshot}/{today()}/' /etc/apt/sources.list && {ask}"
    said = quiet("docker", "run", "--rm", "--user", "0", lock.tag, "sh", "-ec", ask, timeout=120)
    return None if said is None else len(re.findall(r"^Inst ", said, re.MULTILINE))


def today() -> str:
    """Today as a timestamp of Debian's snapshots."""
    return f"{datetime.now(UTC):%Y%m%dT000000Z}"


def days_since(snapshot: str) -> int:
    """Days since a timestamp of Debian's snapshots."""
    return (datetime.now(UTC) - datetime.strptime(snapshot, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)).days


def engine_ended(version: str) -> str | None:
    """The day since which Moby no longer maintains this version of the engine; None if it does, or that is unknown."""
    numbers = version.split(".")
    return ENGINE_ENDED.get(".".join(numbers[:2])) or ENGINE_ENDED.get(numbers[0])


def write_claude(version: str) -> None:
    """Pin this version of Claude Code, with the hashes that npm reports. Raises SetupError."""
    wanted = json.loads((AGENT / "package.json").read_text())
    wanted["dependencies"][CLAUDE] = version
    (AGENT / "package.json").write_text(json.dumps(wanted, separators=(",", ":")))
    argv: list[str | Path] = ["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit"]
    run([*argv, "--omit-lockfile-registry-resolved"], "npm install --package-lock-only", cwd=AGENT, timeout=300)


def write_go(version: str) -> None:
    """Pin the version of Go that builds gitleaks."""
    file = GITLEAKS / "go.mod"
    file.write_text(re.sub(r"^go \S+$", f"go {version}", file.read_text(), flags=re.MULTILINE))
