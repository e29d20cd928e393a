"""Beyond each bound things are refused or still found: none lets anything through. And small bodies cost little.

The token is a published, expired one (therootcompany/base62-token.js); the example key is AWS's own, of its documents.
"""

from __future__ import annotations

import base64
import functools
import gzip
import io
import json
import random
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any
from urllib.parse import quote

import brotli
import pytest
import scans
import zstandard
from mnemonic import Mnemonic
from scans import verdict

from claude_bottle.dlp.engine import Dlp, StreamScan
from claude_bottle.dlp.fields import FormFields, JsonStrings
from claude_bottle.dlp.packed import members
from claude_bottle.dlp.packed.decoder import MAX_PLAIN
from claude_bottle.dlp.packed.members import long_runs
from claude_bottle.dlp.recent import Recent
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.rules.seed_phrase import find_seed_phrase
from claude_bottle.dlp.text.readings import WINDOW
from claude_bottle.dlp.verdict import Finding, Unscannable
from claude_bottle.dlp.views import words_in_tags

TOKEN = "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"
LEFT, RIGHT = TOKEN[:17], TOKEN[17:]
EXAMPLE, KEY = "AKIAIOSFODNN7EXAMPLE", "AKIAQ3EGRV7XWZ2MN5KP"
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"  # BIP-39's own test vector


@pytest.fixture(scope="module")
def dlp() -> Dlp:
    return Dlp(RuleSet())


streamed = functools.partial(scans.streamed, step=100_000)


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 5000, 150_000])
@pytest.mark.parametrize(
    "decoy", [EXAMPLE, "AKIAAAAAAAAAAAAAAAAA", "password = changeme", "api_key = 'your-api-key-here'"]
)
def test_no_number_of_decoys_hides_a_secret(dlp: Dlp, count: int, decoy: str) -> None:
    body = f"{decoy}\n" * count + f"{KEY}\n"
    assert verdict(dlp, body.encode()) is not None
    assert streamed(dlp, body.encode()) is not None


def test_decoys_alone_are_none(dlp: Dlp) -> None:
    assert verdict(dlp, f"{EXAMPLE}\n".encode() * 20_000) is None


@pytest.mark.parametrize(
    "decoy",
    ["AKIA", "AKIAAAAAAAAAAAAA", EXAMPLE[:-7], "AKIAAKIAAKIAAKIA", EXAMPLE, "ASIA" * 30, "AKIAIOSFODNN7"],
)
def test_a_decoy_that_runs_into_a_secret_does_not_hide_it(dlp: Dlp, decoy: str) -> None:
    assert verdict(dlp, f"{decoy}{KEY}".encode()) is not None
    assert verdict(dlp, f"x {decoy}{KEY} y".encode()) is not None


def test_an_example_before_a_password_does_not_hide_it(dlp: Dlp) -> None:
    for text in ("key=example.key=hV7kq2Lw9TzR4mXp8sYd", "token: example-token=hV7kq2Lw9TzR4mXp8sYd"):
        assert verdict(dlp, text.encode()) is not None


def test_too_many_different_decoys_are_refused(dlp: Dlp) -> None:
    numbers = random.Random(3)
    names = ["".join(numbers.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(9)) for _ in range(60_000)]
    body = "".join(f"AKIA{name}EXAMPLE" for name in names) + KEY  # within each others begin
    assert verdict(dlp, body.encode()) is not None


def packed(pack: Callable[[bytes], bytes], times: int, data: bytes = TOKEN.encode()) -> bytes:
    for _ in range(times):
        data = pack(data)
    return data


# Of the packed things here: at this time a stream's own beginning had, by chance, an escape in it shortly before its first
# part ended, and was taken for an archive in another spelling.
WHEN, SECONDS = (2026, 11, 27, 22, 3, 4), 0x6B09FE18


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        named = zipfile.ZipInfo("a", WHEN)
        named.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(named, data)
    return out.getvalue()


