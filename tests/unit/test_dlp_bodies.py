"""Every reading of a body that works is looked at, whatever is declared and however it is framed.

The secret is a published, expired token (therootcompany/base62-token.js).
"""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import random
import struct
import tarfile
import zipfile
import zlib
from urllib.parse import quote

import brotli
import pytest
import zstandard
from scans import streamed, verdict

from claude_bottle.dlp.engine import Dlp, StreamScan
from claude_bottle.dlp.recent import Recent
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.verdict import Finding, Unscannable

TOKEN = "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"
LEFT, RIGHT = TOKEN[:17], TOKEN[17:]
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"  # BIP-39's own test vector
KINDS = ["", "text/plain", "application/json", "application/x-www-form-urlencoded", "application/octet-stream", "image/png", "multipart/form-data; boundary=other", "message/rfc822", "application/x-ndjson"]  # fmt: skip


@pytest.fixture(scope="module")
def dlp() -> Dlp:
    return Dlp(RuleSet())


def zipped(data: bytes, method: int = zipfile.ZIP_DEFLATED, name: str = "a.txt", **more: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        info = zipfile.ZipInfo(name)
        info.compress_type = method
        info.comment, info.extra = more.get("comment", b""), more.get("extra", b"")
        archive.writestr(info, data)
        archive.comment = more.get("archive_comment", b"")
    return out.getvalue()


def tarred(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("a.txt")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


NOTE = f"a note with {TOKEN} in it\n".encode()
BINARY = random.Random(4).randbytes(3000)
PACKED: dict[str, bytes] = {
    "gzip": gzip.compress(NOTE),
    "zlib": zlib.compress(NOTE),
    "bzip2": bz2.compress(NOTE),
    "xz": lzma.compress(NOTE),
    "lzma": lzma.compress(NOTE, lzma.FORMAT_ALONE),
    "zstd": zstandard.compress(NOTE),
    "zip": zipped(NOTE),
    "zip, stored": zipped(NOTE, zipfile.ZIP_STORED),
    "zip, bzip2": zipped(NOTE, zipfile.ZIP_BZIP2),
    "tar in gzip": gzip.compress(tarred(NOTE)),
    "zip in gzip": gzip.compress(zipped(NOTE)),
    "gzip in zip": zipped(gzip.compress(NOTE)),
    "gzip of two members": gzip.compress(b"first") + gzip.compress(NOTE),
    "JSON in zip": zipped(json.dumps({"a": LEFT, "b": RIGHT}).encode()),
    "split over members": zipped(LEFT.encode())[:-73] + zipped(RIGHT.encode()),
}
SPLIT: dict[str, bytes] = {
    "JSON": json.dumps({"a": LEFT, "b": {"c": [RIGHT]}}).encode(),
    "JSON with keys that are pieces": json.dumps({LEFT: RIGHT}).encode(),
    "JSON of numbers first": f'[1, 2, "{LEFT}", "{RIGHT}"]'.encode(),
    "NDJSON": f'{{"a": "{LEFT}"}}\n{{"a": "{RIGHT}"}}\n'.encode(),
    "JSON text sequence (RFC 7464)": f'\x1e{{"a": "{LEFT}"}}\n\x1e{{"a": "{RIGHT}"}}\n'.encode(),
    "documents in a row": f'{{"a": "{LEFT}"}}{{"a": "{RIGHT}"}}'.encode(),
    "a comma too many": f'{{"a": "{LEFT}", "b": "{RIGHT}",}}'.encode(),
    "cut off": f'{{"a": "{LEFT}", "b": "{RIGHT}", "c": '.encode(),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps([LEFT, RIGHT]).encode(),
    "an event stream": f'data: {{"a": "{LEFT}", "b": "{RIGHT}"}}\n\n'.encode(),
    "UTF-16": json.dumps({"a": LEFT, "b": RIGHT}).encode("utf-16"),
    "a quote within": json.dumps({"a": 'say "hi" ' + LEFT, "b": RIGHT + ' and \\"'}).encode(),
    "an event stream with names": f'event: x\nid: 1\ndata: {{"a": "{LEFT}", "b": "{RIGHT}"}}\n\n'.encode(),
    "JSON in a string of JSON": json.dumps({"result": json.dumps({"a": LEFT, "b": RIGHT})}).encode(),
    "JSON in JSON in JSON": json.dumps([json.dumps({"result": json.dumps([LEFT, RIGHT])})]).encode(),
    "a form in a string of JSON": json.dumps({"body": f"a={LEFT}&b={RIGHT}"}).encode(),
    "JSON in a form": f"x=1&payload={quote(json.dumps({'a': LEFT, 'b': RIGHT}))}".encode(),
    "a form": f"a={LEFT}&b={RIGHT}".encode(),
    "a form, name and value": f"a=1&{LEFT}={RIGHT}".encode(),
    "multipart": f'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n{LEFT}\r\n--x\r\nContent-Disposition: form-data; name="b"\r\n\r\n{RIGHT}\r\n--x--\r\n'.encode(),
    "multipart without headers": f"--x\r\n\r\n{LEFT}\r\n--x\r\n\r\n{RIGHT}\r\n--x--\r\n".encode(),
    "multipart with bare line breaks": f'--x\nContent-Disposition: form-data; name="a"\n\n{LEFT}\n--x\nContent-Disposition: form-data; name="b"\n\n{RIGHT}\n--x--\n'.encode(),
    "multipart, name and value": f'--x\r\nContent-Disposition: form-data; name="{LEFT}"\r\n\r\n{RIGHT}\r\n--x--\r\n'.encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", SPLIT)
def test_fields_are_put_together_whatever_is_declared(dlp: Dlp, how: str, kind: str) -> None:
    assert isinstance(verdict(dlp, SPLIT[how], kind), Finding)


@pytest.mark.parametrize("how", [how for how in SPLIT if how != "UTF-16"])
def test_fields_of_a_stream_are_put_together_too(dlp: Dlp, how: str) -> None:
    assert isinstance(streamed(dlp, SPLIT[how]), Finding)
    assert isinstance(streamed(dlp, SPLIT[how], step=7), Finding)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", PACKED)
def test_what_is_packed_is_found_whatever_is_declared(dlp: Dlp, how: str, kind: str) -> None:
    assert isinstance(verdict(dlp, PACKED[how], kind), Finding)


@pytest.mark.parametrize("how", [how for how in PACKED if how != "lzma"])
def test_what_is_packed_is_found_anywhere(dlp: Dlp, how: str) -> None:
    """One byte before it, binary around it, as a part of any kind, in the preamble and the epilogue, and as base64."""
    packed = PACKED[how]
    part = b"--x\r\nContent-Type: %s\r\n\r\n" + packed + b"\r\n--x--\r\n"
    inner = (
        b'--x\r\nContent-Type: multipart/mixed; boundary="y"\r\n\r\n--y\r\n\r\n' + packed + b"\r\n--y--\r\n--x--\r\n"
    )
    mail = (
        b"From: a\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(packed)
    )
    around = {
        "a byte before": b"x" + packed,
        "binary around": BINARY + packed + BINARY,
        "text around": b"lorem ipsum " * 50 + packed + b" dolor" * 50,
        "a part": part.replace(b"%s", b"application/zip"),
        "a message within": part.replace(b"%s", b"message/rfc822\r\n\r\nSubject: x"),
        "multipart within": inner,
        "preamble": packed + b"\r\n--x\r\n\r\nhello\r\n--x--\r\n",
        "epilogue": b"--x\r\n\r\nhello\r\n--x--\r\n" + packed,
        "mail": mail,
        "base64": base64.b64encode(packed),
        "base64url in JSON": json.dumps({"file": base64.urlsafe_b64encode(packed).decode()}).encode(),
        "lines of base64": b"file:\n" + base64.encodebytes(packed),
        "hex": packed.hex().encode(),
    }
    for kind in ("", "multipart/mixed; boundary=x", "application/json"):
        missed = [where for where, body in around.items() if not isinstance(verdict(dlp, body, kind), Finding)]
        assert missed == [], kind
    missed = [
        where for where, body in around.items() if where != "mail" and not isinstance(streamed(dlp, body), Finding)
    ]
    assert missed == []


def hidden_in_containers() -> dict[str, tuple[bytes, str]]:
    """Body and content encoding: what no decoder gives, because it skips it."""
    plain = b"nothing to see here"
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = deflate.compress(plain) + deflate.flush()
    tail = raw + struct.pack("<II", zlib.crc32(plain), len(plain))
    secret = TOKEN.encode()
    extra = struct.pack("<H", len(secret) + 4) + b"ab" + struct.pack("<H", len(secret)) + secret
    inner = gzip.compress(secret)
    packed_extra = struct.pack("<H", len(inner) + 4) + b"ab" + struct.pack("<H", len(inner)) + inner
    head = b"\x1f\x8b\x08%s\0\0\0\0\0\xff"
    # A meta-block of metadata (RFC 7932, 9.2): ISLAST 0, MNIBBLES 3, reserved 0, MSKIPBYTES 1, its length less one.
    window = 0b0  # WBITS 16
    bits = window | 0 << 1 | 0b11 << 2 | 0 << 4 | 1 << 5 | (len(secret) - 1) << 7
    metadata = struct.pack("<H", bits) + secret
    files: dict[str, tuple[bytes, str]] = {
        "gzip, name": (head.replace(b"%s", b"\x08") + secret + b"\0" + tail, "gzip"),
        "gzip, comment": (head.replace(b"%s", b"\x10") + secret + b"\0" + tail, "gzip"),
        "gzip, extra field": (head.replace(b"%s", b"\x04") + extra + tail, "gzip"),
        "gzip, extra field, packed": (head.replace(b"%s", b"\x04") + packed_extra + tail, "gzip"),
        "gzip, name in base64": (head.replace(b"%s", b"\x08") + base64.b64encode(secret) + b"\0" + tail, "gzip"),
        "gzip, second member's name": (gzip.compress(plain) + head.replace(b"%s", b"\x08") + secret + b"\0" + tail, "gzip"),
        "zstd, skippable frame": (struct.pack("<II", 0x184D2A50, len(secret)) + secret + zstandard.compress(plain), "zstd"),
        "zstd, skippable frame behind": (zstandard.compress(plain) + struct.pack("<II", 0x184D2A5F, len(secret)) + secret, "zstd"),
        "brotli, metadata": (metadata + b"\x03", "br"),
    }  # fmt: skip
    for name, (body, encoding) in list(files.items()):
        files[f"{name}, as a file"] = (body, "")
        files[f"{name}, in br"] = (brotli.compress(body), f"{encoding}, br" if encoding else "br")
    png = b"\x89PNG\r\n\x1a\n"
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))  # noqa: E731
    start, end = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), chunk(b"IEND", b"")
    files["PNG, tEXt"] = (png + start + chunk(b"tEXt", b"Comment\0" + secret) + end, "")
    files["PNG, zTXt"] = (png + start + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(secret)) + end, "")
    files["PNG, behind the end"] = (png + start + end + zlib.compress(secret), "")
    files["zip, name"] = (zipped(b"x", name=TOKEN), "")
    files["zip, member's comment"] = (zipped(b"x", comment=secret), "")
    files["zip, comment"] = (zipped(b"x", archive_comment=secret), "")
    files["zip, extra field"] = (zipped(b"x", extra=b"ab" + struct.pack("<H", len(secret)) + secret), "")
    files["zip, before the first member"] = (gzip.compress(secret) + zipped(b"x"), "")
    files["zip, comment packed"] = (zipped(b"x", archive_comment=gzip.compress(secret)), "")
    return files


