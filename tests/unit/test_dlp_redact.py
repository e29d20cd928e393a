"""What goes in the place of a body in which something was found. Kinds from vendors' documents (bench/dlp_kinds.tsv);
bodies as the Messages API of Anthropic and the Chat Completions API of OpenAI document them."""

from __future__ import annotations

import base64
import gzip
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.redact import MOST, is_bound, redacted
from claude_bottle.dlp.rules.ruleset import RuleSet

GITHUB = "ghp_" + "A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
AWS = "AKIA" + "Q3EGRV7XWZ2MN5KP"
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"  # BIP-39's own test vector
JSON = "application/json"


@pytest.fixture(scope="module")
def dlp() -> Dlp:
    return Dlp(RuleSet())


def conversation(*texts: str) -> bytes:
    messages = [{"role": "user", "content": [{"type": "text", "text": text}]} for text in texts]
    return json.dumps({"model": "claude", "max_tokens": 1, "messages": messages}).encode()


def texts(body: bytes) -> list[str]:
    return [message["content"][0]["text"] for message in json.loads(body)["messages"]]


def test_a_conversation_goes_on_without_the_secret(dlp: Dlp) -> None:
    body = conversation("hello", f"my key is {GITHUB}, use it", f"and {AWS}", "grüße\n\t\u2028 \U0001f600")
    redaction = redacted(dlp, body, JSON, "")
    assert redaction is not None
    assert texts(redaction.body) == [
        "hello",
        "my key is [REDACTED github-pat], use it",
        "and [REDACTED aws-access-token]",
        "grüße\n\t\u2028 \U0001f600",
    ]
    assert [one.rule for one in redaction.findings] == ["github-pat", "aws-access-token"] or len(
        redaction.findings
    ) == 2
    assert dlp.look_at_body(redaction.body, JSON, "") is None


def test_the_same_text_is_the_same_with_every_turn(dlp: Dlp) -> None:
    """What a model has cached begins with the same bytes (Anthropic, "Prompt caching")."""
    first, second = (redacted(dlp, conversation(*said), JSON, "") for said in ([f"a {GITHUB}"], [f"a {GITHUB}", "b"]))
    assert first and second
    assert texts(first.body)[0] == texts(second.body)[0]


@pytest.mark.parametrize(
    "written",
    [
        base64.b64encode(f"token={GITHUB} and more".encode()).decode(),
        GITHUB.encode().hex(),
        "".join(f"%{byte:02x}" for byte in GITHUB.encode()),
        GITHUB[::-1],
    ],
    ids=["base64", "hex", "percent", "backwards"],
)
def test_a_value_that_hides_one_goes_whole(dlp: Dlp, written: str) -> None:
    redaction = redacted(dlp, conversation("before", written, "behind"), JSON, "")
    assert redaction is not None
    before, between, behind = texts(redaction.body)
    assert (before, behind) == ("before", "behind") and between.startswith("[REDACTED github-pat")


def test_escapes_and_letters_stay_whole(dlp: Dlp) -> None:
    """RFC 8259, 7: an escape is six letters, two of them one letter beyond the first plane."""
    for around in ("\\u00e9", "\\ud83d\\ude00", "\\\\", "\\n", '\\"', "é", "😀"):
        body = f'{{"a": "x{around}{GITHUB}{around}y"}}'.encode()
        redaction = redacted(dlp, body, JSON, "")
        assert redaction is not None, around
        assert json.loads(redaction.body)["a"].endswith(json.loads(f'"{around}y"')), around
        assert GITHUB.encode() not in redaction.body
        redaction.body.decode()


def test_lines_of_json_and_text(dlp: Dlp) -> None:
    lines = b"".join(json.dumps({"n": n, "t": f"x {GITHUB}" if n == 1 else "x"}).encode() + b"\n" for n in range(3))
    redaction = redacted(dlp, lines, "application/x-ndjson", "")
    assert redaction and [json.loads(line)["t"] for line in redaction.body.splitlines()] == [
        "x",
        "x [REDACTED github-pat]",
        "x",
    ]
    redaction = redacted(dlp, f"é{GITHUB}é\nmore".encode(), "text/plain; charset=utf-8", "")
    assert redaction and redaction.body.decode() == "é[REDACTED github-pat]é\nmore"


def test_what_was_packed_is_sent_as_it_reads(dlp: Dlp) -> None:
    redaction = redacted(dlp, gzip.compress(conversation(GITHUB)), JSON, "gzip")
    assert redaction and texts(redaction.body) == ["[REDACTED github-pat]"]


def test_a_seed_phrase(dlp: Dlp) -> None:
    redaction = redacted(dlp, conversation(f"my wallet: {PHRASE}."), JSON, "")
    assert redaction and texts(redaction.body) == ["my wallet: [REDACTED bip39-seed-phrase]."]