def in_part(data: bytes) -> bytes:
    return (
        b"--x%d\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\nContent-Type: text/plain\r\n\r\n%b\r\n--x%d--\r\n"
        % (len(data), data, len(data))
    )


LAYERS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.b64encode,
    "base64url": lambda data: base64.urlsafe_b64encode(b"xx" + data),
    "hex": lambda data: data.hex().encode(),
    "percent": lambda data: quote(data).replace("_", "%5f").encode(),
    "all percent": lambda data: (
        "".join(f"%{byte:02x}" for byte in data).encode() if len(data) < 5000 else quote(data).encode()
    ),
    "JSON": lambda data: json.dumps({"a": data.decode().replace("_", "\\u005f")}).encode(),
    "base64 and hex": lambda data: base64.b64encode(data.hex().encode()),
    "base64 and percent": lambda data: quote(base64.b64encode(data).decode() + "_%").encode(),
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "zstd": zstandard.compress,
    "zip": zipped,
    "zip in gzip": lambda data: gzip.compress(zipped(data)),
    "base64 of gzip": lambda data: base64.b64encode(gzip.compress(data)),
    "parts": in_part,
}


@pytest.mark.parametrize("times", range(1, 10))
@pytest.mark.parametrize("how", LAYERS)
def test_layers_are_undone_or_refused_however_many(dlp: Dlp, how: str, times: int) -> None:
    body = packed(LAYERS[how], times)
    if len(body) < 1 << 20:
        assert verdict(dlp, body) is not None
        assert streamed(dlp, body) is not None


@pytest.mark.parametrize("times", range(1, 9))
def test_layers_of_what_is_no_secret_pass_as_deep_as_honest_programs_go(dlp: Dlp, times: int) -> None:
    """A link within a link within a link, JSON in JSON in JSON, a picture in base64 in JSON."""
    link, text = "https://a.example.com/x?y=1&z=a b", {"a": 'say "hi" \u00e9'}
    for _ in range(min(times, 5)):
        link = f"https://a.example.com/login?next={quote(link, safe='')}"
        text = {"a": json.dumps(text)}  # type: ignore[dict-item]
    assert verdict(dlp, link.encode()) is None
    assert dlp.look_at_url("a.example.com", "/login?next=" + quote(link, safe="")) is None
    assert verdict(dlp, json.dumps(text).encode(), "application/json") is None
    blob = random.Random(times).randbytes(5000)
    for _ in range(min(times, 3)):
        blob = base64.b64encode(blob)
    assert verdict(dlp, json.dumps({"data": blob.decode()}).encode(), "application/json") is None