HIDDEN = hidden_in_containers()


@pytest.mark.parametrize("how", HIDDEN)
def test_fields_that_no_decoder_gives_are_looked_at(dlp: Dlp, how: str) -> None:
    body, encoding = HIDDEN[how]
    assert isinstance(verdict(dlp, body, "application/octet-stream", encoding), Finding)
    assert isinstance(streamed(dlp, body, "", encoding), Finding)


def test_a_zip_whose_directory_says_otherwise_has_two_readings(dlp: Dlp) -> None:
    """Many read the directory alone, some the headers alone: the one says stored, the other deflated."""
    body = bytearray(zipped(NOTE))
    header, entry = body.index(b"PK\x03\x04"), body.index(b"PK\x01\x02")
    one, other = bytearray(body), bytearray(body)
    one[header + 8 : header + 10] = b"\0\0"
    other[entry + 10 : entry + 12] = b"\0\0"
    for changed in (one, other):
        assert isinstance(verdict(dlp, bytes(changed), "application/zip"), Finding)
    with zipfile.ZipFile(io.BytesIO(bytes(one))) as archive:
        assert archive.read("a.txt") == NOTE  # a reader of it


UNREADABLE = {
    "encrypted zip": lambda: _with(zipped(NOTE), flags=1),
    "encrypted by the directory alone": lambda: _with(zipped(NOTE), directory_flags=1),
    "LZMA in zip": lambda: zipped(NOTE, zipfile.ZIP_LZMA),
    "Deflate64 by the directory": lambda: _with(zipped(NOTE), directory_method=9),
    "7-Zip": lambda: b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(bytes(20))) + bytes(20) + BINARY,
    "RAR 5": lambda: b"Rar!\x1a\x07\x01\x00\x33\x92\xb5\xe5\x0a\x01\x05\x06\x00\x05\x01\x01\x80\x80\x00" + BINARY,
    "RAR 4": lambda: b"Rar!\x1a\x07\x00\xcf\x90\x73\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x00" + BINARY,
    "LZ4": lambda: b"\x04\x22\x4d\x18\x64\x40\xa7" + BINARY,
    "lzip": lambda: b"LZIP\x01\x0c" + BINARY,
    "snappy": lambda: b"\xff\x06\x00\x00sNaPpY\x00\x00\x10\x00" + BINARY,
    "zstd with a dictionary": lambda: _with_dictionary(),
}


