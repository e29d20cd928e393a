"""What the DLP engine says of a body, looked at whole and as it passes."""

from __future__ import annotations

from claude_bottle.dlp.engine import Dlp, Finding, StreamScan
from claude_bottle.dlp.views import Unscannable


def verdict(dlp: Dlp, body: bytes, kind: str = "", encoding: str = "") -> Finding | Unscannable | None:
    try:
        return dlp.look_at_body(body, kind, encoding)
    except Unscannable as error:
        return error


def streamed(
    dlp: Dlp, body: bytes, kind: str = "", encoding: str = "", step: int = 50_000
) -> Finding | Unscannable | None:
    """In pieces of `step` bytes; what has nothing to be found in comes out as it went in."""
    scan = StreamScan(dlp, encoding, kind)
    out = b"".join(b"".join(scan.feed(body[start : start + step])) for start in range(0, len(body), step))
    out += b"".join(scan.feed(b""))
    assert scan.verdict is not None or out == body
    return scan.verdict
