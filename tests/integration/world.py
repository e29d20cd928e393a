"""What the integration tests stand on: a fake internet, and bottles that are brought up with the real Pulumi."""

from __future__ import annotations

import contextlib
import datetime
import io
import ipaddress
import json
import os
import secrets
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pulumi import automation as auto

from claude_bottle.engines.images.base_image import BaseLock
from components import images

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ("Pulumi.yaml", "__main__.py", "claude_bottle", "components", "addons", "sidecar_images", "dashboard")
LABEL = "claude-bottle.test"
# `bottle` in the folder where it is called, which is a test's project; that of a checkout works in the checkout.
BOTTLE = ("python3", "-c", "from claude_bottle.cli.app import app; app(prog_name='bottle')")
# How many times as long as an idle machine a busy one may take: a limit of these tests ends a hang, it measures nothing.
PATIENCE = 5
HOSTS = ["api.anthropic.com", "*.example.com"]
NAMES = [
    f"{name}.example.com"
    for name in ("echo", "plain", "git", "undeclared", "new", "keyed", "sub.wild", "xn--bcher-kva", "s3")
]


def unpulled(stack: str) -> tuple[str, ...]:
    """The look for work that only the agent has, without the `down` that it can stop."""
    look = "import sys; from claude_bottle.cli.common import say; from claude_bottle.workspace.unpulled import warning"
    return ("python3", "-c", f"{look}; lost = warning({stack!r}); lost and say(lost); sys.exit(bool(lost))")


def docker(*argv: str, check: bool = True, stdin: bytes | None = None, timeout: float = 120) -> str:
    """Standard output of a docker command. timeout: in seconds on an idle machine; a busy one gets several times as long."""
    limit = timeout * PATIENCE
    done = subprocess.run(["docker", *argv], input=stdin, capture_output=True, timeout=limit, check=False)
    if check and done.returncode != 0:
        raise AssertionError(f"docker {' '.join(argv)} failed: {done.stderr.decode()[-2000:]}")
    return done.stdout.decode(errors="replace")