def _with(archive: bytes, flags: int = 0, directory_flags: int = 0, directory_method: int | None = None) -> bytes:
    data = bytearray(archive)
    header, entry = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    data[header + 6] |= flags
    data[entry + 8] |= directory_flags | flags
    if directory_method is not None:
        data[entry + 10] = directory_method
    return bytes(data)


def _with_dictionary() -> bytes:
    samples = [b"line %d of many that are alike: %d\n" % (n, n * n) for n in range(2000)]
    words = zstandard.train_dictionary(2048, samples)
    return zstandard.ZstdCompressor(dict_data=words).compress(NOTE * 3)


@pytest.mark.parametrize("how", UNREADABLE)
@pytest.mark.parametrize("before", [b"", b"x", BINARY])
def test_an_archive_that_cannot_be_read_is_refused(dlp: Dlp, how: str, before: bytes) -> None:
    body = before + UNREADABLE[how]()
    for kind in ("", "application/json", "text/plain"):
        refused = verdict(dlp, body, kind)
        assert isinstance(refused, Finding) or (
            isinstance(refused, Unscannable) and refused.reason == "unreadable_encoding"
        )
    assert streamed(dlp, body) is not None


def test_what_breaks_off_still_has_what_came_before(dlp: Dlp) -> None:
    """zlib gives nothing of the call in which it fails; the other end may have more patience."""
    lines = b"".join(b"line %d is an ordinary one\n" % n for n in range(300))
    for pack in (zlib.compress, lambda data: zipped(data)):
        packed = pack(lines + NOTE + b"ordinary " * 300)
        for cut in range(len(packed) - 200, len(packed), 7):
            for end in (b"", b"\xff" * 40):
                body = b"x" + packed[:cut] + end
                inflated = zlib.decompressobj() if pack is zlib.compress else zlib.decompressobj(-15)
                start = 1 if pack is zlib.compress else 1 + 30 + len("a.txt")
                try:
                    has_token = TOKEN.encode() in inflated.decompress(body[start:cut])
                except zlib.error:
                    continue
                if has_token:
                    assert isinstance(verdict(dlp, body, ""), Finding), cut


