"""Says what is live in a sidecar. Runs inside it, given on standard input: `python3 -I -S - look|keep SPEC`.

It only reads; `keep` also makes the seal, once. Every digest of a file is an HMAC whose key, the seal, never leaves the
container: from what is said here, and kept in a stack's state, nobody can guess a token.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SEAL = Path("/tmp/.claude-bottle-seal")  # noqa: S108 - made with O_EXCL, readable by the sidecar's own user alone
_LARGE = 4 << 20  # bytes; larger files can only be programs of the image, so size and time stand for the content
_CHECK = 3.5  # seconds
_OWN_SETTINGS = re.compile(
    r"\[(core|extensions|receive)\]|"
    r"(repositoryformatversion|filemode|bare|objectformat|maxinputsize|advertisepushoptions) = \w+",
    re.IGNORECASE,
)


def seal(*, make: bool) -> bytes:
    """The key of this container; empty where there is none."""
    if make:
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(SEAL, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
            with os.fdopen(descriptor, "wb") as file:
                file.write(os.urandom(32))
    try:
        return SEAL.read_bytes()
    except OSError:
        return b""


def _sealed(key: bytes, content: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()[:24]


def fingerprint(key: bytes, path: Path) -> str:
    """Of one file or link: place, mode, owner and content."""
    try:
        status = path.lstat()
        if path.is_symlink():
            content = str(path.readlink()).encode()
        elif not path.is_file():
            content = b"no file"
        elif status.st_size > _LARGE:
            content = f"{status.st_size} {status.st_mtime_ns}".encode()
        else:
            content = path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return _sealed(key, f"{path}\0{status.st_mode:o} {status.st_uid} {status.st_gid}\0".encode() + content)


def settings(key: bytes, path: Path) -> str:
    """Of the lines of a mirror's git config that git-gate does not write itself."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    more = [line for line in lines if line.strip() and not _OWN_SETTINGS.fullmatch(line.strip())]
    return _sealed(key, "\n".join(more).encode())


def below(place: Path) -> list[Path]:
    """The file itself, or everything below a folder that is no folder."""
    if place.is_symlink() or not place.is_dir():
        return [place] if os.path.lexists(place) else []
    return sorted(path for path in place.rglob("*") if path.is_symlink() or not path.is_dir())


def files(spec: dict[str, Any], key: bytes) -> dict[str, str]:
    """`each`: a fingerprint for every file. `settings`: of git configs. `whole`: one for a whole folder."""
    every = (path for place in spec["each"] for path in below(Path(place)))
    fingerprints = {str(path): fingerprint(key, path) for path in every if not re.fullmatch(spec["not"], str(path))}
    for path in Path("/").glob(spec["settings"]) if spec["settings"] else ():
        fingerprints[str(path)] = settings(key, path)
    for place in spec["whole"]:
        fingerprints[place] = _sealed(key, "\n".join(fingerprint(key, path) for path in below(Path(place))).encode())
    return fingerprints


def policy(spec: dict[str, Any]) -> dict[str, Any] | None:
    """SHA-256 of the policy in force, as the proxy says it, and of the file; None for a part without one."""
    if not spec["policy"]:
        return None
    try:
        disk = hashlib.sha256(Path(spec["policy"]).read_bytes()).hexdigest()
    except OSError:
        disk = ""
    try:
        live = json.loads(Path(spec["status"]).read_text())["live"]
    except (OSError, ValueError, KeyError, TypeError):
        live = ""
    return {"live": live, "disk": disk}


def ready(spec: dict[str, Any]) -> bool:
    """Whether the part's own check succeeds; tried for a while, for a busy machine is slow."""
    until = time.monotonic() + _CHECK
    while (left := until - time.monotonic()) > 0:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run(spec["check"], capture_output=True, timeout=left, check=False).returncode == 0:
                return True
        time.sleep(0.2)
    return False


def answer(*, keep: bool, spec: dict[str, Any]) -> dict[str, Any]:
    """What `look` says, or what `keep` leaves for it."""
    if keep:
        return {"files": files(spec, seal(make=True))}
    return {"policy": policy(spec), "ready": ready(spec), "files": files(spec, seal(make=False))}


if __name__ == "__main__":
    report = answer(keep=sys.argv[1] == "keep", spec=json.loads(sys.argv[2]))
    print(json.dumps(report, separators=(",", ":")))
