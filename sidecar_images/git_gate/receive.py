"""The pre-receive and update hooks: policy, scan, then the upstream; the mirror takes what the upstream took."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from addons.once import Once, digest_of

from . import journal
from .forward import forward
from .mirror import RUN, locked
from .push_policy import Command, parse, refusals
from .remotes import Remote, remote_of
from .scan import KNOWN, Looked, look

_SHOWN = 20
_EXCERPT = 64 << 10  # characters of a push that its owner is shown


class Refused(Exception):
    """The push is not for the upstream; lines for the client, and a word for the journal."""

    def __init__(self, reason: str, lines: Sequence[str]) -> None:
        super().__init__(reason)
        self.reason, self.lines = reason, list(lines)


def pre_receive(remote: Remote, text: str, keep: int) -> list[str]:
    """The refs that the upstream took. keep: pid of receive-pack, for whose life the lock is held. Raises Refused."""
    commands = parse(text)
    with locked(remote):
        if wrong := refusals(remote, commands, _is_ancestor, _current):
            raise Refused("policy", wrong)
        if (size := _pushed_mb()) > remote.max_push_mb:
            raise Refused("size", [f"too large: {size} MB in one push, {remote.max_push_mb} MB are allowed"])
        found = look(remote, [c.new for c in commands if not c.deletes], [c.ref for c in commands])
        if lines := _objections(found, commands):
            raise Refused("secret" if found.secrets else "content", lines)
        once, digest = Once(RUN / "once"), push_digest(remote, commands)
        if remote.review and not once.is_granted(digest):
            once.hold(digest, {"what": f"push to {remote.name} ({remote.upstream})", "excerpt": _in_words(commands)})
            raise Refused("review", [f"the owner looks at every push to {remote.name} first.", *ask(digest)])
        options = [os.environ[f"GIT_PUSH_OPTION_{n}"] for n in range(int(os.environ.get("GIT_PUSH_OPTION_COUNT", "0")))]
        done = forward(remote, commands, options)
        if not done.accepted:
            raise Refused("upstream", ["the upstream refused:", *done.said])
        for line in done.said:
            print(line.removeprefix("remote: "), file=sys.stderr)
        once.take(digest)  # only now: a push that the upstream refused can be tried again
        _hold_lock(keep)
    journal.write("push", remote.name, "accepted", refs=done.accepted, commits=found.commits, objects=found.objects)
    return done.accepted


def push_digest(remote: Remote, commands: Sequence[Command]) -> str:
    """One name for exactly this push: what moves from where to where."""
    return digest_of(remote.name.encode(), *(f"{c.old} {c.new} {c.ref}".encode() for c in commands))


def ask(digest: str) -> list[str]:
    """What the agent is told to do about a push that waits for its owner."""
    return [
        f"ask with the supervise tool capability-block: capability=push, value={digest}",
        "and once that is approved, push the same again.",
    ]


def _in_words(commands: Sequence[Command]) -> str:
    """Commits and changes of a push, for its owner."""
    told = []
    for command in commands:
        told.append(f"{command.ref}: {command.old[:12]} → {command.new[:12]}")
        if command.deletes:
            continue
        base = [] if command.creates else [f"^{command.old}"]
        argv = ["git", "log", "-p", "--stat", "--no-color", "--no-ext-diff", "--no-textconv", "--max-count=200"]
        done = subprocess.run([*argv, command.new, *base, *KNOWN], capture_output=True, check=False)
        told.append(done.stdout[:_EXCERPT].decode(errors="replace"))
        if len(done.stdout) > _EXCERPT:
            told.append(f"… {len(done.stdout) >> 10} KB in all")
    return "\n".join(told)


def _pushed_mb() -> int:
    """What the client sent, which git keeps apart until this hook has said yes."""
    folder = os.environ.get("GIT_QUARANTINE_PATH")
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) >> 20 if folder else 0


def _objections(found: Looked, commands: Sequence[Command]) -> list[str]:
    lines = [f"too large: {item}" for item in found.too_large[:_SHOWN]]
    if found.lfs:
        lines += [f"Git LFS: {path} is a pointer, and LFS objects cannot pass" for path in found.lfs[:_SHOWN]]
        lines += ["commit the content itself (git lfs untrack, git add --renormalize), or let the owner push it"]
    if found.secrets:
        lines += [f"secret: {secret}" for secret in found.secrets[:_SHOWN]]
        if len(found.secrets) > _SHOWN:
            lines.append(f"and {len(found.secrets) - _SHOWN} more")
        base = next((c.old for c in commands if not c.creates), None)
        since = f"git rebase -i {base[:12]}" if base else "git rebase -i --root"
        lines += [
            "every commit is looked at, so one that deletes it again is not enough. Take it out where it came in:",
            f"  {since}   mark that commit with edit, remove the secret, git commit --amend, git rebase --continue",
            "  a tag or message: git tag -d NAME, or git commit --amend; then push again",
            "if it is no secret, ask the owner for a rule that exempts it (git[].rules)",
        ]
    return lines


def _is_ancestor(old: str, new: str) -> bool:
    return (
        subprocess.run(["git", "merge-base", "--is-ancestor", old, new], capture_output=True, check=False).returncode
        == 0
    )


def _current(ref: str) -> str:
    done = subprocess.run(["git", "rev-parse", "-q", "--verify", ref], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _hold_lock(receive_pack: int) -> None:
    """Keep the lock until receive-pack has moved the mirror's refs: a refresh in between would see the new ones.

    The lock belongs to the open file, which a child has too.
    """
    alive = os.pidfd_open(receive_pack)
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        select.select([alive], [], [], 120)
        os._exit(0)
    os.close(alive)


def _accepted_file(receive_pack: int) -> Path:
    return RUN / f"accepted-{receive_pack}"


def main() -> int:
    """`pre-receive`, or `update` with ref, old and new. Only 0 lets a push or a ref through."""
    hook, caller = sys.argv[1], os.getppid()
    name = Path.cwd().stem
    try:
        remote = remote_of(Path.cwd())
        if hook == "update":
            return 0 if sys.argv[2] in _accepted_file(caller).read_text().split() else 1
        accepted = pre_receive(remote, sys.stdin.read(), caller)
        _accepted_file(caller).write_text("\n".join(accepted))
        return 0
    except Refused as refused:
        journal.write("push", name, "refused", reason=refused.reason, details=refused.lines)
        lines = ["git-gate refused this push; nothing has reached the upstream.", *refused.lines]
    except Exception as error:
        journal.write("push", name, "refused", reason="error", details=[str(error)])
        lines = [f"git-gate could not look at this push, so it is refused: {type(error).__name__}: {error}"]
    print("\n".join(lines), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
