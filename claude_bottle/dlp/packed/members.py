"""Archives and compressed streams within some bytes, as members that are scanned like bodies. Refuses too much.
Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from claude_bottle.dlp.packed.decoder import MAX_PLAIN, MAX_RATIO, DecodeError
from claude_bottle.dlp.packed.signs import beginnings
from claude_bottle.dlp.packed.unpack import Unpacker
from claude_bottle.dlp.text.readings import WINDOW, each_offset
from claude_bottle.dlp.verdict import Unscannable

_FIRST, _STEP = 512, 64 << 10  # bytes that are tried first, and at most at a time
_SCRAP = 4 << 10  # bytes: output shorter than this that breaks off is mostly random bytes, unpacked by chance
_KEY = 64  # bytes
_MOST = 50_000  # members of one body
_LONG, _DIGITS = 16 << 10, rb"[A-Za-z0-9+/_=\r\n-]"
# Only where a run begins: from each of its characters, a run that is too short would take the square of its length.
_LONG_RUN = re.compile(rb"(?<!%b)%b{%d,}" % (_DIGITS, _DIGITS, _LONG))
_MORE = re.compile(rb"%b*" % _DIGITS)
_NO_DIGITS = b"=\r\n"  # of those


def most_plain(size: int) -> int:
    """How many bytes data of this size may unpack to. Short data may make less, because of the time to scan it."""
    return min(MAX_PLAIN, (8 << 20) + MAX_RATIO * size)


@dataclass
class Budget:
    """How much of one body is unpacked in all. size: of the body. Raises Unscannable beyond."""

    size: int
    unpacked: int = 0
    taken: int = 0
    members: int = 0
    known: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)  # beginning to length and hash

    def make(self, size: int) -> None:
        """Count output bytes."""
        self.unpacked += size
        if self.unpacked > most_plain(self.size):
            raise Unscannable("too_large_to_scan", "the archive is too large when unpacked")

    def take(self, size: int) -> None:
        """Count input bytes: overlapping streams are all unpacked, but only up to a limit."""
        self.taken += size
        if self.taken > 2 * (self.size + self.unpacked) + WINDOW // 2:
            raise Unscannable("too_much_to_scan", "archives that overlap")

    def is_known(self, data: bytes, at: int) -> bool:
        """Whether the same bytes were unpacked before: many views of a body hold the same archives."""
        for length, value in self.known.get(data[at : at + _KEY], ()):
            self.take(length // 16)
            if hash(data[at : at + length]) == value:
                return True
        return False

    def know(self, data: bytes, at: int, length: int) -> None:
        """Remember bytes that were unpacked to their end."""
        self.known.setdefault(data[at : at + _KEY], []).append((length, hash(data[at : at + length])))

    def add_member(self) -> None:
        """Count a member."""
        self.members += 1
        if self.members > _MOST:
            raise Unscannable("too_much_to_scan", f"an archive with more than {_MOST:,} members")


@dataclass(frozen=True)
class Member:
    """The unpacked data. whole: it was unpacked to its end. scrap: it broke off early, so that it may be no archive at
    all. unfinished: the input ended before it."""

    data: bytes
    whole: bool
    scrap: bool
    unfinished: bool


def members(data: bytes, budget: Budget, *, strict: bool, sure: bool = True) -> Iterator[Member]:
    """Every archive or stream in the data, unpacked as far as possible. Raises Unscannable.

    strict: the data may be an archive as a whole, so one at its beginning that breaks off is refused. sure: the data is
    certainly real; otherwise, the two bytes of a zlib header do not count.
    """
    places = beginnings(data)
    if strict and data[:3] == b"\x5d\x00\x00":
        places.insert(0, (0, "lzma"))
    if strict and data[:2] == b"\x1f\x9d":
        raise Unscannable("unreadable_encoding", "an archive that cannot be read (compress)")
    for at, kind in places:
        if (kind == "zlib" and not sure) or budget.is_known(data, at):
            continue
        unpacker = Unpacker(kind)
        plain, broken, end = _unpacked(unpacker, data, at, budget)
        if unpacker.ended:
            budget.know(data, at, end - at)
        unfinished = not broken and not unpacker.ended
        broken = broken or unfinished
        if broken and at == 0 and strict and unpacker.sure:
            raise Unscannable("unreadable_encoding", f"broken compressed data ({kind})")
        if plain:
            budget.add_member()
            scrap = broken and len(plain) < _SCRAP
            yield Member(plain, not broken, scrap, unfinished and not scrap)


def _unpacked(unpacker: Unpacker, data: bytes, at: int, budget: Budget) -> tuple[bytes, bool, int]:
    """The output, whether the stream is broken, and where it ends."""
    out: list[bytes] = []
    step = _FIRST
    try:
        while at < len(data) and not unpacker.ended:
            chunk, before = data[at : at + step], unpacker.taken
            for part in unpacker.feed_parts(chunk):
                budget.make(len(part))
                out.append(part)
            budget.take(max(0, unpacker.taken - before - unpacker.rest))
            at, step = at + len(chunk), min(2 * step, _STEP)
        out += unpacker.end()
    except DecodeError:
        budget.take(min(step, len(data) - at))
        return b"".join(out), True, at
    return b"".join(out), False, at - unpacker.rest


def long_runs(data: bytes) -> Iterator[bytes]:
    """Decoded runs of base64 or hex that may be longer than the windows of text, to search them for archives."""
    if len(data) <= WINDOW:
        return
    for written in _runs(data):
        run = written.translate(None, _NO_DIGITS)
        for decoded in each_offset(run):
            yield decoded
            if decoded.isascii():
                yield from long_runs(decoded)
        try:
            yield bytes.fromhex(run[: len(run) // 2 * 2].decode())
        except ValueError:
            continue


def _runs(data: bytes) -> Iterator[bytes]:
    """The long runs of letters of base64 or hex. Searched a window at a time, because `re` holds the interpreter."""
    at = 0
    while at < len(data):
        until = at + WINDOW
        match = _LONG_RUN.search(data, at, until)
        if match is None:
            at = until if until >= len(data) else until - _LONG  # one may have begun there
            continue
        start, at = match.span()
        while at == until < len(data):
            until += WINDOW
            at = _MORE.match(data, at, until).end()  # type: ignore[union-attr]  # it matches nothing too
        yield data[start:at]
