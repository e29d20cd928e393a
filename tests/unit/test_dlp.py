"""What the DLP engine finds, and what it must leave alone. The secrets are made up here and valid nowhere."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import random
import uuid
import zipfile
from urllib.parse import quote

import brotli
import pytest
from mnemonic import Mnemonic

from claude_bottle.dlp.engine import Dlp, Finding, StreamScan
from claude_bottle.dlp.rules.ruleset import RuleSet, shannon_entropy
from claude_bottle.dlp.rules.seed_phrase import find_seed_phrase
from claude_bottle.dlp.text.near import OVERLAP
from claude_bottle.dlp.text.readings import WINDOW
from claude_bottle.dlp.text.runs import _RUN, runs
from claude_bottle.dlp.views import Unscannable

GITHUB = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
SECRETS = {
    "github-pat": GITHUB,
    "aws-access-token": "AKIA" + "Q3EGRV7XWZ2MN5KP",
    "anthropic-api-key": "sk-ant-api03-" + ("aB3dE5fG7h" * 10)[:93] + "AA",
    "slack-bot-token": "xoxb-" + "123456789012-1234567890123-" + "AbCdEfGhIjKlMnOpQrStUvWx",
    "gcp-api-key": "AIza" + "SyA1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S",
    "npm-access-token": 'npm_' + "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8",
    "private-key": "-----BEGIN RSA PRIVATE KEY-----\n" + base64.b64encode(bytes(range(256)) * 2).decode() + "\n-----END RSA PRIVATE KEY-----",
    "stripe-access-token": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
}  # fmt: skip
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"  # BIP-39's own test vector


@pytest.fixture(scope="module")
def dlp() -> Dlp:
    return Dlp(RuleSet())


def multipart(*parts: tuple[str, bytes]) -> tuple[bytes, str]:
    body = b"".join(
        b'--xyz\r\nContent-Disposition: form-data; name="f"\r\nContent-Type: '
        + kind.encode()
        + b"\r\n\r\n"
        + data
        + b"\r\n"
        for kind, data in parts
    )
    return body + b"--xyz--\r\n", "multipart/form-data; boundary=xyz"


@pytest.mark.parametrize("rule", SECRETS)
def test_each_kind_is_found_in_every_place(dlp: Dlp, rule: str) -> None:
    secret = SECRETS[rule]
    spaced = f'note "{secret}" end'
    form, kind = multipart(("text/plain", spaced.encode()))
    findings = [
        dlp.look_at_body(spaced.encode(), "text/plain", ""),
        dlp.look_at_body(json.dumps({"a": {"b": [secret]}}).encode(), "application/json", ""),
        dlp.look_at_body(f"a=1&b={quote(secret)}".encode(), "application/x-www-form-urlencoded", ""),
        dlp.look_at_body(form, kind, ""),
        dlp.look_at_body(gzip.compress(spaced.encode()), "text/plain", "gzip"),
        dlp.look_at_body(brotli.compress(spaced.encode()), "text/plain", "br"),
        dlp.look_at_body(base64.b64encode(spaced.encode()), "text/plain", ""),
        dlp.look_at_body(spaced.encode().hex().encode(), "text/plain", ""),
        dlp.look_at_url("x.example.com", f"/a?q={quote(secret)}"),
        dlp.look_at_headers([(b"x-note", spaced.replace("\n", " ").encode())])
        if "\n" not in secret
        else Finding(rule, ""),
    ]
    assert [f.rule if f else None for f in findings] == [rule] * len(findings)


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", data)
    return out.getvalue()


HIDDEN = {
    "two base64 layers": (base64.b64encode(base64.b64encode(GITHUB.encode())), "text/plain"),
    "base64 in json": (json.dumps({"x": base64.b64encode(b"ab" + GITHUB.encode()).decode()}).encode(), "application/json"),
    "base64 in a path of words": (b"/prefix/" + base64.b64encode(GITHUB.encode()), "text/plain"),
    "base64url": (base64.urlsafe_b64encode(b"\xff\xfe" + GITHUB.encode()), "text/plain"),
    "twice percent": (quote(quote(GITHUB.replace("_", "%5f"))).encode(), "text/plain"),
    "json escapes": (b'{"x": "' + "".join(f"\\u{ord(c):04x}" for c in GITHUB).encode() + b'"}', "application/json"),
    "split over json fields": (json.dumps({"a": GITHUB[:9], "b": [GITHUB[9:20], {"c": GITHUB[20:]}]}).encode(), "application/json"),
    "split over form fields": (f"a={GITHUB[:15]}&b={GITHUB[15:]}".encode(), "application/x-www-form-urlencoded"),
    "split over parts": multipart(("text/plain", GITHUB[:15].encode()), ("text/plain", GITHUB[15:].encode())),
    "duplicate json key": (f'{{"a": "{GITHUB}", "a": "x"}}'.encode(), "application/json"),
    "gzip without saying so": (gzip.compress(GITHUB.encode()), "application/octet-stream"),
    "zip": (zipped(GITHUB.encode()), "application/zip"),
    "zip in zip": (zipped(zipped(GITHUB.encode())), "application/zip"),
    "in a part of its own kind": multipart(("application/json", json.dumps({"a": GITHUB[:9], "b": GITHUB[9:]}).encode())),
    "in binary": (bytes(range(256)) + GITHUB.encode() + bytes(range(256)), "application/octet-stream"),
    "seed phrase": (json.dumps({"words": PHRASE.split()}).encode(), "application/json"),
    "seed phrase in lines": (PHRASE.replace(" ", "\n").upper().encode(), "text/plain"),
}  # fmt: skip


@pytest.mark.parametrize("how", HIDDEN)
def test_hiding_does_not_help(dlp: Dlp, how: str) -> None:
    body, kind = HIDDEN[how]
    assert dlp.look_at_body(body, kind, "") is not None


def test_urls_and_headers_are_joined_and_decoded(dlp: Dlp) -> None:
    half = len(GITHUB) // 2
    assert dlp.look_at_url("x.example.com", f"/{GITHUB[:half]}/{GITHUB[half:]}")
    assert dlp.look_at_url("x.example.com", f"/?a={GITHUB[:half]}&b={GITHUB[half:]}")
    assert dlp.look_at_url("x.example.com", "/?a=" + base64.urlsafe_b64encode(GITHUB.encode()).decode())
    assert dlp.look_at_url(f"{GITHUB[:half].lower()}.{GITHUB[half:].lower()}.example.com", "/")
    assert dlp.look_at_headers([(b"cookie", f"a={GITHUB[:half]}; b={GITHUB[half:]}".encode())])
    assert dlp.look_at_headers([(b"x-a", GITHUB[:half].encode()), (b"x-b", GITHUB[half:].encode())])


@pytest.mark.parametrize(
    ("body", "kind", "encoding", "reason"),
    [
        (b"x", "text/plain", "snappy", "unreadable_encoding"),
        (b"not gzip", "text/plain", "gzip", "unreadable_encoding"),
        (b"PK\x03\x04 broken", "application/zip", "", "unreadable_encoding"),
        (gzip.compress(bytes(80 << 20)), "text/plain", "gzip", "too_large_to_scan"),
    ],
)
def test_what_cannot_be_read_is_said_to_be_so(dlp: Dlp, body: bytes, kind: str, encoding: str, reason: str) -> None:
    with pytest.raises(Unscannable) as error:
        dlp.look_at_body(body, kind, encoding)
    assert error.value.reason == reason


def ordinary() -> dict[str, tuple[bytes, str]]:
    rng = random.Random(7)
    blob = rng.randbytes(200_000)
    lock = {
        "packages": {
            f"node_modules/p{i}": {
                "version": "1.2.3",
                "integrity": "sha512-" + base64.b64encode(rng.randbytes(64)).decode(),
            }
            for i in range(300)
        }
    }
    prose = "The quick brown fox jumps over the lazy dog and then it goes home to have a good long rest. " * 200
    return {
        "random bytes": (blob, "application/octet-stream"),
        "random base64": (base64.b64encode(blob), "text/plain"),
        "random base64url": (base64.urlsafe_b64encode(blob), "text/plain"),
        "random hex": (blob.hex().encode(), "text/plain"),
        "image in json": (json.dumps({"image": base64.b64encode(blob).decode()}).encode(), "application/json"),
        "lock file": (json.dumps(lock).encode(), "application/json"),
        "uuids": ("\n".join(str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(500)).encode(), "text/plain"),
        "hashes": ("\n".join(hashlib.sha256(bytes([i])).hexdigest() for i in range(200)).encode(), "text/plain"),
        "git object ids": ("\n".join(hashlib.sha1(bytes([i])).hexdigest() for i in range(200)).encode(), "text/plain"),
        "prose": (prose.encode(), "text/plain"),
        "near miss": (b"ghp_tooshort AKIAIOSFODNN7EXAMPLE sk_live_ xoxb-", "text/plain"),
        "minified": (("!function(e,t){var n=e.key,r=t.token;n&&r(" + "a,b,c,".join("xyzw" * 3) + ")}" * 50).encode(), "text/plain"),
        "phrase with a wrong checksum": (PHRASE.replace("yellow", "zoo").encode(), "text/plain"),
        "eleven words": (PHRASE.rpartition(" ")[0].encode(), "text/plain"),
        "empty": (b"", "application/json"),
    }  # fmt: skip


@pytest.mark.parametrize("what", ordinary())
def test_ordinary_bodies_set_off_no_alarm(dlp: Dlp, what: str) -> None:
    body, kind = ordinary()[what]
    assert dlp.look_at_body(body, kind, "") is None


@pytest.mark.parametrize(
    "path",
    ["/", "/repos/acme/widget/pulls?state=open&per_page=100", "/@types%2fnode", "/simple/requests/",
     "/v1/messages?beta=true", "/a/b/commit/4b825dc642cb6eb9a060e54bf8d69288fbee4904",
     "/pool/main/l/linux/linux_6.1.0-1.tar.xz", "/search?q=how+to+use+api+keys"],
)  # fmt: skip
def test_ordinary_urls_set_off_no_alarm(dlp: Dlp, path: str) -> None:
    assert dlp.look_at_url("api.example.com", path) is None
    assert (
        dlp.look_at_headers([(b"user-agent", b"curl/8.1"), (b"accept", b"*/*"), (b"x-request-id", b"4b825dc642cb")])
        is None
    )


def test_a_stream_is_released_only_after_it_was_looked_at(dlp: Dlp) -> None:
    noise = random.Random(3).randbytes(3 * WINDOW).hex().encode()[: 3 * WINDOW]
    scan, out = StreamScan(dlp), []
    for start in range(0, len(noise), 60_000):
        out += scan.feed(noise[start : start + 60_000])
        passed = sum(map(len, out))
        assert passed <= max(0, start + 60_000 - OVERLAP)
    assert b"".join(out + scan.feed(b"")) == noise


@pytest.mark.parametrize("position", [100, WINDOW - 10, WINDOW + 5, 2 * WINDOW - 20, 3 * WINDOW - 50])
@pytest.mark.parametrize("packed", [False, True])
def test_a_secret_anywhere_in_a_stream_does_not_leave(dlp: Dlp, position: int, packed: bool) -> None:
    body = bytearray(b"lorem ipsum dolor " * (3 * WINDOW // 18))
    body[position : position + len(GITHUB) + 2] = f" {GITHUB} ".encode()
    sent = gzip.compress(bytes(body), 0) if packed else bytes(body)
    scan, out = StreamScan(dlp, "gzip" if packed else ""), b""
    for start in range(0, len(sent), 50_000):
        out += b"".join(scan.feed(sent[start : start + 50_000]))
    out += b"".join(scan.feed(b""))
    assert isinstance(scan.verdict, Finding)
    assert GITHUB.encode() not in out
    assert scan.feed(b"more") == []


@pytest.mark.parametrize("position", [0, WINDOW - 20, WINDOW + OVERLAP - 10, 2 * WINDOW - 5, 3 * WINDOW - 60])
@pytest.mark.parametrize("spelling", ["plain", "base64"])
def test_a_secret_anywhere_in_a_long_body_is_found(dlp: Dlp, position: int, spelling: str) -> None:
    secret = GITHUB.encode() if spelling == "plain" else base64.b64encode(b"x" + GITHUB.encode())
    noise = (b"lorem ipsum dolor " * (3 * WINDOW // 18))[: 3 * WINDOW]
    body = noise[:position] + b" " + secret + b" " + noise[position:]
    assert dlp.look_at_body(body, "text/plain", "") is not None
    assert dlp.look_at_body(json.dumps({"a": body.decode()}).encode(), "application/json", "") is not None


def test_a_secret_split_between_a_long_field_and_the_next_is_found(dlp: Dlp) -> None:
    body = {"a": "lorem ipsum " * 20_000 + GITHUB[:15], "b": GITHUB[15:] + " dolor" * 20_000}
    assert dlp.look_at_body(json.dumps(body).encode(), "application/json", "") is not None


PADDING = b"lorem ipsum dolor " * 20_000
LONG_KEY = (
    b"-----BEGIN RSA PRIVATE KEY-----\n" + b"MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn\n" * 100 + b"-----END RSA PRIVATE KEY-----"
)


@pytest.mark.parametrize(
    "hidden",
    [
        GITHUB.replace("p", "%70", 1).encode(),
        GITHUB.replace("_", "\\u005f").encode(),
        GITHUB.replace("_", "\\x5f").encode(),
        GITHUB.replace("g", "\\u0025" + "67", 1).encode(),
        GITHUB.replace("p", "\u0440").encode(),
        GITHUB.replace("p", "\u200bp").encode(),
        LONG_KEY.replace(b"BEGIN RSA", b"BEGIN%20RSA"),
        LONG_KEY.replace(b"END RSA", b"\\u0045ND RSA"),
    ],
)
def test_one_letter_encoded_in_a_long_text_does_not_help(dlp: Dlp, hidden: bytes) -> None:
    """Only what is near an encoded letter is decoded: enough of it for what the letter belongs to."""
    assert dlp.look_at_body(PADDING + b" " + hidden + b" " + PADDING, "text/plain", "") is not None
    many = b"%41 \\u0041 \\/ " * 300
    assert dlp.look_at_body(many + PADDING + b" " + hidden + b" " + PADDING + many, "text/plain", "") is not None


CYRILLIC = "лорем ипсум долор "


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize("alike", ["\u0440", "\uff50"])
def test_a_letter_that_a_window_cuts_in_two_hides_no_look_alike(dlp: Dlp, shift: int, alike: str) -> None:
    hidden = GITHUB.replace("p", alike)
    lines = "x" * shift + CYRILLIC * (3 * WINDOW // len(CYRILLIC.encode()))
    body = f"{lines[: len(lines) // 2]} {hidden} {lines[len(lines) // 2 :]}".encode()
    assert dlp.look_at_body(body, "text/plain", "") is not None
    scan = StreamScan(dlp)
    for start in range(0, len(body), 50_001):
        scan.feed(body[start : start + 50_001])
    scan.feed(b"")
    assert scan.verdict is not None


@pytest.mark.parametrize("hidden", [GITHUB.replace("p", "\u0440").encode(), GITHUB.replace("p", "\\u0440").encode()])
def test_a_byte_that_is_no_letter_hides_no_look_alike(dlp: Dlp, hidden: bytes) -> None:
    assert dlp.look_at_body(PADDING + b"\xff " + hidden + b" " + PADDING, "text/plain", "") is not None
    assert dlp.look_at_body(PADDING + b" " + hidden[:2] + b"\xff" + hidden[2:] + PADDING, "text/plain", "") is not None


@pytest.mark.parametrize("hidden", [GITHUB.replace("p", "\u0440").encode(), GITHUB.replace("h", "\u200bh").encode()])
def test_nor_in_text_of_other_letters_or_a_short_binary(dlp: Dlp, hidden: bytes) -> None:
    lines = CYRILLIC.encode() * 8000
    assert dlp.look_at_body(lines + b"\xff " + hidden + b" " + lines, "text/plain", "") is not None
    noise = random.Random(1).randbytes(20_000)
    assert dlp.look_at_body(noise + b" " + hidden + b" " + noise, "text/plain", "") is not None


def test_a_key_that_is_there_twice_hides_nothing(dlp: Dlp) -> None:
    coded = base64.b64encode(b"xx" + GITHUB.encode()).decode().replace("a", "\\u0061")
    assert dlp.look_at_body(f'{{"a": "{coded}", "a": "nothing"}}'.encode(), "application/json", "") is not None
    assert dlp.look_at_body(f'{{"a": ["{GITHUB[:9]}", "{GITHUB[9:]}"], "a": 1}}'.encode(), "application/json", "")


def test_json_in_a_string_of_json_and_in_utf_16_is_read(dlp: Dlp) -> None:
    inner = json.dumps({'q"uote': "x", "password": "hV7kq2Lw9TzR4mXp8sYd"})
    outer = json.dumps({"result": inner})
    assert dlp.look_at_body(outer.encode(), "application/json", "") is not None
    split = json.dumps({"a": GITHUB[:9], "b": GITHUB[9:]}).encode("utf-16-le")
    assert dlp.look_at_body(split, "application/json", "") is not None


def test_runs_are_those_that_re2_finds() -> None:
    numbers = random.Random(5)
    for _ in range(500):
        noise = numbers.choice([0, 0.03, 0.3])
        size = numbers.randint(0, 200)
        data = bytes(
            numbers.choice(b" \n.\x80") if numbers.random() < noise else numbers.choice(b"aZ09+/_-")
            for _ in range(size)
        )
        assert runs(data) == _RUN.findall(data)


def test_a_list_of_seed_words_is_looked_at_in_short_time(dlp: Dlp) -> None:
    words = Mnemonic("english").wordlist
    assert find_seed_phrase(" ".join(words).encode())  # some twelve of them have the right checksum
    assert not find_seed_phrase(" ".join(words[i % 11] for i in range(11)).encode())


def test_a_stream_in_an_unknown_or_broken_encoding_does_not_leave(dlp: Dlp) -> None:
    for encoding, data in (("snappy", b"abc"), ("gzip", b"not gzip at all")):
        scan = StreamScan(dlp, encoding)
        assert scan.feed(data) + scan.feed(b"") == []
        assert isinstance(scan.verdict, Unscannable)


def test_rules_can_be_left_out_and_added() -> None:
    assert Dlp(RuleSet(disabled=["github-pat"])).look_at_body(GITHUB.encode(), "", "") is None
    own = Dlp(RuleSet(extra=[("ticket", "tkt_[a-z]{8}")])).look_at_body(b"tkt_abcdefgh", "", "")
    assert own is not None
    assert own.rule == "ticket"
    with pytest.raises(ValueError, match="no such rule: nonsense"):
        RuleSet(disabled=["nonsense"])
    with pytest.raises(ValueError, match="not an RE2 expression"):
        RuleSet(extra=[("bad", "(")])


def test_without_hyperscan_the_same_is_found() -> None:
    slow = Dlp(RuleSet(fast=False))
    for rule, secret in SECRETS.items():
        finding = slow.look_at_body(f'note "{secret}" end'.encode(), "text/plain", "")
        assert finding is not None
        assert finding.rule == rule


def test_seed_phrases_and_entropy() -> None:
    assert find_seed_phrase(f"my words: {PHRASE}.".encode())
    assert find_seed_phrase(("abandon " * 11 + "about").encode())
    assert not find_seed_phrase(("abandon " * 12).encode())
    assert not find_seed_phrase(("include " * 24).encode())
    # Anything may stand between words that were drawn; words of a program are in every file of it.
    for between in ("', '", '":\n\t"', " - ", "_1_"):
        assert find_seed_phrase(between.join(Mnemonic("english").generate().split()).encode())
    assert not find_seed_phrase(b"".join(b'"%d": %s,\n' % (n, b"true" if n % 3 else b"false") for n in range(999)))
    assert not find_seed_phrase(b"".join(b'"%s": 1,\n' % word.encode() for word in Mnemonic("english").wordlist[::9]))
    assert shannon_entropy(b"aaaa") == 0
    assert shannon_entropy(b"abcd") == 2
