"""Scans one stream of bytes as it passes: its text, its fields and the archives in it, nested too. Pure.

Text is scanned in overlapping windows, with encodings decoded. A run of base64 is held until it is complete. An archive
is unpacked as it arrives, and its content is scanned as a stream of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from claude_bottle.dlp.fields import REACH, Fields, FormFields, JsonStrings, ends, is_form_like, is_json_like
from claude_bottle.dlp.packed.decoder import MAX_PLAIN, MAX_RATIO, DecodeError
from claude_bottle.dlp.packed.signs import NEEDED, beginnings
from claude_bottle.dlp.packed.unpack import Unpacker
from claude_bottle.dlp.parts import PartFields, is_cut
from claude_bottle.dlp.text.near import OVERLAP
from claude_bottle.dlp.text.readings import WINDOW, View, each_offset, text_views
from claude_bottle.dlp.text.runs import spans
from claude_bottle.dlp.verdict import Finding, Unscannable
from claude_bottle.dlp.views import DEPTH, member_views, stream_views

_OPEN = 16  # archives that are unpacked at the same time
_TAIL = 400  # bytes at the end that may begin an incomplete secret
_BEGIN = 512  # bytes by which a stream shows that it is JSON or a form
_BOUNDARY = 300  # bytes of a line that may be a boundary, and of the header after it
_SCRAP = 4 << 10  # bytes: output shorter than this that breaks off is mostly random bytes, unpacked by chance
HELD = 8 << 20  # bytes of a run of base64 that are held until it is complete
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-=\r\n\\"


class Looking(Protocol):
    """The part of the engine that a flow uses."""

    def look(self, views: Iterable[View]) -> Finding | None: ...
    def begun(self, tails: Iterable[bytes]) -> list[bytes]: ...


class FoundError(Exception):
    """Carries a finding. Ends the stream."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.rule)
        self.finding = finding


