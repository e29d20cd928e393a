"""What the closure probe reads of the kernel and of a name server, and what stops an `up`. The real networks are in
tests/integration/test_closure.py.

Sources: proc(5) and the kernel's Documentation/filesystems/proc.rst for the tables, RFC 1035 for the messages.
"""

from __future__ import annotations

import io
import json
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mocked import compose

from claude_bottle.engines import closure_probe as probe
from claude_bottle.engines.docker.command import DockerCommand
from claude_bottle.engines.docker.steps import __main__ as steps
from claude_bottle.engines.docker.steps import prove
from claude_bottle.workspace.copies import Copies

# Of a container on two internal networks of Docker 20.10, whose bridges have no address: it names a gateway all the same.
ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\tD10C12C6\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\tD00C12C6\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0
eth1\tA0EE12C6\t00000000\t0001\t0\t0\t0\tF0FFFFFF\t0\t0\t0
"""
PEERS = {"peer": ["127.0.0.1"]}
HEAD = "IP address       HW type     Flags       HW address            Mask     Device\n"
PEER = "127.0.0.1        0x1         0x2         02:42:c6:12:0c:d4     *        eth0\n"
SILENT = "198.18.12.209    0x1         0x0         00:00:00:00:00:00     *        eth0\n"
GATEWAY = "198.18.12.209    0x1         0x2         02:42:2f:27:e1:9c     *        eth0\n"
STRANGER = "198.18.12.215    0x1         0x2         02:42:2f:27:e1:9d     *        eth0\n"


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(probe, "_ROUTES", tmp_path / "route")
    monkeypatch.setattr(probe, "_NEIGHBOURS", tmp_path / "arp")
    monkeypatch.setattr(probe, "_ask", lambda addresses: (tmp_path / "asked").open("a").write("once "))
    monkeypatch.setattr(probe, "_AGAIN", 0.1)
    monkeypatch.setattr(probe, "_FIRST", 0.0)
    monkeypatch.setattr(probe, "_STALE", 0.3)
    (tmp_path / "route").write_text(ROUTES)
    (tmp_path / "arp").write_text(HEAD + SILENT + PEER)
    return tmp_path


def test_the_networks_and_gateways_of_a_table_of_routes() -> None:
    on, gateways = probe.networks(ROUTES)
    assert [str(network) for network in on] == ["198.18.12.208/28", "198.18.238.160/28"]
    assert gateways == {"198.18.12.209"}


def test_who_answers(tables: Path) -> None:
    assert list(probe.neighbours(PEERS)) == []
    assert list(probe.neighbours({**PEERS, "gone": []})) == ["is on no network with gone"]
    (tables / "arp").write_text(HEAD + PEER + STRANGER)
    assert list(probe.neighbours(PEERS, ["198.18.12.215"])) == []
    (tables / "arp").write_text(HEAD + PEER + GATEWAY + STRANGER)
    assert list(probe.neighbours(PEERS)) == [
        "gets an answer from 198.18.12.209, which is no workload of this bottle: its gateway, so it has a way out",
        "gets an answer from 198.18.12.215, which is no workload of this bottle: the host or a stranger on its network",
    ]


def test_silence_without_an_answer_of_a_peer_proves_nothing(tables: Path) -> None:
    (tables / "arp").write_text(HEAD + SILENT)
    assert list(probe.neighbours(PEERS)) == ["gets no answer from 127.0.0.1, a workload of this bottle"]


def test_a_network_that_is_too_large_is_not_taken_for_closed(tables: Path) -> None:
    (tables / "route").write_text(ROUTES + "eth2\t000012AC\t00000000\t0001\t0\t0\t0\tC0FFFFFF\t0\t0\t0\n")
    (line,) = probe.neighbours(PEERS)
    assert line.startswith("is on networks with more than 64 addresses")


def test_one_that_has_left_is_waited_for(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_STALE", 30.0)
    (tables / "arp").write_text(HEAD + PEER + STRANGER)
    threading.Timer(0.5, lambda: (tables / "arp").write_text(HEAD + PEER)).start()
    assert list(probe.neighbours(PEERS)) == []
    # The kernel asks about a neighbour only when there is something to send it.
    assert (tables / "asked").read_text().count("once") >= 3


def test_one_that_was_not_known_before_is_not_waited_for(tables: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_STALE", 30.0)
    monkeypatch.setattr(probe, "_ask", lambda addresses: (tables / "arp").write_text(HEAD + PEER + STRANGER))
    started = time.monotonic()
    assert len(list(probe.neighbours(PEERS))) == 1
    assert time.monotonic() - started < 10


def test_what_cannot_be_asked_is_not_taken_for_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the agent has taken all ports of its network, for the probe is in it too."""

    class Full(socket.socket):
        def sendto(self, *_: Any) -> int:
            raise BlockingIOError

        def connect(self, _: Any) -> None:
            raise BlockingIOError

    monkeypatch.setattr(socket, "socket", Full)
    with pytest.raises(BlockingIOError):
        probe._ask(["127.0.0.1"])
    with pytest.raises(BlockingIOError):
        probe.resolves("127.0.0.11")