HONEST: dict[str, tuple[bytes, str]] = {
    "NDJSON as JSON": (b'{"a": 1}\n{"a": 2}\n', "application/json"),
    "a comma too many": (b'{"a": 1, "b": [1, 2,],}', "application/json"),
    "a form as JSON": (b"grant_type=refresh&scope=read+write", "application/json"),
    "nothing as JSON": (b"", "application/json"),
    "text as JSON": (b"hello", "application/json"),
    "JSON as a form": (b'{"a": "b=c&d=e"}', "application/x-www-form-urlencoded"),
    "a boundary that never comes": (b"hello", "multipart/form-data; boundary=abc"),
    "multipart without a boundary": (b"hello", "multipart/form-data"),
    "Markdown": (b"---\ntitle: x\n---\n\n# One\n\n---\n\ntwo\n" * 3000, "text/markdown"),
    "a program's options": (b"  --help\n\n  --version\n\n" * 3000, "text/plain"),
    "deeply nested": (b"[" * 200_000 + b"]" * 200_000, "application/json"),
    "an unknown charset": (b"hello", "text/plain; charset=klingon"),
    "many parts": (b"".join(b"--x\r\n\r\npart %d\r\n" % n for n in range(3000)) + b"--x--\r\n", "multipart/mixed; boundary=x"),
    "constants of zip": (b"PK\x03\x04PK\x01\x02PK\x05\x06PK\x07\x08" * 50 + bytes(200), "application/octet-stream"),
    "the beginnings of many kinds": (b"7z\xbc\xaf\x27\x1c Rar! \xfd7zXZ\x00 \x28\xb5\x2f\xfd BZh9 \x1f\x8b\x08 x\x9c" + bytes(99), ""),
    "a wheel of many files": (b"".join(zipped(b"def f%d(): return %d\n" % (n, n), name=f"m{n}.py") for n in range(200)), "application/zip"),
    "a wheel of larger files": (b"".join(zipped(b"def f%d(): return %d\n" % (n, n) * 200, name=f"m{n}.py") for n in range(900)), "application/zip"),
    "a wheel in JSON": (json.dumps({"file": base64.b64encode(b"".join(zipped(BINARY, name=f"m{n}.so") for n in range(200))).decode()}).encode(), "application/json"),
    "random bytes": (random.Random(8).randbytes(3 << 20), "application/octet-stream"),
}  # fmt: skip