class Flow:
    """One stream. Raises FoundError and Unscannable.

    coded: the stream is compressed as a whole and is decompressed elsewhere. size: bytes received. clean: bytes, from
    the beginning, that may be released.
    """

    def __init__(
        self, dlp: Looking, label: str, content_type: str = "", *, depth: int = DEPTH, coded: bool = False
    ) -> None:
        self._dlp, self._label, self._type, self._depth, self._coded = dlp, label, content_type, depth, coded
        self._pending, self._fresh, self._wanted = bytearray(), 0, WINDOW
        self._seen = self._counted = self._run = 0  # bytes of pending: scanned, counted, base64 at the end
        self._before = b""  # the last bytes that were searched for the beginnings of archives
        self._fields: list[Fields] = []
        self._start = self._cut = b""  # the first bytes, and the last ones, in which a boundary may begin
        self._ends: dict[str, bytes] = {}  # of the fields' views, by label
        self._packed: list[_Packed] = []
        self._scraps: list[bytes] = []
        self._members = b""  # the ends of the members so far, joined
        self.size = self.clean = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes; scan once there are enough."""
        self._pending += data
        self._fresh += len(data)
        self.size += len(data)
        if len(self._pending) >= self._wanted:
            self.scan(last=False)

    def scan(self, last: bool) -> None:
        """Scan the bytes received so far, apart from a run of base64 that is held. last: no more will come."""
        fresh = bytes(self._pending[len(self._pending) - self._fresh :])
        self._fresh = 0
        if fresh or last:
            self._unpack(fresh, last)
            self._join(fresh, last)
            self._read(last)
        if self._scraps:
            self._look(text_views(b"\n".join(self._scraps), "scraps"))
            self._scraps.clear()

    def _look(self, views: Iterable[View]) -> None:
        finding = self._dlp.look(views)
        if finding is not None:
            raise FoundError(finding)

    def _read(self, last: bool) -> None:
        size = len(self._pending)
        self._run = 0 if last else self._run_at_end()
        if OVERLAP < self._run <= HELD:  # a run is scanned once complete, because half of an archive would look broken
            until, keep = size - self._run, min(self._run + OVERLAP, size)
        else:
            until, keep = size, 0 if last else min(OVERLAP, size)
        if last or until > self._seen:
            self._look(stream_views(bytes(self._pending[:until]), self._label, self._depth))
        del self._pending[: size - keep]
        self._seen, self._counted, self._run = max(until - (size - keep), 0), keep, min(self._run, keep)
        self._wanted, self.clean = keep + WINDOW, self.size - keep

    def _run_at_end(self) -> int:
        """The number of base64 characters at the end. Bytes that were counted before are not counted again."""
        new = bytes(self._pending[self._counted :])
        run = len(new) - len(new.rstrip(_LETTERS))
        return run + self._run if run == len(new) else run

    def _join(self, fresh: bytes, last: bool) -> None:
        for field, data in [*((field, fresh) for field in self._fields), *self._begun(fresh, last)]:
            for label, joined in field.feed(data, last):
                if joined:
                    text = self._ends.get(label, b"") + joined
                    self._look(text_views(text, label))
                    self._ends[label] = text[-OVERLAP:] if "within" not in label else b""

    def _begun(self, fresh: bytes, last: bool) -> list[tuple[Fields, bytes]]:
        """New fields, each with the bytes that it has missed, because the first bytes may be too few to show what the
        stream is, and a boundary may come in two pieces."""
        kind, kinds = self._type.partition(";")[0].strip().lower(), set(map(type, self._fields))
        new: list[tuple[Fields, bytes]] = []
        if len(self._start) < _BEGIN:
            start = self._start + fresh
            self._start = start[:_BEGIN]  # all of it while it is short; of a window no more than this
            if JsonStrings not in kinds and ("json" in kind or is_json_like(start)):
                new.append((JsonStrings(), start))
            form = kind == "application/x-www-form-urlencoded" or is_form_like(start, goes_on=not last)
            if FormFields not in kinds and form:
                new.append((FormFields(), start))
            if PartFields not in kinds and kind.startswith("multipart/"):
                new.append((PartFields(self._type), start))
        if PartFields not in kinds | {type(field) for field, _ in new}:
            cut = self._cut + fresh
            if is_cut(cut):
                new.append((PartFields(self._type), cut))
            self._cut = cut[-_BOUNDARY:]
        self._fields += [field for field, _ in new]
        return new

    def _unpack(self, fresh: bytes, last: bool) -> None:
        for packed in self._packed:
            packed.feed(fresh)
        first = self.size - len(fresh) - len(self._before)  # the offset at which the searched data begins
        data = self._before + fresh
        for at, kind in beginnings(data):
            until = at + NEEDED[kind]
            if until <= len(self._before) or (first + at == 0 and self._coded):
                continue  # decided in the search before, or decompressed elsewhere
            if until > len(data) and not last:
                continue  # decided with the next bytes
            packed = _Packed(self, kind, strict=first + at == 0)
            packed.feed(data[at:])
            self._packed.append(packed)
        self._before = data[1 - max(NEEDED.values()) :]
        for packed in self._packed:
            packed.scan(last)
        self._packed = [packed for packed in self._packed if not packed.over]
        if len(self._packed) > _OPEN:
            raise Unscannable("too_much_to_scan", f"more than {_OPEN} archives that are not at their end")

    def may_end_here(self) -> bool:
        """Whether the bytes so far may be released before more arrive: no vendor's prefix stands at their end, no
        archive is open, and no base64 of one has begun."""
        if self._packed or self._run > OVERLAP or self._dlp.begun([bytes(self._pending[-_TAIL:])]):
            return False
        run = bytes(self._pending[len(self._pending) - self._run :]) if self._run else b""
        runs = [run[start:end] for start, end in spans(run)]
        return not any(True for one in runs for part in each_offset(one) for _ in beginnings(part))

    @property
    def is_deepest(self) -> bool:
        """Whether nothing in this stream is unpacked."""
        return self._depth == 0

    def inner(self) -> Flow:
        """The stream of an archive within this one. Raises Unscannable if this one is the deepest."""
        if self.is_deepest:
            raise Unscannable("nested_too_deep", "archives within archives")
        return Flow(self._dlp, f"archive>{self._label}", depth=self._depth - 1)

    def take_member(self, data: bytes, whole: bool) -> None:
        """Scan a short member. whole: it was unpacked to its end; otherwise it is scanned with the other scraps."""
        if whole:
            self._look(member_views(data, self._depth))
            self.join_member(data)
        else:
            self._scraps.append(data)

    def join_member(self, edges: bytes) -> None:
        """Scan a member together with those before it. edges: its beginning and its end."""
        self._members += ends(edges)
        if len(self._members) > len(edges):
            self._look(text_views(self._members, "archive>joined"))
        self._members = self._members[-2 * REACH :]


class _Packed:
    """An archive or a compressed stream within a flow."""

    def __init__(self, flow: Flow, kind: str, strict: bool) -> None:
        self._flow, self._strict = flow, strict
        self._unpacker = Unpacker(kind)
        self._begin = bytearray()
        self._inner: Flow | None = None
        self._taken = self._made = 0
        self._last = b""
        self.over = False

    def feed(self, data: bytes) -> None:
        self._taken += len(data)
        try:
            for part in self._unpacker.feed_parts(data):
                self._take(part)
        except DecodeError:
            self._end(broken=True)
        if self._unpacker.ended and not self.over:
            self._end(broken=False)

    def scan(self, last: bool) -> None:
        if self.over:
            return None
        if last:
            try:
                for part in self._unpacker.end():
                    self._take(part)
            except DecodeError:
                return self._end(broken=True)
            return self._end(broken=not self._unpacker.ended)
        if self._inner is not None:
            self._inner.scan(last=False)
        return None

    def _take(self, part: bytes) -> None:
        self._made += len(part)
        if self._made > max(MAX_PLAIN, MAX_RATIO * self._taken):
            raise Unscannable("too_large_to_scan", "the archive is too large when unpacked")
        self._last = (self._last + part[-REACH:])[-REACH:]
        if self._inner is not None:
            return self._inner.feed(part)
        if self._flow.is_deepest and not self._unpacker.sure:  # by chance, most likely; an archive only if it ends well
            return self._flow.take_member(part, whole=False)
        self._begin += part
        if len(self._begin) >= _SCRAP:
            self._inner = self._flow.inner()
            self._inner.feed(bytes(self._begin))
        return None

    def _end(self, broken: bool) -> None:
        self.over = True
        if not broken and self._made and self._flow.is_deepest:
            self._flow.inner()
        if broken and self._strict and self._unpacker.sure:
            raise Unscannable("unreadable_encoding", f"broken compressed data ({self._unpacker.kind})")
        if self._inner is not None:
            self._inner.scan(last=True)
            self._flow.join_member(bytes(self._begin[:REACH]) + b"\n" + self._last)
        elif self._begin:
            self._flow.take_member(bytes(self._begin), whole=not broken)