@pytest.mark.parametrize("size", [10, 1500, 4096, 5000, 100_000, 3 << 20])
def test_a_secret_over_two_fields_is_found_however_long_they_are(dlp: Dlp, size: int) -> None:
    text = ("lorem ipsum dolor " * (size // 18 + 1))[:size]
    one, other = text + LEFT, RIGHT + " " + text
    form = f"a={quote(one)}&b={quote(other)}".encode()
    parts = (
        "".join(f'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n{part}\r\n' for part in (one, other)).encode()
        + b"--x--\r\n"
    )
    bodies = [
        json.dumps({"a": one, "b": other}).encode(),
        json.dumps({"a": one + '"', "b": other}).encode().replace(b'\\"', b""),
        form,
        parts,
    ]
    for body in bodies:
        for kind in ("", "application/json", "multipart/form-data; boundary=x"):
            assert isinstance(verdict(dlp, body, kind), Finding)
        assert isinstance(streamed(dlp, body), Finding)


def test_a_secret_in_many_fields_is_found(dlp: Dlp) -> None:
    assert isinstance(verdict(dlp, json.dumps(list(TOKEN)).encode()), Finding)
    far = json.dumps([letter for one in TOKEN for letter in (one, *[""] * 40_000)]).encode()
    assert isinstance(verdict(dlp, far), Finding)
    assert isinstance(streamed(dlp, far), Finding)


def test_more_parts_and_members_than_are_looked_at_are_refused(dlp: Dlp) -> None:
    parts = (
        b"".join(b"--x\r\n\r\n%d\r\n" % n for n in range(20_000)) + b"--x\r\n\r\n" + TOKEN.encode() + b"\r\n--x--\r\n"
    )
    assert verdict(dlp, parts, "multipart/mixed; boundary=x") is not None
    assert verdict(dlp, b"".join(gzip.compress(b"%d" % n) for n in range(60_000))) is not None
    streams = b"".join(zlib.compress(b"member %d" % n) for n in range(60_000)) + zlib.compress(TOKEN.encode())
    assert verdict(dlp, streams) is not None
    assert streamed(dlp, streams) is not None


def test_streams_that_begin_within_one_another_do_not_hold_it_up(dlp: Dlp) -> None:
    """Each is valid, and holds all that follow: a megabyte of them would be unpacked a hundred thousand times."""
    block = b"x\x01" + b"\x00\x02\x00\xfd\xff"
    refused = verdict(dlp, block * 150_000)
    assert isinstance(refused, Unscannable)
    assert refused.reason in ("too_much_to_scan", "too_large_to_scan")
    assert streamed(dlp, block * 150_000) is not None


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, zstandard.compress, brotli.compress])
def test_bombs_are_refused(dlp: Dlp, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(MAX_PLAIN + (1 << 20)))
    encoding = {gzip.compress: "gzip", zlib.compress: "deflate", zstandard.compress: "zstd", brotli.compress: "br"}[
        pack
    ]
    assert isinstance(verdict(dlp, bomb, "", encoding), Unscannable)
    assert isinstance(streamed(dlp, bomb, "", encoding), Unscannable)
    if encoding != "br":
        for body in (bomb, b"x" + bomb, zipped(bomb), base64.b64encode(bomb)):
            assert isinstance(verdict(dlp, body), Unscannable)
            assert isinstance(streamed(dlp, body), Unscannable)


@pytest.mark.parametrize("text", ["[" + "0," * 2_000_000 + "0]", '["' + '","' * 1_300_000 + '"]', "[" * 4_000_000, '{"":' * 1_000_000, '["\\"' + '","' * 1_300_000])  # fmt: skip
def test_json_is_read_without_a_tree_of_it(dlp: Dlp, text: str) -> None:
    """json.loads takes a hundred times the size of four megabytes of these."""
    tracemalloc.start()
    try:
        dlp.look_at_body(text.encode(), "application/json", "")
        assert tracemalloc.get_traced_memory()[1] < 25 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("read", "piece"),
    [(FormFields().feed, b"ab=cd&"), (FormFields().feed, b"ab=%7bd;"), (FormFields().feed, b'a={"b":"c"}&'),
     (JsonStrings().feed, b'"a=bcde&f=g",'), (lambda data, _: [words_in_tags(data)], b">abc<")],
    ids=["form", "escapes", "JSON in a form", "forms in JSON", "tags"],
)  # fmt: skip
def test_many_short_pieces_are_read_without_a_list_of_them(read: Callable[[bytes, bool], Any], piece: bytes) -> None:
    """It takes ten to sixty times their size. pipelock has room for four times that of a body, and a little more for
    each step (claude_bottle/manifest/render/pipelock.py)."""
    body = piece * ((2 << 20) // len(piece))
    tracemalloc.start()
    try:
        views = iter(read(body, True))
        deque(islice(views, 10), maxlen=1)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body) + (25 << 20)
    finally:
        tracemalloc.stop()


def test_runs_that_are_a_little_too_short_for_an_archive_take_no_time() -> None:
    """The square of their length, if each of their letters may begin one: 12 s for a megabyte."""
    body = (b"a" * 16_000 + b" ") * 130
    started = time.process_time()
    assert list(long_runs(body)) == []
    assert time.process_time() - started < 3


