"""The steps on the engine: what they make of a sidecar's state, and of networks. A docker command plays the engine."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from claude_bottle.engines.docker.steps import __main__ as steps
from claude_bottle.engines.docker.steps import ready

READY = {"container": "c", "put": [], "content": "", "check": ["/healthy.sh", "80"], "look": ""}


class Engine:
    """A docker command that writes down its arguments and its input, and answers by a case of shell."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._patch, self._capsys = folder, monkeypatch, capsys
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def run(self, name: str, given: dict[str, Any], **cases: str) -> tuple[int, str, str]:
        """Exit code, standard output and error of a step, for a docker whose verbs do this."""
        command = self._folder / "docker"
        text = "\n".join(f"{verb}) {shell} ;;" for verb, shell in cases.items())
        command.write_text(
            f'#!/bin/sh\necho "$*" >> {self._folder}/calls\ncat >> {self._folder}/stdin\ncase $1 in\n{text}\nesac\n'
        )
        command.chmod(0o755)
        self._patch.setattr("sys.argv", ["steps", name])
        self._patch.setattr("sys.stdin", io.StringIO(json.dumps(given)))
        code = steps.main()
        said = self._capsys.readouterr()
        return code, said.out, said.err

    @property
    def calls(self) -> list[str]:
        return (self._folder / "calls").read_text().splitlines()

    @property
    def stdin(self) -> str:
        return (self._folder / "stdin").read_text()


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Engine:
    monkeypatch.setattr(ready, "_PAUSE", 0.0)
    return Engine(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("state", "call"), [("running", []), ("paused", ["unpause c"]), ("exited", ["start c"]), ("created", ["start c"])]
)
def test_a_sidecar_is_made_to_run(engine: Engine, state: str, call: list[str]) -> None:
    assert engine.run("ready", READY, inspect=f"echo {state}")[0] == 0
    assert engine.calls == ["inspect -f {{.State.Status}} c", *call, "exec c /healthy.sh 80"]


def test_a_policy_is_put_by_root_before_the_check(engine: Engine) -> None:
    given = {**READY, "put": ["put.py", "routes"], "content": '{"routes": "ü"}', "look": '{"each": []}'}
    answers = 'case "$*" in *put.py*) echo live 12;; *keep*) echo \'{"files": {}}\';; esac'
    code, out, err = engine.run("ready", given, inspect="echo running", exec=answers)
    assert (code, out, err) == (0, 'live 12\n{"files": {}}\n', "")
    put, check, look = engine.calls[1:]
    assert (put, check) == ("exec -i -u 0 c put.py routes", "exec c /healthy.sh 80")
    assert look == 'exec -i c /usr/bin/python3 -I -S - keep {"each": []}'
    assert engine.stdin == given["content"] + ready.PROBE.read_text()


def test_a_policy_that_is_refused_is_the_reason(engine: Engine) -> None:
    refuses = 'case "$*" in *put.py*) echo "refused: no such host" >&2; exit 1;; esac'
    code, out, err = engine.run("ready", {**READY, "put": ["put.py"]}, inspect="echo running", exec=refuses)
    assert (code, out, err) == (1, "", "refused: no such host\n")


def test_the_check_is_tried_again_and_has_an_end(engine: Engine, tmp_path: Path) -> None:
    later = f"test $(grep -c healthy {tmp_path}/calls) -ge 4"
    assert engine.run("ready", READY, inspect="echo running", exec=later)[0] == 0
    assert len(engine.calls) == 5
    words = "printf 'one\\n'; printf 'two\\033[2J\\n' >&2"
    code, _, err = engine.run("ready", READY, inspect="echo running", exec="exit 1", logs=words)
    assert code == 1
    assert err.startswith("c is not ready; its last words:\n") and "one" in err and "two\ufffd[2J" in err
    assert sum("healthy" in call for call in engine.calls) == 4 + 150
    assert engine.calls[-1] == "logs --tail 5 c"


def test_a_sidecar_that_is_gone(engine: Engine) -> None:
    code, _, err = engine.run("ready", READY, inspect="echo No such object >&2; exit 1")
    assert (code, err) == (1, "c is not there any more; run up again\n")


def test_a_container_is_on_its_networks_and_no_other(engine: Engine, tmp_path: Path) -> None:
    joined = {"a": ["agent", "bridge"], "e": ["agent"]}
    seen = [{"Name": f"/{name}", "NetworkSettings": {"Networks": dict.fromkeys(on)}} for name, on in joined.items()]
    (tmp_path / "seen").write_text(json.dumps(seen))
    given = {
        "networks": {"a": [["agent", "agent"]], "e": [["agent", "egress"], ["chain", "egress"]]},
        "processes": {"a": 4096, "e": 1024},
    }
    code, _, err = engine.run("membership", given, inspect=f"cat {tmp_path}/seen")
    assert code == 0
    assert err == "a: taken off bridge, where it does not belong\ne: put back on chain\n"
    assert engine.calls == [
        "inspect a e",
        "network disconnect -f bridge a",
        "network connect --alias egress chain e",
        "update --pids-limit 4096 a",
        "update --pids-limit 1024 e",
    ]


def test_an_engine_that_refuses_fails_the_step(engine: Engine) -> None:
    given = {"networks": {"a": [["agent", "agent"]]}, "processes": {"a": 1}}
    code, _, err = engine.run("membership", given, inspect="echo no such object: a >&2; exit 1")
    assert (code, err) == (1, "no such object: a\n")


def test_all_that_a_policys_command_says_is_told(engine: Engine) -> None:
    """Such as a parser's error, whose cause is not on its last line."""
    given = {**READY, "put": ["put.py", "file"], "content": "x"}
    code, _, err = engine.run(
        "ready", given, inspect="echo running", exec="printf 'refused: one\\n  two\\n' >&2; exit 1"
    )
    assert code == 1
    assert "refused: one\n  two" in err
