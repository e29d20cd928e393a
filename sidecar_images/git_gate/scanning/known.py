"""Values that are no news, because the upstream's history holds them; and the gate's credentials, which always count.

Only objects that the mirror's refs reach are the upstream's. Those refs move after a fetch from the upstream, or after
it has accepted a push. The objects of a push are in the same database while it is scanned, but no ref reaches them.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Iterable
from pathlib import Path

from ..remotes import ETC, Remote
from .finding import Finding
from .objects import UPSTREAMS, Object
from .plain import readable
from .unpack import Bounds, CannotUnpack, unpacked
from .work import TooMuch, Work

SECONDS = 30  # for the search; a value not found by then counts as new
_CHUNK = 4 << 20
_LONG = 20  # characters; a shorter value is ambiguous, so the whole match must be known
_KEY_LINE = 40  # characters of a line of a key
_UNPACKED = 128 << 20  # bytes unpacked from an old version
OWN_RULE = "git-gate-own-credential"


def needle(secret: str, match: str) -> bytes:
    """The bytes that the upstream must hold for a finding to be no news. A password like "postgres" is in many
    places."""
    return (secret if len(secret) >= _LONG else match).encode(errors="surrogateescape")


def own_credentials(etc: Path = ETC) -> list[str]:
    """The tokens and proxy passwords that the gate holds, for all remotes, and the lines of its keys without the first
    two of each file, which are the same for all keys of a kind."""
    tokens = [file.read_text().strip() for file in sorted(etc.glob("*.token"))]
    logins = [file.read_text().strip() for file in sorted(etc.glob("*.login"))]
    tokens += [login.partition(":")[2] or login for login in logins]
    lines = [line.strip() for file in sorted(etc.glob("*.key")) for line in file.read_text().splitlines()[2:]]
    return [*filter(None, tokens), *(line for line in lines if len(line) >= _KEY_LINE)]


def own_rule(own: Iterable[str]) -> str:
    """A gitleaks rule that finds the credentials, encoded ones too; "" if there are none."""
    given = [re.escape(text).replace("'", "\\x27") for text in own]
    return f"[[rules]]\nid = \"{OWN_RULE}\"\nregex = '''{'|'.join(given)}'''\n" if given else ""


def digest_of(remote: Remote, value: bytes) -> str:
    """The digest with which an owner exempts a value for this upstream. It appears in manifests and messages, so it is
    slow to compute, to prevent guessing, and specific to the upstream."""
    return hashlib.scrypt(value, salt=remote.upstream.encode(), n=1 << 14, r=8, p=1, dklen=16).hex()


def upstream_has(work: Work, needles: Iterable[bytes]) -> set[bytes]:
    """The needles that occur in any object of the upstream, of any kind, searched newest first. Stops searching after
    SECONDS. Raises TooMuch, ScanError."""
    left, present = {one for one in needles if one}, set[bytes]()
    if not left:
        return present
    search = Work(until=min(work.until, time.monotonic() + SECONDS))
    overlap = max(map(len, left)) - 1
    try:
        with (
            search.reading(["git", "rev-list", "--objects", "--no-object-names", *UPSTREAMS]) as lister,
            search.reading(["git", "cat-file", "--batch", "--buffer"], lister.stdout or 0) as reader,
        ):
            assert reader.stdout is not None  # noqa: S101 - it is a pipe
            while left and len(head := reader.stdout.readline().split()) == 3:
                size, before = int(head[2]) + 1, b""
                while size > 0 and (data := reader.stdout.read(min(size, _CHUNK))):
                    size -= len(data)
                    text = before + data
                    present |= (hits := {one for one in left if one in text})
                    left -= hits
                    before = text[-overlap:] if overlap else b""
            lister.kill()
            reader.kill()
    except TooMuch:
        work.left()
    return present


class Views:
    """The old versions of files, in the same forms as the new ones are scanned in."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._last: tuple[str, list[bytes]] = ("", [])

    def had_before(self, one: Object, finding: Finding, *, packed: bool) -> bool:
        """Whether the finding is in this object's base, if the upstream has that: as it is, unpacked, or, if gitleaks
        decoded it, in the same lines. packed: it was found in content unpacked from the file, whose line numbers
        differ."""
        if one.base is None or one.base.commit:
            return False
        if self._last[0] != one.base.name:
            self._last = (one.base.name, self._of(one.base))
        views = self._last[1]
        if any(needle(finding.secret, finding.match) in view for view in views):
            return True
        if packed:
            return False
        text = readable(self._work.git("cat-file", "blob", one.name))
        if finding.secret.encode(errors="surrogateescape") in text:
            return False
        lines = b"\n".join(text.split(b"\n")[finding.line - 1 : finding.last_line])
        return len(lines) >= _LONG and b"\n" + lines + b"\n" in b"\n" + views[0] + b"\n"

    def _of(self, base: Object) -> list[bytes]:
        data = self._work.git("cat-file", "blob", base.name)
        views = [readable(data)]
        with contextlib.suppress(CannotUnpack):
            views += unpacked(data, Bounds(_UNPACKED, check=self._work.left))
        return views