@pytest.mark.parametrize(
    ("rcodes", "closed"),
    # NOERROR, NXDOMAIN, SERVFAIL, REFUSED; and one that the agent has sent before that of the name server.
    [([0], False), ([3], False), ([2], True), ([5], True), ([2, 3], False)],
)
def test_a_name_server_that_knows_of_the_outside(
    monkeypatch: pytest.MonkeyPatch, rcodes: list[int], closed: bool
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        connect = socket.socket.connect
        port = server.getsockname()[1]
        monkeypatch.setattr(socket.socket, "connect", lambda self, _: connect(self, ("127.0.0.1", port)))

        def answer() -> None:
            data, peer = server.recvfrom(512)
            for rcode in rcodes:
                server.sendto(data[:2] + bytes([0x81, 0x80 | rcode]) + data[4:], peer)

        thread = threading.Thread(target=answer)
        thread.start()
        said = probe.resolves("127.0.0.53")
        thread.join()
    assert (said is None) == closed
    assert closed or said == "gets an answer about names of the outside from the name server 127.0.0.53"


def test_a_silent_name_server_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_NAME_SERVER", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        connect = socket.socket.connect
        port = silent.getsockname()[1]
        monkeypatch.setattr(socket.socket, "connect", lambda self, _: connect(self, ("127.0.0.1", port)))
        assert probe.resolves("127.0.0.53") is None


def test_an_ipv6_address_is_a_way_to_the_host() -> None:
    lo = "00000000000000000000000000000001 01 80 10 80       lo\n"
    assert list(probe.ipv6(lo)) == []
    link_local = "fe800000000000000042c6fffe120cd4 28 40 20 80     eth0\n"
    assert list(probe.ipv6(lo + link_local)) == ["has an IPv6 address on eth0, where the host may have one too"]


def test_a_target_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_CONNECT", 0.5)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        assert probe.reaches("egress", ["127.0.0.1"], port) == f"does not reach egress:{port}: Connection refused"
        threading.Timer(0.2, listening.listen).start()  # it is being started again
        assert probe.reaches("egress", ["127.0.0.1"], port) is None
    assert probe.reaches("egress", [], port) == f"does not reach egress:{port}: it has no address"


GIVEN = {
    "stack": "s", "agent": "claude-bottle-agent-s", "image": "sha256:1", "network": "", "dns": "127.0.0.1",
    "containers": {"agent": "claude-bottle-agent-s", "egress": "claude-bottle-egress-s"},
    "specs": {"agent": {"peers": ["egress"], "reach": [["egress", 8080]], "servers": []}, "egress": {"peers": ["agent"]}},
}  # fmt: skip


def inspected(name: str, **addresses: str) -> dict[str, Any]:
    """What `docker inspect` says of a container: addresses by network."""
    networks = {network: {"IPAddress": address} for network, address in addresses.items()}
    return {"Name": f"/{name}", "NetworkSettings": {"Networks": networks}}


OWN = [
    inspected("claude-bottle-agent-s", agent="198.18.0.2"),
    inspected("claude-bottle-egress-s", agent="198.18.0.3", chain="198.18.0.18"),
]


def step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docker: str) -> tuple[int, list[str]]:
    """Run the step with a docker command that does this; its exit code and the calls."""
    command = tmp_path / "docker"
    (tmp_path / "own").write_text(json.dumps(OWN))
    own = f"case $1 in rm) exit 1;; ps) echo 1 2; exit 0;; inspect) cat {tmp_path}/own; exit 0;; esac"
    command.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\ncat >/dev/null\n{own}\n{docker}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(GIVEN)))
    monkeypatch.setattr("sys.argv", ["steps", "prove"])
    return steps.main(), (tmp_path / "calls").read_text().splitlines()


def test_a_closed_bottle_is_asked_from_inside_each_of_its_closed_workloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, calls = step(tmp_path, monkeypatch, "exit 0")
    assert code == 0
    assert capsys.readouterr().out == "proven from inside agent, egress: closed but for its own flows\n"
    beside, inside = sorted(calls[3:], key=lambda call: call.startswith("exec"))
    assert calls[0] == "rm -f claude-bottle-closure-proof-s"  # what an `up` that was interrupted has left
    assert (
        "--network container:claude-bottle-agent-s " in beside
        and " --name claude-bottle-closure-proof-s " in beside
        and "--cap-drop ALL" in beside
    )
    assert inside.startswith("exec -i claude-bottle-egress-s /usr/bin/python3 -I -S - {")


