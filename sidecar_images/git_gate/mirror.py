"""The mirror of one upstream: locked, refreshed before each use, cloned on first contact."""

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

from claude_bottle.policy.names.files import GATE_RUN

from . import mirror_state
from .remotes import Remote

RUN = Path(GATE_RUN)
_REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
_BOILERPLATE = (
    "Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
)
_MANY_PACKS = 100  # each push and fetch adds one
_LEFT = 4 * 3600  # seconds after which the leftovers of a push belong to no process
_LIMIT = 1800  # seconds; cloning a large repository takes long, and a dead upstream is noticed much earlier


class UpstreamError(Exception):
    """The upstream could not be reached, or a request is refused. The message holds no credential."""


@contextmanager
def locked(remote: Remote) -> Iterator[None]:
    """Hold the mirror's exclusive lock."""
    descriptor = os.open(RUN / f"{remote.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def git(*argv: str, env: Mapping[str, str] | None = None, timeout: float = _LIMIT) -> str:
    """Standard output of git. Raises UpstreamError with the end of its error output."""
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
    """The messages of git and ssh, without their boilerplate."""
    lines = [line.strip().removeprefix("fatal: ") for line in stderr.splitlines()]
    kept = [line for line in lines if line and not line.startswith("@") and line not in _BOILERPLATE]
    return "; ".join(kept[-4:]) or "git failed"


def refresh(remote: Remote) -> str | None:
    """Update the mirror from the upstream. Returns None, or why that failed and how old the mirror is.

    Callers that wait for the lock meanwhile share one refresh. Raises UpstreamError if there is no mirror to serve.
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
    """The last refresh's failure, for clients that are being served; None if it succeeded."""
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
    """The declared upstream, if it redirects to the same address with `.git`. Raises UpstreamError otherwise."""
    if not remote.https:
        raise failed
    from . import redirect  # imports TLS and HTTP, which cost time and memory and are rarely needed

    if not redirect.is_redirect(str(failed)) or not (url := redirect.location(remote)):
        raise failed
    if url == f"{remote.upstream}.git":
        return remote.upstream
    raise UpstreamError(f"{failed}; it reports its new address {url}: the owner has to write this into git[].upstream")


def _fetch(remote: Remote) -> None:
    _clear(remote, time.time() - _LEFT)
    quiet = ["--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"]
    git("-C", str(remote.mirror), "fetch", *quiet, mirror_state.address(remote), *_REFS, env=remote.environment())
    if len(list((remote.mirror / "objects/pack").glob("*.pack"))) > _MANY_PACKS:
        git("-C", str(remote.mirror), "repack", "-q", "-d", "--geometric=2")
    # The first contact sets the default branch. It is looked up again if that branch is gone.
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
    """Clone, to adopt default branch and object format, and move the parts into the folder that is being served."""
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
    # Git syncs only objects and refs. Without its other files, a machine that stops would leave no valid repository.
    subprocess.run(["sync", "-f", str(remote.mirror)], check=False)


def _limit(remote: Remote) -> None:
    """Set a hard size limit, at which git hangs up; pre-receive refuses with a message beyond max_push_mb. Set whether
    push options are offered.

    Written only if changed, so that a gate starts even on a full disk.
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
    """Allow the fsck failures that the owner allows, in pushes and in fetches from outsiders, and no others."""
    folder = ("-C", str(remote.mirror), "config", "--local")
    entries = (line.partition(" ") for line in git(*folder, "--list", "--name-only").splitlines())
    present = {key for key, _, _ in entries if key.startswith(("receive.fsck.", "fetch.fsck."))}
    wanted = {f"{what}.fsck.{check}".lower() for what in ("receive", "fetch") for check in remote.allow_fsck}
    for key in present - wanted:
        git(*folder, "--unset-all", key)
    for key in wanted - present:
        git(*folder, key, "ignore")


def prepare(remote: Remote) -> None:
    """Create an empty repository if there is none, because the daemon serves only existing ones.

    A damaged one, as after a machine that stopped, is recreated, because all of its content is the upstream's.
    """
    with locked(remote):
        pass  # creates the lock's file before the disk is full
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
    for left in remote.mirror.rglob("*.lock"):  # left by a killed gate; no other process is running when a gate starts
        left.unlink()
    _clear(remote, time.time())


def clear_failed(remote: Remote) -> None:
    """Delete the leftovers of a failed fetch, which would add up on a full disk. The caller holds the lock."""
    shutil.rmtree(_new(remote), ignore_errors=True)
    for pattern in ("pack/tmp_*", "[0-9a-f][0-9a-f]/tmp_obj_*"):
        for left in (remote.mirror / "objects").glob(pattern):
            left.unlink(missing_ok=True)


def _clear(remote: Remote, before: float) -> None:
    """Delete the objects received by a killed git."""
    for left in (remote.mirror / "objects").glob("tmp_objdir-*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime <= before:
                shutil.rmtree(left, ignore_errors=True)
