"""Queries each sidecar for its live state: the policy in force, its files, its readiness. Changes nothing."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from claude_bottle.engines.docker.naming import docker_name
from claude_bottle.engines.sidecars import SIDECARS

PROBE = Path(__file__).with_name("probe.py")
PYTHON = ("/usr/bin/python3", "-I", "-S", "-")
_WAIT = 5.0  # seconds for one docker command
_NO_PYTHON = re.compile("executable file not found|no such file or directory")


@cache
def version(role: str) -> str:
    """A hash of the probe and its input. Fingerprints of another version cannot be compared."""
    return hashlib.sha256(PROBE.read_bytes() + SIDECARS[role].spec.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Look:
    """The findings about one sidecar.

    state: running, stopped, gone, or unknown with the reason in `why`. ready: its check succeeds. live, disk: SHA-256
    of the policy in force and of its file, "" if there is none, None for a sidecar without a policy. files: path to
    fingerprint, keyed with the container's seal. plain: path to SHA-256, for a container in which no probe can run.
    """

    state: str
    why: str = ""
    ready: bool = True
    live: str | None = None
    disk: str | None = None
    files: Mapping[str, str] | None = None
    plain: Mapping[str, str] | None = None


def look(role: str, stack: str, env: Mapping[str, str]) -> Look:
    """Inspect one sidecar. Errors and timeouts become state `unknown`; each docker command has 5 seconds."""
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


def _read(answer: dict[str, Any]) -> Look:
    policy = answer["policy"] or {}
    files = {str(path): str(digest) for path, digest in answer["files"].items()}
    return Look("running", "", bool(answer["ready"]), policy.get("live"), policy.get("disk"), files)


def _copied(name: str, folder: str, env: Mapping[str, str]) -> dict[str, str]:
    done = _docker(["cp", f"{name}:{folder}", "-"], env)
    digests = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        for member in tar.getmembers():
            content = tar.extractfile(member) if member.isfile() else None
            if not member.isdir():
                path = f"{folder.rpartition('/')[0]}/{member.name}"
                digests[path] = hashlib.sha256(content.read()).hexdigest() if content else "no file"
    return digests


def _docker(argv: Sequence[str], env: Mapping[str, str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["docker", *argv], input=stdin, capture_output=True, timeout=_WAIT, check=False, env=dict(env)
    )
