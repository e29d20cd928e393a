"""Programs that this project starts see none of its secrets. Sources: environ(7); git-config(1), core.fsmonitor, which git
runs on `ls-files` and `status`; Pulumi's variables for programs (PULUMI_CONFIG, PULUMI_CONFIG_PASSPHRASE).
"""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from claude_bottle.host.child_env import child_env, interpreter
from claude_bottle.workspace.git_folder import git_output
from claude_bottle.workspace.host_folder import workspace_files

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "PULUMI_CONFIG": '{"claude-bottle:GITHUB_TOKEN": "in-config"}',
    "PULUMI_CONFIG_PASSPHRASE": "a-passphrase",
    "PULUMI_ACCESS_TOKEN": "an-access-token",
    "GITHUB_TOKEN": "a-token\nof two lines",
    "CLAUDE_CODE_OAUTH_TOKEN": "another-token",
    "DOCKER_AUTH_CONFIG": '{"auths": {}}',
    "AWS_SECRET_ACCESS_KEY": "of-the-backend",
}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_ALL", "C")


def leaked(text: str) -> list[str]:
    words = [word for value in SECRETS.values() for word in value.splitlines()]
    return [word for word in words if word in text] + [name for name in SECRETS if f"{name}=" in text]


def test_a_child_gets_what_it_needs_and_no_more() -> None:
    given = child_env({"DOCKER_HOST": "unix:///x"})
    assert not SECRETS.keys() & given.keys()
    assert {"PATH", "LC_ALL", "DOCKER_HOST"} <= given.keys()


def test_git_is_told_whom_the_owner_trusts_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """git-config(1), GIT_CONFIG_COUNT."""
    pairs = [("http.extraHeader", "Authorization: Basic c2VjcmV0"), ("safe.directory", "*")]
    monkeypatch.setenv("GIT_CONFIG_COUNT", "2")
    for number, (key, value) in enumerate(pairs):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    given = {key: value for key, value in child_env().items() if key.startswith("GIT_CONFIG_")}
    assert given == {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}


def test_a_command_of_the_provider_unsets_the_rest_first() -> None:
    argv = [*interpreter({"CONTAINER": ""}), 'env; echo "$CONTAINER"; cat']
    env = {**os.environ, "BASH_FUNC_x%%": "() { echo; }", "CONTAINER": "a name\nof its own"}
    done = subprocess.run(argv, env=env, input="by stdin", capture_output=True, text=True, check=True)
    assert leaked(done.stdout) == []
    assert "a name\nof its own" in done.stdout
    assert "LC_ALL=C" in done.stdout
    assert done.stdout.endswith("by stdin")
    assert done.stderr == ""


def test_what_a_repository_makes_git_run_sees_none(tmp_path: Path) -> None:
    work, seen = tmp_path / "work", tmp_path / "seen"
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\nenv >> {seen}\n")
    hook.chmod(0o755)
    subprocess.run(["git", "init", "-q", work], check=True)
    subprocess.run(["git", "-C", work, "config", "core.fsmonitor", str(hook)], check=True)
    (work / "a").write_text("a")
    workspace_files(work)
    git_output("-C", str(work), "status")
    assert "PATH=" in seen.read_text()
    assert leaked(seen.read_text()) == []


def test_every_child_is_given_its_variables() -> None:
    """Pulumi's own command is the exception: it needs the passphrase and the backend's credentials."""
    without = []
    for file in sorted(
        file for room in ("components", "dashboard", "claude_bottle") for file in (ROOT / room).rglob("*.py")
    ):
        if file.name == "probe.py":  # runs in a sidecar
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in ("run", "Popen", "create_subprocess_exec", "check_output", "check_call", "call"):
                continue
            owner = ast.unparse(node.func.value)
            if owner in ("subprocess", "asyncio") and "env" not in {word.arg for word in node.keywords}:
                without.append(f"{file.name}: {ast.unparse(node.args[0])}" if node.args else file.name)
    pulumi = ["pulumi_stack.py: ['pulumi', 'config', 'set', '--secret', ref, '--stack', stack]"]
    editor = ["ask.py: [*shlex.split(editor), file.name]"]  # the owner's own
    assert sorted(without) == sorted(pulumi + editor)
