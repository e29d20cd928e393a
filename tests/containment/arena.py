"""Where attacks are run: a bottle, a sink that plays everything outside, a capture of every bridge, a listener on the host.

All of it is made here, labelled, on documentation addresses, and taken away again.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import ipaddress
import json
import secrets
import socket
import string
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import world
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from claude_bottle.engines.images.base_image import BaseLock
from claude_bottle.engines.images.build_context import digest

HERE = Path(__file__).parent
SINK_IMAGE = f"claude-bottle/test-sink:{digest(HERE / 'sink/Dockerfile', HERE / 'sink', exact_modes=False)[:12]}"
KEY_A, KEY_B = ("key-" + secrets.token_hex(20) for _ in range(2))
GATE_TOKEN = "gate-" + secrets.token_hex(20)
AWS_KEYS = "AKIAARENAARENAARENA1:" + secrets.token_hex(20)
TOKENS = {"AWS_KEYS": AWS_KEYS, "KEY_A": KEY_A, "KEY_B": KEY_B, "GATE_TOKEN": GATE_TOKEN}
NAMES = (
    "declared",
    "keyed",
    "undeclared",
    "a.wild",
    "b.wild",
    "keyed.wild",
    "s3.wild",
    "graph.wild",
    "xn--bcher-kva.wild",
    "evilwild",
    "wild",
    "dns",
    "gate",
    "evildeclared",
    "expired.wild",
    "wronghost.wild",
    "revoked.wild",
    "selfsigned.wild",
    "otherca.wild",
    "index",
    "files",
)
# Names that lead inside, as a hostile name server would say: put into pipelock's hosts file.
INSIDE = {
    "meta.wild.example.com": ["169.254.169.254"],
    "private.wild.example.com": ["10.99.99.99"],
    "loop.wild.example.com": ["127.0.0.1"],
    "both.wild.example.com": ["{sink}", "10.99.99.99"],
    "spliced.wild.example.com": ["10.99.99.99"],
    "nat64.wild.example.com": ["64:ff9b::a63:6363"],
    "own.wild.example.com": ["{pipelock_chain}"],
    "inside.example.com": ["169.254.169.254"],
    "exempt.wild.example.com": ["169.254.169.254", "{sink}"],
}
MANIFEST: dict[str, Any] = {
    "agent": {"memory": "1g", "apt": ["python3", "iproute2", "util-linux", "kmod"]},
    "egress": {
        "routes": [
            {"host": "declared.example.com", "path": ["/open"], "methods": ["GET", "POST"]},
            {
                "host": "keyed.example.com",
                "path": ["/a"],
                "token_ref": "KEY_A",
                "auth_scheme": "header:X-Key",
                "placeholder": "ARENA_KEY",
            },
            {
                "host": "keyed.example.com",
                "path": ["/own"],
                "token_ref": "KEY_A",
                "auth_scheme": "header:X-Key",
                "own_credentials": "pass",
            },
            {"host": "keyed.example.com", "path": ["/b"], "token_ref": "KEY_B"},
            {
                "host": "s3.wild.example.com",
                "path": ["/mine"],
                "methods": ["GET", "PUT"],
                "token_ref": "AWS_KEYS",
                "auth_scheme": "aws-sigv4:eu-west-1/s3",
                "placeholder": "ARENA_AWS",
            },
            {"host": "graph.wild.example.com", "path": ["/graphql"], "repositories": ["acme/project"]},
            {"host": "*.wild.example.com"},
            {"host": "index.example.com", "methods": ["GET", "HEAD"], "follow": "links"},
        ]
    },
    "pipelock": {
        "ca_files": ["root.pem"],
        "crl_files": ["root.crl.pem"],
        "passthrough": ["api.anthropic.com", "spliced.wild.example.com"],
        "internal_exempt": ["198.18.0.0/15"],
    },
    "git": [{"name": "gate", "upstream": "https://gate.example.com/acme/gate.git", "token_ref": "GATE_TOKEN"}],
    "supervise": True,
}


@dataclass
class Arena:
    """canary words are of this run, so that nothing older is taken for a leak."""

    bottle: world.BottleUnderTest
    sink: str
    capture: str
    heard_on_host: list[str]
    facts: dict[str, str]
    allowed_outside: set[str]
    run: str = field(default_factory=lambda: secrets.token_hex(3))

    def arrived(self) -> list[dict[str, Any]]:
        """Everything that the sink has received."""
        return [json.loads(line) for line in world.docker("logs", self.sink).splitlines() if line.startswith("{")]

    def frames(self) -> list[dict[str, Any]]:
        """What the capture has told: all with a canary, and each kind of packet once."""
        lines = world.docker("logs", self.capture).splitlines()
        return [frame for line in lines if line.startswith("{") and "on" in (frame := json.loads(line))]

    def attack(self, user: str, attacks: list[dict[str, Any]]) -> dict[str, str]:
        """Run them in the agent as this user; id to what came back."""
        argv = ["exec", "-i", "-u", user, f"claude-bottle-agent-{self.bottle.name}", "python3", "-"]
        program = (
            (HERE / "attack.py").read_text().replace("json.load(sys.stdin)", f"json.loads({json.dumps(attacks)!r})")
        )
        out = world.docker(*argv, stdin=program.encode(), timeout=600)
        return {result["id"]: result["got"] for result in map(json.loads, out.splitlines())}


def table() -> list[dict[str, Any]]:
    """The rows of attacks.yaml."""
    rows: list[dict[str, Any]] = yaml.safe_load((HERE / "attacks.yaml").read_text())
    return rows


def canary(run: str, index: int, user: str) -> str:
    """One word for one row and user; lower-case letters and digits, so that it survives everywhere."""
    return f"canary{run}{index:03d}{user[0]}"


def prepared(arena: Arena, user: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their words put in."""
    attacks = []
    for index, row in enumerate(rows):
        word = canary(arena.run, index, user)
        # Shaped like a credential that the DLP rules know, with the canary in it; valid nowhere.
        tail = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(36))
        secret = "ghp_" + (word + tail)[:36]
        words = {
            **arena.facts, "canary": word, "canary40": word.ljust(40, "."), "secret": secret, "secret_query": secret,
            "secret_label": secret.lower(), "secret_name": f"x-{secret}", "secret120": f"token {secret} ".ljust(120, "."),
        }  # fmt: skip
        attacks.append({"id": row["id"], "how": _filled(row["how"], words), "patient": row["expect"] == "pass"})
    return attacks


