"""What any engine must do with a bottle that is up (claude_bottle/engines/client.py). One that is new is a line of ENGINES.

What an engine must declare: tests/unit/test_engine_contract.py.
"""

from __future__ import annotations

import io
import re
import secrets
import shlex
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Protocol

import pytest
import world

from claude_bottle.engines.chosen import open_client, open_host
from claude_bottle.engines.client import Client, EngineError, Host

pytestmark = pytest.mark.docker
TALKS = "echo first; sleep 0.2; echo second >&2; touch /tmp/said; exec sleep 600"
HAS_TALKED = "until [ -e /tmp/said ]; do sleep 0.1; done"


class Maker(Protocol):
    """Makes what a bottle consists of beside Pulumi, so that no state knows it; and takes it away."""

    stack: str

    def client(self) -> Client: ...

    def host(self) -> Host: ...

    def workload(self, role: str) -> str:
        """Its id. It has said two lines, and waits."""

    def network(self) -> str:
        """Its id."""

    def volume(self) -> str:
        """Its id."""

    def exists(self, id_: str) -> bool: ...

    def close(self) -> None: ...


class DockerMaker:
    def __init__(self) -> None:
        self.stack = f"contract-{secrets.token_hex(4)}"
        self._made: dict[str, str] = {}  # id to kind, the last one first to go

    def client(self) -> Client:
        return open_client(self.stack, variables={})

    def host(self) -> Host:
        return open_host()

    def _labels(self, role: str) -> list[str]:
        labels = {"claude-bottle.stack": self.stack, "claude-bottle.role": role, world.LABEL: "1"}
        return [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]

    def _note(self, kind: str, stdout: str) -> str:
        self._made[stdout.strip()] = kind
        return stdout.strip()

    def workload(self, role: str) -> str:
        name, image = f"claude-bottle-{role}-{self.stack}", world.built("agent")
        argv = ["--name", name, *self._labels(role), "--network", "none", "--init", image, "sh", "-c", TALKS]
        identity = self._note("container", world.docker("run", "-d", *argv))
        world.docker("exec", name, "sh", "-c", HAS_TALKED)
        return identity

    def network(self) -> str:
        return self._note("network", world.docker("network", "create", "--internal", *self._labels("x"), self.stack))

    def volume(self) -> str:
        return self._note("volume", world.docker("volume", "create", *self._labels("home"), self.stack))

    def exists(self, id_: str) -> bool:
        return bool(world.docker(self._made[id_], "inspect", id_, check=False).strip("[]\n"))

    def close(self) -> None:
        for id_, kind in reversed(self._made.items()):
            force = [] if kind == "network" else ["-f"]
            world.docker(kind, "rm", *force, id_, check=False)


ENGINES = {"docker": DockerMaker}


@pytest.fixture(scope="module", params=ENGINES.values(), ids=ENGINES)
def maker(request: pytest.FixtureRequest) -> Iterator[Maker]:
    """With an agent and a sidecar that run."""
    maker: Maker = request.param()
    try:
        for role in ("agent", "supervise"):
            maker.workload(role)
        yield maker
    finally:
        maker.close()


def test_a_command_runs_inside_as_the_agents_own_user(maker: Maker) -> None:
    answer = maker.client().exec(
        "agent", ["sh", "-c", "id -un; pwd; cat; echo no >&2; exit 7"], stdin=b"in", folder="/tmp"
    )
    assert (answer.code, answer.out, answer.last_words, answer.exists) == (7, b"node\n/tmp\nin", "no", True)


def test_who_is_not_there_is_told_apart_from_who_fails(maker: Maker) -> None:
    client = maker.client()
    assert not client.exec("git-gate", ["true"]).exists
    assert not client.is_running("git-gate")
    assert client.is_running("agent")
    with pytest.raises(EngineError, match="does not answer"):
        client.exec("agent", ["sleep", "60"], timeout=1)


def test_files_travel_as_tar(maker: Maker) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo("a folder/a file")
        member.size = len(b"\0content")
        tar.addfile(member, io.BytesIO(b"\0content"))
    put = maker.client().exec("agent", ["tar", "-x", "-C", "/tmp"], stdin=packed.getvalue())
    assert put.code == 0
    command = maker.client().inside("agent", ["tar", "-c", "-C", "/tmp", "a folder"])
    back = subprocess.run(command.argv, env=command.env, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(back)) as tar:
        file = tar.extractfile("a folder/a file")
        assert file is not None and file.read() == b"\0content"


def test_a_log_has_times_and_begins_where_it_is_told_to(maker: Maker) -> None:
    def lines(**options: str) -> list[str]:
        command = maker.client().log("supervise", **options)  # type: ignore[arg-type]
        done = subprocess.run(command.argv, env=command.env, capture_output=True, text=True, check=True)
        return sorted((done.stdout + done.stderr).splitlines())

    (first, second) = lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z first", first)
    assert second.endswith(" second")
    later = first.split(" ")[0].replace(first[:4], str(int(first[:4]) + 1), 1)
    assert lines(since=later) == []
    (running,) = [w for w in maker.host().bottles() if (w.stack, w.role) == (maker.stack, "supervise")]
    assert lines(id=running.id) == [first, second]
    assert maker.host().run_in(running, "echo", "said") == "said\n"


def test_a_line_to_paste_is_a_command_for_a_terminal(maker: Maker) -> None:
    line = maker.client().attach_line("id", "-un", folder="/tmp")
    typed = subprocess.run(["script", "-qec", line, "/dev/null"], capture_output=True, text=True, check=False)
    assert "node" in typed.stdout
    assert "\n" not in line and shlex.split(line)[-2:] == ["id", "-un"]


def test_leftovers_are_what_no_state_knows_and_never_a_volume(maker: Maker) -> None:
    host = maker.host()
    known = {part.id for part in host.parts(maker.stack)}
    network, volume, workload = maker.network(), maker.volume(), maker.workload("pipelock")
    host = maker.host()
    leftovers = host.leftovers(maker.stack, known)
    assert [part.id for part in leftovers] == [workload, network]  # in the order in which they can go
    assert volume in {part.id for part in host.parts(maker.stack)}
    for part in [*leftovers, *(part for part in host.parts(maker.stack) if part.id == volume)]:
        host.remove(part)
    assert (maker.exists(workload), maker.exists(network), maker.exists(volume)) == (False, False, True)
    assert all(maker.exists(id_) for id_ in known)


def test_what_is_stopped_is_there_and_is_not_running(maker: Maker) -> None:
    client = maker.client()
    client.stop("supervise", 1)
    client.stop("git-gate", 1)  # which is not there
    assert not client.is_running("supervise")
    health = {w.role: w.health for w in maker.host().bottles() if w.stack == maker.stack}
    assert health["supervise"] == "stopped"
    assert health["agent"] == "healthy"
