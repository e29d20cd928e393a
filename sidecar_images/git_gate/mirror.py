"""The mirror of one upstream: locked, refreshed before every use, made on first contact."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import mirror_state
from .remotes import Remote

RUN = Path("/run/git-gate")
_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_BOILERPLATE = (
    "Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
)
_MANY_PACKS = 100  # every push and fetch adds one
_LEFT = 4 * 3600  # seconds after which what a push has left is nobody's any more
_LIMIT = 1800  # seconds; a first clone of a large repository takes long, a dead upstream is noticed long before


class UpstreamError(Exception):
    """The upstream could not be reached, or said no; the message is git's own, without a credential."""


@contextmanager
def locked(remote: Remote) -> Iterator[None]:
    """The only one at work on this mirror."""
    descriptor = os.open(RUN / f"{remote.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def git(*argv: str, env: Mapping[str, str] | None = None, timeout: float = _LIMIT) -> str:
    """Standard output of git. Raises UpstreamError with its last words."""
    try:
        done = subprocess.run(
            ["git", *argv], env={**os.environ, **(env or {})}, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise UpstreamError(f"no answer within {timeout:g} s") from None
    if done.returncode != 0:
        raise UpstreamError(words(done.stderr.decode(errors="replace")))
    return done.stdout.decode(errors="surrogateescape")


def words(stderr: str) -> str:
    """What git and ssh said, without what they always say."""
    lines = [line.strip().removeprefix("fatal: ") for line in stderr.splitlines()]
    kept = [line for line in lines if line and not line.startswith("@") and line not in _BOILERPLATE]
    return "; ".join(kept[-4:]) or "git failed"


def refresh(remote: Remote) -> str | None:
    """Make the mirror what the upstream is; None, or why it could not be done and when it last was.

    Those who come while a refresh waits its turn share it. Raises UpstreamError where there is no mirror to serve.
    """
    arrived = time.monotonic_ns()
    with locked(remote):
        state = mirror_state.read(remote)
        if not arrived < state.get("started", 0) <= time.monotonic_ns():
            state = _refresh(remote, state)
    if state["error"] and not state.get("fetched"):
        raise UpstreamError(str(state["error"]))
    return mirror_state.age(state)


def stale(remote: Remote) -> str | None:
    """What the last refresh said, for those who are being served."""
    return mirror_state.age(mirror_state.read(remote))


def _refresh(remote: Remote, state: dict[str, Any]) -> dict[str, Any]:
    started, fetched = time.monotonic_ns(), time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    error, suffixed = None, state.get("suffixed")
    bring = _fetch if state.get("fetched") else _first
    try:
        try:
            bring(remote)
        except UpstreamError as failed:
            suffixed = _moved(remote, failed)
            mirror_state.keep(remote, {**state, "suffixed": suffixed})
            bring(remote)
    except UpstreamError as failed:
        error, fetched = str(failed), str(state.get("fetched") or "")
        clear_failed(remote)
    state = {"started": started, "fetched": fetched, "error": error, "suffixed": suffixed}
    mirror_state.keep(remote, state)
    return state


def _moved(remote: Remote, failed: UpstreamError) -> str:
    """The upstream as declared, where it says that it is the same address with .git. Raises UpstreamError otherwise."""
    if not remote.https:
        raise failed
    from . import redirect  # TLS and HTTP, which take time and memory, and hardly a contact needs them

    if not redirect.is_redirect(str(failed)) or not (url := redirect.location(remote)):
        raise failed
    if url == f"{remote.upstream}.git":
        return remote.upstream
    raise UpstreamError(f"{failed}; it says that it is at {url} now: the owner has to write that into git[].upstream")


def _fetch(remote: Remote) -> None:
    _clear(remote, time.time() - _LEFT)
    quiet = ["--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
    git("-C", str(remote.mirror), "fetch", *quiet, mirror_state.address(remote), *_REFS, env=remote.environment())
    if len(list((remote.mirror / "objects/pack").glob("*.pack"))) > _MANY_PACKS:
        git("-C", str(remote.mirror), "repack", "-q", "-d", "--geometric=2")
    # The default branch is told at the first contact; it is asked for again when it is gone.
    try:
        git("-C", str(remote.mirror), "rev-parse", "--verify", "-q", "HEAD")
    except UpstreamError:
        _follow_head(remote)


def _follow_head(remote: Remote) -> None:
    listing = git("ls-remote", "--symref", mirror_state.address(remote), "HEAD", env=remote.environment())
    for line in listing.splitlines():
        if line.startswith("ref: refs/heads/"):
            git("-C", str(remote.mirror), "symbolic-ref", "HEAD", line.split()[1])


def _new(remote: Remote) -> Path:
    return remote.mirror.with_name(f".new-{remote.name}")


def _first(remote: Remote) -> None:
    """A clone takes over default branch and object format; its parts then move into the folder that is being served."""
    new = _new(remote)
    shutil.rmtree(new, ignore_errors=True)
    quiet = ["--quiet", "--bare", "--no-tags", "--template=", "-c", f"remote.origin.fetch={_REFS[1]}"]
    git("clone", *quiet, mirror_state.address(remote), str(new), env=remote.environment())
    git("-C", str(new), "config", "--remove-section", "remote.origin")
    for part in sorted(new.iterdir()):
        target = remote.mirror / part.name
        if target.is_dir():
            shutil.rmtree(target)
        part.replace(target)
    new.rmdir()
    _limit(remote)
    # Git syncs objects and refs, and not its other files; without them a machine that stops leaves no repository.
    subprocess.run(["sync", "-f", str(remote.mirror)], check=False)


def _limit(remote: Remote) -> None:
    """A hard end, at which git hangs up; pre-receive refuses with words from max_push_mb on. Options where allowed.

    Written where it is another, so that a gate starts on a full disk too.
    """
    options = "true" if remote.push_options else "false"
    for key, value in (
        ("receive.maxInputSize", f"{2 * remote.max_push_mb + 10}m"),
        ("receive.advertisePushOptions", options),
    ):
        folder = str(remote.mirror)
        if git("-C", folder, "config", "--default", "", "--get", key).strip() != value:
            git("-C", folder, "config", key, value)
    _allow_fsck(remote)


def _allow_fsck(remote: Remote) -> None:
    """The failures that the owner allows, of what is pushed and of what outsiders offer; and no other any more."""
    folder = ("-C", str(remote.mirror), "config", "--local")
    entries = (line.partition(" ") for line in git(*folder, "--list", "--name-only").splitlines())
    present = {key for key, _, _ in entries if key.startswith(("receive.fsck.", "fetch.fsck."))}
    wanted = {f"{what}.fsck.{check}".lower() for what in ("receive", "fetch") for check in remote.allow_fsck}
    for key in present - wanted:
        git(*folder, "--unset-all", key)
    for key in wanted - present:
        git(*folder, key, "ignore")


def prepare(remote: Remote) -> None:
    """An empty repository, where there is none yet: the daemon serves only what is there when it is asked.

    One that is none any more, as after a machine that stopped, is made anew, for all of it is the upstream's.
    """
    with locked(remote):
        pass  # the file of the lock is there before the disk is full
    try:
        git(
            "-C",
            str(remote.mirror),
            "rev-parse",
            "--git-dir",
            env={"GIT_CEILING_DIRECTORIES": str(remote.mirror.parent)},
        )
    except (UpstreamError, OSError):
        shutil.rmtree(remote.mirror, ignore_errors=True)
        git("init", "-q", "--bare", "--template=", str(remote.mirror))
    _limit(remote)
    for left in remote.mirror.rglob("*.lock"):  # of a gate that was killed; nobody else is at work when a gate starts
        left.unlink()
    _clear(remote, time.time())


def clear_failed(remote: Remote) -> None:
    """What a fetch that failed has left: on a full disk every try would leave some more. Nobody else is at work."""
    shutil.rmtree(_new(remote), ignore_errors=True)
    for pattern in ("pack/tmp_*", "[0-9a-f][0-9a-f]/tmp_obj_*"):
        for left in (remote.mirror / "objects").glob(pattern):
            left.unlink(missing_ok=True)


def _clear(remote: Remote, before: float) -> None:
    """What was received by a git that was killed."""
    for left in (remote.mirror / "objects").glob("tmp_objdir-*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime <= before:
                shutil.rmtree(left, ignore_errors=True)
