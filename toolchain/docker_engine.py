"""Set-up steps for a running Docker engine, and for the base image."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

from claude_bottle import ROOT
from claude_bottle.engines.images.base_image import DOCKERFILE, BaseLock
from claude_bottle.engines.images.build_proxies import options
from claude_bottle.policy.own_command import own_command
from toolchain.shell import CACHE, SetupError, apt_install, as_root, quiet, run, say

_START_SECONDS = 40


class DockerEngine:
    """Uses an engine that answers. Without one, installs docker.io, and starts dockerd if no service does."""

    name = "Docker engine"
    why = "every part of a bottle is a container"
    how = "install docker.io (or Docker's own packages) and start dockerd; your user must be able to use it"

    def look(self) -> str | None:
        if not shutil.which("docker"):
            return None
        return quiet("docker", "version", "--format", "engine {{.Server.Version}}, API {{.Server.APIVersion}}")

    def get(self) -> None:
        if os.environ.get("DOCKER_HOST"):
            raise SetupError(f"DOCKER_HOST is set ({os.environ['DOCKER_HOST']}) and no engine answers there")
        daemon = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if daemon is None or not shutil.which("docker"):
            say("      installing docker.io and iptables")
            apt_install("docker.io", "iptables")
            daemon = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if self._answers(3):
            return
        if daemon is None:
            raise SetupError(self.how)
        self._start(daemon)

    def _start(self, daemon: str) -> None:
        if Path("/run/systemd/system").is_dir():
            run(as_root("systemctl", "start", "docker"), "start docker")
        else:
            say("      no service manager: starting dockerd by itself")
            log = CACHE / "log" / "dockerd.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as out:
                subprocess.Popen(
                    as_root(daemon, "--storage-driver", "overlay2"),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
        if not self._answers(_START_SECONDS):
            raise SetupError(f"dockerd does not answer after {_START_SECONDS} s; see {CACHE / 'log' / 'dockerd.log'}")

    def _answers(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.look():
                return True
            time.sleep(0.5)
        return False


class BaseImage:
    """Debian by digest with the packages of the lock's snapshot; without a registry, built from Debian's packages."""

    name = "base image"

    def __init__(self, lock: BaseLock | None = None) -> None:
        self._lock = lock or BaseLock.read()
        self.why = f"all images of a bottle start from {self._lock.tag}"
        self.how = f"docker pull {self._lock.image}, or install mmdebstrap; then {own_command('up demo')}"

    def look(self) -> str | None:
        shape = '{{slice .Id 7 19}}, {{index .Config.Labels "claude-bottle.from"}}'
        return quiet("docker", "image", "inspect", "--format", f"{self._lock.tag}, {shape}", self._lock.tag)

    def get(self) -> None:
        snapshot = self._lock.snapshot if snapshots_answer() else ""
        args = {**self._lock.build_args, "SNAPSHOT": snapshot}
        try:
            run(["docker", "pull", "--quiet", self._lock.image], "docker pull", timeout=300)
            origin = self._lock.image
        except SetupError:
            say("      no image registry is reachable: making it with mmdebstrap")
            args["UPSTREAM"] = origin = _bootstrap(snapshot)
        day = f"{datetime.now(UTC):%Y%m%dT000000Z}"
        if not snapshot:
            say("      Debian's snapshots are not reachable: its packages are those of today")
        labels = [f"claude-bottle.from={origin}, packages of {snapshot or day}"]
        build: list[str | Path] = ["docker", "build", *options(), "-t", self._lock.tag, "-f", ROOT / DOCKERFILE]
        for option, values in (("--build-arg", [f"{k}={v}" for k, v in args.items()]), ("--label", labels)):
            for value in values:
                build += [option, value]
        # The same Dockerfile gets other packages on another day, so cached layers must not be used.
        run([*build, "--no-cache", ROOT], "build the base image")


def snapshots_answer() -> bool:
    """Whether Debian's snapshot archive can be reached."""
    try:
        with urllib.request.urlopen("http://snapshot.debian.org/", timeout=10) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def _bootstrap(snapshot: str) -> str:
    """The name of an image made only from Debian's packages."""
    if not shutil.which("mmdebstrap"):
        apt_install("mmdebstrap")
    with tempfile.TemporaryDirectory(prefix="claude-bottle-") as folder:
        tar, name = Path(folder) / "base.tar", f"claude-bottle/debian:{snapshot or f'{datetime.now(UTC):%Y%m%d}'}"
        mode = [] if os.geteuid() == 0 else ["--mode=unshare"]
        archive = [f"http://snapshot.debian.org/archive/debian/{snapshot}"] if snapshot else []
        run(["mmdebstrap", *mode, "--variant=minbase", "trixie", tar, *archive], "mmdebstrap")
        run(["docker", "import", tar, name], "docker import")
    return name
