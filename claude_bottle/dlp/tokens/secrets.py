"""The secret parts of a token: its whole, the parts of a pair, and the unpredictable core. Pure.

Runs of a token's letters are masked in responses too, so that no slice of it comes back. Such a filter is itself an
oracle if an upstream echoes requests: an attacker who knows eleven letters of a run of twelve tries the twelfth in 62
ways, sees which response has asterisks, and continues letter by letter. So a run must lie in the core, of which nothing
is known: the text after the vendor's public prefix, a JWT's signature alone (its header and claims are predictable),
the password of a pair. Twelve unknown letters need 62**12 tries. A core of fewer than 16 letters counts only as a
whole: a run would be most of it, and few letters would be left to guess.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from claude_bottle.policy.routes.injection import MIN_TOKEN_LENGTH

MIN_CORE = 16  # letters

# The text before the core, by vendor: an expression that ends where the core begins. Sources: the shapes in
# claude_bottle/dlp/rules/gitleaks/gitleaks.toml, which names each vendor, and the documents beside the line.
_PREFIXES = re.compile(
    "|".join(
        (
            r"sk-ant-[a-z]+[0-9]{2}-",
            r"sk-(?:proj|svcacct|admin|or-v[0-9])-|sk-",
            r"github_pat_[A-Za-z0-9]{22}_",  # its first part names the account (github.blog, 2021-04-05, token formats)
            r"gh[opsru]_",
            r"gl[a-z]{2,8}-",
            r"(?:xox[a-z]\.)?(?:xox[a-z]|xapp)-(?:[0-9A-Z]{1,14}-)*",  # team and app ids (api.slack.com/authentication)
            r"(?:sk|rk|pk)_(?:live|test)_(?:51[A-Za-z0-9]{22})?",  # the publishable key shows the account's id too
            r"SG\.[A-Za-z0-9_-]{22}\.",  # the key's id, shown in SendGrid's lists
            r"pypi-[A-Za-z0-9_-]{40,}(?=[A-Za-z0-9_-]{42}\Z)",  # a macaroon, at the end its HMAC
            r"IQoJb3JpZ2lu[A-Za-z0-9+/]{100}",  # AWS session token: region and names first
            r"sntrys_[A-Za-z0-9+/=_-]*_",  # base64 of JSON, then the secret (docs.sentry.io, org auth tokens)
            r"PMAK-[0-9a-f]{24}-",
            r"hv[sbr]\.(?:CAES[A-Za-z0-9_-]{2,4})?",  # developer.hashicorp.com, Vault tokens
            r"dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,35}\.)?",
            r"AT(?:ATT3xFfGF0|CTT3xFfGN0)",
            r"(?:AIza|ya29\.|hf_|r8_|figd_|npm_|ntn_|dop_v1_|lin_api_|rubygems_|dckr_pat_|EAA|AKC|oy2)",
            r"shp(?:at|ca|pa|ss)_",
            # Any other: words, versions and short numbers, each followed by a separator.
            r"(?:(?:[a-z]{2,16}[0-9]{0,4}|[A-Z]{2,16}[0-9]{0,4}|v?[0-9]{1,4})[-_.:])+",
        )
    )
)
_CONSTANT = re.compile(
    "T3BlbkFJ"
)  # in the middle of OpenAI's keys (claude_bottle/dlp/rules/gitleaks/gitleaks.toml, openai-api-key)
# 16 random bytes first, then the owner (gitlabhq, lib/authn/token_field/generator/routable_token.rb).
_ROUTABLE = re.compile(r"gl[a-z]{2,6}-[\w-]{21}(?=[\w-]*\.[0-9a-z]{2}\.?[0-9a-z]{9}\Z)")
_JWT = re.compile(r"eyJ[\w-]*\.[\w-]*\.(?=[\w-]*\Z)")  # RFC 7515, 7.1: header and claims, then the signature
_JWE = re.compile(r"eyJ[\w-]*\.(?=[\w-]*\.[\w-]*\.[\w-]*\.[\w-]*\Z)")  # RFC 7516, 7.1: only the header is readable
_SCHEME = re.compile(r"[A-Za-z][A-Za-z-]{1,19}[ =:]? +(?=\S+\Z)")  # a token_ref may hold `Token abc` (RFC 9110, 11.1)
# Constants in the user's place. The other half is then the token (vendors' pages on git over HTTPS: GitHub, GitLab,
# Bitbucket, Azure DevOps; PyPI; Google Artifact Registry).
_PUBLIC_HALVES = frozenset(("", "x-access-token", "x-oauth-basic", "x-token-auth", "oauth2", "__token__", "api", "git"))


@dataclass(frozen=True)
class Secret:
    """A text that must not be seen whole, and its parts (start, end) of which no run of 12 may be seen."""

    text: str
    cores: tuple[tuple[int, int], ...]


def secrets_of(token: str) -> list[Secret]:
    """The token itself; of `user:password`, also the password; of a base64 pair, those of the decoded pair. Texts
    shorter than MIN_TOKEN_LENGTH are left out."""
    word = token[match.end() :] if (match := _SCHEME.match(token)) else token
    pair = _decoded_pair(word)
    if pair is not None:
        return secrets_of(pair)
    return [secret for secret in _of_word(word) if len(secret.text) >= MIN_TOKEN_LENGTH]


def _of_word(word: str) -> Iterator[Secret]:
    user, colon, password = word.partition(":")
    if not colon:
        yield Secret(word, tuple(_cores(word)))
        return
    # The user's name is no secret unless the token stands in its place: `ghp_…:x-oauth-basic`, `sk_live_…:`.
    parts = [(user, 0)] if password in _PUBLIC_HALVES else [(password, len(user) + 1)]
    inside = tuple((start + at, end + at) for part, at in parts for start, end in _cores(part))
    yield Secret(word, inside)
    for part, _ in parts:
        yield Secret(part, tuple(_cores(part)))


def _cores(text: str) -> Iterator[tuple[int, int]]:
    if text.startswith("eyJ"):
        match = _JWT.match(text) or _JWE.match(text)
        if match is None:  # base64 of JSON: every part of it may be predictable
            return
    else:
        match = _PREFIXES.match(text)
    start = match.end() if match else 0
    routable = _ROUTABLE.match(text)
    end = routable.end() if routable else len(text)
    for stop, after in (*(constant.span() for constant in _CONSTANT.finditer(text, start)), (end, end)):
        if stop - start >= MIN_CORE:
            yield start, stop
        start = after


def _decoded_pair(word: str) -> str | None:
    try:
        plain = base64.b64decode(word, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return plain if ":" in plain and plain.isprintable() and len(plain) >= MIN_TOKEN_LENGTH else None
