"""One engine for docker's command line and for Pulumi's provider, whatever `docker context use` has chosen.

The store is made as docker makes it (docs.docker.com/engine/manage-resources/contexts), and compared with docker's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from claude_bottle.engines.docker.context import context_in_use, followed, not_followed
from toolchain.environment import environment

pytestmark = pytest.mark.skipif(shutil.which("docker") is None, reason="docker's command line makes the store")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def docker(home: Path, *argv: str) -> str:
    env = {"HOME": str(home), "PATH": os.environ["PATH"]}
    return subprocess.run(["docker", *argv], env=env, check=True, capture_output=True, text=True).stdout.strip()


def test_the_context_in_use_is_followed(home: Path) -> None:
    assert context_in_use({}, home) is None
    docker(home, "context", "create", "two", "--docker", "host=unix:///run/two.sock")
    docker(home, "context", "create", "far", "--docker", "host=ssh://me@build.example.com")
    assert followed({}, home) == {}
    docker(home, "context", "use", "two")
    assert followed({}, home) == {"DOCKER_HOST": "unix:///run/two.sock"}
    assert docker(home, "context", "inspect", "-f", "{{.Endpoints.docker.Host}}") == "unix:///run/two.sock"
    assert environment()["DOCKER_HOST"] == "unix:///run/two.sock"
    assert followed({"DOCKER_CONTEXT": "far"}, home) == {"DOCKER_HOST": "ssh://me@build.example.com"}
    assert followed({"DOCKER_HOST": "unix:///x"}, home) == {}


def test_what_would_be_on_two_engines_is_told(home: Path) -> None:
    docker(home, "context", "create", "two", "--docker", "host=unix:///run/two.sock")
    docker(home, "context", "use", "two")
    (finding,) = not_followed({}, home, "s")
    assert "docker:host: unix:///run/two.sock" in finding.message
    assert not [*not_followed({"DOCKER_HOST": "unix:///run/two.sock"}, home, "s")]
    docker(home, "context", "use", "default")
    assert not [*not_followed({}, home, "s")]


def test_certificates_of_a_context_are_not_to_be_had_by_a_variable(home: Path) -> None:
    pem = home / "ca.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=ca",
    ]
    subprocess.run([*command, "-keyout", home / "ca.key", "-out", pem], check=True, capture_output=True)
    docker(home, "context", "create", "tls", "--docker", f"host=tcp://build.example.com:2376,ca={pem}")
    docker(home, "context", "use", "tls")
    assert followed({}, home) == {}
    (finding,) = not_followed({}, home, "s")
    assert "docker:certPath" in finding.message


def test_a_context_that_is_not_there_is_told(home: Path) -> None:
    (finding,) = not_followed({"DOCKER_CONTEXT": "gone"}, home, "s")
    assert "docker context use default" in finding.message
