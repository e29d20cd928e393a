"""The pre-receive hook: policy, scan, then the upstream. The mirror accepts only refs that the upstream accepted."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_bottle.policy.once import Once, digest_of

from . import journal, open_pushes
from .advice import how_to_remove
from .forward import forward
from .mirror import RUN, locked
from .pardon import findings_digest, hold, pardonable
from .push_policy import Command, parse, refusals
from .remotes import Remote, remote_of
from .scanning.scan import Looked, look
from .scanning.view import pages
from .scanning.work import TooMuch, Work

_SHOWN = 20


class Refused(Exception):
    """The push is refused. lines: for the client; reason: one word for the journal."""

    def __init__(self, reason: str, lines: Sequence[str]) -> None:
        super().__init__(reason)
        self.reason, self.lines = reason, list(lines)


class Unknown(Refused):
    """It is unknown whether the upstream accepted the push."""


def pre_receive(remote: Remote, text: str, keep: int) -> list[str]:
    """The refs that the upstream accepted. keep: pid of receive-pack, which must end before the lock is released.
    Raises Refused."""
    commands, options = parse(text), push_options()
    with locked(remote):
        work = Work()
        if wrong := refusals(remote, commands, _is_ancestor, _current, options):
            raise Refused("policy", _some(wrong))
        if (size := _pushed_mb()) > remote.max_push_mb:
            raise Refused("size", [f"too large: {size} MB in one push, {remote.max_push_mb} MB are allowed"])
        tips = [c.new for c in commands if not c.deletes]
        try:
            looked = look(remote, tips, [c.ref for c in commands], options, work)
            pardon = _pardoned(remote, looked, _objections(looked, tips, work))
            digest = _reviewed(remote, commands, options, work) if remote.review else ""
        except TooMuch as much:
            raise Refused("size", [str(much)]) from None
        refs = [command.ref for command in commands]
        about: dict[str, Any] = {"commits": looked.commits, "objects": looked.objects, "options": options}
        if pardon:
            about["findings"] = pardon
        grants = Grant.bind_all(pardon, digest)
        begun: Path | None = None
        try:
            # The note first: a kill between the two leaves no record of a push that is never closed.
            begun = open_pushes.begin(remote, commands)
            # A push is recorded before it is sent, with the old and new values of its refs.
            before = [f"{command.old} {command.ref}" for command in commands]
            after = [f"{command.new} {command.ref}" for command in commands]
            journal.keep("push", remote.name, "forwarding", refs=refs, before=before, after=after, **about)
        except (journal.NotWritten, OSError) as error:
            for grant in grants:
                grant.release()
            if begun is not None:
                begun.unlink(missing_ok=True)
            raise Refused("journal", [f"{error}; git-gate pushes nothing without a record; try again"]) from None
        done = forward(remote, commands, options)
        for grant in grants:
            # Only a clear rejection by the upstream returns the grant, so that the same push can be retried.
            grant.spend() if done.accepted or done.unknown else grant.release()
        for line in done.said if done.accepted else ():
            print(line.removeprefix("remote: "), file=sys.stderr)
        if done.accepted:
            _hold_lock(keep)
    lines = ["the upstream refused:", *done.said]
    if done.unknown:
        journal.close("push", remote.name, "unknown", refs=done.unknown, **about)
    if done.accepted:
        journal.close("push", remote.name, "accepted", refs=done.accepted, **about)
    if not (done.accepted or done.unknown):
        journal.close("push", remote.name, "refused", reason="upstream", details=lines, refs=refs)
    begun.unlink(missing_ok=True)
    if not done.accepted:
        raise (
            Unknown("upstream", [*done.said, "git fetch shows the refs of the upstream"])
            if done.unknown
            else Refused("upstream", lines)
        )
    return done.accepted


@dataclass(frozen=True)
class Grant:
    """The owner's approval of one push, bound to it while it is forwarded."""

    digest: str
    proposal: str

    @classmethod
    def bind_all(cls, *digests: str) -> list[Grant]:
        """Bind the grants of all non-empty digests, or none. Raises Refused if another push has used one."""
        bound: list[Grant] = []
        for digest in filter(None, digests):
            proposal = Once(RUN / "once").bind(digest)
            if proposal is None:
                for grant in bound:
                    grant.release()
                raise Refused("review", ["the owner's approval of this push has already been used.", *ask(digest)])
            bound.append(cls(digest, proposal))
        return bound

    def spend(self) -> None:
        Once(RUN / "once").spend(self.digest, self.proposal)

    def release(self) -> None:
        Once(RUN / "once").release(self.digest, self.proposal)


def push_options() -> list[str]:
    """The options of `git push -o`. Git accepts them only if the mirror's configuration offers them."""
    return [os.environ[f"GIT_PUSH_OPTION_{n}"] for n in range(int(os.environ.get("GIT_PUSH_OPTION_COUNT", "0")))]