@pytest.mark.parametrize(
    ("docker", "words"),
    [
        ('case $1 in run) echo "gets an answer from 192.0.2.1"; exit 1;; esac', "  agent gets an answer from 192.0.2.1"),
        ('case $1 in exec) echo "No such container" >&2; exit 1;; esac', "  egress: No such container, so nothing is proven"),
        ('case $1 in run) printf "\\033[2Jx\\n"; exit 1;; esac', "  agent \ufffd[2Jx"),
    ],
)  # fmt: skip
def test_what_is_not_proven_stops_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], docker: str, words: str
) -> None:
    code, calls = step(tmp_path, monkeypatch, docker)
    assert code == 1
    said = capsys.readouterr().err
    assert said.startswith("the bottle is not closed, so its agent was stopped")
    assert words in said
    assert calls[-1] == "stop -t 0 claude-bottle-agent-s"


def test_an_agent_that_cannot_be_stopped_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert step(tmp_path, monkeypatch, "echo no answer >&2; exit 1")[0] == 1
    assert "STILL RUNS, for it could not be stopped (no answer)" in capsys.readouterr().err


def test_the_engine_says_whose_the_addresses_are() -> None:
    """No name does: the agent writes the hosts file of its network, and a stranger has the alias that it likes.

    A part that has gone from the stack file runs until the end of the `up`; its other networks are not the agent's.
    """
    gone = inspected("claude-bottle-supervise-s", agent="198.18.0.4", elsewhere="198.18.0.50")
    stopped = inspected("claude-bottle-git-gate-s", agent="")

    class Listing(DockerCommand):
        def docker(self, *argv: str, stdin: str = "", timeout: float = 30) -> str:
            return {"ps": "1 2 3 4", "inspect": json.dumps([*OWN, gone, stopped])}[argv[0]]

    specs = prove.addressed(GIVEN, Listing())
    assert specs["agent"]["peers"] == {"egress": ["198.18.0.3"]}
    assert specs["egress"]["peers"] == {"agent": ["198.18.0.2"]}
    assert specs["agent"]["leaving"] == specs["egress"]["leaving"] == ["198.18.0.4"]
    assert specs["agent"]["reach"] == [["egress", 8080]]


def test_it_is_proven_again_before_the_agent_gets_anything_new() -> None:
    proofs = [compose({}, copies=Copies(prompt=prompt))[0].command("-closure") for prompt in ("one", "two", "two")]
    first, second, same = (proof.inputs["triggers"] for proof in proofs)
    assert first != second == same


@pytest.mark.parametrize("raw", [{}, {"egress": {"routes": []}}, {"supervise": False}], ids=["", "egress", "alone"])
def test_nothing_of_the_owners_comes_before_the_proof(raw: dict[str, Any]) -> None:
    recorder, _ = compose(raw)
    proof = recorder.command("-closure")
    given = json.loads(proof.inputs["stdin"])
    closed = {"agent", "egress", "supervise"} & given["containers"].keys()
    assert given["specs"].keys() == closed
    proxy = "egress" if raw.get("egress") else "pipelock"
    assert [proxy, 8080 if raw.get("egress") else 8888] in given["specs"]["agent"]["reach"]
    assert set(given["specs"]["agent"]["peers"]) == given["containers"].keys() - {"agent"} - (
        {"pipelock"} if raw.get("egress") else set()
    )
    assert proof.urn in recorder.command("-provision-prompt").dependencies
    assert any("attachments" in urn for urn in proof.dependencies)
    assert given["image"].startswith("sha256:")


def test_a_runtime_with_a_network_of_its_own_is_proven_on_its_network() -> None:
    recorder, _ = compose({"agent": {"runtime": "runsc"}})
    given = json.loads(recorder.command("-closure").inputs["stdin"])
    assert given["network"] and "agent" in given["specs"]["agent"]["peers"]
    argv = prove.beside(given)
    assert argv[argv.index("--network") + 1] == given["network"]
    assert argv[argv.index("--dns") + 1] == "127.0.0.1"


def test_a_bottle_of_the_upstream_engine_alone_still_has_an_image_to_prove_it_with() -> None:
    image = f"pipelock@sha256:{'a' * 64}"
    recorder, _ = compose({"supervise": False, "pipelock": {"engine": "upstream", "image": image}})
    names = {one.inputs["name"].partition(":")[0] for one in recorder.all(":RemoteImage")}
    assert "claude-bottle/supervise" in names
    assert not [one for one in recorder.all(":Container") if one.inputs["hostname"] == "supervise"]


def test_the_probe_runs_without_site_packages() -> None:
    argv = ["python3", "-I", "-S", "-", json.dumps({"peers": {}, "leaving": [], "reach": [], "servers": []})]
    done = subprocess.run(argv, input=prove._PROBE.read_bytes(), capture_output=True, timeout=120, check=False)
    assert not done.stderr