@pytest.mark.parametrize("what", HONEST)
def test_what_honest_programs_send_passes(dlp: Dlp, what: str) -> None:
    body, kind = HONEST[what]
    assert verdict(dlp, body, kind) is None
    assert streamed(dlp, body, kind) is None


CHARSETS = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp037", "cp500"]


@pytest.mark.parametrize("charset", CHARSETS)
def test_other_charsets_are_read(dlp: Dlp, charset: str) -> None:
    body = NOTE.decode().encode(charset)
    if charset != "utf-7":
        assert NOTE not in body
    assert isinstance(verdict(dlp, body, f"text/plain; charset={charset}"), Finding)
    assert isinstance(verdict(dlp, NOTE, f"text/plain; charset={charset}"), Finding)  # and what is there as well
    if charset.startswith("utf-"):
        assert isinstance(verdict(dlp, body, "text/plain"), Finding)
        assert isinstance(verdict(dlp, base64.b64encode(body), "text/plain"), Finding)  # as PowerShell has its commands


# Short pieces of letters with something more than a line end between them are any text.
@pytest.mark.parametrize(
    ("width", "between"),
    [(width, between) for width in (1, 3, 4, 10, 16, 19, 20, 33, 64, 76)
     for between in ("\n", "\r\n", "\n    ", '" +\n  "') if width >= 20 or between in ("\n", "\r\n")],
)  # fmt: skip
def test_base64_and_hex_in_lines_are_read(dlp: Dlp, width: int, between: str) -> None:
    for code in (base64.b64encode(NOTE).decode(), NOTE.hex()):
        lines = between.join(code[start : start + width] for start in range(0, len(code), width))
        for body in (lines, f"data:\n{lines}\n", f"key: value\n{lines}\nend. of it\n"):
            assert isinstance(verdict(dlp, body.encode(), "text/plain"), Finding)
            assert isinstance(verdict(dlp, json.dumps({"a": body}).encode(), "application/json"), Finding)


