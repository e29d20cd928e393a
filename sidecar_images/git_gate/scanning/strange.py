"""Quick answers to whether data holds a signature. Pure.

Nearly all content is text, and nearly all signatures have bytes that text has not. So the text is taken out of both: a
signature that is in the data leaves its other bytes there in a row.
"""

from __future__ import annotations

_TEXT = bytes(c for c in range(256) if 32 <= c < 127 or c in b"\t\r\n")


def strange(data: bytes) -> bytes:
    """The bytes that are no text, in their order. If `part` is in `data`, strange(part) is in strange(data)."""
    return data.translate(None, _TEXT)
