"""Scans a body as it passes: no byte is released before it is scanned. Pure.

The stream shows the same views as a whole body, as far as that is possible without holding all of it. A body that
cannot be scanned so, or needs too much memory, is refused. JSON and forms within an archive or a part are scanned as
text.
"""

from __future__ import annotations

from collections.abc import Callable

from claude_bottle.dlp.flow import HELD, Flow, FoundError, Looking
from claude_bottle.dlp.packed.decoder import DecodeError, Decoder
from claude_bottle.dlp.packed.decoders import decoder_for, layers_of
from claude_bottle.dlp.verdict import Finding, Unscannable

_JOINED = 4 << 10  # bytes
EDGE = 300  # bytes of a piece that are joined with another piece; the shortest form of every rule's shape has fewer


class StreamScan:
    """One body. `feed` returns the chunks that may be released. After a finding, or if the stream is unreadable, it
    returns nothing more and `verdict` has the reason. `edges`, set at the end: the bytes that another request may
    continue."""

    def __init__(self, dlp: Looking, content_encoding: str = "", content_type: str = "") -> None:
        self.verdict: Finding | Unscannable | None = None
        self.edges: list[bytes] = []
        self.waiting = 0  # bytes received and not released yet
        self._begin = self._end = b""
        # (the size of each flow at the chunk's end, the chunk as received). Small chunks are joined, because each entry
        # costs 160 bytes more.
        self._held: list[tuple[list[int], bytes | bytearray]] = []
        self._decoders: list[Decoder] = []
        try:
            self._decoders = [decoder_for(name) for name in layers_of(content_encoding)]
        except DecodeError as error:
            self.verdict = Unscannable("unreadable_encoding", str(error))
        # Bytes that a decoder skips are scanned too: names and comments in gzip, frames in zstd, metadata in brotli.
        self._flows = [Flow(dlp, "raw", coded=True) for _ in self._decoders] + [Flow(dlp, "stream", content_type)]

    def feed(self, chunk: bytes) -> list[bytes]:
        """The chunks that may be released now. An empty chunk ends the stream."""
        return self._guarded(lambda: self._feed(chunk))

    def flush(self) -> list[bytes]:
        """The chunks that may be released although the stream pauses: all of them or none. None while their end may be
        part of a secret, while an archive is open, or if the body is encoded."""
        return self._guarded(self._flush) if self._held and not self._decoders else []

    def _guarded(self, look: Callable[[], list[bytes]]) -> list[bytes]:
        if self.verdict is not None:
            return []
        try:
            return look()
        except DecodeError as error:
            self.verdict = Unscannable("unreadable_encoding", str(error))
        except Unscannable as error:
            self.verdict = error
        except FoundError as error:
            self.verdict = error.finding
        return []

    def _feed(self, chunk: bytes) -> list[bytes]:
        before = [flow.clean for flow in self._flows]
        if chunk:
            self._push(chunk, 0)
            self._hold(chunk)
        else:
            for decoder in self._decoders:
                decoder.finish()
        if not chunk or before != [flow.clean for flow in self._flows]:
            for flow in self._flows:
                flow.scan(last=not chunk)
            return self._released(last=not chunk)
        return []

    def _flush(self) -> list[bytes]:
        self._flows[-1].scan(last=False)
        if not self._flows[-1].may_end_here():
            return []
        chunks = [bytes(chunk) for _, chunk in self._held]
        self._held.clear()
        self.waiting = 0
        return chunks

    def _hold(self, chunk: bytes) -> None:
        where = [flow.size for flow in self._flows]
        last = self._held[-1][1] if self._held else b""
        if isinstance(last, bytearray) and len(last) < _JOINED:
            last += chunk
            self._held[-1] = where, last
        else:
            self._held.append((where, chunk if len(chunk) >= _JOINED else bytearray(chunk)))
        self.waiting += len(chunk)

    def _push(self, data: bytes, number: int) -> None:
        self._flows[number].feed(data)
        if number < len(self._decoders):
            for part in self._decoders[number].feed_parts(data):
                self._push(part, number + 1)
        else:
            self._begin = self._begin or data[:EDGE]
            self._end = (self._end + data[-EDGE:])[-EDGE:]

    def _released(self, last: bool) -> list[bytes]:
        clean = [flow.clean for flow in self._flows]
        ready = 0
        while ready < len(self._held) and (last or all(map(int.__le__, self._held[ready][0], clean))):
            ready += 1
        chunks = [bytes(chunk) for _, chunk in self._held[:ready]]
        del self._held[:ready]
        self.waiting -= sum(map(len, chunks))
        if last:
            self.edges = [self._begin + b"\n" + self._end]
        elif self.waiting > 2 * HELD:
            raise Unscannable("too_large_to_scan", "a body that needs too much memory to be scanned")
        return chunks
