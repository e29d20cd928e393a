"""Contents that were refused and that the owner may let through one time each.

Used by pipelock (what DLP found) and by git-gate (pushes under review); the owner comes by `docker exec`, never by the
agent's network. A grant is for one digest and one proposal: granting it again, after a crash, changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

MAX_HELD = 30
_DIGEST, _PROPOSAL = re.compile(r"sha256:[0-9a-f]{64}\Z"), re.compile(r"p-[0-9a-f]{10}\Z")


def digest_of(*parts: bytes) -> str:
    """One name for exactly these parts in this order."""
    made = hashlib.sha256()
    for part in parts:
        made.update(len(part).to_bytes(8, "big") + part)
    return f"sha256:{made.hexdigest()}"


def is_digest(text: object) -> bool:
    """Whether this is a name that `digest_of` makes."""
    return isinstance(text, str) and bool(_DIGEST.match(text))


class Once:
    """What one part holds: a folder of its own, small files. `about` is what the owner is shown of a content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hold(self, digest: str, about: dict[str, Any]) -> None:
        """Note a refused content; the oldest ones are let go."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._write(self._folder / f"{digest}.held", json.dumps({**about, "digest": digest, "time": time.time()}))
        for old in sorted(self._folder.glob("*.held"), key=lambda file: file.stat().st_mtime)[:-MAX_HELD]:
            old.unlink(missing_ok=True)

    def held(self, digest: str) -> dict[str, Any] | None:
        """What is known of a refused content."""
        file = self._folder / f"{digest}.held"
        return json.loads(file.read_text()) if is_digest(digest) and file.is_file() else None

    def grant(self, digest: str, proposal: str) -> bool:
        """Let this content through once; False when it is not held. The same proposal again changes nothing."""
        if not is_digest(digest) or not _PROPOSAL.match(proposal):
            raise ValueError("not a digest and the id of a proposal")
        if self._used(proposal).exists():
            return True
        if self.held(digest) is None:
            return False
        self._write(self._folder / f"{digest}.{proposal}.granted", "")
        return True

    def take(self, digest: str) -> bool:
        """Use a grant up: True for exactly one caller per grant."""
        for file in self._folder.glob(f"{digest}.*.granted"):
            try:
                file.rename(self._used(file.name.split(".")[1]))
            except FileNotFoundError:
                continue  # another request was faster
            (self._folder / f"{digest}.held").unlink(missing_ok=True)
            return True
        return False

    def is_granted(self, digest: str) -> bool:
        """Whether a grant waits to be used."""
        return any(self._folder.glob(f"{digest}.*.granted"))

    def _used(self, proposal: str) -> Path:
        return self._folder / f"{proposal}.used"

    @staticmethod
    def _write(file: Path, text: str) -> None:
        beside = file.with_name(f".{file.name}.{os.getpid()}")
        beside.write_text(text)
        beside.replace(file)


def main() -> int:
    """The owner's side: `held DIGEST` prints what is known, `grant DIGEST PROPOSAL` lets it through once."""
    folder, verb, digest = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    once = Once(folder)
    if verb == "held":
        print(json.dumps(once.held(digest)))
        return 0
    if once.grant(digest, sys.argv[4]):
        return 0
    print("this content is not held any more; let the agent try it again, and ask again", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
