"""The outside git host of the tests and of the benchmark: a real sshd, and git over https."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import world

TOKEN = "git-" + secrets.token_hex(20)
HOST = "forge.example.com"


@dataclass
class Forge:
    """The outside git host: bare repositories below /srv/acme."""

    container: str
    key: Path
    known_hosts: str

    def run(self, script: str, *, user: str = "git", stdin: bytes | None = None) -> str:
        return world.docker("exec", "-i", "-u", user, self.container, "sh", "-euc", script, stdin=stdin).strip()

    def repository(self, name: str, extra: str = "") -> str:
        """A new repository with one commit on main; gives its path."""
        path = f"/srv/acme/{name}.git"
        self.run(
            f"git init -q --bare {extra} {path}; t=$(mktemp -d); git clone -q {path} $t 2>/dev/null; cd $t;"
            " git config user.name Owner; git config user.email owner@example.com; echo hello > README; git add README;"
            " git commit -q -m first; git push -q origin HEAD:main"
        )
        return path

    def log(self) -> str:
        """What the https server has said: a line for every request."""
        done = subprocess.run(["docker", "logs", self.container], capture_output=True, text=True, check=True)
        return done.stdout + done.stderr

    def refs(self, name: str) -> str:
        return self.run(f"git -C /srv/acme/{name}.git for-each-ref --format='%(objectname) %(refname)'")


@contextlib.contextmanager
def git_forge(internet: world.Internet, image: str, folder: Path) -> Iterator[Forge]:
    """Bring the host up on the fake internet, keys in `folder`; taken away at the end."""
    for name in ("owner", "host"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    name = f"claude-bottle-test-forge-{secrets.token_hex(4)}"
    argv = ["create", "--name", name, "--label", f"{world.LABEL}=forge", "--network", internet.network]
    try:
        world.docker(*argv, "--network-alias", HOST, image)
        host_key, public = (folder / "host").read_bytes(), (folder / "owner.pub").read_bytes()
        files = {"etc/ssh/ssh_host_ed25519_key": host_key, "server.pem": internet.leaf(HOST), "token": TOKEN.encode()}
        world.docker("cp", "-", f"{name}:/", stdin=world.tar(files, mode=0o600))
        world.docker("start", name)
        forge = Forge(name, folder / "owner", f"{HOST} {' '.join((folder / 'host.pub').read_text().split()[:2])}")
        forge.run("cat > /home/git/.ssh/authorized_keys", stdin=public)
        yield forge
    finally:
        world.docker("rm", "-f", "-v", name, check=False)
