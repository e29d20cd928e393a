"""What stops a bottle before anything is made: each with the words that help."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_bottle.checks.preflight import machine_findings, other_workspace, renamed
from claude_bottle.dlp.packed.decoder import MAX_PLAIN
from claude_bottle.engines.client import EngineError
from claude_bottle.engines.docker.engine import Engine, Part
from claude_bottle.engines.docker.facts import facts_of, gather
from claude_bottle.engines.docker.machine import Machine
from claude_bottle.engines.docker.subnets import Taken
from claude_bottle.engines.facts import Facts
from claude_bottle.engines.pulumi_state import ids_in_state
from claude_bottle.engines.sidecars import SIDECARS
from claude_bottle.host.checkout import other_checkout
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import pipelock_memory
from claude_bottle.workspace.copies import Workspace
from claude_bottle.workspace.mount_findings import mount_findings

GOOD = {"ServerVersion": "20.10.24+dfsg1", "OSType": "linux", "MemoryLimit": True, "MemTotal": 24 << 30}
AGENT = Part("container", "f00", "claude-bottle-agent-s")
MACHINE = Facts(memory_mb=24 << 10, free_mb=9000, networks=("bridge", "corp-net"))
MOUNTED = {"path": "/home/me/project", "mode": "mount"}


def check(facts: Facts = MACHINE, known: set[str] | None = None, **raw: Any) -> list[str]:
    manifest = Manifest.model_validate(raw)
    return [str(finding) for finding in machine_findings("s", manifest, lambda images: facts, lambda: known or set())]


def with_parts(*parts: Part, **others: Any) -> Facts:
    return replace(MACHINE, parts=parts, **others)


def test_a_good_machine_has_no_findings() -> None:
    assert check(with_parts(AGENT), {"f00"}) == []
    assert check(replace(MACHINE, free_mb=None)) == []


@pytest.mark.parametrize(
    ("info", "value", "words"),
    [
        ({"ServerVersion": "19.03.1"}, "19.03.1", "20.10 or newer"),
        ({"OSType": "windows"}, "windows", "Linux"),
        ({"MemoryLimit": False}, None, "memory cgroup"),
        ({"CpuCfsQuota": False}, None, "controller delegated"),
    ],
)
def test_an_engine_that_will_not_do(info: dict[str, Any], value: str | None, words: str) -> None:
    """The keys are those of `docker info --format '{{json .}}'` (docs.docker.com/reference/api/engine, SystemInfo)."""
    facts = facts_of({**GOOD, **info}, lambda: False)
    ((said, reason),) = facts.unfit
    assert said == value and words in reason
    (line,) = check(facts)
    assert line == f"engine: {f'{said!r}: ' if said else ''}{reason}"


def test_an_engine_with_too_little_memory() -> None:
    (line,) = check(facts_of({**GOOD, "MemTotal": 1 << 30}, lambda: False))
    assert line.startswith("agent.memory") and "1024 MB of memory" in line


def test_a_body_that_the_machine_cannot_hold_is_refused() -> None:
    """Held once, and four times while the fields of a form are looked at (tests/unit/test_dlp_bounds.py)."""
    large = {"agent": {"memory": "512m"}, "pipelock": {"dlp": {"max_body_mb": 256}}}
    (line,) = check(replace(MACHINE, memory_mb=1024), **large)
    assert line.startswith("pipelock.dlp.max_body_mb")
    assert pipelock_memory(256) > 256 * 5
    assert pipelock_memory(1) > (MAX_PLAIN >> 20) * 5
    assert check(**large) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("corpnet", "did you mean corp-net?"), ("elsewhere", "remove the key"), ("corp-net", None), (None, None)],
)
def test_a_network_of_the_owners_exists(name: str | None, words: str | None) -> None:
    lines = check(network={"external": name})
    assert [line.partition(":")[0] for line in lines] == (["network.external"] if words else [])
    assert not words or (words in lines[0] and "no such network on this engine" in lines[0])


def test_a_runtime_that_the_engine_lacks() -> None:
    assert (
        "only io.containerd.runc.v2, runc"
        in check(
            facts_of({**GOOD, "Runtimes": {"runc": {}, "io.containerd.runc.v2": {}}}, lambda: False),
            agent={"runtime": "runsc"},
        )[0]
    )
    assert check(facts_of(GOOD, lambda: False), agent={"runtime": "runsc"}) == [], "an engine that lists none"


def test_an_engine_that_does_not_answer() -> None:
    class Gone(Engine):
        def docker(self, *argv: str, timeout: float = 30) -> str:
            raise EngineError("Cannot connect to the Docker daemon")

    manifest = Manifest.model_validate({})
    (finding,) = machine_findings("s", manifest, lambda images: gather(Gone(), "s", images), set)
    assert "Cannot connect" in finding.message
    assert "./bottle doctor says how" in finding.message


def test_orphans_are_named_with_the_command_that_removes_them() -> None:
    network, volume = Part("network", "n1", "net-x"), Part("volume", "v1", "v1")
    lines = check(with_parts(AGENT, network, volume), {"n1"})
    assert len(lines) == 2
    assert lines[0].endswith("docker container rm -f claude-bottle-agent-s")
    assert lines[1].endswith("docker volume rm v1")


def test_memory_is_asked_for_only_where_something_must_start() -> None:
    assert "100 MB of memory are free" in check(replace(MACHINE, free_mb=100))[0]
    assert check(with_parts(AGENT, free_mb=100), {"f00"}) == []


def test_an_image_that_nobody_has() -> None:
    lacking = replace(MACHINE, missing_images={"example.com/none:1": "no such manifest"})
    (line,) = check(lacking, agent={"image": "example.com/none:1"})
    assert line.startswith("agent.image")
    assert "no such manifest" in line
    assert check(lacking, agent={"image": "example.com/other:1"}) == []
    asked: list[str] = []
    chosen = Manifest.model_validate({"agent": {"image": "example.com/other:1"}})
    machine_findings("s", chosen, lambda images: asked.extend(images) or MACHINE, set)  # type: ignore[func-returns-value]
    assert asked == ["example.com/other:1"]


@pytest.mark.parametrize(
    ("info", "nosuid", "refused"),
    [
        ({}, False, True),
        ({}, True, False),
        ({"SecurityOptions": ["name=seccomp,profile=builtin", "name=userns"]}, False, False),
        ({"SecurityOptions": ["name=rootless"]}, False, False),
        ({"OperatingSystem": "Docker Desktop"}, False, False),
    ],
)
def test_a_mount_that_takes_set_id_bits_is_refused(info: dict[str, Any], nosuid: bool, refused: bool) -> None:
    """docs.docker.com/engine/security/userns-remap; mount(8), nosuid."""
    workspace = Workspace("/home/me/p", "mount", nosuid=nosuid)
    manifest, facts = Manifest.model_validate({"workspace": MOUNTED}), facts_of({**GOOD, **info}, lambda: False)
    lines = [str(finding) for finding in machine_findings("s", manifest, lambda _: facts, set, workspace)]
    assert [text for text in lines if "set-user-id" in text] == lines[:1] * refused


@pytest.mark.parametrize(
    ("options", "mode", "label", "words"),
    [
        ("name=rootless", 0o755, "", ["another id on this machine"]),
        ("name=userns", 0o755, "", ["another id on this machine"]),
        ("name=rootless", 0o777, "", []),
        ("name=selinux", 0o755, "unconfined_u:object_r:user_home_t:s0", ["chcon -Rt container_file_t"]),
        ("name=selinux", 0o755, "system_u:object_r:container_file_t:s0", []),
        ("name=seccomp", 0o755, "", []),
    ],
)
def test_a_mount_that_the_agent_could_not_use_is_refused(
    tmp_path: Path, options: str, mode: int, label: str, words: list[str]
) -> None:
    """docs.docker.com/engine/security/rootless and userns-remap; container_selinux(8), container_file_t."""
    tmp_path.chmod(mode)
    mounts = facts_of({**GOOD, "SecurityOptions": [options]}, lambda: False).mounts
    findings = [*mount_findings(Workspace(str(tmp_path), "mount", nosuid=True), mounts, lambda _: label)]
    assert [any(word in one.message for one in findings) for word in words] == [True] * len(words)
    assert words or not findings


def test_podman_is_refused_by_its_name() -> None:
    """What Podman 4.3.1 says of itself: docs/fleet.md."""

    class Podman(Engine):
        info = {**GOOD, "ServerVersion": "4.3.1"}

        def docker(self, *argv: str, timeout: float = 30) -> str:
            return '[{"Name":"Podman Engine","Version":"4.3.1"},{"Name":"Conmon","Version":"2.1.6"}]'

    engine = Podman()
    ((version, reason),) = facts_of(engine.info, engine.is_podman).unfit
    assert version == "4.3.1" and "is Podman" in reason and "too old" not in reason


def test_a_folder_of_this_machine_cannot_be_mounted_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(workspace=MOUNTED) == []
    far = replace(MACHINE, far=True)
    assert ["workspace.mode" in line for line in check(far, workspace=MOUNTED)] == [True]
    assert check(far, workspace={"path": "/home/me/project"}) == []


def test_docker_host_says_whether_the_engine_is_far(monkeypatch: pytest.MonkeyPatch) -> None:
    class Here(Engine):
        info = GOOD

        def docker(self, *argv: str, timeout: float = 30) -> str:
            return "[]" if "inspect" in argv else ""

    for host, far in (("unix:///var/run/docker.sock", False), ("ssh://me@build.example.com", True)):
        monkeypatch.setenv("DOCKER_HOST", host)
        facts = gather(Here(), "s", [])
        assert (facts.far, facts.free_mb is None) == (far, far)


def test_a_network_that_goes_away_between_two_questions_is_no_error() -> None:
    class Busy(Engine):
        gone = 0

        def docker(self, *argv: str, timeout: float = 30) -> str:
            if argv[:2] == ("network", "ls"):
                return "a" if self.gone > 1 else "a b"
            if "b" in argv:
                self.gone += 1
                raise EngineError("network b not found")
            return '[{"IPAM": {"Config": [{"Subnet": "198.18.0.0/28"}]}}]'

    assert Busy().subnets() == [Taken("198.18.0.0/28")]


def test_a_machine_is_asked_once_and_tells_its_errors_where_they_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    for name in ("docker", "pulumi"):
        command = tmp_path / name
        command.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/calls\necho "{name} is not at home" >&2\nexit 1\n')
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    machine = Machine("s")
    questions: list[Callable[[], object]] = [
        lambda: machine.info,
        lambda: machine.parts("s"),
        machine.own_images,
        machine.subnets,
    ]
    for question in [*questions, *questions]:
        with pytest.raises(EngineError, match="docker is not at home"):
            question()
    with pytest.raises(EngineError, match="pulumi is not at home"):
        machine.known_ids()
    with pytest.raises(EngineError, match="pulumi is not at home"):
        machine.drifts()
    assert sorted((tmp_path / "calls").read_text().split()) == [
        *(["exec"] * len(SIDECARS)),
        "image",
        "info",
        *(["inspect"] * len(SIDECARS)),
        "network",
        "ps",
        "stack",
    ]


def test_what_is_on_the_engine_is_the_stacks_by_label_or_by_name() -> None:
    class Told(Engine):
        def docker(self, *argv: str, timeout: float = 30) -> str:
            return {
                "ps": "c1\tclaude-bottle-agent-s\t\nc2\tx\ts\nc3\tclaude-bottle-agent-t\tt\nc4\ty\t\n",
                "volume": "claude-bottle-home-s\tclaude-bottle-home-s\t\nv2\tv2\ts\nv3\tv3\t\n",
            }[argv[0]]

        networks = [
            {"Id": "n1", "Name": "one", "Labels": {"claude-bottle.stack": "s"}},
            {"Id": "n2", "Name": "two", "Labels": None},
        ]

    assert [part.id for part in Told().parts("s")] == ["c1", "c2", "claude-bottle-home-s", "v2", "n1"]


def test_what_an_interrupted_up_still_proves_with_is_in_nobodys_way() -> None:
    class Proving(Engine):
        info = GOOD
        networks: list[dict[str, Any]] = []

        def docker(self, *argv: str, timeout: float = 30) -> str:
            return "c1\tclaude-bottle-closure-proof-s\ts\n" if argv[0] == "ps" else ""

    assert gather(Proving(), "s", []).parts == []
    assert [part.id for part in Proving().leftovers("s", set())] == ["c1"]  # which a repair removes


@pytest.mark.parametrize("broken", [False, True])
def test_the_state_of_a_folder_is_read_there_and_else_pulumi_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    state = {"resources": [{"id": "f00"}, {"urn": "of a component"}]}
    file = tmp_path / ".pulumi/stacks/claude-bottle/s.json"
    file.parent.mkdir(parents=True)
    file.write_text("{" if broken else json.dumps({"version": 3, "checkpoint": {"latest": state}}))
    command = tmp_path / "pulumi"
    command.write_text("#!/bin/sh\necho '" + json.dumps({"deployment": {"resources": [{"id": "asked"}]}}) + "'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path}")
    assert ids_in_state("s") == ({"asked"} if broken else {"f00"})


def test_another_workspace_is_not_copied_over_the_first() -> None:
    last = {"workspace": {"mode": "copy", "source": "/home/me/one", "copy_git": True}}

    def problems(workspace: Workspace | None, plan: Any = last) -> list[str]:
        return [str(finding) for finding in other_workspace(plan, workspace, "s")]

    (finding,) = problems(Workspace("/home/me/two", "copy"))
    assert "a copy of /home/me/one. First run ./bottle pull s, ./bottle down s" in finding
    assert problems(Workspace("/home/me/one", "copy")) == []
    assert problems(None) == problems(Workspace("/home/me/two", "mount")) == []
    assert problems(Workspace("/home/me/two", "copy"), {}) == []
    assert problems(Workspace("/home/me/two", "copy"), {"workspace": None}) == []


def test_a_second_checkout_does_not_take_a_bottle_over() -> None:
    first, second = {"host": "one", "folder": "/home/me/a"}, {"host": "one", "folder": "/home/me/b"}

    def problems(last: dict[str, str], now: dict[str, str], *, exists: bool) -> list[str]:
        return [str(finding) for finding in other_checkout(last, now, "s", exists=exists)]

    (finding,) = problems(first, second, exists=True)
    assert "/home/me/a on one brought s up last" in finding
    assert "CLAUDE_BOTTLE_TAKE_OVER=1 ./bottle up s" in finding
    assert problems(first, first, exists=True) == problems({}, second, exists=True) == []
    assert problems(first, second, exists=False) == []  # it was moved here
    assert problems(first, {**first, "host": "two"}, exists=False)  # of another machine nobody can say


def test_the_state_says_who_brought_a_bottle_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bottle = {"type": "claude-bottle:bottle:Bottle", "outputs": {"checkout": {"host": "one", "folder": "/a"}}}
    monkeypatch.setattr(
        "claude_bottle.engines.docker.machine.resources_in_state", lambda stack: [{"type": "x"}, bottle]
    )
    monkeypatch.setattr("claude_bottle.engines.docker.machine.look", lambda *args: None)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    assert Machine("s").last_checkout() == {"host": "one", "folder": "/a"}
    del bottle["outputs"]
    assert Machine("s").last_checkout() == {}


def test_a_renamed_stack_deletes_no_home() -> None:
    """`pulumi stack rename` changes the stack's part of each URN, and no resource's name."""
    (finding,) = renamed("old", "new")
    assert "pulumi stack rename old -s new" in finding.message
    assert not [*renamed("old", "old"), *renamed(None, "new")]
