"""What is live in a sidecar against what its stack put there: what is told, and what then runs again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from mocked import compose

from claude_bottle.engines.docker.live import look as looking
from claude_bottle.engines.docker.live import probe
from claude_bottle.engines.docker.live.drift import LABEL_MENDED, Drift, Put, drift_of, put_of
from claude_bottle.engines.docker.live.look import Look, look, version
from claude_bottle.engines.sidecars import Sidecar

ONE, TWO = (hashlib.sha256(text).hexdigest() for text in (b"one", b"two"))
ROOT = Path(__file__).parents[2]
FILES = {"/etc/claude-bottle/tokens.json": "aa", "/app": "bb"}
PUT = Put(known=True, done=True, policy=ONE, files=FILES, again="old words", mended="old reason")
SAME = Look("running", live=ONE, disk=ONE, files=FILES)


def test_what_is_as_it_was_put_changes_nothing() -> None:
    """The values of the last time stay, for other ones would be a change."""
    assert drift_of("egress", SAME, PUT) == Drift((), "", "old words", "old reason")
    assert drift_of("egress", SAME, Put(known=True)) == Drift()
    assert drift_of("egress", Look("gone"), Put()) == Drift()


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Look("running", live=TWO, disk=TWO), f"other routes in force than this stack's (sha256 {TWO[:12]} in place"),
        (Look("running", live=ONE, disk=TWO), "routes.json is not this stack's"),
        (Look("running", live=TWO, disk=ONE), "other routes in force"),
        (Look("running", live="", disk=ONE), "has no routes in force"),
        (Look("running", live=ONE, disk=""), "routes.json is not this stack's (sha256 none in place"),
        (Look("running", live=ONE, disk=ONE, ready=False), "egress runs but does not answer"),
        (Look("stopped"), "egress is stopped"),
        (Look("gone"), "egress is missing"),
    ],
)
def test_a_policy_or_a_part_that_is_another_runs_the_command_again(seen: Look, words: str) -> None:
    first, second = (drift_of("egress", seen, PUT, now) for now in (1, 2))
    assert words in first.differences[0]
    assert words in (first.again or "")
    assert first.mended == "old reason"
    assert first.again != second.again


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({**FILES, "/app": "other"}, "/app was changed by hand"),
        ({"/app": "bb"}, "tokens.json was deleted by hand"),
        ({**FILES, "/etc/claude-bottle/x": "cc"}, "/etc/claude-bottle/x was added by hand"),
    ],
)
def test_a_file_that_is_another_makes_a_new_container(files: dict[str, str], words: str) -> None:
    drift = drift_of("egress", Look("running", live=ONE, disk=ONE, files=files), PUT)
    assert words in drift.differences[0]
    assert words in (drift.mended or "")
    assert drift.again == "old words"


def test_what_could_not_be_looked_at_is_said_and_changes_nothing() -> None:
    drift = drift_of("egress", Look("unknown", "gave no answer within 5 s"), PUT)
    assert drift == Drift((), "egress could not be inspected: it gave no answer within 5 s", "old words", "old reason")


def test_where_no_probe_runs_plain_files_are_compared() -> None:
    put = Put(known=True, uploads={"/etc/pipelock/pipelock.yaml": ONE, "/etc/pipelock/ca.pem": ONE})
    drift = drift_of("pipelock", Look("running", plain={"/etc/pipelock/pipelock.yaml": TWO}), put)
    assert drift.differences == (
        "pipelock: /etc/pipelock/ca.pem was deleted by hand",
        "pipelock: /etc/pipelock/pipelock.yaml was changed by hand",
    )


def state(**changes: Any) -> list[dict[str, Any]]:
    urn = "urn:pulumi:s::claude-bottle::x$"
    said = "live 123\n" + json.dumps({"files": FILES})
    command: dict[str, Any] = {
        "urn": f"{urn}command:local:Command::s-egress-routes-put",
        "inputs": {
            "stdin": json.dumps({"content": "one", "probe": version("egress"), "drift": "old words"}),
            "triggers": ["c1"],
            "environment": {},
        },
        "outputs": {"stdout": said},
    }
    secret = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "x"}
    container: dict[str, Any] = {
        "urn": f"{urn}docker:index/container:Container::s-egress-container",
        "id": "c1",
        "inputs": {
            "labels": [{"label": LABEL_MENDED, "value": "old reason"}],
            "uploads": [{"file": "/a", "content": "one"}, {"file": "/b", "content": secret}],
        },
    }
    command["inputs"].update(changes)
    return [{"urn": "urn:pulumi:s::claude-bottle::pulumi:pulumi:Stack::s"}, command, container]


def test_what_was_put_is_read_from_the_state() -> None:
    expected = Put(True, True, ONE, FILES, {"/a": ONE}, "old words", "old reason")
    assert put_of("egress", "s", state()) == expected
    before = {"PROBE": version("egress"), "DRIFT": "old words"}
    assert put_of("egress", "s", state(stdin="one", environment=before)) == expected, "of the release before"
    assert put_of("egress", "s", []) == Put(uploads={})


def test_what_was_put_into_another_container_or_by_another_probe_is_not_compared() -> None:
    other = put_of("egress", "s", state(triggers=["c0"]))
    assert (other.done, other.policy, other.files) == (False, None, None)
    assert put_of("egress", "s", state(stdin=json.dumps({"probe": "old"}))).files is None
    assert put_of("egress", "s", state(stdin="[]")).policy is None
    assert put_of("egress", "s", [{**r, "delete": True} for r in state()]) == Put(uploads={})


def test_drift_is_an_input_of_what_mends_it() -> None:
    raw = {"egress": {"routes": [{"host": "api.example.com"}]}}
    drift = Drift(("egress has other routes",), "", "other routes; seen now", "tokens.json; seen now")
    before, after = (
        {r.name: r.inputs for r in compose(raw, drifts=drifts)[0].resources} for drifts in ({}, {"egress": drift})
    )
    changed = {name for name, inputs in before.items() if inputs != after.get(name, inputs)}
    assert changed == {"unit-egress-container", "unit-egress-routes-put"}
    assert json.loads(after["unit-egress-routes-put"]["stdin"])["drift"] == "other routes; seen now"
    assert {"label": LABEL_MENDED, "value": "tokens.json; seen now"} in after["unit-egress-container"]["labels"]
    assert "drift" not in json.loads(before["unit-egress-routes-put"]["stdin"])


# ---- the probe, which runs in a container


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(probe, "SEAL", tmp_path / "seal")
    for name in ("etc/tokens.json", "etc/routes.json", "app/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("secret")
    (tmp_path / "status.json").write_text('{"live": "123"}')
    policy = str(tmp_path / "etc/routes.json")
    sidecar = Sidecar(("true",), "put", (str(tmp_path / "etc"),), (str(tmp_path / "app"),), policy)
    return {**json.loads(sidecar.spec), "status": str(tmp_path / "status.json")}


def test_a_probe_tells_every_change_and_no_digest_that_can_be_guessed(spec: dict[str, Any], tmp_path: Path) -> None:
    kept = probe.answer(keep=True, spec=spec)["files"]
    tokens, app = f"{tmp_path}/etc/tokens.json", f"{tmp_path}/app"
    assert set(kept) == {tokens, app}
    seen = probe.answer(keep=False, spec=spec)
    assert seen == {
        "files": kept,
        "ready": True,
        "policy": {"live": "123", "disk": hashlib.sha256(b"secret").hexdigest()},
    }
    assert hashlib.sha256(b"secret").hexdigest()[:12] not in json.dumps(kept)
    for damage in (
        lambda: Path(tokens).write_text("other"),
        lambda: Path(tokens).chmod(0o600),
        lambda: (Path(tokens).unlink(), Path(tokens).symlink_to("/etc/passwd")),
        lambda: (tmp_path / "app/b.py").touch(),
    ):
        before = probe.answer(keep=True, spec=spec)["files"]
        damage()
        assert probe.answer(keep=False, spec=spec)["files"] != before
    (tmp_path / "seal").unlink()
    after = probe.answer(keep=True, spec=spec)["files"]
    assert all(after[name] != kept[name] for name in kept)  # of another container: another key


def test_what_a_killed_put_leaves_is_no_drift_and_what_looks_like_it_is(spec: dict[str, Any], tmp_path: Path) -> None:
    policy, put = tmp_path / "etc/routes.json", "from claude_bottle.policy import whole_file; import os, sys, pathlib;"
    put += "whole_file.write_whole(pathlib.Path(sys.argv[1]), b'x', still=lambda: os.kill(os.getpid(), 9))"
    kept = probe.answer(keep=True, spec=spec)["files"]
    assert subprocess.run([sys.executable, "-c", put, str(policy)], cwd=ROOT, check=False).returncode == -9
    assert len([*policy.parent.iterdir()]) == 3
    assert probe.answer(keep=False, spec=spec)["files"] == kept
    for name in (".routes.json.x.new", "routes.new", ".other.json.1.new", ".routesxjson.1.new"):
        (policy.parent / name).touch()
        assert str(policy.parent / name) in probe.answer(keep=False, spec=spec)["files"]


def test_a_mirror_that_names_other_hooks_is_told(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[core]\n\tbare = true\n[receive]\n\tmaxInputSize = 210m\n")
    plain = probe.settings(b"k", config)
    config.write_text("[core]\n\tbare = true\n\trepositoryformatversion = 0\n")
    assert probe.settings(b"k", config) == plain
    config.write_text("[core]\n\tbare = true\n\thooksPath = /tmp\n")
    assert probe.settings(b"k", config) != plain


def test_a_probe_runs_alone(spec: dict[str, Any]) -> None:
    """Given on standard input, without this project's packages."""
    argv = [sys.executable, "-I", "-S", "-", "look", json.dumps({**spec, "check": ["false"]})]
    done = subprocess.run(argv, input=looking.PROBE.read_bytes(), capture_output=True, check=True)
    assert json.loads(done.stdout)["ready"] is False


