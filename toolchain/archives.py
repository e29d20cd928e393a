"""Official archives of Pulumi and its plugins, used only if their SHA-256 is recorded in archives.lock."""

from __future__ import annotations

import hashlib
import io
import os
import platform
import tarfile
import tempfile
import tomllib
import urllib.request
from pathlib import Path

from toolchain.shell import ROOT, SetupError, say

LOCK = ROOT / "toolchain/archives.lock"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
PLATFORMS = ("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64")


def this_platform() -> str:
    """This platform, such as `linux-amd64`."""
    return f"{platform.system().lower()}-{_MACHINES.get(platform.machine(), platform.machine())}"


def url(kind: str, version: str, on: str) -> str:
    """The address of an archive. kind: `cli`, or a plugin's name."""
    if kind == "cli":
        return f"https://get.pulumi.com/releases/sdk/pulumi-v{version}-{on.replace('amd64', 'x64')}.tar.gz"
    return f"https://get.pulumi.com/releases/plugins/pulumi-resource-{kind}-v{version}-{on}.tar.gz"


def recorded(kind: str, version: str, on: str | None = None, lock: Path = LOCK) -> str | None:
    """SHA-256 of that archive, in hex; None if none is recorded for this version and platform."""
    entry = tomllib.loads(lock.read_text()).get(kind, {})
    return entry.get(on or this_platform()) if entry.get("version") == version else None


def fetch(address: str) -> bytes:
    """Download. Raises OSError if the server cannot be reached."""
    with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - only addresses of url()
        return bytes(answer.read())


def verified(kind: str, version: str) -> bytes | None:
    """The archive for this platform. None, with a message, if no digest is recorded or the server cannot be reached.

    Raises SetupError if the archive does not match the recorded digest.
    """
    expected = recorded(kind, version)
    if expected is None:
        say(f"      no SHA-256 of the official {kind} {version} for {this_platform()} is recorded, so it is not used")
        return None
    address = url(kind, version, this_platform())
    try:
        data = fetch(address)
    except (OSError, ValueError) as error:
        say(f"      the official archive cannot be reached ({getattr(error, 'reason', error)})")
        return None
    if (digest := hashlib.sha256(data).hexdigest()) != expected:
        raise SetupError(f"{address} is not what was recorded: SHA-256 {digest}, not {expected}; nothing of it is used")
    return data


def unpack(data: bytes, folder: str, target: Path) -> None:
    """Move the files of a folder of an archive to target, after the whole archive was unpacked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as staging, tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(staging, filter="data")
        target.mkdir(exist_ok=True)
        for file in sorted((Path(staging) / folder).iterdir()):
            os.replace(file, target / file.name)  # noqa: PTH105 - replaces an existing file


def pin(versions: dict[str, str], lock: Path = LOCK) -> None:
    """Record the current digests of the archives of these versions, for a developer who raises a version.

    Raises OSError if a server cannot be reached; the lock is then unchanged.
    """
    head = [line for line in lock.read_text().splitlines() if line.startswith("#")]
    for kind, version in versions.items():
        head += ["", f"[{kind}]", f'version = "{version}"']
        head += [f'{on} = "{hashlib.sha256(fetch(url(kind, version, on))).hexdigest()}"' for on in PLATFORMS]
    lock.write_text("\n".join(head) + "\n")