@pytest.mark.parametrize("at", [0, 1, WINDOW - 20_000, WINDOW - 16_384, WINDOW - 1, WINDOW, 2 * WINDOW + 5])
@pytest.mark.parametrize("length", [16_383, 16_384, 20_000, WINDOW, 2 * WINDOW + 7])
def test_a_long_run_is_read_whole_wherever_a_window_ends(at: int, length: int) -> None:
    body = b" " * at + b"A" * length + b" " * WINDOW + b"B" * 16_384
    assert [len(run) for run in members._runs(body)] == ([length] if length > 16_383 else []) + [16_384]


def test_seed_words_without_a_phrase_are_looked_at_up_to_a_bound_and_then_refused() -> None:
    assert not find_seed_phrase(b"abandon " * 40_000)
    with pytest.raises(Unscannable) as error:
        find_seed_phrase(b"abandon " * 60_000)
    assert error.value.reason == "too_much_to_scan"
    words = Mnemonic("english").wordlist
    assert find_seed_phrase((" ".join(words[n % 11] for n in range(5000)) + " " + PHRASE).encode())


def test_every_vector_of_bip_39_is_found() -> None:
    """trezor/python-mnemonic, vectors.json: one of each length."""
    for phrase in (
        "abandon " * 11 + "about",
        "abandon " * 17 + "agent",
        "zoo " * 23 + "vote",
        "gravity machine north sort system female filter attitude volume fold club stay feature office ecology stable narrow fog",
        "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol group space point ten exist slush involve unfold",
    ):
        assert find_seed_phrase(f"x, {phrase}!".encode())
        assert not find_seed_phrase(phrase.rsplit(" ", 1)[0].encode()) or len(phrase.split()) > 12


def test_ends_of_requests_are_remembered_however_many_come_between(dlp: Dlp) -> None:
    for between in (0, 20, 40, 500):
        recent = Recent(lambda: 0.0)
        assert recent.look(dlp, [LEFT.encode()]) is None
        for number in range(between):
            assert recent.look(dlp, [b"ordinary request %d" % number, b"/repos/acme/%d" % number]) is None
        assert recent.look(dlp, [RIGHT.encode()]) is not None, between


def test_more_beginnings_than_can_be_remembered_are_refused(dlp: Dlp) -> None:
    recent = Recent(lambda: 0.0)
    assert recent.look(dlp, [LEFT.encode()]) is None
    finding = next(finding for number in range(3000) if (finding := recent.look(dlp, [f"ghp_{number:012d}".encode()])))
    assert finding.rule == "too_much_to_scan"
    assert recent.look(dlp, [b"ordinary"]) is not None


def test_a_url_and_headers_that_cannot_be_looked_at_are_a_finding(dlp: Dlp) -> None:
    deep = packed(base64.b64encode, 6).decode()
    for finding in (dlp.look_at_url("a.example.com", f"/?a={deep}"), dlp.look_at_headers([(b"x-a", deep.encode())])):
        assert finding is not None
        assert finding.rule == "nested_too_deep"


# --- streams -----------------------------------------------------------------------------------------------------------

TEXT = b"".join(b"line %d of a long text, as it goes on and on\n" % n for n in range(80_000))  # 3.8 MB
NOISE = random.Random(2).randbytes(3 << 20)


@pytest.mark.parametrize("place", [0, 100, WINDOW - 20, WINDOW + 5, 3 << 20])
def test_what_is_packed_in_a_long_stream_is_unpacked_as_it_comes(dlp: Dlp, place: int) -> None:
    text = TEXT[:place] + b" " + TOKEN.encode() + b" " + TEXT[place:]
    noise = NOISE[:place] + b" " + TOKEN.encode() + b" " + NOISE[place:]
    for body in (
        gzip.compress(noise, 1),
        gzip.compress(text),
        b"x" + zlib.compress(noise, 1),
        zstandard.compress(noise),
        zipped(noise),
        NOISE + zipped(text),
        gzip.compress(zipped(text)),
        gzip.compress(text)[:-1],
    ):
        finding = streamed(dlp, body)
        assert finding is not None
        assert streamed(dlp, body, step=3_000_000) is not None
    assert streamed(dlp, gzip.compress(zipped(TEXT), mtime=SECONDS)) is None
    assert streamed(dlp, NOISE) is None


