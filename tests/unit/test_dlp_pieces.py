"""A body that arrives in pieces, with a pause after each, shows what it shows in one piece: whatever decides what it is
may need more bytes than the first piece has.

The archives are made by the standard library and zstandard, or begin as the makers' descriptions say (LZ4 Frame Format,
RAR 5.0 archive format, 7zFormat.txt, lzip's manual, snappy's framing_format.txt).
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import zipfile
import zlib

import pytest
import zstandard

from claude_bottle.dlp.engine import Dlp, StreamScan
from claude_bottle.dlp.packed import signs
from claude_bottle.dlp.rules.ruleset import RuleSet

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def github_token() -> str:
    """With its checksum, CRC32 in base62 (github.blog, "Behind GitHub's new authentication token formats")."""
    drawn, check, digits = "K3v9QxT7bLm2Zp8RwYc5NsUdHj4GfE", zlib.crc32(b"K3v9QxT7bLm2Zp8RwYc5NsUdHj4GfE"), ""
    for _ in range(6):
        check, digits = check // 62, _LETTERS[check % 62] + digits
    return f"ghp_{drawn}{digits}"


TOKEN = github_token()
HALVES = (TOKEN[:20], TOKEN[20:])
DLP = Dlp(RuleSet())


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", TOKEN * 3)
    return out.getvalue()


def parts() -> bytes:
    head = '--XX\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
    return (head.format("a") + HALVES[0] + "\r\n" + head.format("b") + HALVES[1] + "\r\n--XX--\r\n").encode()


FIELDS = json.dumps({"a": HALVES[0], "b": HALVES[1]}).encode()
BODIES = {
    "json": FIELDS,
    "json after blanks": b" \n" * 20 + FIELDS,
    "json, later": json.dumps({"x": "y" * 600, "a": HALVES[0], "b": HALVES[1]}).encode(),
    "form": f"a={HALVES[0]}&b={HALVES[1]}".encode(),
    "parts": parts(),
    "parts after a preamble": b"hello\r\n" * 40 + parts(),
    "zlib": zlib.compress(TOKEN.encode()),
    "zlib in text": b"some text " * 10 + zlib.compress(TOKEN.encode()) + b" more",
    "gzip": gzip.compress(TOKEN.encode()),
    "bzip2": bz2.compress(TOKEN.encode()),
    "xz": lzma.compress(TOKEN.encode()),
    "zstd": zstandard.compress(TOKEN.encode() * 3),
    "zip": zipped(),
    "base64 of zlib": base64.b64encode(zlib.compress(TOKEN.encode())),
    "hex": TOKEN.encode().hex().encode(),
    "UTF-16": TOKEN.encode("utf-16-le"),
    "LZ4": bytes.fromhex("04224d18644070df12000000") + b"abcdefgh" * 4,
    "RAR 5": b"Rar!\x1a\x07\x01\x00\x33\x92\xb5\xe5\x0a\x01\x05\x06\x00\x05\x01\x01\x80\x80\x00" + b"x" * 40,
    "RAR 4": b"Rar!\x1a\x07\x00\xcf\x90\x73\x00\x00\x0d" + b"\x00" * 7 + b"x" * 100,
    "7-Zip": b"7z\xbc\xaf\x27\x1c\x00\x04" + zlib.crc32(bytes(20)).to_bytes(4, "little") + bytes(20) + b"abc" * 9,
    "lzip": b"LZIP\x01\x0c" + b"abc" * 30,
    "snappy": b"\xff\x06\x00\x00sNaPpY\x01\x0f\x00\x00" + b"abcd" * 4,
}


def passes(body: bytes, cuts: list[int]) -> bool:
    scan = StreamScan(DLP, "", "text/plain")
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        scan.feed(body[start:end])
        scan.flush()
    scan.feed(b"")
    return scan.verdict is None


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_pause_hides_what_a_body_is(body: bytes) -> None:
    assert not passes(body, [])
    assert [n for n in range(1, min(len(body), 64)) if passes(body, [n])] == []
    sizes = (1, 2, 3, 5, 7, 8, 11, 16, 31, 40, 64, 300)
    assert [size for size in sizes if passes(body, list(range(size, len(body), size)))] == []


def test_prose_in_pieces_passes() -> None:
    body = b"just some prose, and nothing besides; " * 30
    assert all(passes(body, list(range(size, len(body), size))) for size in (1, 7, 40, 300))


def test_the_kinds_that_begin_with_ascii_come_first() -> None:
    """A text in ASCII is searched for these alone."""
    ascii_only = [begin.isascii() for _, begin in signs._BEGINNINGS]
    assert ascii_only == sorted(ascii_only, reverse=True)
    assert sum(ascii_only) == signs._ASCII
