"""The ways to write a secret that are undone; each text is made by the standard library or as a standard says."""

from __future__ import annotations

import base64
import json
import random
from urllib.parse import quote

import pytest

from bench.dlp_ways import ENCODINGS, WRITINGS
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet

SECRETS = {
    "github": "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",  # expired, published (tests/unit/test_dlp_shapes.py)
    "aws": "AKIAQ3EGRV7XWZ2MN5KP",
    "anthropic": "sk-ant-oat01-" + ("Qz7Lm2Vx9R" * 10)[:93] + "AA",
    "slack": "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",
}
# Two ways, the inner one first.
PAIRS = [
    ("base32", "base64"), ("base64", "base32"), ("rot13", "base64"), ("backwards", "base64"), ("base64", "backwards"),
    ("base64", "rot13"), ("hex", "with dashes"), ("hex", "backwards"), ("backwards", "hex"), ("base64", "an array of codes"),
    ("an array of codes", "base64"), ("base85", "hex"), ("hex with dashes", "base64"), ("base64", "with spaces"),
    ("rot13", "hex"), ("base32", "hex"),
]  # fmt: skip


@pytest.fixture(scope="module")
def dlp() -> Dlp:
    return Dlp(RuleSet())


def words(size: int) -> bytes:
    rng = random.Random(4)
    return b" ".join(bytes(rng.choices(b"abcdefghijklmnop", k=rng.randint(1, 9))) for _ in range(size // 6))


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("way", WRITINGS)
def test_each_way_is_undone_alone_in_json_and_in_text(dlp: Dlp, kind: str, way: str) -> None:
    written = WRITINGS[way](SECRETS[kind].encode())
    assert dlp.look_at_body(written, "text/plain", "") is not None
    assert dlp.look_at_body(b"note: \n" + written + b"\n and so on", "text/plain", "") is not None
    if "utf-16" not in way:
        assert dlp.look_at_body(json.dumps({"id": 7, "note": written.decode()}).encode(), "application/json", "")
    if "85" not in way:  # within much text that is not looked for
        body = words(300_000) + b"\n" + written + b"\n" + words(300_000)
        assert dlp.look_at_body(body, "text/plain", "") is not None


@pytest.mark.parametrize("way", [way for way in WRITINGS if "utf-16" not in way])
def test_in_a_query_and_in_a_header_too(dlp: Dlp, way: str) -> None:
    written = WRITINGS[way](SECRETS["github"].encode())
    assert dlp.look_at_url("x.example.com", f"/a?note={quote(written)}") is not None
    if b"\n" not in written:
        assert dlp.look_at_headers([(b"accept", b"*/*"), (b"x-note", written)]) is not None


@pytest.mark.parametrize("pair", PAIRS, ids=" in ".join)
def test_two_ways_at_once(dlp: Dlp, pair: tuple[str, str]) -> None:
    inner, outer = pair
    assert (
        dlp.look_at_body(ENCODINGS[outer](ENCODINGS[inner](SECRETS["github"].encode())), "text/plain", "") is not None
    )


# Not undone: what is longer than is looked at in every way; digits of base85 that are an escape once percent is undone.
HARD = {("an array in lines", f"hex {how}") for how in ("with dashes", "with spaces", "with colons", "as in C")}
HARD |= {(f"ascii85{marks}", "percent") for marks in ("", " with its marks")}


@pytest.mark.parametrize("outer", ENCODINGS)
def test_every_way_within_every_other(dlp: Dlp, outer: str) -> None:
    """The measure over all kinds is in docs/dlp.md (bench/dlp_kinds.py)."""
    secret = SECRETS["github"].encode()
    inner = [way for way in ENCODINGS if "utf-16" not in way and (way, outer) not in HARD]
    missed = [way for way in inner if not dlp.look_at_body(ENCODINGS[outer](ENCODINGS[way](secret)), "text/plain", "")]
    assert not missed


@pytest.mark.parametrize("before", [b"", b"a", b"7", b"zz"])
def test_hexadecimal_in_a_binary_is_found_whatever_stands_beside_it(dlp: Dlp, before: bytes) -> None:
    noise = random.Random(8).randbytes(4000).replace(b"a", b"\xff")
    body = noise + b"\x00" + before + SECRETS["github"].encode().hex().encode() + b"\x00" + noise
    assert dlp.look_at_body(body, "application/octet-stream", "") is not None


@pytest.mark.parametrize("kind", ["github", "aws", "slack"])
@pytest.mark.parametrize("way", ["bare", "hex", "base32"])
def test_labels_of_a_name_below_a_wildcard_are_put_together(dlp: Dlp, kind: str, way: str) -> None:
    """RFC 1035: labels of up to 63 letters. Names are sent in small letters."""
    secret = SECRETS[kind].encode()
    written = {"bare": secret, "hex": secret.hex().encode(), "base32": base64.b32encode(secret).rstrip(b"=")}[way]
    text = written.decode().lower()
    for size in (20, 40, 63):
        labels = ".".join(text[start : start + size] for start in range(0, len(text), size))
        assert dlp.look_at_url(f"{labels}.app.example.com", "/") is not None, size


LABELS = {"hex": lambda text: text.hex().encode(), "base32": lambda text: base64.b32encode(text).rstrip(b"=").lower()}


@pytest.mark.parametrize("kind", ["github", "aws", "slack"])
@pytest.mark.parametrize("outer", LABELS)
@pytest.mark.parametrize("inner", [*LABELS, "base64"])
def test_labels_are_read_two_deep(dlp: Dlp, kind: str, inner: str, outer: str) -> None:
    """base64 is within, for its letters would be sent in small ones."""
    within = LABELS.get(inner, base64.b64encode)(SECRETS[kind].encode())
    text = LABELS[outer](within).decode()
    for size in (20, 40, 63):
        labels = ".".join(text[start : start + size] for start in range(0, len(text), size))
        assert len(labels) < 253 - len(".example.com")  # RFC 1035, 2.3.4
        assert dlp.look_at_url(f"{labels}.app.example.com", "/") is not None, size


def ordinary() -> dict[str, bytes]:
    rng = random.Random(12)
    rows = [[rng.randrange(256) for _ in range(16)] for _ in range(3000)]
    return {
        "a table of numbers": "\n".join(",".join(map(str, row)) for row in rows).encode(),
        "an image as an array": json.dumps(rows).encode(),
        "a hex dump": b"\n".join(bytes(row).hex(" ").encode() for row in rows),  # as of xxd
        "addresses of cards": b"\n".join(bytes(row[:6]).hex(":").encode() for row in rows),
        "base32": base64.b32encode(rng.randbytes(60_000)),
        "base85": base64.b85encode(rng.randbytes(40_000)),
        "ascii85": base64.a85encode(rng.randbytes(40_000)),  # of a PDF
        "letters apart": b"T H I S   I S   A   H E A D I N G\n" * 300,
        "rulers": (b"-" * 72 + b"\n" + b". " * 36 + b"\n") * 300,
        "onion names": b"\n".join(base64.b32encode(rng.randbytes(35)).lower() + b".onion" for _ in range(500)),
        "minified": b"function(e,t){var n=e[0]||t(1),r='abc';return!n&&r.length>3?n:r^~0x41}" * 600,
    }


@pytest.mark.parametrize("what", ordinary())
def test_what_is_written_so_and_is_none_sets_off_no_alarm(dlp: Dlp, what: str) -> None:
    assert dlp.look_at_body(ordinary()[what], "text/plain", "") is None
    assert dlp.look_at_body(json.dumps({"data": ordinary()[what].decode()}).encode(), "application/json", "") is None


def test_an_owners_own_pattern_is_seen_backwards_too(dlp: Dlp) -> None:
    """It has no word of its own that could be looked for first."""
    own = Dlp(RuleSet(extra=[("ticket", "tkt_[a-z]{8}")]))
    assert own.look_at_body(b"some hgfedcba_tkt", "text/plain", "") is not None
    assert dlp.look_at_body(b"some hgfedcba_tkt", "text/plain", "") is None


def test_what_is_found_backwards_is_told_to_the_owner_once(dlp: Dlp) -> None:
    body = b"a " + SECRETS["github"][::-1].encode() + b" b " + SECRETS["aws"][::-1].encode()
    findings = dlp.every_in_request("x.example.com", "/", body, "text/plain", "", 20)
    assert findings is not None
    assert sorted(one.rule for one in findings) == ["aws-access-token", "github-pat"]


def test_without_hyperscan_the_same_is_undone() -> None:
    slow = Dlp(RuleSet(fast=False))
    for way in ("backwards", "rot13", "base32", "with dashes", "an array of codes"):
        assert slow.look_at_body(WRITINGS[way](SECRETS["github"].encode()), "text/plain", "") is not None, way
