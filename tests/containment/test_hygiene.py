"""A canary in every secret of the system, through a whole life of a bottle; then everything that can be seen is searched."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import re
import secrets
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import world

pytestmark = [pytest.mark.docker, pytest.mark.slow]

WORD = secrets.token_hex(6)
# A stack's secret, a variable of the host, a git token, a passphrase: shaped as nothing that a scanner would look for.
STACK_TOKEN, HOST_TOKEN, GIT_TOKEN = (
    f"canary-{WORD}-{kind}-{secrets.token_hex(12)}" for kind in ("stack", "host", "git")
)
PASSPHRASE = f"canary-{WORD}-passphrase-{secrets.token_hex(12)}"


class Watcher(threading.Thread):
    """Looks at every process's arguments while the bottle lives: they are readable by every user of the machine."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self.seen.add(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))


def ssh_key(folder: Path) -> tuple[Path, str]:
    """A private key, and the middle of its body: the part that no other key has."""
    file = folder / "canary-key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(file)], check=True)
    lines = file.read_text().splitlines()
    return file, lines[3][:60]


def spellings(value: str) -> list[bytes]:
    raw = value.encode()
    forms = [raw, raw.hex().encode(), json.dumps(value)[1:-1].encode()]
    for shift in range(3):  # base64 of something that holds it, at each alignment
        coded = base64.b64encode(b"\0" * shift + raw)
        forms.append(coded[4 : len(coded) - 4])
    return forms


class Life:
    """What could be seen of one bottle, by where it was seen."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}
        self.values: dict[str, str] = {}

    def take(self, where: str, text: str) -> None:
        self.seen[where] = self.seen.get(where, "") + text


@pytest.fixture(scope="module")
def life(sidecar_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    life, watcher, keys = Life(), Watcher(), tmp_path_factory.mktemp("keys")
    key, body = ssh_key(keys)
    started = time.time()
    life.values = {
        "stack token": STACK_TOKEN,
        "host token": HOST_TOKEN,
        "git token": GIT_TOKEN,
        "passphrase": PASSPHRASE,
        "ssh key": body,
    }
    manifest: dict[str, Any] = {
        "agent": {"memory": "1g"},
        "egress": {
            "routes": [
                {"host": "a.example.com", "token_ref": "STACK_TOKEN"},
                {"host": "b.example.com", "token_ref": "HOST_TOKEN", "auth_scheme": "basic"},
            ]
        },
        "git": [
            {"name": "over-ssh", "upstream": "git@git.example.com:a/b.git", "identity_file": str(key),
             "known_hosts": "git.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJX1Vq0y8P0a0v6b4o4u3C8aZ1nq2b0o9v7o8m3Yt7bG"},
            {"name": "over-https", "upstream": "https://git.example.com/a/c.git", "token_ref": "GIT_TOKEN"},
        ],
        "supervise": True,
    }  # fmt: skip
    env = {"HOST_TOKEN": HOST_TOKEN, "GIT_TOKEN": GIT_TOKEN, "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
    watcher.start()
    with world.docker_network() as outside, world.bottle(
        tmp_path_factory.mktemp("project"), {**manifest, "network": {"external": outside}}, env
    ) as bottle:  # fmt: skip
        # As the README says: the value comes by standard input, for arguments are seen by everybody.
        argv = ["pulumi", "config", "set", "--secret", "STACK_TOKEN", "--stack", bottle.name]
        subprocess.run(
            argv, cwd=bottle.folder, env={**os.environ, **bottle.env}, input=STACK_TOKEN, text=True, check=True
        )
        preview: list[str] = []
        bottle.stack.preview(on_output=preview.append, diff=True)
        life.take("first preview", "\n".join(preview))
        bottle.up()
        life.take("up", "\n".join(bottle.log))
        life.take("exported state", bottle.run("pulumi", "stack", "export", "--stack", bottle.name).stdout)
        life.values |= ca_keys(bottle)
        manifest["egress"]["routes"].append({"host": "c.example.com", "token_ref": "HOST_TOKEN"})
        bottle.write({**manifest, "network": {"external": outside}})
        life.take("preview --json", bottle.run("pulumi", "preview", "--json", "--diff", "--stack", bottle.name).stdout)
        life.take(
            "preview --show-replacement-steps", bottle.run("pulumi", "preview", "--diff", "--stack", bottle.name).stdout
        )
        bottle.up(debug=False)
        life.take("second up", "\n".join(bottle.log))
        life.take("outputs", bottle.run("pulumi", "stack", "output", "--json", "--stack", bottle.name).stdout)
        life.take("stack", bottle.run("pulumi", "stack", "--show-urns", "--show-ids", "--stack", bottle.name).stdout)
        life.take("config", bottle.run("pulumi", "config", "--stack", bottle.name).stdout)
        life.take("plan table", bottle.bottle("plan", bottle.name).stdout)
        work(bottle)
        engine(life, bottle)
        life.take("dashboard", page(bottle))
        agent = "find / -xdev -type f -size -4M -not -path '/proc/*' -not -path '/sys/*' 2>/dev/null | xargs -d '\\n' cat 2>/dev/null"
        search = f"{{ env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; {agent}; }} 2>/dev/null | grep -a -o '.\\{{0,30\\}}{WORD}.\\{{0,60\\}}' | head"
        life.take("agent", bottle.agent(search, user="0", timeout=300))
        folder = bottle.folder
        bottle.stack.destroy(on_output=lambda line: life.take("destroy", line))
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                life.take(f"project {file.relative_to(folder)}", file.read_bytes().decode("latin-1"))
    watcher.over.set()
    life.take("process arguments", "\n".join(watcher.seen))
    for place in (Path(tempfile.gettempdir()), Path("/var/crash"), Path("/var/lib/systemd/coredump"), Path("/root")):
        for file in young_files(place, started, (keys, folder)):
            with contextlib.suppress(OSError):  # gone meanwhile, or a network namespace, which cannot be read
                life.take(f"host {file}", file.read_bytes().decode("latin-1"))
    yield life


def young_files(place: Path, since: float, but: tuple[Path, ...]) -> Iterator[Path]:
    """Files of the host that were written meanwhile; the tests' own and Docker's are looked at elsewhere."""
    for folder, inner, names in os.walk(place, onerror=lambda _: None):
        at = Path(folder)
        inner[:] = [
            n
            for n in inner
            if n not in (".venv", "node_modules", "pytest-of-root") and at / n not in but and n != ".pytest_cache"
        ]
        for name in names:
            file = at / name
            with contextlib.suppress(OSError):
                stat = file.lstat()
                if file.is_file() and not file.is_symlink() and stat.st_mtime >= since and stat.st_size < 8 << 20:
                    yield file


def ca_keys(bottle: world.BottleUnderTest) -> dict[str, str]:
    """The middle of each CA's private key, read where it is meant to be."""
    keys = {}
    for role, file in (("egress", "/etc/claude-bottle/mitmproxy-ca.pem"), ("pipelock", "/etc/pipelock/ca-key.pem")):
        pem = world.docker("exec", f"claude-bottle-{role}-{bottle.name}", "cat", file)
        body = re.search(r"PRIVATE KEY-----\n(.+?)\n", pem)
        assert body
        keys[f"{role} CA key"] = body[1][10:54]
    return keys