def eventually(holds: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Wait until this holds. seconds: on an idle machine; a busy one gets several times as long."""
    until = time.monotonic() + seconds * PATIENCE
    while not holds():
        if time.monotonic() > until:
            raise AssertionError(f"never so: {what}")
        time.sleep(0.1)


def _certificate(
    name: str, *, issuer: Any = None, names: list[str] | None = None, expired: bool = False
) -> tuple[Any, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signer, signer_name = (issuer[1], issuer[0].subject) if issuer else (key, subject)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(signer_name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=9))
    builder = builder.not_valid_after(now + datetime.timedelta(days=-1 if expired else 2))
    builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = builder.add_extension(authority, critical=False)
    if issuer is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return builder.sign(signer, hashes.SHA256()), key


def _key_pem(key: Any) -> bytes:
    plain = serialization.NoEncryption()
    return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


def _pem(certificate: Any) -> bytes:
    return bytes(certificate.public_bytes(serialization.Encoding.PEM))


@contextlib.contextmanager
def host_listener() -> Iterator[int]:
    """A service of the host on all of its addresses; gives its port."""
    with socket.create_server(("0.0.0.0", 0), backlog=16) as server:
        yield server.getsockname()[1]


@dataclass
class Internet:
    """A server that plays every outside host, on a network that leads nowhere."""

    network: str
    container: str
    ca: bytes
    address: str
    issuer: Any = field(repr=False, default=None)

    def leaf(self, *names: str) -> bytes:
        """Key and certificate of another outside host, in one PEM."""
        certificate, key = _certificate(names[0], issuer=self.issuer, names=list(names))
        return _key_pem(key) + _pem(certificate)

    def requests(self) -> list[dict[str, Any]]:
        """Everything that arrived, oldest first."""
        return [json.loads(line) for line in docker("logs", self.container).splitlines() if line.startswith("{")]

    def mark(self) -> int:
        """A place in the log, for `since`."""
        return len(self.requests())

    def since(self, mark: int) -> list[dict[str, Any]]:
        return self.requests()[mark:]


def outside_network(name: str, *options: str) -> str:
    """Make a network that leads nowhere, in a free part of a documentation network (RFC 5737).

    Gives the address for its server.
    """
    for subnet in ipaddress.ip_network("198.51.100.0/24").subnets(new_prefix=27):
        try:
            docker("network", "create", "--internal", "--subnet", str(subnet), *options, name)
        except AssertionError as error:
            if "overlap" not in str(error):
                raise
        else:
            return str(subnet.network_address + 10)
    raise AssertionError(f"no free subnet for {name}: see docker network ls --filter label={LABEL}")


@contextlib.contextmanager
def fake_internet(image: str) -> Iterator[Internet]:
    """Bring the fake internet up; takes everything of it away again."""
    run = secrets.token_hex(4)
    name = f"claude-bottle-test-internet-{run}"
    ca = _certificate("claude-bottle test root")
    leaf, key = _certificate("fake", issuer=ca, names=[*HOSTS, "sub.wild.example.com"])
    pem = _key_pem(key) + _pem(leaf)
    label = ["--label", f"{LABEL}={run}"]
    try:
        address = outside_network(name, *label)
        argv = ["create", "--name", name, *label, "--network", name, "--ip", address, "--user", "0"]
        argv += [word for host in ["api.anthropic.com", *NAMES] for word in ("--network-alias", host)]
        docker(*argv, "--entrypoint", "/opt/proxy/bin/python", image, "-u", "/fake/fake_internet.py")
        docker("cp", "-", f"{name}:/", stdin=tar({"fake/server.pem": pem, "fake/fake_internet.py": _source()}))
        docker("start", name)
        yield Internet(name, name, _pem(ca[0]), address, ca)
    finally:
        docker("rm", "-f", "-v", name, check=False)
        docker("network", "rm", name, check=False)


def build_git_host(tag: str) -> None:
    """The image of a forge: an sshd with git, from the base of all images."""
    base = f"BASE={BaseLock.read().tag}"
    docker("build", "-q", "--build-arg", base, "-t", tag, str(ROOT / "tests/integration/git_host"), timeout=1200)


@contextlib.contextmanager
def docker_network() -> Iterator[str]:
    """An outside that leads nowhere and has nobody on it."""
    name = f"claude-bottle-test-nowhere-{secrets.token_hex(4)}"
    outside_network(name, "--label", f"{LABEL}=nowhere")
    try:
        yield name
    finally:
        docker("network", "rm", name, check=False)


def _source() -> bytes:
    return Path(__file__).with_name("fake_internet.py").read_bytes()


def tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    """A tar of these files, for docker cp."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), mode
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


@dataclass
class BottleUnderTest:
    """One stack in a project folder of its own, which runs this checkout's program."""

    stack: auto.Stack
    folder: Path
    name: str
    env: dict[str, str]
    log: list[str] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "stacks" / f"Pulumi.{self.name}.yaml"

    def write(self, manifest: dict[str, Any]) -> None:
        """Put the manifest into the stack file, leaving what Pulumi keeps there. One container less by default."""
        content = yaml.safe_load(self.file.read_text()) if self.file.exists() else {}
        content = content or {}
        content.setdefault("config", {})["claude-bottle:bottle"] = {"supervise": False, **manifest}
        self.file.write_text(yaml.safe_dump(content))

    def up(self, **options: Any) -> auto.UpResult:
        self.log.clear()
        return self.stack.up(on_output=self.log.append, **options)

    def agent(self, script: str, *, user: str = "node", stdin: bytes | None = None, timeout: float = 90) -> str:
        """Standard output and error of a shell script run in the agent; its exit code does not matter."""
        argv = ["exec", "-i", "-u", user, f"claude-bottle-agent-{self.name}", "bash", "-c", f"{{ {script}\n}} 2>&1"]
        return docker(*argv, check=False, stdin=stdin, timeout=timeout)

    def curl(self, *argv: str) -> tuple[int, str]:
        """Status and body of a request made in the agent."""
        quoted = " ".join("'" + a.replace("'", "'\\''") + "'" for a in argv)
        out = self.agent(f"curl -s -m 200 -w '\\n%{{http_code}}' {quoted}")
        body, _, status = out.rpartition("\n")
        return int(status) if status.isdigit() else 0, body

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A command of the project, as its owner would run it in the project's folder."""
        env = {**os.environ, **self.env}
        return subprocess.run(
            argv, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300 * PATIENCE, check=False
        )

    def bottle(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A verb of the owner's command."""
        return self.run(*BOTTLE, *argv)

    def until_pulumi_ends(self) -> None:
        """Wait for a pulumi whose caller was killed: it goes on by itself, and holds the stack until it ends."""

        def works() -> bool:
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):  # it has ended meanwhile
                    at = (process / "cwd").resolve()
                    if at == self.folder.resolve() and (process / "comm").read_text() == "pulumi\n":
                        return True
            return False

        eventually(lambda: not works(), "no pulumi works on the stack", 120)

    def ask(self, verb: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """A verb about the agent's proposals."""
        return self.bottle("ask", verb, self.name, *argv)

    def audit(self, verb: str) -> subprocess.CompletedProcess[str]:
        """A verb about the record of every decision."""
        return self.bottle("audit", verb, self.name)

    def pending(self, words: str) -> str:
        """The id of the pending proposal about `words`, once it is there."""
        for _ in range(400):
            for line in self.ask("list").stdout.splitlines():
                if words in line and " pending " in line:
                    return line.split()[0]
            time.sleep(0.3)
        raise AssertionError(f"no pending proposal about {words}: {self.ask('list').stdout}")

    def marks(self, prompt: str, internet: Internet, *options: str) -> set[str]:
        """Ask the real Claude Code something; the marks that its requests to the model held."""
        mark = internet.mark()
        assert "pong" in self.agent(f"claude {' '.join(options)} -p '{prompt}'", timeout=120)
        return {word for request in internet.since(mark) for word in request["marks"]}

    def container_id(self, role: str) -> str:
        return docker(
            "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", f"claude-bottle-{role}-{self.name}"
        ).strip()

    def decisions(self, role: str) -> list[dict[str, Any]]:
        lines = docker("logs", f"claude-bottle-{role}-{self.name}").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextlib.contextmanager
def bottle(
    folder: Path,
    manifest: dict[str, Any],
    env: dict[str, str] | None = None,
    files: dict[str, bytes] | None = None,
    root: Path = ROOT,
) -> Iterator[BottleUnderTest]:
    """A stack that is not up yet; destroyed at the end, also when the test failed."""
    name = f"t{secrets.token_hex(4)}"
    (folder / "stacks").mkdir(parents=True)
    (folder / "state").mkdir()
    for path, data in (files or {}).items():
        (folder / "stacks" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "stacks" / path).write_bytes(data)
    for part in PROGRAM:
        (folder / part).symlink_to(root / part)
    variables = {
        "PULUMI_BACKEND_URL": f"file://{folder}/state",
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_CONFIG_PASSPHRASE_FILE": "",
        "PATH": os.environ["PATH"],
        "XDG_STATE_HOME": f"{folder}/state",
        **(env or {}),
    }
    options = auto.LocalWorkspaceOptions(env_vars=variables)
    stack = auto.create_or_select_stack(stack_name=name, work_dir=str(folder), opts=options)
    bottle = BottleUnderTest(stack, folder, name, variables)
    bottle.write(manifest)
    try:
        yield bottle
    finally:
        with contextlib.suppress(Exception):
            stack.destroy()
        leftovers(name, remove=True)


def built(role: str) -> str:
    """The tag of a sidecar's image, which is built as a bottle would where it is not there."""
    tag = images.tag(role)
    if not docker("image", "inspect", "--format", "{{.Id}}", tag, check=False).strip():
        args = [word for item in images.build_args().items() for word in ("--build-arg", "=".join(item))]
        build = ["build", "-q", *args, "-t", tag, "-f"]
        docker(*build, str(ROOT / images.dockerfile(role)), str(ROOT), timeout=1200)
    return tag


def leftovers(stack: str, *, remove: bool = False) -> list[str]:
    """Containers, networks and volumes that still carry the stack's label."""
    wanted = f"label=claude-bottle.stack={stack}"
    resources = []
    for kind, listing in (("container", ["ps", "-a"]), ("network", ["network", "ls"]), ("volume", ["volume", "ls"])):
        for item in docker(*listing, "-q", "--filter", wanted).split():
            resources.append(f"{kind} {item}")
            if remove:
                docker(kind, "rm", *(["-f"] if kind != "network" else []), item, check=False)
    return resources
