"""Read-only refs of an upstream, of pull requests, changes and notes, fetched into the mirror on a client's request.

Nothing that a client writes is sent to the upstream: its request is compared here with the refs that the upstream
advertises, and only refs of that list are fetched.
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

PER_MINUTE = 10  # requests to one upstream
MANY = 100  # refs that one request fetches
KEPT = 1_000  # refs of these kinds in a mirror; beyond that, those not requested now are deleted
_SECONDS = 120  # for the list of an upstream's refs
_LIST = 128 << 20  # bytes of it: more than a million refs
_CHOSEN = 10_000  # refs of the list that a request may match
_FETCH = 600  # seconds


def bring(remote: Remote, wish: Wish) -> str:
    """Fetch the refs that a client requests, as far as the upstream advertises them. Returns the reason if refused, or
    ""."""
    ids = _missing(remote, wish.ids)
    if not wish.names and not ids:
        return ""
    if mirror_state.read(remote).get("error"):
        return ""  # the upstream does not answer; the mirror is served as it is, with a warning to the client
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
        raise UpstreamError(f"the upstream advertises no branch, tag, pull request, change or note at {name}")
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
        # Anybody may be the author, so objects that attack those who clone them are rejected.
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
    """Raises UpstreamError if the upstream has had too many requests in the last minute."""
    file, now = mirror.RUN / f"{remote.name}.asked", time.monotonic()
    times = [at for at in (json.loads(file.read_text()) if file.exists() else []) if now - 60 < at <= now]
    if len(times) >= PER_MINUTE:
        wait = 60 - (now - times[0])
        raise UpstreamError(f"{PER_MINUTE} fetches of such refs a minute are allowed; try again in {wait:.0f} s")
    file.write_text(json.dumps([*times, now]))


def _advertised(remote: Remote, wish: Wish) -> dict[str, str]:
    """Ref to object id, for the requested refs that the upstream has. The query reveals nothing of the request. Raises
    UpstreamError."""
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