# ---- the engine


def engine(folder: Path, script: str) -> dict[str, str]:
    (folder / "docker").write_text(f"#!/bin/sh\ncase $1 in\n{script}\nesac\n")
    (folder / "docker").chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("exec_", "inspect", "state", "words"),
    [
        ("echo 'Error: No such container: x' >&2; exit 1", "echo 'Error: No such object: x' >&2; exit 1", "gone", ""),
        ("echo 'Container x is not running' >&2; exit 1", "echo exited", "stopped", ""),
        ("echo 'Container x is paused' >&2; exit 1", "echo paused", "stopped", ""),
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", "exit 1", "unknown", "Cannot connect"),
        ("echo 'no JSON'", "", "unknown", "no answer that can be read"),
        ("exec sleep 30", "", "unknown", "no answer within 0.5 s"),
    ],
)
def test_a_part_that_cannot_answer(
    exec_: str, inspect: str, state: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "_WAIT", 0.5)
    env = engine(tmp_path, f"exec) {exec_};;\ninspect) {inspect};;")
    monkeypatch.setenv("PATH", env["PATH"])
    start = time.monotonic()
    result = look("egress", "s", env)
    assert time.monotonic() - start < 5
    assert result.state == state
    assert words in result.why


def test_an_image_without_python_is_looked_at_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "told.tar", "w") as tar:
        member = tarfile.TarInfo("pipelock/pipelock.yaml")
        member.size = 3
        tar.addfile(member, BytesIO(b"one"))
    missing = 'OCI runtime exec failed: exec: "/usr/bin/python3": stat /usr/bin/python3: no such file or directory'
    script = f"exec) echo '{missing}' >&2; exit 126;;\ninspect) echo running;;\ncp) cat {tmp_path}/told.tar;;"
    env = engine(tmp_path, script)
    monkeypatch.setenv("PATH", env["PATH"])
    assert look("pipelock", "s", env) == Look("running", plain={"/etc/pipelock/pipelock.yaml": ONE})
