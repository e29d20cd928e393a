"""A Docker engine that answers, and the base image."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from toolchain.shell import CACHE, SetupError, apt_install, as_root, quiet, run, say

BASE_IMAGE = "debian:trixie-slim"
_START_SECONDS = 40


class DockerEngine:
    """Uses the engine that answers; else installs docker.io, and starts dockerd where no service does."""

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
    """debian:trixie-slim: pulled, else made from Debian's packages."""

    name = "base image"
    why = f"all images of a bottle start from {BASE_IMAGE}"
    how = f"docker pull {BASE_IMAGE}, or mmdebstrap --variant=minbase trixie base.tar, then docker import"

    def look(self) -> str | None:
        return quiet("docker", "image", "inspect", "--format", f"{BASE_IMAGE}, {{{{slice .Id 7 19}}}}", BASE_IMAGE)

    def get(self) -> None:
        try:
            run(["docker", "pull", "--quiet", BASE_IMAGE], "docker pull", timeout=300)
            return
        except SetupError:
            say("      no image registry is reachable: making it with mmdebstrap")
        if not shutil.which("mmdebstrap"):
            apt_install("mmdebstrap")
        with tempfile.TemporaryDirectory(prefix="claude-bottle-") as folder:
            tar = Path(folder) / "base.tar"
            mode = [] if os.geteuid() == 0 else ["--mode=unshare"]
            run(["mmdebstrap", *mode, "--variant=minbase", "trixie", tar], "mmdebstrap")
            run(["docker", "import", tar, BASE_IMAGE], "docker import")
