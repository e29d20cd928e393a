"""Which part of a token nobody can foresee. The shapes are the vendors' documented ones; every value is made up."""

from __future__ import annotations

import base64

import pytest

from claude_bottle.dlp.tokens.secrets import secrets_of

CORE = "Zk3v9QpX1mB7cR5tY8wL2nD6hF4jG0sA"  # 32 letters
JWT_HEAD = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"  # RFC 7519's usual header
JWT_CLAIMS = "eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ"  # jwt.io's example


def cores(token: str) -> list[str]:
    return [secret.text[start:end] for secret in secrets_of(token) for start, end in secret.cores]


@pytest.mark.parametrize(
    ("token", "core"),
    [
        ("sk-ant-oat01-" + CORE, CORE),  # gitleaks.toml, anthropic-api-key
        ("sk-ant-api03-" + CORE, CORE),
        ("sk-proj-" + CORE, CORE),
        ("ghp_" + CORE + "1zKw", CORE + "1zKw"),  # github.blog 2021-04-05: prefix, 30 letters, 6 of a checksum
        ("ghs_" + CORE, CORE),
        ("github_pat_11ABCDEFG0aBcDeFgHiJkL_" + CORE, CORE),  # 22 letters tell the account
        ("glpat-" + CORE[:20], CORE[:20]),  # docs.gitlab.com, token overview
        ("gldt-" + CORE[:20], CORE[:20]),
        # gitlabhq, routable_token.rb: 16 random bytes, then `o:1\nu:1w`, in base64; version, length, CRC.
        ("glpat-" + CORE[:21] + "G86MQp1OjF3CA.01.0y1abcdef", CORE[:21]),
        ("xoxb-123456789012-1234567890123-" + CORE[:24], CORE[:24]),  # api.slack.com/authentication/token-types
        ("xapp-1-A0123456789-1234567890123-" + CORE, CORE),
        ("npm_" + CORE, CORE),
        ("SG.aaaaaaaaaaaaaaaaaaaaaa." + CORE, CORE),
        ("sk_live_" + CORE[:24], CORE[:24]),
        ("hf_" + CORE, CORE),
        ("AIza" + CORE, CORE),
        (f"{JWT_HEAD}.{JWT_CLAIMS}.{CORE}", CORE),  # RFC 7515: header and claims can be foreseen
        (CORE, CORE),
        ("Token " + CORE, CORE),  # a header's value with its scheme
        ("prod-v2_" + CORE, CORE),
    ],
)
def test_the_core_is_what_follows_the_public_part(token: str, core: str) -> None:
    assert cores(token) == [core]


def test_a_constant_in_the_middle_is_no_part_of_a_core() -> None:
    # gitleaks.toml, openai-api-key: T3BlbkFJ is base64 of "OpenAI".
    assert cores(f"sk-proj-{CORE}T3BlbkFJ{CORE[::-1]}") == [CORE, CORE[::-1]]


@pytest.mark.parametrize("token", ["real-token-0123456789", "hunter2-hunter2", "glpat-123456789012345", "eyJ" + CORE])
def test_a_short_or_foreseeable_token_counts_as_a_whole_only(token: str) -> None:
    assert [secret.text for secret in secrets_of(token)] == [token]
    assert cores(token) == []


def test_the_parts_of_a_pair() -> None:
    assert {secret.text for secret in secrets_of("alice@example.com:" + CORE)} == {"alice@example.com:" + CORE, CORE}
    # A name that stands where the password stands otherwise: GitHub's and Stripe's way.
    assert {secret.text for secret in secrets_of(f"ghp_{CORE}:x-oauth-basic")} == {
        f"ghp_{CORE}:x-oauth-basic",
        f"ghp_{CORE}",
    }
    assert {secret.text for secret in secrets_of(f"sk_live_{CORE}:")} == {f"sk_live_{CORE}:", f"sk_live_{CORE}"}


def test_what_is_base64_of_a_pair_is_the_pair() -> None:
    # Else `eC1hY2Nlc3MtdG9rZW46Z2hw…`, whose beginning everybody knows, would be a core.
    pair = f"x-access-token:ghp_{CORE}"
    for spelled in (base64.b64encode(pair.encode()).decode(), "Basic " + base64.b64encode(pair.encode()).decode()):
        assert secrets_of(spelled) == secrets_of(pair)
        assert set(cores(spelled)) == {CORE}
