"""Which engine a stack is on, and addresses that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_bottle.engines.chosen import open_client
from claude_bottle.engines.docker.address import engine_of, engine_variables, prefix
from claude_bottle.policy.errors import BottleError


def test_the_usual_engine_needs_no_variable(tmp_path: Path) -> None:
    assert engine_variables({}) == {}
    assert engine_variables({"docker:host": None}) == {}
    assert engine_of("nowhere", tmp_path) == {}
    assert prefix({}) == ""


def test_ssh_and_tls(tmp_path: Path) -> None:
    assert engine_variables({"docker:host": "ssh://me@build.example.com"}) == {
        "DOCKER_HOST": "ssh://me@build.example.com"
    }
    tls = engine_variables({"docker:host": "tcp://build.example.com:2376", "docker:certPath": "/certs"})
    assert tls == {
        "DOCKER_HOST": "tcp://build.example.com:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": "/certs",
    }
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/Pulumi.far.yaml").write_text("config:\n  docker:host: ssh://me@build.example.com\n")
    command = open_client("far", tmp_path).inside("agent", ["true"])
    assert command.env["DOCKER_HOST"] == "ssh://me@build.example.com"
    assert prefix(engine_of("far", tmp_path)) == "DOCKER_HOST=ssh://me@build.example.com "


def test_a_file_that_cannot_be_read_names_no_engine_and_not_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/Pulumi.torn.yaml").write_text("config:\n  docker:host: [ssh://me@build\n")
    with pytest.raises(BottleError, match="the engine of torn is unknown"):
        open_client("torn", tmp_path)


@pytest.mark.parametrize(
    "host", ["build.example.com", "ssh://", "http://x.example.com", "ssh://a b", 5, "tcp://x.example.com"]
)
def test_what_is_no_address_is_refused(host: object) -> None:
    with pytest.raises(BottleError, match="docker:host"):
        engine_variables({"docker:host": host})


def test_an_engine_that_anybody_could_use_is_refused() -> None:
    with pytest.raises(BottleError, match="without docker:certPath"):
        engine_variables({"docker:host": "tcp://build.example.com:2375"})
    assert engine_variables({"docker:host": "tcp://127.0.0.1:2375"})  # a tunnel of the owner's own
