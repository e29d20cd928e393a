"""Refused contents that the owner may allow once each.

Used by pipelock (DLP findings) and by git-gate (pushes under review). The owner reaches it by `docker exec`, never over
the agent's network. A grant is for one digest and one proposal: granting it again, after a crash, changes nothing. A
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
_USED_SECONDS = 30 * 24 * 3600  # how long it is remembered that a proposal was granted
_SKEW = 5  # seconds by which a file's time may be in the future
_DIGEST, _PROPOSAL = re.compile(r"sha256:[0-9a-f]{64}\Z"), re.compile(r"p-[0-9a-f]{10}\Z")


def digest_of(*parts: bytes) -> str:
    """The digest of exactly these parts in this order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return f"sha256:{digest.hexdigest()}"


def is_digest(text: object) -> bool:
    """Whether this has the form of a digest of `digest_of`."""
    return isinstance(text, str) and bool(_DIGEST.match(text))


class Once:
    """The contents that one part holds: small files in a folder of its own. `about`: the description for the owner."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hold(self, digest: str, about: dict[str, Any], pages: Sequence[str] = ()) -> None:
        """Hold a refused content; the oldest ones are dropped. pages: everything of it that the owner may read, in
        order.

        The description gets the number of `pages`, the digest of the `view` that they form, and the first one as
        `excerpt`.
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
        """The description of a refused content, with its first page; None if it is not held."""
        lines = self._lines(digest, 1)
        return json.loads(lines[0]) if lines else None

    def page(self, digest: str, number: int) -> dict[str, Any] | None:
        """One page, counted from 1: `page`, `pages`, `view`, `text`. None if there is no such page."""
        lines = self._lines(digest, number + 1) if number >= 1 else []
        if number < 1 or len(lines) <= number:
            return None
        about = json.loads(lines[0])
        return {"page": number, "pages": about["pages"], "view": about["view"], "text": json.loads(lines[number])}

    def grant(self, digest: str, proposal: str) -> bool:
        """Allow this content once. False if it is not held. Granting the same proposal again changes nothing. Raises
        ValueError for malformed arguments."""
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
        """Begin to use a grant, exclusively. Returns its proposal, or None if there is no grant.

        `spend` uses it up; `release` returns it. A grant that is bound and never released stays used.
        """
        for file in self._granted(digest):
            proposal = file.name.split(".")[1]
            if not _younger(file, GRANT_SECONDS):
                continue
            try:
                rename_whole(file, self._bound(digest, proposal))
            except FileNotFoundError:
                continue  # another caller was faster
            return proposal
        return None

    def spend(self, digest: str, proposal: str) -> None:
        """Use up a bound grant."""
        rename_whole(self._bound(digest, proposal), self._used(proposal))
        (self._folder / f"{digest}.held").unlink(missing_ok=True)

    def release(self, digest: str, proposal: str) -> None:
        """Return a bound grant, which can be used again within its hour."""
        rename_whole(self._bound(digest, proposal), self._folder / f"{digest}.{proposal}.granted")

    def decline(self, digest: str) -> None:
        """Drop a held content, so that nobody can be granted it."""
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
        """Whether an unused grant exists that has not expired."""
        return any(_younger(file, GRANT_SECONDS) for file in self._granted(digest))

    def _granted(self, digest: str) -> list[Path]:
        return list(self._folder.glob(f"{digest}.*.granted")) if is_digest(digest) else []

    def _lines(self, digest: str, count: int) -> list[str]:
        """The first lines of a held content; none after its day."""
        file = self._folder / f"{digest}.held"
        if not is_digest(digest) or not _younger(file, HELD_SECONDS):
            return []
        try:
            with file.open() as text:
                return [line for line, _ in zip(text, range(count), strict=False)]
        except FileNotFoundError:
            return []

    def _let_go(self) -> None:
        """Delete expired contents, excess contents, and old traces of grants."""
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
    """Whether the file exists and was written within these seconds."""
    status = _stat(file)
    return status is not None and -_SKEW <= time.time() - status.st_mtime <= seconds


def main(argv: Sequence[str] | None = None) -> int:
    """The owner's side: `held DIGEST` prints the description, `page DIGEST N` a page, `grant DIGEST PROPOSAL` allows it
    once, `decline DIGEST` drops it."""
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
    print("this content is no longer held; let the agent retry and ask again", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
