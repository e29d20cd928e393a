"""A vendor's shape, whatever stands beside it: gitleaks' expressions without their word boundaries.

gitleaks requires a quote, a blank or an end after a secret, and no letter before it. A sender who adds a letter, and
removes it at the other end, would evade that. So the vendor's prefix and enough letters suffice. Only rules that rely
on a word beside the secret (`adafruit = ...`) and have no such prefix keep their end.

Where random base64 has the shape now and then, more is required among such letters: `IN_NOISE`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

# The boundaries that gitleaks' generator adds (cmd/generate/config/utils/generate.go), and hand-written ones.
_BEHIND = (
    r"(?:[\x60'\"\s;]|\\[nr]|$|\b)",
    r"(?:[\x60'\"\s;]|\\[nr]|$)",
    r"(?:[^\w-]|\z)",
    r"(?:[^a-zA-Z0-9+/]|\z)",
    r"(?:$|[\\'\"\x60\s<),])",
)
_TAILS = tuple(tail.replace('\\"', '"') for tail in _BEHIND)
_HEADS = (r"""(?:^|[\\'"\x60\s>=:(,)])""",)
_AFTER_A_WORD = r"""[\x60'"\s=]{0,5}("""  # the secret's group, in rules that rely on a word
_OWN_PREFIX = re.compile(r"\(?(?:\\?[A-Za-z0-9_.-]){3,}|\((?:test\|live|live\|test)\)|A\{22\}|access-")
# Their shape does not show at the beginning: ten A, an ending, a colon and a capital.
_OWN_SHAPE = ("dropbox-long-lived-api-token", "mailchimp-api-key", "telegram-bot-api-token")
# Rules without a shape of the secret: they rely on the command or document around it, or match a digest's shape.
_BY_SURROUNDINGS = ("curl-auth-header", "curl-auth-user", "kubernetes-secret-yaml", "facebook-access-token")
# Rules of which one form is distinctive; the other, forty hexadecimal digits or a word with a dot, is not.
ONE_FORM = {
    "aws-access-token": r"(?:AKIA|ASIA)[A-Z2-7]{16}",
    "atlassian-api-token": r"ATATT3[A-Za-z0-9_\-=]{186}",
    "sourcegraph-access-token": r"sgp_(?:(?:[a-fA-F0-9]{16}|local)_)?[a-fA-F0-9]{40}",
    "square-access-token": r"sq0atp-[\w-]{22}|EAAA[\w-]{60}",  # as long as Square's; mangled names are shorter
    "vault-service-token": r"hvs\.[\w-]{90,120}",
}


def without_boundaries(rule: str, pattern: str) -> str | None:
    """The expression without its conditions on the characters beside the secret; None if it has none or relies on
    them."""
    if rule in _BY_SURROUNDINGS:
        return None
    if rule in ONE_FORM:
        return f"{ONE_FORM[rule]}|{pattern}"
    if (at := pattern.find(_AFTER_A_WORD)) >= 0:
        if rule not in _OWN_SHAPE and not _OWN_PREFIX.match(pattern, at + len(_AFTER_A_WORD)):
            return None
        tail = next((tail for tail in _TAILS if pattern.endswith(tail)), "")
        return pattern.removesuffix(tail) if tail else None
    relaxed = pattern.replace(r"\b", "")
    for part in (*(tail.replace(r"\b", "") for tail in _TAILS), *_HEADS):
        relaxed = relaxed.replace(part, "")
    return relaxed if relaxed != pattern else None


_SIDE, _ENOUGH = 48, 16  # letters on each side: scanned, and needed
_LETTERS = re.compile(rb"[A-Za-z0-9+/_=-]*")
_UPPER = re.compile(rb"[A-Z0-9]*")
_HEX = re.compile(rb"[0-9a-f]+")  # ClickHouse's prefix, 4b1d, is in one digest of three thousand
# Digests as written in lock files and pages (Go Modules Reference, go.sum files; W3C, Subresource Integrity; npm,
# package-lock.json): of a known length, so that nothing else hides in one.
_DIGEST = re.compile(
    rb"(?:h1:|sha256[-:])[A-Za-z0-9+/]{43}=|sha384[-:][A-Za-z0-9+/]{64}|sha512[-:][A-Za-z0-9+/]{86}==|sha1[-:][A-Za-z0-9+/]{27}="
)
_DIGEST_LENGTHS = (32, 40, 56, 64, 96, 128)  # in hexadecimal: MD5 and the SHA family
_BREAKS = re.compile(rb"\\[rn]|[\r\n]")


def _sides(text: bytes, start: int, end: int, letters: re.Pattern[bytes]) -> list[bytes]:
    """The letters right before (reversed) and right after, across line breaks."""
    before = _BREAKS.sub(b"", text[max(0, start - 2 * _SIDE) : start])[::-1]
    behind = _BREAKS.sub(b"", text[end : end + 2 * _SIDE])
    return [match.group()[:_SIDE] if (match := letters.match(side)) else b"" for side in (before, behind)]


def _hex_around(text: bytes, at: int) -> int:
    """The number of hexadecimal digits in a row around this place."""
    before = _HEX.match(text[max(0, at - 128) : at][::-1])
    behind = _HEX.match(text[at : at + 128])
    return (before.end() if before else 0) + (behind.end() if behind else 0)


def _is_random(side: bytes) -> bool:
    """Whether the letters may be base64 of random bytes, which has two fifths capitals, two fifths small letters and
    some digits: at least an eighth of each case is there, and a digit if there are 24 letters or more."""
    lower = sum(97 <= byte <= 122 for byte in side)
    upper = sum(65 <= byte <= 90 for byte in side)
    digits = sum(48 <= byte <= 57 for byte in side)
    return min(lower, upper) * 8 >= len(side) and (digits > 0 or len(side) < 24)


_BASE62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def has_checksum(token: bytes) -> bool:
    """Whether the last six letters are the CRC-32 of the thirty before them, as GitHub and npm write it.

    Sources: GitHub, Behind GitHub's new authentication token formats (2021); npm has a new access token format (2021).
    """
    return checksum_of(token[-36:-6]) == token[-6:]


def checksum_of(body: bytes) -> bytes:
    """The six letters of the checksum that belong after the body."""
    value, letters = zlib.crc32(body), bytearray()
    for _ in range(6):
        value, digit = divmod(value, 62)
        letters.append(_BASE62[digit])
    return bytes(letters[::-1])


def _begins(expression: str) -> Callable[[bytes], bool]:
    compiled = re.compile(expression.encode())
    return lambda secret: compiled.match(secret) is not None


def _never(_: bytes) -> bool:
    return False


# Rules whose shape random base64 has more than once in some 250 MB (28 bits; tests/unit/test_dlp_shapes.py computes
# it), and the condition that decides among such letters: a checksum; more of the prefix, as in the vendors' own
# examples; or never, where no more is known.
IN_NOISE: dict[str, Callable[[bytes], bool]] = {
    "github-pat": has_checksum,
    "github-oauth": has_checksum,
    "github-app-token": has_checksum,
    "github-refresh-token": has_checksum,
    "npm-access-token": has_checksum,
    "gcp-api-key": _begins("AIzaSy"),
    "alibaba-access-key-id": _begins("LTAI5t"),
    "artifactory-reference-token": _begins("cmVmdGtuOjAx"),  # base64 of reftkn:01
    "aws-amazon-bedrock-api-key-long-lived": _begins("ABSKQmVkcm9ja0FQSUtleS"),  # base64 of BedrockAPIKey-
    "square-access-token": _begins("sq0atp-"),
    "grafana-cloud-api-token": _begins("(?i:glc_)eyJ"),  # base64 of {"
    "flyio-access-token": _begins("fm[12][ar]?_lJPE"),  # base64 of how a macaroon begins
    "adobe-client-secret": _never,
    "artifactory-api-key": _never,
    "clickhouse-cloud-api-secret-key": _never,
    "easypost-api-token": _never,
    "easypost-test-api-token": _never,
    "facebook-page-access-token": _never,
    "infracost-api-token": _never,
    "prefect-api-token": _never,
}

_CAPITALS = "aws-access-token"
# The scope of a signature, after the id of its key: no secret, and in every signed URL (Amazon S3 API, Authenticating
# requests: query parameters).
_SCOPE = re.compile(
    rb"(?:/|%2[Ff])[0-9]{8}(?:/|%2[Ff])[a-z0-9-]{2,30}(?:/|%2[Ff])[a-z0-9-]{2,30}(?:/|%2[Ff])aws4_request"
)
DOUBTFUL = frozenset({*IN_NOISE, _CAPITALS})


def is_noise(rule: str, text: bytes, start: int, end: int) -> bool:
    """Whether a match of the rule is only some of the letters on both sides of it, or a name.

    end: of the shortest match, because a longer one includes letters after it.
    """
    if rule == _CAPITALS:
        if _SCOPE.match(text, end):
            return True
        # Base32, and proteins, are written in capitals, so AKIA occurs there by chance.
        sides = _sides(text, start, end, _UPPER)
        if any(len(side) < 2 * _ENOUGH for side in sides):
            return False
        return any(48 <= byte <= 57 for side in sides for byte in side) or text[start:end].isalpha()
    if rule == "clickhouse-cloud-api-secret-key":
        if _HEX.fullmatch(text[start:end]):
            return (
                _HEX.match(text[end : end + 1]) is not None or _HEX.match(text[max(0, start - 1) : start]) is not None
            )
        if _hex_around(text, start) in _DIGEST_LENGTHS:  # another field follows
            return True
    sure = IN_NOISE.get(rule, _never)  # one of the project's own rules has no further condition
    if sure(text[start:end]):
        return False
    if any(
        match.start() < start and end <= match.end() for match in _DIGEST.finditer(text, max(0, start - 100), end + 100)
    ):
        return True
    sides = _sides(text, start, end, _LETTERS)
    if any(len(side) < _ENOUGH for side in sides):
        # Nor is one at the end of a file full of zeros a secret.
        return any(len(side) >= _SIDE for side in sides) and b"AAAA" in text[start + 1 : end] + sides[0] + sides[1]
    # A token of GitHub's with a wrong checksum is no token, but may be made up, so leaving it out needs more evidence.
    return sure is not has_checksum or all(_is_random(side) for side in sides)
