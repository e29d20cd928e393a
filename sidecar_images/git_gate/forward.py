"""Hands a push on to the upstream, with the owner's credential, in one push; says what the upstream took."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .push_policy import Command
from .remotes import Remote

_LIMIT = 900  # seconds


@dataclass
class Forwarded:
    """accepted: refs that the upstream has now. said: its words, for the client."""

    accepted: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def forward(remote: Remote, commands: Sequence[Command], options: Iterable[str]) -> Forwarded:
    """Push the same refs to the same places, each only where the upstream still has what the client was told."""
    done = _push(remote, commands, options, atomic=True)
    if not done.accepted and any("does not support --atomic" in line for line in done.said):
        done = _push(remote, commands, options, atomic=False)
    return done


def _push(remote: Remote, commands: Sequence[Command], options: Iterable[str], *, atomic: bool) -> Forwarded:
    leases = [f"--force-with-lease={c.ref}:{'' if c.creates else c.old}" for c in commands]
    specs = [f"{'' if c.deletes else c.new}:{c.ref}" for c in commands]
    argv = ["git", "push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no"]
    argv += ["--atomic"] if atomic else []
    argv += [word for option in options for word in ("--push-option", option)]
    argv += [*leases, remote.upstream, *specs]
    try:
        done = subprocess.run(
            argv, env={**os.environ, **remote.environment()}, capture_output=True, timeout=_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return Forwarded([], [f"the upstream did not answer within {_LIMIT} s; fetch to see what it has"])
    return read(done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"), commands)


def read(porcelain: str, stderr: str, commands: Iterable[Command]) -> Forwarded:
    """What `git push --porcelain` told: a line per ref, `flag TAB from:to TAB summary`. Pure."""
    told = Forwarded(said=[line.rstrip() for line in stderr.splitlines() if line.startswith("remote:")])
    wanted = {command.ref for command in commands}
    for line in porcelain.splitlines():
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        ref = names.rpartition(":")[2]
        if ref in wanted and flag in (" ", "+", "-", "*", "="):
            told.accepted.append(ref)
        elif ref in wanted and flag == "!":
            hint = " (non-fast-forward: fetch first)" if "stale info" in summary or "fetch first" in summary else ""
            told.said.append(f"{ref}: {summary.strip()}{hint}")
    if not told.accepted and not told.said:
        told.said = [line.removeprefix("fatal: ").rstrip() for line in stderr.splitlines()[-3:]]
    if not told.accepted:
        told.said += [line for line in stderr.splitlines() if "--atomic" in line and line not in told.said]
    return told
