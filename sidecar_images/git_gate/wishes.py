"""The refs and objects beyond branches and tags that a fetching client requests, read from its packets. Pure.

gitprotocol-v2(5): a request is `command=ls-refs` or `command=fetch`, its lines, and a flush packet. The forms of names:
GitHub's `refs/pull/N/head`, GitLab's `refs/merge-requests/N/head`, Gerrit's `refs/changes/NN/N/P`, git-notes(1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

# Anybody who may open a request can write these: they are no push targets, and not the upstream's own history.
OUTSIDERS = ("refs/pull/", "refs/merge-requests/", "refs/changes/")
FAMILIES = (*OUTSIDERS, "refs/notes/")
_NUMBER = "[1-9][0-9]{0,9}"
_NAME = re.compile(
    rf"refs/(?:(?:pull|merge-requests)/{_NUMBER}/(?:head|merge)|changes/[0-9]{{2}}/{_NUMBER}/{_NUMBER}"
    r"|notes/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,3})\Z"
)
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
HELD = 1 << 20  # bytes of a request that are read before any is forwarded; a longer one is a clone's


@dataclass(frozen=True)
class Wish:
    """names: whole refs, and whole families with a slash at the end. ids: of objects."""

    names: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()

    def wants(self, ref: str) -> bool:
        """Whether a ref of the upstream is among the names."""
        return bool(_NAME.match(ref)) and (
            ref in self.names or any(ref.startswith(f) for f in FAMILIES if f in self.names)
        )

    def chosen(self, advertised: Mapping[str, str]) -> dict[str, str]:
        """The advertised refs (ref to id) that this request is about."""
        return {
            ref: name for ref, name in advertised.items() if self.wants(ref) or (name in self.ids and _NAME.match(ref))
        }


def wish_of(lines: Iterable[bytes]) -> Wish:
    """The names and ids in one request that a mirror of branches and tags may lack."""
    command, *rest = [line.rstrip(b"\n").decode("ascii", "replace") for line in lines] or [""]
    words = [line.partition(" ") for line in rest]
    if command == "command=ls-refs":
        prefixes = {value for key, _, value in words if key == "ref-prefix"}
        return Wish(names=frozenset(name for name in prefixes if name in FAMILIES or _NAME.match(name)))
    if command == "command=fetch":
        return Wish(ids=frozenset(value for key, _, value in words if key == "want" and _ID.match(value)))
    return Wish()


def requests(read: Callable[[int], bytes]) -> Iterator[tuple[bytes, Wish]]:
    """Bytes to forward, with the refs to fetch before that. Ends with the stream, or at data that is not a packet.

    read(n): n bytes, fewer at the end of the stream.
    """
    held, lines, looked = bytearray(), list[bytes](), False
    while (head := read(4)) and re.fullmatch(rb"[0-9a-fA-F]{4}", head):
        size = int(head, 16)
        if size == 3:
            return
        body = read(size - 4) if size > 4 else b""
        if len(body) < size - 4:
            return
        held += head + body
        if size > 4 and not looked:
            lines.append(body)
        if size == 0 or len(held) > HELD:
            yield bytes(held), Wish() if looked else wish_of(lines)
            held, lines, looked = bytearray(), [], size != 0


def error(words: str) -> bytes:
    """A packet that ends a session. The client shows its text (gitprotocol-pack(5), ERR)."""
    body = b"ERR " + " ".join(words.split()).encode("ascii", "replace")[:900]
    return b"%04x%b" % (len(body) + 4, body)
