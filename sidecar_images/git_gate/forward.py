"""Forwards a push to the upstream with the owner's credential, as one push, and reports which refs it accepted.

There are three outcomes: for each ref, the upstream accepts or rejects it; or its answer is lost, and then it is
queried. A push of which no byte was sent counts as rejected: git runs pre-push before it sends any.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .mirror import UpstreamError, git, words
from .mirror_state import address
from .push_policy import Command
from .remotes import Remote

_LIMIT = 900  # seconds
_ASKING = 60  # seconds
_HERE = Path(__file__).parent
_HOOKS = _HERE / "hooks" if (_HERE / "hooks").is_dir() else _HERE.parent / "hooks"
_NO = ("[rejected]", "[remote rejected]")
_ATOMIC = "does not support --atomic"


@dataclass
class Forwarded:
    """accepted: refs that the upstream has. said: its messages, for the client. unknown: refs whose state is
    unknown."""

    accepted: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def forward(remote: Remote, commands: Sequence[Command], options: Iterable[str]) -> Forwarded:
    """Push the same refs, each only if the upstream still has the old value that the client was given."""
    options = list(options)
    done = _push(remote, commands, options, atomic=True)
    if not done.accepted and not done.unknown and any(_ATOMIC in line for line in done.said):
        done = _push(remote, commands, options, atomic=False)
    return settle(done, commands, lambda refs: refs_of(remote, refs)) if done.unknown else done


def _push(remote: Remote, commands: Sequence[Command], options: Iterable[str], *, atomic: bool) -> Forwarded:
    leases = [f"--force-with-lease={c.ref}:{'' if c.creates else c.old}" for c in commands]
    specs = [f"{'' if c.deletes else c.new}:{c.ref}" for c in commands]
    argv = ["git", "-c", f"core.hooksPath={_HOOKS}", "push", "--porcelain", "--no-follow-tags"]
    argv += ["--recurse-submodules=no", *(["--atomic"] if atomic else [])]
    argv += [word for option in options for word in ("--push-option", option)]
    argv += [*leases, address(remote), *specs]
    with tempfile.TemporaryDirectory() as folder:
        sent = Path(folder) / "sent"
        env = {**os.environ, **remote.environment(), "GATE_SENT": str(sent)}
        try:
            done = subprocess.run(argv, env=env, capture_output=True, timeout=_LIMIT, check=False)
        except subprocess.TimeoutExpired:
            said = f"the upstream did not answer within {_LIMIT} s"
            return Forwarded([], [said], [c.ref for c in commands] if sent.exists() else [])
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        return read(out, err, commands, sent=sent.exists())


def read(porcelain: str, stderr: str, commands: Iterable[Command], *, sent: bool = False) -> Forwarded:
    """Parses the output of `git push --porcelain`: a line for each ref, `flag TAB from:to TAB summary`. Pure.

    sent: whether part of the push may have reached the upstream.
    """
    forwarded = Forwarded(said=[line.rstrip() for line in stderr.splitlines() if line.startswith("remote:")])
    commands = list(commands)
    wanted = {command.ref for command in commands}
    refused, elsewhere = set(), set()
    for line in porcelain.splitlines():
        flag, _, rest = line.partition("\t")
        names, _, summary = rest.partition("\t")
        ref = names.rpartition(":")[2]
        if ref in wanted and flag in (" ", "+", "-", "*", "="):
            forwarded.accepted.append(ref)
        elif ref in wanted and flag == "!":
            hint = " (non-fast-forward: fetch first)" if "stale info" in summary or "fetch first" in summary else ""
            forwarded.said.append(f"{ref}: {summary.strip()}{hint}")
            if summary.strip().startswith(_NO):
                refused.add(ref)
        elif flag in (" ", "+", "*", "="):
            elsewhere.add(names.partition(":")[0])
    # A forge may answer a push for review with the ref that it has created for it (githooks(5), proc-receive: refname).
    answered = {*forwarded.accepted, *refused}
    forwarded.accepted += [c.ref for c in commands if c.magic and c.new in elsewhere and c.ref not in answered]
    forwarded.unknown = sorted(wanted.difference(forwarded.accepted, refused)) if sent else []
    if not forwarded.accepted and not forwarded.said:
        forwarded.said = [words(stderr)]
    if not forwarded.accepted:
        forwarded.said += [line for line in stderr.splitlines() if "--atomic" in line and line not in forwarded.said]
    return forwarded


def settle(
    done: Forwarded, commands: Sequence[Command], ask: Callable[[Sequence[str]], Mapping[str, str]]
) -> Forwarded:
    """Resolves refs whose answer was lost, by the refs that the upstream has now."""
    try:
        current: Mapping[str, str] | None = ask(done.unknown)
    except UpstreamError:
        current = None
    settled = Forwarded([*done.accepted], [*done.said])
    for command in commands:
        if command.ref not in done.unknown:
            continue
        if current is not None and has(current, command):
            settled.accepted.append(command.ref)
            settled.said.append(
                f"{command.ref}: the upstream's answer was lost, but a later query shows that it has the push"
            )
        else:
            settled.unknown.append(command.ref)
            now = "it cannot be queried now" if current is None else "it does not have it now, and may still take it"
            settled.said.append(f"{command.ref}: the upstream's answer was lost, and {now}")
    return settled


def has(current: Mapping[str, str], command: Command) -> bool:
    """Whether the upstream's ref is as this command wants it."""
    return command.ref not in current if command.deletes else current.get(command.ref) == command.new


def refs_of(remote: Remote, refs: Sequence[str]) -> dict[str, str]:
    """The upstream's present values of these refs, without missing ones. Raises UpstreamError."""
    listing = git("ls-remote", address(remote), *refs, env=remote.environment(), timeout=_ASKING)
    rows = (line.partition("\t")[::2] for line in listing.splitlines())
    return {ref: name for name, ref in rows if ref in refs}
