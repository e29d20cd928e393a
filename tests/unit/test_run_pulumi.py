"""What a run of Pulumi shows: what changes, in a line each; then warnings, errors once and last, and where the rest is.

Sources: pulumi/pulumi, sdk/go/common/apitype/events.go (the event log); docker-build(1) and BuildKit's plain progress.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
from test_cli import Place, place

from claude_bottle.engines.docker.build_reason import reason
from claude_bottle.engines.docker.resources import build_failure
from claude_bottle.engines.local_command import CREATE
from claude_bottle.policy.errors import BottleError
from claude_bottle.runs.automation import StackRunner
from claude_bottle.runs.events import Run
from claude_bottle.runs.terminal import run_pulumi

__all__ = ["place"]
CONTAINER, IMAGE = "docker:index/container:Container", "docker:index/remoteImage:RemoteImage"
HASH = "561a8b6422ed2ba8"


def step(event: str, op: str, kind: str, name: str, **new: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:demo::claude-bottle::claude-bottle:index:Bottle${kind}::{name}"
    return {event: {"metadata": {"op": op, "urn": urn, "type": kind, "new": new}}}


def whole(op: str, kind: str, name: str) -> list[dict[str, Any]]:
    return [step("resourcePreEvent", op, kind, name), step("resOutputsEvent", op, kind, name)]


def say(severity: str, message: str) -> dict[str, Any]:
    return {"diagnosticEvent": {"severity": severity, "message": f"<{{%reset%}}>{message}<{{%reset%}}>\n"}}


def test_what_changes_has_a_line_each_and_nothing_else() -> None:
    run = Run("demo")
    events = [
        *whole("same", "pulumi:pulumi:Stack", "claude-bottle-demo"),
        *whole("refresh", CONTAINER, "demo-egress-container"),
        *whole("create", "tls:index/privateKey:PrivateKey", "demo-ca-egress-key"),
        *whole("create", IMAGE, f"demo-image-git-gate-{HASH}"),
        *whole("create", IMAGE, f"demo-agent-image-packages-{HASH}"),
        *whole("delete", IMAGE, f"demo-image-proxy-{HASH}"),
        *whole("create", "docker:index/network:Network", "demo-network-agent"),
        *whole("create-replacement", CONTAINER, "demo-agent-container"),
        *whole("delete-replaced", CONTAINER, "demo-agent-container"),
        *whole("update", "command:local:Command", "demo-egress-routes-put"),
        *whole("create", "command:local:Command", "demo-provision-ca"),
        *whole("delete", "docker:index/volume:Volume", "demo-agent-home"),
        say("debug", "resource registration prepared"),
    ]
    for event in events:
        run.take(event)
    assert run.changed == ["+ image git-gate", "+ image agent packages", "+ network agent", "± agent", "~ egress routes",
                           "- volume agent-home"]  # fmt: skip
    assert run.errors == run.warnings == []


def test_an_error_is_told_once() -> None:
    run = Run("demo")
    words = "Error response from daemon: the pool is exhausted"
    for event in (
        say("error", f"  sdk-v2/provider2.go:572: sdk.helper_schema: {words}: provider=docker@5.2.0"),
        say("error", f"1 error occurred:\n\t* {words}\n\n"),
        say("error", "update failed"),
        say("warning", "drift: a"),
        say("warning", "drift: a"),
    ):
        run.take(event)
    assert run.errors == [words]
    assert run.warnings == ["drift: a"]


LEGACY = """Sending build context to Docker daemon  1.2MB
Step 1/5 : ARG BASE
Step 5/5 : RUN apt-get update && for name in $APT; do …; done
 ---> Running in 0123456789ab