def _reviewed(remote: Remote, commands: Sequence[Command], options: Sequence[str], work: Work) -> str:
    """The digest of a push that its owner has approved. Raises Refused for one that waits, and TooMuch."""
    view = pages(work, commands, options)
    once, digest = Once(RUN / "once"), push_digest(remote, commands, options, view)
    if not once.is_granted(digest):
        once.hold(digest, {"what": f"push to {remote.name} ({remote.upstream})"}, view)
        raise Refused("review", [f"the owner reviews every push to {remote.name} first.", *ask(digest)])
    return digest


def _pardoned(remote: Remote, looked: Looked, lines: Sequence[str]) -> str:
    """The digest of findings that their owner allows once; "" if there are no objections (`lines`). Raises Refused."""
    if not lines:
        return ""
    asking: list[str] = []
    if pardonable(looked):
        once = Once(RUN / "once")
        if once.is_granted(digest := findings_digest(remote, looked.judged)):
            return digest
        hold(once, remote, looked.judged)
        asking = ["or, if these are not secrets and may pass once,", *ask(digest)]
    raise Refused("secret" if looked.secrets else "content", [*lines, *asking])


def push_digest(
    remote: Remote, commands: Sequence[Command], options: Sequence[str] = (), view: Sequence[str] = ()
) -> str:
    """One digest for exactly this push: which refs change, from and to what, its options, and the view that its owner
    gets."""
    moves = (f"{c.old} {c.new} {c.ref}" for c in commands)
    parts = (remote.name, *moves, "options", *options, "view", *view)
    return digest_of(*(part.encode("utf-8", "surrogateescape") for part in parts))


def ask(digest: str) -> list[str]:
    """Instructions to the agent for a push that waits for its owner."""
    return [
        f"ask with the supervise tool capability-block: capability=push, value={digest}",
        "and after its approval push exactly the same again.",
    ]


def _pushed_mb() -> int:
    """Size in MB of the client's data, which git keeps in quarantine until this hook has accepted it."""
    folder = os.environ.get("GIT_QUARANTINE_PATH")
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) >> 20 if folder else 0


def _some(lines: Sequence[str]) -> list[str]:
    return [*lines[:_SHOWN], *([f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])]


def _objections(looked: Looked, tips: Sequence[str], work: Work) -> list[str]:
    lines = _some([f"too large: {item}" for item in looked.too_large])
    if looked.lfs:
        lines += _some([f"Git LFS: {path} is a pointer, and git-gate forwards no LFS objects" for path in looked.lfs])
        lines += ["commit the content itself (git lfs untrack, git add --renormalize), or let the owner push it"]
    if looked.closed:
        lines += _some([f"cannot be scanned: {item}" for item in looked.closed])
        lines += ["commit its contents instead, or pack it as .zip, .tar.gz or .tar.xz, or let the owner push it"]
    if looked.secrets:
        lines += _some([f"secret: {secret}" for secret in looked.secrets])
        lines += how_to_remove(work, looked.secrets, tips)
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
    """Keep the lock until receive-pack has updated the mirror's refs: a refresh before that would see the new ones.

    The lock belongs to the open file, which a forked child shares.
    """
    alive = os.pidfd_open(receive_pack)
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        select.select([alive], [], [], 120)
        os._exit(0)
    os.close(alive)


def accepted_file(receive_pack: int) -> Path:
    return RUN / f"accepted-{receive_pack}"


def main() -> int:
    """Only 0 accepts a push; the update hook then accepts those of its refs that the upstream accepted."""
    caller, name = os.getppid(), Path.cwd().stem
    try:
        accepted = pre_receive(remote_of(Path.cwd()), sys.stdin.read(), caller)
        try:
            accepted_file(caller).write_text("".join(f"{ref}\n" for ref in accepted))
            return 0
        except OSError as error:  # it is on record; the mirror will have it after the next fetch
            lines = [
                f"the upstream has taken this push: {', '.join(accepted)}.",
                "git reports it as refused here, because",
            ]
            lines += [f"git-gate cannot record it ({error.strerror}). git fetch shows the refs of the upstream."]
    except Unknown as unknown:  # it is on record
        lines = ["git-gate does not know whether the upstream took this push.", *unknown.lines]
    except Refused as refused:
        if refused.reason != "upstream":  # that is on record
            journal.write("push", name, "refused", reason=refused.reason, details=refused.lines)
        lines = ["git-gate refused this push; nothing has reached the upstream.", *refused.lines]
    except Exception as error:
        journal.write("push", name, "refused", reason="error", details=[str(error)])
        lines = [f"git-gate refused this push because scanning it failed: {type(error).__name__}: {error}"]
    print("\n".join(lines), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
