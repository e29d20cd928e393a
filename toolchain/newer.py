"""What there is that is newer than what this checkout pins. Each question is one client's, and has an end."""

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
# Release branches of the engine that Moby no longer maintains, and since when (its BRANCHES-AND-TAGS.md).
ENGINE_ENDED = {"20.10": "2023-12-10", "23.0": "2025-05-19", "24.0": "2024-06-08", "27": "2025-05-03"}


@dataclass(frozen=True)
class Age:
    """One pinned thing. now: its version. days: its age, where the version says so. newer: None if nobody answers."""

    name: str
    now: str
    days: int | None
    newer: str | None

    @property
    def is_old(self) -> bool:
        return self.newer not in (None, self.now)


def claude_now() -> str:
    """The version of Claude Code that the agent's image gets."""
    return str(json.loads((AGENT / "package.json").read_text())["dependencies"][CLAUDE])


def claude_newest() -> str | None:
    """None where npm is not there, or its registry does not answer."""
    return (quiet("npm", "view", CLAUDE, "version", timeout=30) or None) if shutil.which("npm") else None


def go_now() -> str:
    """The Go that builds gitleaks."""
    match = re.search(r"^go (\S+)$", (GITLEAKS / "go.mod").read_text(), re.MULTILINE)
    return match[1] if match else ""


def go_newest() -> str | None:
    """The newest release, of those that Go's own toolchain module lists; None where it cannot be asked."""
    asked = quiet(
        str(find_go()), "list", "-m", "-versions", "golang.org/toolchain", timeout=60, env={"GOTOOLCHAIN": "local"}
    )
    releases = re.findall(r"-go(\d+)\.(\d+)\.(\d+)\.linux-amd64\b", asked or "")
    return ".".join(max(releases, key=lambda parts: tuple(map(int, parts)))) if releases else None


def base_newest(lock: BaseLock) -> str | None:
    """The digest that the base's tag has today; None where no registry answers. Pulls it: a layer of 30 MB."""
    if quiet("docker", "pull", "--quiet", lock.upstream, timeout=300) is None:
        return None
    listing = quiet(
        "docker", "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", lock.upstream
    )
    digests = re.findall(r"@(sha256:[0-9a-f]{64})", listing or "")
    return digests[0] if digests else None


def packages_newer(lock: BaseLock) -> int | None:
    """How many of the base's packages have newer ones; None where Debian does not answer, or the base is not there."""
    ask = "apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=10 -o APT::Update::Error-Mode=any update"
    ask += " && apt-get -s dist-upgrade"
    if snapshots_answer():  # the base's own sources stand still
        ask = f"sed -i 's/{lock.snapshot}/{today()}/' /etc/apt/sources.list && {ask}"
    said = quiet("docker", "run", "--rm", "--user", "0", lock.tag, "sh", "-ec", ask, timeout=120)
    return None if said is None else len(re.findall(r"^Inst ", said, re.MULTILINE))


def today() -> str:
    """This day as a moment of Debian's snapshots."""
    return f"{datetime.now(UTC):%Y%m%dT000000Z}"


def days_since(snapshot: str) -> int:
    """Days since a moment of Debian's snapshots."""
    return (datetime.now(UTC) - datetime.strptime(snapshot, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)).days


def engine_ended(version: str) -> str | None:
    """Since when nobody at Moby maintains this version of the engine; None where that is not known."""
    numbers = version.split(".")
    return ENGINE_ENDED.get(".".join(numbers[:2])) or ENGINE_ENDED.get(numbers[0])


def write_claude(version: str) -> None:
    """Pin this version, with the hashes of what npm finds. Raises SetupError."""
    wanted = json.loads((AGENT / "package.json").read_text())
    wanted["dependencies"][CLAUDE] = version
    (AGENT / "package.json").write_text(json.dumps(wanted, separators=(",", ":")))
    argv: list[str | Path] = ["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit"]
    run([*argv, "--omit-lockfile-registry-resolved"], "npm install --package-lock-only", cwd=AGENT, timeout=300)


def write_go(version: str) -> None:
    """Build gitleaks with this Go from now on."""
    file = GITLEAKS / "go.mod"
    file.write_text(re.sub(r"^go \S+$", f"go {version}", file.read_text(), flags=re.MULTILINE))