PHRASES = {
    "lines": PHRASE.replace(" ", "\n"),
    "numbered": "\n".join(f"{n}. {word}" for n, word in enumerate(PHRASE.split(), 1)),
    "far apart": PHRASE.replace(" ", " " * 500),
    "in a table": " ".join(f"| {'-' * 40} | {word} |" for word in PHRASE.split()),
    "JSON list": json.dumps(PHRASE.split(), indent=8),
    "JSON objects": json.dumps([{"n": n, "word": word} for n, word in enumerate(PHRASE.split())]),
    "a form": "&".join(f"w{n}={word}" for n, word in enumerate(PHRASE.split())),
    "capitals": PHRASE.upper(),
}


@pytest.mark.parametrize("how", PHRASES)
def test_a_seed_phrase_is_found_whatever_stands_between_the_words(dlp: Dlp, how: str) -> None:
    finding = verdict(dlp, PHRASES[how].encode(), "")
    assert isinstance(finding, Finding)
    assert finding.rule == "bip39-seed-phrase"
    assert isinstance(streamed(dlp, PHRASES[how].encode()), Finding)


def test_a_phrase_in_markup_is_found(dlp: Dlp) -> None:
    page = "<ol>" + "".join(f'<li class="word">{word}</li>' for word in PHRASE.split()) + "</ol>"
    assert isinstance(verdict(dlp, page.encode(), "text/html"), Finding)


def test_pieces_of_one_request_are_put_together(dlp: Dlp) -> None:
    """Query and body, header and body, in either order."""
    for first, second in ((LEFT, RIGHT), (RIGHT, LEFT)):
        edges: list[bytes] = []
        assert dlp.look_at_url("api.example.com", f"/x?a={first}", edges) is None
        assert dlp.look_at_body(json.dumps({"v": second}).encode(), "application/json", "", edges) is None
        assert Recent().look(dlp, edges) is not None
        edges = []
        assert dlp.look_at_headers([(b"accept", b"*/*"), (b"x-a", first.encode()), (b"x-b", b"1")], edges) is None
        assert dlp.look_at_body(second.encode(), "text/plain", "", edges) is None
        assert Recent().look(dlp, edges) is not None


def test_headers_of_two_requests_are_put_together(dlp: Dlp) -> None:
    usual = [(b"user-agent", b"curl/8.1"), (b"accept", b"*/*"), (b"authorization", b"Bearer x")]
    for first, second in ((LEFT, RIGHT), (RIGHT, LEFT)):
        recent = Recent()
        for piece, expected in ((first, False), ("4b825dc642cb", False), (second, True)):
            edges: list[bytes] = []
            assert dlp.look_at_headers([*usual, (b"x-request-id", piece.encode())], edges) is None
            assert (recent.look(dlp, edges) is not None) == expected


def test_messages_of_one_socket_are_put_together(dlp: Dlp) -> None:
    for size in (1, 5, 20):
        recent, hit = Recent(), False
        for start in range(0, len(TOKEN), size):
            edges: list[bytes] = []
            assert dlp.look_at_body(TOKEN[start : start + size].encode(), "text/plain", "", edges) is None
            hit = hit or recent.look(dlp, edges) is not None
        assert hit, size


def test_what_an_owner_is_shown_is_the_finding_itself(dlp: Dlp) -> None:
    body = b"lorem ipsum " * 2000 + base64.b64encode(NOTE) + b" dolor" * 2000
    finding = verdict(dlp, body, "text/plain")
    assert isinstance(finding, Finding)
    assert TOKEN.encode() in finding.place
    assert len(finding.place) <= 400
    assert TOKEN not in repr(finding)
    assert finding == Finding(finding.rule, finding.where)


def test_a_body_in_pieces_of_one_byte_is_held_in_larger_ones(dlp: Dlp) -> None:
    """A run of base64 is waited for: of its pieces each takes 190 bytes, so 8 MB of them would be 1.5 GB."""
    body = b"A" * 100_000
    scan = StreamScan(dlp)
    assert not any(scan.feed(body[at : at + 1]) for at in range(len(body)))
    assert len(scan._held) < 50
    assert scan.waiting == len(body)
    assert b"".join(scan.feed(b"")) == body
