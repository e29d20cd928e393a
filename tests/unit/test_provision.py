"""The steps in the agent: what they run there, and what an owner reads if one fails. A docker command plays the engine."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from claude_bottle.provision import __main__ as provision

PEM = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n"


class Agent:
    """A docker command that writes down its arguments and its input, and answers as told."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, monkeypatch
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        self.answers("")

    def answers(self, shell: str) -> None:
        command = self._folder / "docker"
        command.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$*" >> {self._folder}/calls\ncat >> {self._folder}/stdin\n{shell}\n'
        )
        command.chmod(0o755)

    def run(self, name: str, **given: Any) -> int:
        self._patch.setattr("sys.argv", ["provision", name])
        self._patch.setattr("sys.stdin", io.StringIO(json.dumps({"container": "c", **given})))
        return provision.main()

    @property
    def calls(self) -> str:
        file = self._folder / "calls"
        return file.read_text() if file.exists() else ""

    @property
    def stdin(self) -> str:
        return (self._folder / "stdin").read_text()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Agent:
    return Agent(tmp_path, monkeypatch)


def test_the_ca_is_installed_by_root_and_in_nss_by_the_agents_user(
    agent: Agent, capsys: pytest.CaptureFixture[str]
) -> None:
    assert agent.run("ca", ca=PEM, sha256="AB:CD") == 0
    assert capsys.readouterr().out == "installed claude-bottle-mitm-ca.crt, SHA-256 AB:CD\n"
    assert agent.stdin == PEM
    users = [line.split()[3] for line in agent.calls.splitlines() if line.startswith("exec -i -u")]
    assert users == ["0", "0", "node"]


def test_a_bundle_without_the_ca_fails_and_another_store_only_warns(
    agent: Agent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.answers('case "$*" in *certutil*) printf "\\033[2J" >&2; exit 1;; esac')
    assert agent.run("ca", ca=PEM, sha256="x") == 0
    assert capsys.readouterr().err == "warning: the NSS database of node in c could not be written\n"
    agent.answers('printf "\\033[2J no such file" >&2; exit 1')
    assert agent.run("ca", ca=PEM, sha256="x") == 1
    said = capsys.readouterr().err
    assert said == (
        "the CA could not be installed in c; does it have update-ca-certificates?\n"
        "Later steps did not run; fix it and run up again.\n"
    )


def test_prompt_and_git_settings_go_by_standard_input(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    assert agent.run("prompt", prompt="Be brief; $(id) 'quoted'") == agent.run("git", config="[a]\n\tb = c\n") == 0
    assert agent.stdin == "Be brief; $(id) 'quoted'[a]\n\tb = c\n"
    assert "$(id)" not in agent.calls
    agent.answers("exit 1")
    assert agent.run("prompt", prompt="x") == 1
    assert capsys.readouterr().err.startswith("the prompt could not be put into c; is /home/node full")


@pytest.mark.parametrize(
    ("count", "wanted", "verb"),
    [("0", True, "claude mcp add"), ("2", True, ""), ("2", False, "claude mcp remove"), ("0", False, ""), ("", True, "claude mcp add")],
)  # fmt: skip
def test_the_mcp_server_is_registered_if_it_is_wanted(agent: Agent, count: str, wanted: bool, verb: str) -> None:
    agent.answers(f'case "$*" in *grep*) echo {count};; esac')
    assert agent.run("supervise", wanted=wanted) == 0
    assert ("claude mcp" in agent.calls) == bool(verb)
    assert verb in agent.calls


def test_without_the_registration_the_bottle_is_up_all_the_same(
    agent: Agent, capsys: pytest.CaptureFixture[str]
) -> None:
    agent.answers('case "$*" in *grep*) echo 0;; *) exit 1;; esac')
    assert agent.run("supervise", wanted=True) == 0
    said = capsys.readouterr().err
    assert "by hand: docker exec -i -u node c claude mcp add --scope user --transport http supervise" in said
