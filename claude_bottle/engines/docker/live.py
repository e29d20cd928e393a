"""Asks each sidecar what is live in it: the policy in force, its files, whether it answers. Changes nothing."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from claude_bottle.engines.docker.naming import docker_name

PROBE = Path(__file__).with_name("live_probe.py")
PYTHON = ("/usr/bin/python3", "-I", "-S", "-")
_WAIT = 5.0  # seconds for one answer of the engine
_NO_PYTHON = re.compile("executable file not found|no such file or directory")
_RUN = "/run/claude-bottle"
# What a proxy's own start makes of its files, and what it then uses.
_PROXY_USES = (f"{_RUN}/mitm", f"{_RUN}/upstream-bundle.pem")
_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Sidecar:
    """check: succeeds when the part is ready. put: ending of the name of the command that makes it so.

    each: folders and files that are told by name. whole: folders that count as one. policy: put there while it runs.
    settings: git configs, a pattern below /.
    """

    check: tuple[str, ...]
    put: str
    each: tuple[str, ...]
    whole: tuple[str, ...] = ("/app",)
    policy: str = ""
    settings: str = ""

    @cached_property
    def spec(self) -> str:
        """What the probe is told, as JSON."""
        half = self.policy.rpartition(".")[0] + ".new"  # what a put that was killed has left
        told = {"check": self.check, "policy": self.policy, "status": f"{_RUN}/status.json", "settings": self.settings}
        return json.dumps({**told, "each": self.each, "whole": self.whole, "not": [self.policy, half]})


SIDECARS: Mapping[str, Sidecar] = {
    "egress": Sidecar(
        ("/app/healthy.sh", "8080", "_egress.local"),
        "routes-put",
        ("/etc/claude-bottle", *_PROXY_USES, _ROOTS),
        policy="/etc/claude-bottle/routes.json",
    ),
    "pipelock": Sidecar(
        ("/app/healthy.sh", "8888", "_pipelock.local"),
        "policy-put",
        ("/etc/pipelock", *_PROXY_USES, _ROOTS),
        policy="/etc/pipelock/pipelock.yaml",
    ),
    "git-gate": Sidecar(
        ("/app/healthy.sh",),
        "ready",
        # The settings of a mirror, and of the gate's user, could name other hooks and other upstreams.
        ("/etc/git-gate", "/etc/gitconfig", "/run/git-gate/.gitconfig", "/run/git-gate/.config",
         "/run/git-gate/roots.pem", _ROOTS),
        ("/app", "/usr/local/bin"),
        settings="srv/git/*.git/config",
    ),
    "supervise": Sidecar(("/app/supervise/healthy.sh",), "ready", ("/etc/supervise", _ROOTS)),
}  # fmt: skip


@cache
def version(role: str) -> str:
    """Of what the probe looks at: what another version has kept cannot be compared."""
    return hashlib.sha256(PROBE.read_bytes() + SIDECARS[role].spec.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Look:
    """What was found of one sidecar.

    state: running, stopped, gone, or unknown, and then `why`. ready: its check succeeds. live, disk: SHA-256 of the
    policy in force and of its file, None for a part without one. files: fingerprints that the container has sealed.
    plain: path to SHA-256, of a container in which no probe can run.
    """

    state: str
    why: str = ""
    ready: bool = True
    live: str | None = None
    disk: str | None = None
    files: Mapping[str, str] | None = None
    plain: Mapping[str, str] | None = None


def look(role: str, stack: str, env: Mapping[str, str]) -> Look:
    """Ask one sidecar; an answer within seconds, whatever is the matter with it."""
    name, sidecar = docker_name(role, stack), SIDECARS[role]
    try:
        done = _docker(["exec", "-i", name, *PYTHON, "look", sidecar.spec], env, PROBE.read_bytes())
        if done.returncode == 0:
            return _read(json.loads(done.stdout))
        said = done.stderr.decode(errors="replace").strip()
        state = _state(name, env)
        if state == "running" and _NO_PYTHON.search(said):
            return Look("running", plain=_copied(name, sidecar.each[0], env))
    except subprocess.TimeoutExpired:
        return Look("unknown", f"gave no answer within {_WAIT:g} s")
    except (OSError, ValueError, KeyError, TypeError, tarfile.TarError) as error:
        return Look("unknown", f"gave no answer that can be read ({type(error).__name__})")
    if state == "running":
        return Look("unknown", (said.splitlines() or ["gave no answer"])[-1][:200])
    return Look(state)


def _state(name: str, env: Mapping[str, str]) -> str:
    done = _docker(["inspect", "-f", "{{.State.Status}}", name], env)
    if done.returncode != 0:
        return "gone" if b"no such" in done.stderr.lower() else "running"
    return "running" if done.stdout.strip() == b"running" else "stopped"


def _read(told: dict[str, Any]) -> Look:
    policy = told["policy"] or {}
    files = {str(path): str(digest) for path, digest in told["files"].items()}
    return Look("running", "", bool(told["ready"]), policy.get("live"), policy.get("disk"), files)


def _copied(name: str, folder: str, env: Mapping[str, str]) -> dict[str, str]:
    done = _docker(["cp", f"{name}:{folder}", "-"], env)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member) if member.isfile() else None
            if not member.isdir():
                path = f"{folder.rpartition('/')[0]}/{member.name}"
                found[path] = hashlib.sha256(content.read()).hexdigest() if content else "no file"
    return found


def _docker(argv: Sequence[str], env: Mapping[str, str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["docker", *argv], input=stdin, capture_output=True, timeout=_WAIT, check=False, env=dict(env)
    )
