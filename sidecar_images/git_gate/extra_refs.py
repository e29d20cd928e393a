"""Read-only refs of an upstream: pull requests, changes and notes, brought into the mirror when a client asks for one.

Nothing that a client writes is sent to the upstream: its wishes are compared here with what the upstream advertises,
and what is fetched is a ref of that list.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping

from . import journal, mirror, mirror_state
from .mirror import UpstreamError, git, locked
from .remotes import Remote
from .wishes import FAMILIES, Wish

PER_MINUTE = 10  # times that one upstream is asked
MANY = 100  # refs that one request brings
KEPT = 1_000  # refs of these kinds in a mirror; beyond, those that nobody asks for now go
_SECONDS = 120  # for the list of an upstream's refs
_LIST = 128 << 20  # bytes of it: more than a million refs
_CHOSEN = 10_000  # refs of it that are looked at
_FETCH = 600  # seconds


def bring(remote: Remote, wish: Wish) -> str:
    """Make the mirror have what a client wishes, as far as the upstream advertises it. Words where it is refused."""
    ids = _missing(remote, wish.ids)
    if not wish.names and not ids:
        return ""
    if mirror_state.read(remote).get("error"):
        return ""  # the upstream does not answer; what is here is served, and the client is told
    with locked(remote):
        try:
            refs = _bring(remote, Wish(wish.names, frozenset(ids)))
        except UpstreamError as error:
            mirror.clear_failed(remote)
            journal.write("read-only refs", remote.name, "refused", reason=str(error))
            return f"git-gate: {error}"
    if refs:
        journal.write("read-only refs", remote.name, "allowed", refs=refs)
    return ""


def _bring(remote: Remote, wish: Wish) -> list[str]:
    _count(remote)
    chosen, here = _advertised(remote, wish), _here(remote)
    for name in wish.ids.difference(chosen.values()):
        raise UpstreamError(f"no branch, tag, pull request, change or note that the upstream advertises is at {name}")
    new = [ref for ref, name in chosen.items() if here.get(ref) != name]
    if len(new) > MANY:
        raise UpstreamError(f"{len(new)} refs in one fetch, {MANY} are allowed; fetch one by its name (pull/12/head)")
    gone = [ref for ref in here if ref in wish.names and ref not in chosen]
    if len(here) + len(new) > KEPT:
        gone += [ref for ref in here if ref not in chosen]
    folder = ("-C", str(remote.mirror))
    for ref in gone:
        git(*folder, "update-ref", "-d", ref)
    if new:
        if why := mirror_state.no_room(remote):
            raise UpstreamError(why)
        # Anybody may be the author: an object that attacks those who clone it stays outside.
        checked = ("-c", "fetch.fsckObjects=true")
        quiet = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        specs = [f"+{ref}:{ref}" for ref in new]
        git(
            *folder,
            *checked,
            "fetch",
            *quiet,
            mirror_state.address(remote),
            *specs,
            env=remote.environment(),
            timeout=_FETCH,
        )
    return new


def _count(remote: Remote) -> None:
    """Raises UpstreamError when the upstream was asked often enough for a while."""
    file, now = mirror.RUN / f"{remote.name}.asked", time.monotonic()
    times = [at for at in (json.loads(file.read_text()) if file.exists() else []) if now - 60 < at <= now]
    if len(times) >= PER_MINUTE:
        wait = 60 - (now - times[0])
        raise UpstreamError(f"{PER_MINUTE} fetches of such refs a minute are allowed; try again in {wait:.0f} s")
    file.write_text(json.dumps([*times, now]))


def _advertised(remote: Remote, wish: Wish) -> dict[str, str]:
    """Ref to id, of what the upstream has and is wished; the question has nothing of the wish. Raises UpstreamError."""
    argv = ["git", "ls-remote", "--refs", mirror_state.address(remote)]
    env = {**os.environ, **remote.environment()}
    chosen: dict[str, str] = {}
    left = _LIST
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as lister:
        assert lister.stdout is not None  # noqa: S101 - it is a pipe
        assert lister.stderr is not None  # noqa: S101 - it is a pipe
        timer = threading.Timer(_SECONDS, lister.kill)
        timer.start()
        try:
            for line in lister.stdout:
                left -= len(line)
                name, _, ref = line.decode(errors="surrogateescape").rstrip("\n").partition("\t")
                chosen |= wish.chosen({ref: name})
                if left < 0 or len(chosen) > _CHOSEN:
                    raise UpstreamError("the upstream has too many of these refs; fetch one by its name (pull/12/head)")
            said = lister.stderr.read(4096).decode(errors="replace")
            code = lister.wait()
        finally:
            timer.cancel()
            lister.kill()
    if code != 0:
        raise UpstreamError(mirror.words(said))
    return chosen


def _here(remote: Remote) -> Mapping[str, str]:
    listing = git("-C", str(remote.mirror), "for-each-ref", "--format=%(refname) %(objectname)", *FAMILIES)
    return dict(line.split(" ") for line in listing.splitlines())


def _missing(remote: Remote, ids: frozenset[str]) -> set[str]:
    if not ids:
        return set()
    asked = "".join(f"{name}\n" for name in sorted(ids))
    argv = ["git", "-C", str(remote.mirror), "cat-file", "--batch-check=%(objectname)"]
    done = subprocess.run(argv, input=asked, capture_output=True, text=True, timeout=60, check=False)
    return {line.split()[0] for line in done.stdout.splitlines() if line.endswith(" missing")}
