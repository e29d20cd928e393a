"""A Docker engine of the test's own, so that killing it hurts nobody else's containers."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import world

from components import images

AGENT = "claude-bottle/test-agent:1"
# A listening socket of this network namespace for a program that runs in another one, as systemd hands them over.
_WITH_SOCKET = 'exec 3<&"$1"; shift; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'


def asking(host: str) -> str:
    """A Python program for the agent: file a proposal about `host` without waiting for its answer."""
    refused = {"method": "GET", "host": host, "path": "/", "reason": "host_not_declared"}
    arguments = {"justification": "w", "refused": refused}
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "egress-block", "arguments": arguments},
    }
    return (
        "import urllib.request as u; o = u.build_opener(u.ProxyHandler({}));"
        f"r = u.Request('http://supervise:9100/', {json.dumps(json.dumps(call))}.encode(),"
        " {'Content-Type': 'application/json', 'Accept': 'application/json, text/event-stream'})\n"
        "try: print(o.open(r, timeout=2).read())\nexcept TimeoutError: pass"
    )


class SecondEngine:
    """dockerd with a data folder, socket and network of its own.

    certificates: a folder with ca.pem, server.pem and server-key.pem, by which it is also reached at `tcp_host`.
    """

    def __init__(self, folder: Path, certificates: Path | None = None) -> None:
        self._folder, self._certificates = folder, certificates
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.tcp_host = f"tcp://localhost:{self._listener.getsockname()[1]}"
        self.host = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # In a network of its own: its firewall rules would take the other engine's away.
        argv = ["unshare", "--net", "dockerd", "--storage-driver", "overlay2", "--host", self.host, "--bridge", "none"]
        argv += ["--dns", "127.0.0.1"]  # a name that is not there is told at once
        argv += ["--data-root", f"{self._folder}/data", "--exec-root", f"{self._folder}/exec"]
        argv += ["--pidfile", f"{self._folder}/dockerd.pid"]
        handed_over = self._listener.fileno()
        if self._certificates:
            ca, server, key = (f"{self._certificates}/{name}.pem" for name in ("ca", "server", "server-key"))
            argv += ["--host", "fd://", "--tlsverify", "--tlscacert", ca, "--tlscert", server, "--tlskey", key]
            argv = ["bash", "-c", _WITH_SOCKET, "bash", str(handed_over), *argv]
        with (self._folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdout=log, stderr=log, start_new_session=True, pass_fds=[handed_over]
            )
        for _ in range(1200):
            if self.docker("version", "--format", "{{.Server.Version}}", check=False).strip():
                return
            time.sleep(0.1)
        raise AssertionError((self._folder / "dockerd.log").read_text()[-2000:])

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """As when the machine loses it: no shutdown, and its containerd goes too."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._kill_containerd()

    def _kill_containerd(self) -> None:
        for file in (self._folder / "exec").glob("**/containerd.pid"):
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(file.read_text()), signal.SIGKILL)
            file.unlink(missing_ok=True)  # a zombie of that number would pass for the running one

    def stop(self) -> None:
        self._listener.close()
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.terminate()
            self._process.wait(30)
        self._kill_containerd()
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in sorted((m for m in mounts if m.startswith(str(self._folder))), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)

    def docker(self, *argv: str, check: bool = True) -> str:
        done = subprocess.run(["docker", "-H", self.host, *argv], capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def take_images(self, *roles: str, others: tuple[str, ...] = ()) -> None:
        """Sidecar images from the main engine, and a small one that can play an agent without Claude Code.

        The small one has git where git-gate is among the roles.
        """
        names = [*(images.tag(role) for role in roles), *others]
        with subprocess.Popen(["docker", "save", *names], stdout=subprocess.PIPE) as save:
            subprocess.run(
                ["docker", "-H", self.host, "load", "-q"], stdin=save.stdout, check=True, capture_output=True
            )
        user = "echo node:x:1000:1000::/home/node:/bin/sh >> /etc/passwd; echo node:x:1000: >> /etc/group"
        user += "; install -d -o 1000 -g 1000 /home/node"
        base = images.tag("git-gate" if "git-gate" in roles else "egress")
        text = f"FROM {base}\nUSER 0\nENV PATH=$PATH:/usr/sbin:/sbin HOME=/home/node\nRUN {user}; rm -f /etc/gitconfig\nENTRYPOINT []\nCMD sleep infinity\n"
        build = ["docker", "-H", self.host, "build", "-q", "-t", AGENT, "--network", "none", "-"]
        subprocess.run(
            build, input=text.encode(), check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "0"}
        )


@contextlib.contextmanager
def second_engine(
    *roles: str, others: tuple[str, ...] = (), certificates: Path | None = None, disk_mb: int | None = None
) -> Iterator[SecondEngine]:
    """Up with the images of these roles and these others; all of it is taken away at the end.

    disk_mb: it has a disk of its own of this size.
    """
    for role in roles:
        world.built(role)
    folder = Path(tempfile.mkdtemp(prefix="claude-bottle-engine-"))
    engine = SecondEngine(folder, certificates)
    try:
        if disk_mb:
            disk = folder / "disk"
            with disk.open("wb") as out:
                out.truncate(disk_mb << 20)
            (folder / "data").mkdir()
            subprocess.run(["mkfs.ext4", "-q", "-m", "0", disk], check=True)
            subprocess.run(["mount", "-o", "loop", disk, folder / "data"], check=True)
        engine.start()
        engine.take_images(*roles, others=others)
        yield engine
        for container in engine.docker("ps", "-aq", check=False).split():
            engine.docker("rm", "-f", "-v", container, check=False)
    finally:
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)