def test_what_cannot_be_masked_whole_is_refused(dlp: Dlp) -> None:
    half = len(GITHUB) // 2
    for body, kind in (
        (conversation(GITHUB[:half], GITHUB[half:]), JSON),  # over two values
        (conversation(AWS, GITHUB[:half], GITHUB[half:]), JSON),  # beside one that can be masked
        (json.dumps({GITHUB: 1}).encode(), JSON),  # a name
        (f"key={GITHUB}".encode(), "application/x-www-form-urlencoded"),
        (GITHUB.encode(), "application/octet-stream"),
        (f'{{"a": "{GITHUB}"}}'.encode("utf-16"), JSON),
        (conversation(*(f"{GITHUB[:-4]}{n:04d}" for n in range(MOST + 1))), JSON),
        (b"\x1f\x8b broken", JSON),
    ):
        assert redacted(dlp, body, kind, "gzip" if body[:1] == b"\x1f" else "") is None, kind


def test_the_other_half_of_a_pair_goes_too(dlp: Dlp) -> None:
    """AWS, "Managing access keys": an id of 20 letters and a secret of 40; the digests of git stay."""
    key = base64.b64encode(random.Random(3).randbytes(30)).decode()
    redaction = redacted(dlp, conversation(f"{AWS} {key}", f"commit {'3f2504e0' * 5}", f"aws: {key}"), JSON, "")
    assert redaction is not None and key not in redaction.body.decode()
    assert texts(redaction.body)[1] == f"commit {'3f2504e0' * 5}"


@pytest.mark.parametrize("lines", [1, 5, 25])
def test_the_beginning_of_a_key_has_no_end(dlp: Dlp, lines: int) -> None:
    """What `head` shows of a private key (RFC 7468): the rest of the value goes with it."""
    rows = [base64.b64encode(random.Random(n).randbytes(48)).decode() for n in range(lines)]
    redaction = redacted(dlp, conversation("\n".join(["see", "-----BEGIN RSA PRIVATE KEY-----", *rows])), JSON, "")
    assert redaction is None or not any(row in redaction.body.decode() for row in rows)
    text = "\n".join(["see", "-----BEGIN RSA PRIVATE KEY-----", *rows]).encode()
    redaction = redacted(dlp, text, "text/plain", "")
    assert redaction is None or not any(row.encode() in redaction.body for row in rows)


@pytest.mark.parametrize(
    "secret",
    [
        "hvs." + base64.urlsafe_b64encode(random.Random(1).randbytes(135)).decode(),
        GITHUB + "tail0tail1",
        "glpat-" + "aB3dE5fG7hK1mN2pQ4rS" + ".01.0a1b2c3d4",
    ],
)
def test_a_mask_takes_the_letters_beside_it_too(dlp: Dlp, secret: str) -> None:
    """Vault's and GitLab's tokens may be longer than the least that a rule wants (their documents)."""
    redaction = redacted(dlp, conversation(f"is {secret} one?"), JSON, "")
    assert (
        redaction is not None
        and texts(redaction.body)[0].startswith("is [REDACTED ")
        and texts(redaction.body)[0].endswith("] one?")
    )


def test_a_body_that_the_receiver_has_a_digest_of_stays_as_it_is() -> None:
    for name, value in (
        ("content-md5", "x"),
        ("content-digest", "sha-256=:x:"),
        ("digest", "x"),
        ("x-amz-content-sha256", "x"),
        ("signature", "sig1=:x:"),
        ("authorization", "AWS4-HMAC-SHA256 Credential=x"),
    ):
        assert is_bound({name: value})
    assert not is_bound({"content-type": JSON, "authorization": "Bearer x", "anthropic-version": "2023-06-01"})


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_json_stays_what_it_is_but_for_the_secret(dlp: Dlp, document: object, seed: int, ascii: bool) -> None:
    """Everything but the string with the secret is as it was, whatever the strings hold."""
    chosen = random.Random(seed)

    def put(value: object) -> object:
        if isinstance(value, str):
            return [value, f"{value} {GITHUB} {value}"] if chosen.random() < 0.3 else value
        if isinstance(value, list):
            return [put(item) for item in value]
        return {key: put(item) for key, item in value.items()}  # type: ignore[attr-defined]

    def masked(value: object) -> object:
        if isinstance(value, str):
            return value.replace(GITHUB, "[REDACTED github-pat]")
        if isinstance(value, list):
            return [masked(item) for item in value]
        return {key: masked(item) for key, item in value.items()}  # type: ignore[attr-defined]

    whole = put(document)
    body = json.dumps(whole, ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    redaction = redacted(dlp, body, JSON, "")
    if GITHUB.encode() in body and _is_utf8(body):
        assert redaction is not None and json.loads(redaction.body) == masked(whole)
    else:
        assert redaction is None


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:  # half a letter, which JSON has as an escape alone
        return False
    return True
