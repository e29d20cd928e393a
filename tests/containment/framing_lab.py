"""The real image's two proxies and strict servers in one container without a network, driven by cases, many at a time.

It brings no bottle up, so that thousands of cases take minutes. See lab/lab.py for what a case is, lab/strict.py and
lab/strict2.py for the judges.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import world
from lab import wire

from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import render
from claude_bottle.manifest.render.routes import RouteTableFile

HERE = Path(__file__).parent
HOSTS = (wire.HOST, wire.SPLICED, wire.HOST2, wire.SPLICED2)
TOKEN = "lab-token-Zq8vW2nRkT5yLx0BhJ4mUc7D"
METHODS = ["GET", "HEAD", "POST", "PUT", "OPTIONS", "PURGE"]
MANIFEST: dict[str, Any] = {
    "egress": {
        "routes": [
            *({"host": host, "path": ["/ok"], "methods": METHODS} for host in HOSTS),
            *({"host": host, "path": ["/key"], "methods": METHODS, "token_ref": "LAB_TOKEN"} for host in HOSTS[::2]),
        ]
    },
    "pipelock": {
        "allow_private_addresses": list(HOSTS),
        "passthrough": [wire.SPLICED, wire.SPLICED2],
        "ca_files": ["root.pem"],
        "dlp": {"max_body_mb": 1},
    },
}


@dataclass
class Outcome:
    """What became of one case: the client's result, and what servers and logs say of it."""

    result: dict[str, Any] = field(default_factory=dict)
    strict: list[dict[str, Any]] = field(default_factory=list)
    pipelock: list[dict[str, Any]] = field(default_factory=list)
    egress: list[dict[str, Any]] = field(default_factory=list)

    @property
    def seen(self) -> list[dict[str, Any]]:
        return [line for line in self.strict if line["kind"] == "request"]

    @property
    def broken(self) -> list[dict[str, Any]]:
        return [line for line in self.strict if line["kind"] == "broken"]


@dataclass
class Batch:
    """What became of many cases. unclaimed: lines of servers that belong to none of them."""

    outcomes: dict[str, Outcome]
    unclaimed: list[dict[str, Any]]
    alive: bool
    errors: dict[str, str]


class Lab:
    """Runs cases."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, cases: Sequence[dict[str, Any]]) -> Batch:
        """Send all, many at a time; lines are given to cases by the id in their path."""
        threading.Thread(target=self._send, args=(cases,), daemon=True).start()
        outcomes: dict[str, Outcome] = defaultdict(Outcome)
        assert self._process.stdout
        for line in self._process.stdout:
            report = json.loads(line)
            if "end" in report:
                return self._attribute(outcomes, report)
            outcomes[report["id"]].result = report
        raise AssertionError("the lab ended")

    def _send(self, cases: Sequence[dict[str, Any]]) -> None:
        assert self._process.stdin
        for case in [*cases, {"end": True}]:
            self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()

    def _attribute(self, outcomes: dict[str, Outcome], report: dict[str, Any]) -> Batch:
        unclaimed = []
        for name in ("strict", "strict2"):
            for line in report["lines"][name]:
                for case in line.get("ids", ()):
                    outcomes[case].strict.append(line)
                if not line.get("ids") and line["kind"] in ("request", "broken"):
                    unclaimed.append(line)
        for name in ("pipelock", "egress"):
            for line in report["lines"][name]:
                for case in wire.ID.findall(str(line.get("path", ""))):
                    getattr(outcomes[case], name).append(line)
        return Batch(outcomes, unclaimed, report["alive"], report["errors"])


@contextlib.contextmanager
def lab(manifest: dict[str, Any] = MANIFEST, quiet: float = 0.5, together: int = 24) -> Iterator[Lab]:
    """Up in a few seconds; taken away at the end, also when a test failed."""
    with container("lab.lab", manifest, quiet, together) as process:
        yield Lab(process)


@contextlib.contextmanager
def container(
    module: str, manifest: dict[str, Any] = MANIFEST, quiet: float = 0.5, together: int = 24
) -> Iterator[subprocess.Popen[str]]:
    """The lab's container, which runs this module of it; ready to read cases."""
    image, run = world.built("egress"), secrets.token_hex(4)
    name = f"claude-bottle-test-lab-{run}"
    read = Manifest.model_validate(manifest)
    given = {
        "routes": RouteTableFile.of(read).table,
        "pipelock": render(read),
        "tokens": {"EGRESS_TOKEN_0": TOKEN},
    }
    argv = ["create", "-i", "--init", "--name", name, "--label", f"{world.LABEL}={run}", "--network", "none"]
    for host, address in zip(HOSTS, ("127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"), strict=True):
        argv += ["--add-host", f"{host}:{address}"]
    argv += ["--user", "0", "--memory", "2g", "-e", f"LAB_QUIET={quiet}", "-e", f"LAB_TOGETHER={together}"]
    argv += ["--workdir", "/", "--entrypoint", "/opt/proxy/bin/python", image, "-u", "-m", module]
    try:
        world.docker(*argv)
        files = {f"lab/{file.name}": file.read_bytes() for file in (HERE / "lab").glob("*.py")}
        world.docker("cp", "-", f"{name}:/", stdin=world.tar(files))
        process = subprocess.Popen(
            ["docker", "start", "-ai", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(given) + "\n")
        process.stdin.flush()
        ready = process.stdout.readline()
        assert ready, "the lab did not start"
        yield process
        process.stdin.close()
        process.wait(20)
    finally:
        world.docker("rm", "-f", "-v", name, check=False)
