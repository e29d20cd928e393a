"""Contents that were refused and that the owner may let through one time each.

Used by pipelock (what DLP found) and by git-gate (pushes under review); the owner comes by `docker exec`, never by the
agent's network. A grant is for one digest and one proposal: granting it again, after a crash, changes nothing. A
content is held for a day, a grant for an hour; a clock that was set back ends both.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from claude_bottle.policy.whole_file import rename_whole, write_whole

MAX_HELD, MAX_BYTES = 30, 64 << 20
HELD_SECONDS, GRANT_SECONDS = 24 * 3600, 3600
_USED_SECONDS = 30 * 24 * 3600  # for how long it is known that a proposal was granted
_SKEW = 5  # seconds by which the time of a file may be ahead
_DIGEST, _PROPOSAL = re.compile(r"sha256:[0-9a-f]{64}\Z"), re.compile(r"p-[0-9a-f]{10}\Z")


def digest_of(*parts: bytes) -> str:
    """One name for exactly these parts in this order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return f"sha256:{digest.hexdigest()}"


def is_digest(text: object) -> bool:
    """Whether this is a name that `digest_of` makes."""
    return isinstance(text, str) and bool(_DIGEST.match(text))


class Once:
    """What one part holds: a folder of its own, small files. `about` is what the owner is shown of a content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hold(self, digest: str, about: dict[str, Any], pages: Sequence[str] = ()) -> None:
        """Note a refused content; the oldest ones are let go. pages: all that the owner may read of it, in order.

        What is held says how many `pages` there are, which `view` they are, and has the first one as `excerpt`.
        """
        self._folder.mkdir(mode=0o700, exist_ok=True)
        entry = {**about, "digest": digest, "time": time.time()}
        if pages:
            view = digest_of(*(page.encode("utf-8", "surrogatepass") for page in pages))
            entry.update(pages=len(pages), view=view, excerpt=pages[0])
        lines = [json.dumps(entry), *(json.dumps(page) for page in pages)]
        self._write(self._folder / f"{digest}.held", "\n".join(lines) + "\n")
        self._let_go()

    def held(self, digest: str) -> dict[str, Any] | None:
        """What is known of a refused content, with its first page."""
        lines = self._lines(digest, 1)
        return json.loads(lines[0]) if lines else None

    def page(self, digest: str, number: int) -> dict[str, Any] | None:
        """One of the pages, the first is 1: `page`, `pages`, `view`, `text`. None where there is no such page."""
        lines = self._lines(digest, number + 1) if number >= 1 else []
        if number < 1 or len(lines) <= number:
            return None
        about = json.loads(lines[0])
        return {"page": number, "pages": about["pages"], "view": about["view"], "text": json.loads(lines[number])}

    def grant(self, digest: str, proposal: str) -> bool:
        """Let this content through once; False when it is not held. The same proposal again changes nothing."""
        if not is_digest(digest) or not _PROPOSAL.match(proposal):
            raise ValueError("not a digest and the id of a proposal")
        known = (self._used(proposal), self._bound(digest, proposal), self._folder / f"{digest}.{proposal}.granted")
        if any(file.exists() for file in known):
            return True
        if self.held(digest) is None:
            return False
        self._write(self._folder / f"{digest}.{proposal}.granted", "")
        return True

    def bind(self, digest: str) -> str | None:
        """Begin to use a grant, so that nobody else does: the proposal of it, None where there is none.

        `spend` ends it; `release` gives it back. A grant that neither was done to is used up.
        """
        for file in self._granted(digest):
            proposal = file.name.split(".")[1]
            if not _younger(file, GRANT_SECONDS):
                continue
            try:
                rename_whole(file, self._bound(digest, proposal))
            except FileNotFoundError:
                continue  # another one was faster
            return proposal
        return None

    def spend(self, digest: str, proposal: str) -> None:
        """What was bound is used up."""
        rename_whole(self._bound(digest, proposal), self._used(proposal))
        (self._folder / f"{digest}.held").unlink(missing_ok=True)

    def release(self, digest: str, proposal: str) -> None:
        """What was bound can be used again, within its hour."""
        rename_whole(self._bound(digest, proposal), self._folder / f"{digest}.{proposal}.granted")

    def decline(self, digest: str) -> None:
        """Let go of what is held: who waits for a grant of it gets none."""
        if is_digest(digest):
            (self._folder / f"{digest}.held").unlink(missing_ok=True)

    def take(self, digest: str) -> bool:
        """Use a grant up: True for exactly one caller per grant, and within an hour of it."""
        proposal = self.bind(digest)
        if proposal is None:
            return False
        self.spend(digest, proposal)
        return True

    def is_granted(self, digest: str) -> bool:
        """Whether a grant waits to be used, and is not over."""
        return any(_younger(file, GRANT_SECONDS) for file in self._granted(digest))

    def _granted(self, digest: str) -> list[Path]:
        return list(self._folder.glob(f"{digest}.*.granted")) if is_digest(digest) else []

    def _lines(self, digest: str, count: int) -> list[str]:
        """The first lines of what is held; none once its day is over."""
        file = self._folder / f"{digest}.held"
        if not is_digest(digest) or not _younger(file, HELD_SECONDS):
            return []
        try:
            with file.open() as text:
                return [line for line, _ in zip(text, range(count), strict=False)]
        except FileNotFoundError:
            return []

    def _let_go(self) -> None:
        """What is over, what is too much, and what tells of grants of long ago."""
        held = [(file, status) for file in self._folder.glob("*.held") if (status := _stat(file))]
        size = 0
        for place, (file, status) in enumerate(sorted(held, key=lambda one: one[1].st_mtime, reverse=True)):
            size += status.st_size
            if place >= MAX_HELD or (size > MAX_BYTES and place) or not _younger(file, HELD_SECONDS):
                file.unlink(missing_ok=True)
        for file in (f for kind in ("used", "granted", "bound") for f in self._folder.glob(f"*.{kind}")):
            if not _younger(file, _USED_SECONDS):
                file.unlink(missing_ok=True)

    def _bound(self, digest: str, proposal: str) -> Path:
        return self._folder / f"{digest}.{proposal}.bound"

    def _used(self, proposal: str) -> Path:
        return self._folder / f"{proposal}.used"

    @staticmethod
    def _write(file: Path, text: str) -> None:
        write_whole(file, text.encode(), 0o644)


def _stat(file: Path) -> os.stat_result | None:
    with contextlib.suppress(OSError):
        return file.stat()
    return None


def _younger(file: Path, seconds: float) -> bool:
    """Whether a file is there that was written within these seconds."""
    status = _stat(file)
    return status is not None and -_SKEW <= time.time() - status.st_mtime <= seconds


def main(argv: Sequence[str] | None = None) -> int:
    """The owner's side: `held DIGEST` prints what is known, `page DIGEST N` a page of it, `grant DIGEST PROPOSAL` lets
    it through once."""
    folder, verb, digest, *rest = sys.argv[1:] if argv is None else argv
    once = Once(Path(folder))
    if verb == "held":
        print(json.dumps(once.held(digest)))
        return 0
    if verb == "page":
        print(json.dumps(once.page(digest, int(rest[0]))))
        return 0
    if verb == "decline":
        once.decline(digest)
        return 0
    if verb == "grant" and once.grant(digest, rest[0]):
        return 0
    print("this content is not held any more; let the agent try it again, and ask again", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