Get:1 http://archive.example.com trixie InRelease [140 kB]
Reading package lists...
\x1b[91mE: Unable to locate package nosuch
\x1b[0mThe command '/bin/sh -c apt-get update' returned a non-zero code: 100
"""
BUILDKIT = """#7 [build 3/4] RUN npm install --global -- $NPM
#7 0.512 npm ERR! code E404
#7 0.513 npm ERR! 404  'no-such@*' is not in this registry.
#7 ERROR: process "/bin/sh -c npm install" did not complete successfully: exit code: 1
------
Dockerfile:12
ERROR: failed to solve: process "/bin/sh -c npm install" did not complete successfully: exit code: 1
"""


@pytest.mark.parametrize(("resource", "output", "key", "last"), [
    (f"demo-agent-image-packages-{HASH}", LEGACY, "agent.apt", ["  E: Unable to locate package nosuch"]),
    (f"demo-agent-image-packages-{HASH}", BUILDKIT, "agent.npm",
     ["  npm ERR! code E404", "  npm ERR! 404  'no-such@*' is not in this registry."]),
    (f"demo-agent-image-own-{HASH}", LEGACY, "agent.dockerfile", ["  E: Unable to locate package nosuch"]),
    (f"demo-image-proxy-{HASH}", "Step 1/1 : RUN false\n", "one of the bottle's own images", ["  it said nothing"]),
])  # fmt: skip
def test_a_build_that_failed_names_the_key_and_its_own_last_words(
    resource: str, output: str, key: str, last: list[str]
) -> None:
    first, *lines = reason(resource, output).splitlines()
    assert first.startswith(f"{key}: the image could not be built")
    assert lines == last


def _runs(place: Place, events: list[dict[str, Any]], code: int, says: str = "much") -> None:
    (place.folder / "events").write_text("".join(json.dumps(event) + "\n" for event in events))
    script = (
        f'while [ $# -gt 0 ]; do [ "$1" = --event-log ] && cp "{place.folder}/events" "$2"; shift; done; echo {says}'
    )
    place.fake("pulumi", {"*": f"{script}; exit {code}"})


def test_all_that_pulumi_said_is_in_a_file_that_is_named(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    _runs(place, [*whole("create", CONTAINER, "demo-agent-container"), say("warning", "old")], 0)
    run_pulumi("demo", "up", "--yes")
    *lines, last = capsys.readouterr().err.splitlines()
    assert lines == ["  + agent", "warning: old"]
    log = Path(last.rpartition(" ")[2])
    assert log.read_text() == "much\n"
    assert log.stat().st_mode & 0o777 == 0o600
    run_pulumi("demo", "up", "--yes")
    assert len(list(log.parent.iterdir())) == 2, "this run and the one before"


def test_the_error_is_last(place: Place) -> None:
    _runs(place, [*whole("create", CONTAINER, "demo-egress-container"), say("error", "the pool is exhausted")], 255)
    with pytest.raises(BottleError) as caught:
        run_pulumi("demo", "up", "--yes")
    first, *rest = str(caught.value).splitlines()
    assert first.startswith("pulumi up of demo failed; full output: ")
    assert rest == ["the pool is exhausted"]
    _runs(place, [], 6, says="error: no stack")
    with pytest.raises(BottleError, match="error: no stack"):
        run_pulumi("demo", "up", "--yes")


WHY = "agent.apt: the image could not be built, because this step failed:\n  E: Unable to locate package nosuch"


def test_a_build_that_failed_has_its_reason_and_not_the_providers_exit_code(place: Place) -> None:
    code = "1 error occurred:\n\t* Error running buildx build: exit code: 100"
    _runs(
        place,
        [say("error", code), say("info", "the build of an image failed"), say("error", WHY), say("error", code)],
        255,
    )
    with pytest.raises(BottleError) as caught:
        run_pulumi("demo", "up", "--yes")
    assert str(caught.value).splitlines()[1:] == WHY.splitlines()


def test_a_build_is_run_once_more_to_hear_why(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever command ran Pulumi: the program is asked by Pulumi when the resource fails."""
    said: list[str] = []
    hooks: dict[str, Any] = {}
    monkeypatch.setattr(pulumi, "ErrorHook", lambda name, tell: hooks.setdefault(name, tell))
    monkeypatch.setattr(pulumi.log, "error", said.append)
    monkeypatch.setattr(pulumi.log, "info", lambda _: None)
    monkeypatch.setattr(build_failure, "provider_engine", dict)
    name = f"demo-agent-image-packages-{HASH}"
    build_failure.say_why(name)
    monkeypatch.setenv("HTTPS_PROXY", "http://me:a-login@proxy.example.com:3128")
    place.fake("docker", {"*build*": "printf 'Step 1/1 : RUN x\\nE: Unable to locate package nosuch\\n'; exit 100"})

    async def fail() -> bool:
        proxy = pulumi.Output.secret("http://me:a-login@proxy.example.com:3128")
        arguments = {"APT": "nosuch", "HTTPS_PROXY": proxy}
        build = {"context": "/src", "dockerfile": "a/Dockerfile", "buildArgs": arguments}
        tried_again: bool = await hooks[f"why-{name}"](SimpleNamespace(name=name, new_inputs={"build": build}))
        return tried_again

    assert asyncio.run(fail()) is False
    assert said == [WHY]
    assert "docker build -f /src/a/Dockerfile --build-arg APT=nosuch --build-arg HTTPS_PROXY /src" in place.calls
    place.fake("docker", {})
    assert asyncio.run(fail()) is False
    assert said == [WHY], "the same build passes now"


def test_a_step_that_failed_is_told_with_its_own_words_alone() -> None:
    run = Run("demo")
    run.take(
        say("error", f'exit status 1: running "{CREATE.replace(chr(34), chr(92) + chr(34))}":\negress is not ready')
    )
    assert run.errors == ["egress is not ready"]


def test_an_approval_whose_build_fails_is_told_why(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stack:
        def up(self, *, on_event: Any, **_: Any) -> None:
            on_event(SimpleNamespace(diagnostic_event=None))
            on_event(SimpleNamespace(diagnostic_event=SimpleNamespace(message=f"<{{%reset%}}>{WHY}<{{%reset%}}>\n")))
            raise BottleError("exit code: 100")

    operation = StackRunner("demo", place.folder)
    monkeypatch.setattr(operation, "_run", lambda do, tell: do(Stack(), tell))
    with pytest.raises(BottleError) as caught:
        operation.up(lambda _: None)
    assert str(caught.value) == WHY