def test_what_is_packed_does_not_leave_with_a_stream(dlp: Dlp) -> None:
    body = gzip.compress(NOISE + TOKEN.encode() + NOISE, 1)
    scan, out = StreamScan(dlp), b""
    for start in range(0, len(body), 50_000):
        out += b"".join(scan.feed(body[start : start + 50_000]))
    assert isinstance(scan.verdict, Finding)
    assert len(out) > len(NOISE) // 2
    assert TOKEN.encode() not in zlib.decompressobj(31).decompress(out)


@pytest.mark.parametrize("size", [500_000, 1_500_000, 3_000_000])
def test_an_archive_in_base64_in_a_long_stream_is_unpacked_or_refused(dlp: Dlp, size: int) -> None:
    packed_noise = gzip.compress(NOISE[:size] + TOKEN.encode(), 1)
    code = base64.b64encode(packed_noise).decode()
    for file in (code, "\n".join(code[start : start + 76] for start in range(0, len(code), 76))):
        for before in ("", "lorem ipsum " * 80_000):
            body = json.dumps({"note": before, "file": file, "then": before}).encode()
            assert verdict(dlp, body, "application/json") is not None
            assert streamed(dlp, body, "application/json") is not None
    clean = base64.b64encode(gzip.compress(NOISE[:size], 1)).decode()
    body = json.dumps({"note": "lorem ipsum " * 80_000, "file": clean, "then": "lorem ipsum " * 80_000}).encode()
    assert streamed(dlp, body, "application/json") is None


def test_more_archives_at_one_time_than_are_unpacked_are_refused(dlp: Dlp) -> None:
    broken = zlib.compress(TEXT)[:2000]
    assert streamed(dlp, broken * 40 + NOISE) is None  # each breaks off where the next one begins
    # Each goes on through all the others: a stored block up to the same place, and then the same blocks.
    begun = b"".join(b"x\x01" + block(bytes(7 * (40 - n) - 7))[:5] for n in range(40))
    assert isinstance(
        streamed(dlp, begun + b"".join(block(NOISE[n : n + 60_000]) for n in range(0, 3 << 20, 60_000))), Unscannable
    )


def block(data: bytes) -> bytes:
    """A stored one of deflate (RFC 1951, 3.2.4)."""
    return b"\0" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data


def test_a_stream_of_what_decoders_skip_is_looked_at_and_not_held(dlp: Dlp) -> None:
    """Frames that zstd skips: nothing comes out, and what was held would grow with it."""
    skipped = struct.pack("<II", 0x184D2A50, 1 << 20) + bytes(1 << 20)
    secret = struct.pack("<II", 0x184D2A50, len(TOKEN)) + TOKEN.encode()
    assert isinstance(streamed(dlp, skipped * 3 + secret + zstandard.compress(b"x"), "", "zstd"), Finding)
    for before in (b"", zstandard.compress(b"x"), zstandard.compress(TEXT)):
        scan, sent, out = StreamScan(dlp, "zstd"), 0, 0
        for chunk in (before, *[skipped] * 60):
            out += sum(map(len, scan.feed(chunk))) if chunk else 0
            sent += len(chunk)
            assert scan.verdict is not None or sent - out < 32 << 20


def test_what_a_stream_ends_with_goes_on_in_another_request(dlp: Dlp) -> None:
    scan, recent = StreamScan(dlp, "", "text/plain"), Recent()
    for chunk in (TEXT, LEFT.encode(), b""):
        scan.feed(chunk)
    assert scan.verdict is None
    assert recent.look(dlp, scan.edges) is None
    assert recent.look(dlp, [RIGHT.encode()]) is not None