def work(bottle: world.BottleUnderTest) -> None:
    """Some of what an agent does: refused, allowed, asked, pushed."""
    for url in ("https://a.example.com/x", "https://undeclared.example.com/", "http://_egress.local/routes"):
        bottle.curl(url)
    bottle.agent(
        "git ls-remote git://git-gate/over-ssh.git; git ls-remote git://git-gate/over-https.git; claude mcp list",
        timeout=120,
    )


def engine(life: Life, bottle: world.BottleUnderTest) -> None:
    """All that the engine tells whoever may ask it."""
    label = f"label=claude-bottle.stack={bottle.name}"
    for container in world.docker("ps", "-aq", "--filter", label).split():
        life.take(f"inspect {container}", world.docker("inspect", container))
        life.take(
            f"logs {container}",
            subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False).stdout,
        )
        life.take(f"top {container}", world.docker("top", container, check=False))
        image = world.docker("inspect", "-f", "{{.Image}}", container).strip()
        life.take(
            f"history of {image}",
            world.docker("history", "--no-trunc", image) + world.docker("image", "inspect", image),
        )
    for network in world.docker("network", "ls", "-q", "--filter", label).split():
        life.take(f"network {network}", world.docker("network", "inspect", network))
    for volume in world.docker("volume", "ls", "-q", "--filter", label).split():
        life.take(f"volume {volume}", world.docker("volume", "inspect", volume))


def page(bottle: world.BottleUnderTest) -> str:
    """What the dashboard serves to its owner's browser, once it has followed the bottle."""
    argv = [*world.BOTTLE, "dashboard", "--port", "0"]
    env = {**os.environ, **bottle.env}
    served = subprocess.Popen(argv, cwd=bottle.folder, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert served.stdout is not None
        url = served.stdout.readline().removeprefix("open ").strip()
        port, token = int(url.split(":")[2].split("/")[0]), url.partition("token=")[2]

        def get(path: str, *until: str) -> str:
            """until: what the answer holds at some time; events have no other end."""
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", path, headers={"Cookie": f"claude-bottle-{port}={token}"})
            answer, said, limit = connection.getresponse(), "", time.monotonic() + 60 * world.PATIENCE
            while chunk := answer.read1(65536):
                said += chunk.decode()
                assert time.monotonic() < limit, said[-3000:]
                if until and all(words in said for words in until):
                    break
            connection.close()
            return said

        shown = get("/api/events", "undeclared.example.com", f'{{"stack": "{bottle.name}", "proposals": ')
        audit = f"/api/{bottle.name}/audit"
        world.eventually(lambda: json.loads(get(audit)).get("records"), "the dashboard has written its log")
        shown += "".join(map(get, ("/", audit, f"/api/{bottle.name}/resume")))
        assert "a.example.com" in shown
        return shown
    finally:
        served.kill()
        served.communicate()


def test_nothing_shows_a_secret(life: Life) -> None:
    assert len(life.values) == 7
    leaks = [
        f"{kind} in {where}"
        for where, text in life.seen.items()
        for kind, value in life.values.items()
        if any(form.decode("latin-1") in text for form in spellings(value))
    ]
    assert not leaks, leaks


def test_the_search_would_have_found_one(life: Life) -> None:
    """What was searched is there: each place holds what it must, and the canary is seen where it is put on purpose."""
    for where in (
        "first preview",
        "up",
        "exported state",
        "outputs",
        "dashboard",
        "process arguments",
        "destroy",
        "preview --json",
    ):
        assert len(life.seen[where]) > 50, where
    assert any(where.startswith("project state/.pulumi/backups") for where in life.seen)
    assert any("audit" in where for where in life.seen)
    assert any(where.startswith("inspect") for where in life.seen)
    assert "STACK_TOKEN" in life.seen["outputs"]
    planted = Life()
    planted.take("x", f"… {base64.b64encode(b'abc' + STACK_TOKEN.encode()).decode()} …")
    assert any(form.decode() in planted.seen["x"] for form in spellings(STACK_TOKEN))