def _filled(node: Any, words: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _filled(value, words) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, words) for value in node]
    if isinstance(node, str):
        if node == "{port}":
            return int(words["port"])
        for key, value in words.items():
            node = node.replace(f"{{{key}}}", value)
    return node


@contextlib.contextmanager
def host_listener() -> Iterator[tuple[int, list[str]]]:
    """A service of the host on all of its addresses, TCP and UDP, that writes down what it hears."""
    heard: list[str] = []
    server = socket.create_server(("0.0.0.0", 0), backlog=64)
    port = server.getsockname()[1]
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("0.0.0.0", port))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                conn, peer = server.accept()
                conn.settimeout(2)
                with contextlib.suppress(OSError):
                    heard.append(f"tcp {peer[0]} {conn.recv(4096)!r}")
                conn.close()

    def receive(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = sock.recvfrom(4096)
                heard.append(f"udp {peer[0]} {data!r}")

    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with contextlib.suppress(OSError):  # where the machine has a name server of its own there
        names.bind(("172.17.0.1", 53))
    for work, args in ((accept, ()), (receive, (datagrams,)), (receive, (names,))):
        threading.Thread(target=work, args=args, daemon=True).start()
    try:
        yield port, heard
    finally:
        for sock in (server, datagrams, names):
            sock.close()


def build_sink() -> None:
    """The sink's image, where it is not there."""
    if not world.docker("image", "inspect", "-f", "{{.Id}}", SINK_IMAGE, check=False).strip():
        base = f"BASE={BaseLock.read().tag}"
        world.docker("build", "-q", "--build-arg", base, "-t", SINK_IMAGE, str(HERE / "sink"), timeout=900)


def _revocation_list(ca: Any, *revoked: Any) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca[0].subject).last_update(now)
    builder = builder.next_update(now + datetime.timedelta(days=1))
    for certificate in revoked:
        one = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now).build()
        builder = builder.add_revoked_certificate(one)
    return builder.sign(ca[1], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _bad_certificates(ca: Any, revoked: Any) -> dict[str, bytes]:
    """Hosts whose certificate no client may accept."""
    certificates = {
        "expired.wild": world._certificate("expired", issuer=ca, names=["expired.wild.example.com"], expired=True),
        "wronghost.wild": world._certificate("wrong", issuer=ca, names=["somebody-else.example.com"]),
        "revoked.wild": revoked,
        "selfsigned.wild": world._certificate("selfsigned.wild.example.com", names=["selfsigned.wild.example.com"]),
        "otherca.wild": world._certificate(
            "other", issuer=world._certificate("another root"), names=["otherca.wild.example.com"]
        ),
    }
    return {
        f"certificates/{n}.example.com.pem": world._key_pem(k) + world._pem(c) for n, (c, k) in certificates.items()
    }


def _address(container: str, network: str) -> str:
    shape = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    return world.docker("inspect", "-f", shape, container).strip()


def _bridge(network: str) -> str:
    return "br-" + world.docker("network", "inspect", "-f", "{{.Id}}", network).strip()[:12]


def _wait(container: str, word: str, count: int = 1) -> None:
    for _ in range(900):
        if world.docker("logs", container).count(word) >= count:
            return
        time.sleep(0.1)
    raise AssertionError(f"{container}: {world.docker('logs', container)[-1000:]}")


@contextlib.contextmanager
def arena(folder: Path, changes: dict[str, Any] | None = None, root: Path = world.ROOT) -> Iterator[Arena]:
    """Bring all of it up. changes: of the manifest. root: the checkout whose program the bottle runs."""
    build_sink()
    run = secrets.token_hex(4)
    outside, other_net = f"claude-bottle-test-outside-{run}", f"claude-bottle-test-other-{run}"
    sink, capture, other = (f"claude-bottle-test-{role}-{run}" for role in ("sink", "capture", "other"))
    label = ["--label", f"{world.LABEL}={run}"]
    ca = world._certificate("claude-bottle test root")
    # Two levels below wild, for the labels that carry something.
    names = [f"{name}.example.com" for name in NAMES] + ["*.example.com", "*.wild.example.com"]
    leaf, key = world._certificate("sink", issuer=ca, names=names)
    revoked = world._certificate("revoked", issuer=ca, names=["revoked.wild.example.com"])
    given = {"root.pem": world._pem(ca[0]), "root.crl.pem": _revocation_list(ca, revoked[0])}
    try:
        address = world.outside_network(outside, *label)
        world.docker("network", "create", "--internal", *label, other_net)
        argv = ["create", "--name", sink, *label, "--network", outside, "--ip", address, "--cap-add", "NET_ADMIN"]
        argv += [word for name in NAMES for word in ("--network-alias", f"{name}.example.com")]
        world.docker(*argv, SINK_IMAGE)
        files = {"sink.pem": world._key_pem(key) + world._pem(leaf), **_bad_certificates(ca, revoked)}
        world.docker("cp", "-", f"{sink}:/", stdin=world.tar(files))
        world.docker("start", sink)
        serve = ["python3", "-m", "http.server", "8080"]
        world.docker("run", "-d", "--name", other, *label, "--network", other_net, SINK_IMAGE, *serve)
        manifest = {**MANIFEST, "network": {"external": outside}, **(changes or {})}
        with host_listener() as (port, heard), world.bottle(
            folder, manifest, dict(TOKENS), given, root=root
        ) as bottle:  # fmt: skip
            bottle.up()
            arena = _arena(bottle, outside, other_net, sink, other, port, heard)
            networks = [n for n in arena.facts["networks"].split() if n]
            watch = ["run", "-d", "--name", capture, *label, "--network", "host", "--cap-add", "NET_RAW"]
            bridges = [_bridge(network) for network in (*networks, other_net)]
            program = (HERE / "capture.py").read_text()
            world.docker(*watch, SINK_IMAGE, "python3", "-u", "-c", program, *bridges)
            arena.capture = capture
            _wait(capture, "ready", len(bridges))
            _wait(sink, "ready")
            yield arena
    finally:
        for container in (sink, capture, other):
            world.docker("rm", "-f", "-v", container, check=False)
        for network in (outside, other_net):
            world.docker("network", "rm", network, check=False)


def _arena(
    bottle: world.BottleUnderTest, outside: str, other_net: str, sink: str, other: str, port: int, heard: list[str]
) -> Arena:
    label = f"label=claude-bottle.stack={bottle.name}"
    listed = world.docker("network", "ls", "--filter", label, "--format", "{{.Name}}").split()
    agent_net = next(name for name in listed if "network-agent" in name)
    chain = next(name for name in listed if "network-chain" in name)
    pipelock, gate = (f"claude-bottle-{role}-{bottle.name}" for role in ("pipelock", "git-gate"))
    address = _address(sink, outside)
    number = int(ipaddress.ip_address(address))
    parts = address.split(".")
    subnet = world.docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", agent_net).strip()
    bridge = world.docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge").strip()
    facts = {
        "sink": address, "sink_decimal": str(number), "sink_hex": hex(number),
        "sink_octal": ".".join(f"0{int(part):o}" for part in parts), "port": str(port),
        "gateway": str(next(ipaddress.ip_network(subnet).hosts())), "host": bridge or "172.17.0.1",
        "other": _address(other, other_net), "other_name": other.rpartition("-")[2],
        "pipelock_chain": _address(pipelock, chain), "pipelock_outside": _address(pipelock, outside),
        "egress_chain": _address(f"claude-bottle-egress-{bottle.name}", chain),
        "networks": " ".join([agent_net, chain, outside]), "bridge_outside": _bridge(outside), "bridge_chain": _bridge(chain),
    }  # fmt: skip
    # A hostile name server, and a network that would carry what it leads to.
    hosts = "\n".join(f"{a} {name}" for name, all_ in INSIDE.items() for a in all_).replace("{sink}", address)
    hosts = hosts.replace("{pipelock_chain}", facts["pipelock_chain"])
    world.docker("exec", "-u", "0", "-i", pipelock, "sh", "-c", "cat >> /etc/hosts", stdin=hosts.encode() + b"\n")
    prefix = address.rpartition(".")[0]
    routes = f"dev=$(ip -o -4 address | awk '/ {prefix}/ {{print $2; exit}}'); " + "; ".join(
        f"ip route add {inside}/32 dev $dev" for inside in ("169.254.169.254", "10.99.99.99")
    )
    label_test = ["--label", f"{world.LABEL}=routes"]
    joined = ["run", "--rm", *label_test, "--network", f"container:{pipelock}", "--cap-add", "NET_ADMIN"]
    world.docker(*joined, SINK_IMAGE, "sh", "-ec", routes)
    allowed = {address, facts["pipelock_outside"], _address(gate, outside), "169.254.169.254", "10.99.99.99"}
    return Arena(bottle, sink, "", heard, facts, allowed)


def token_forms() -> list[bytes]:
    """The bottle's tokens as they are, and in the encodings that are easily undone."""
    forms = []
    for token in TOKENS.values():
        raw = token.encode()
        forms += [raw, base64.b64encode(raw)[4:-4], raw.hex().encode(), raw[::-1]]
    return forms
