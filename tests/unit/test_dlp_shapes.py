"""A vendor's shape decides, whatever stands beside it; and random letters are not taken for one."""

from __future__ import annotations

import base64
import math
import random
import re
import string
import tomllib
from typing import Any

import pytest

from bench.dlp_samples import _python
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import OWN, RuleSet
from claude_bottle.dlp.rules.shapes import IN_NOISE, has_checksum, without_boundaries

# Written after the vendors' documents, not after the rules; none is valid. Sources beside each.
DOCUMENTED = {
    "aws-access-token": "AKIAQ3EGRV7XWZ2MN5KP",  # AWS IAM guide, unique identifiers: AKIA and 16 letters
    "gcp-api-key": "AIzaSyB7x2kQ9vLm4TzR8sWpN1cHfJ6gYdE0uXq",  # Google Cloud, API keys: 39 letters
    "github-pat": "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",  # therootcompany/base62-token.js: expired, published
    "gitlab-pat": "glpat-h7Kq2Zt9Xw4Bv6Nm1Ls3",  # GitLab, token overview: glpat- and 20
    "stripe-access-token": "sk_live_4eC39HqLyjWDarjtT1zdp7dc",  # Stripe, API keys
    "slack-bot-token": "xoxb-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx",  # Slack, token types
    "npm-access-token": "npm_7Hq2Kx9Wm4Zt6Bv1Nc3Ls8Rd5Fg0Jp0aBcDe",  # npm: npm_ and 36
    "pypi-upload-token": "pypi-AgEIcHlwaS5vcmcCJDU2ZmE4YjI1LWQ3YzQtNGE5Yi04ZTFmLTNjN2Q5ZTJiNGE2ZgACKlszLCJh",  # PyPI: a macaroon
    "sendgrid-api-token": "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",  # 22 and 43
    "digitalocean-pat": "dop_v1_" + "3f9c1b7e5d2a8046" * 4,  # DigitalOcean: 64 hexadecimal digits
    "huggingface-access-token": "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",  # hf_ and 34
    "anthropic-api-key": "sk-ant-api03-" + ("Qz7Lm2Vx9R" * 10)[:93] + "AA",
    "anthropic-oauth-token": "sk-ant-oat01-" + ("Qz7Lm2Vx9R" * 10)[:93] + "AA",  # what `claude setup-token` prints
}  # fmt: skip
REFRESH = "sk-ant-ort01-" + ("Wn4Kd8Tj1P" * 10)[:93] + "AA"


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return RuleSet()


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_letters_beside_a_secret_do_not_hide_it(rules: RuleSet, kind: str) -> None:
    secret = DOCUMENTED[kind]
    for before in ("", "x", "Z", "7", "_", "-", "/", "é", "prefix"):
        for behind in (
            "",
            "x",
            "Z",
            "7",
            "_",
            "-",
            "/",
            "é",
            "suffix",
            "=",
            ".",
            "false",
            "null",
            string.ascii_lowercase,
            "a" * 90,
        ):
            rule = rules.find(f"{before}{secret}{behind}".encode(), generic=False)
            assert rule is not None, (before, behind)
            assert rule.id.split("-")[0] == kind.split("-")[0]


def test_claude_codes_own_credentials_are_known(rules: RuleSet) -> None:
    for secret in (DOCUMENTED["anthropic-oauth-token"], REFRESH):
        rule = rules.find(f'{{"accessToken":"{secret}"}}'.encode(), generic=False)
        assert rule is not None
        assert rule.id == "anthropic-oauth-token"
        assert rules.find(secret[:-1].encode(), generic=False) is None


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_one_letter_too_few_is_still_none(rules: RuleSet, kind: str) -> None:
    """What has a length of its own; a key of Stripe's and a macaroon have many, and Slack's ends anywhere."""
    if kind not in ("stripe-access-token", "slack-bot-token", "pypi-upload-token"):
        assert rules.find(DOCUMENTED[kind][:-1].encode(), generic=False) is None


def test_a_key_whose_end_is_left_out_is_found(rules: RuleSet) -> None:
    body = base64.b64encode(random.Random(1).randbytes(900)).decode()
    for first in ("-----BEGIN PRIVATE KEY-----", "-----BEGIN OPENSSH PRIVATE KEY-----"):
        lines = "\n".join(body[start : start + 64] for start in range(0, 1000, 64))
        assert rules.find(f"{first}\n{lines}".encode(), generic=False) is not None
        assert rules.find(f"{first}\\n{body}".encode(), generic=False) is not None
        legacy = f"{first}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0123456789ABCDEF\n\n{lines}"  # RFC 1421
        assert rules.find(legacy.encode(), generic=False) is not None
    assert (
        rules.find(
            b"looks for -----BEGIN PRIVATE KEY----- at the beginning of the file and raises an error if it is not there",
            generic=False,
        )
        is None
    )


def test_checksums_are_those_of_published_tokens() -> None:
    """Expired tokens of therootcompany/base62-token.js; a letter changed makes it wrong."""
    for token in ("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", "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"):
        assert has_checksum(token.encode())
        assert not has_checksum(token.replace("7", "8").encode())


def noise(size: int, seed: int = 1) -> str:
    return base64.urlsafe_b64encode(random.Random(seed).randbytes(size)).decode()


def test_a_real_token_is_found_within_random_letters(rules: RuleSet) -> None:
    for kind in (
        "github-pat",
        "gcp-api-key",
        "aws-access-token",
        "stripe-access-token",
        "gitlab-pat",
        "huggingface-access-token",
    ):
        text = noise(900) + DOCUMENTED[kind] + noise(900, 2)
        assert rules.find(text.encode(), generic=False) is not None, kind


def test_a_made_up_one_is_not(rules: RuleSet) -> None:
    """Once in sixteen megabytes random base64url holds a shape of GitHub's; the checksum tells."""
    text = noise(900) + "ghp_A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8" + noise(900, 2)
    assert rules.find(text.encode(), generic=False) is None
    folded = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    assert rules.find(folded.encode(), generic=False) is None


def test_proteins_and_base32_set_off_no_alarm(rules: RuleSet) -> None:
    """FASTA: twenty capitals, in lines of sixty; AKIA is four of them. Base32: RFC 4648."""
    numbers = random.Random(6)
    protein = "".join(numbers.choice("ACDEFGHIKLMNPQRSTVWY") for _ in range(60_000))
    for place in range(1000, 60_000, 1000):
        protein = protein[:place] + "AKIA" + protein[place + 4 :]
    lines = "\n".join(protein[start : start + 60] for start in range(0, len(protein), 60))
    assert rules.find(f">sp|P12345| a protein\n{lines}\n".encode(), generic=False) is None
    code = base64.b32encode(numbers.randbytes(60_000)).decode()
    for place in range(1000, 60_000, 1000):
        code = code[:place] + "AKIA" + code[place + 4 :]
    assert rules.find(code.encode(), generic=False) is None
    assert (
        rules.find((protein[:500] + DOCUMENTED["aws-access-token"] + protein[500:]).encode(), generic=False) is not None
    )


def bits(parsed: Any, letters: str, flags: tuple[int, int]) -> float:
    """How unlikely random letters are to match: -log2 of the chance at one place. flags: of a letter, of a class."""
    total = 0.0
    for op, arg in parsed:
        name = str(op)
        if name in ("LITERAL", "IN", "NOT_LITERAL", "ANY", "CATEGORY"):
            members = sum(
                re.compile(_one(op, arg), flags[name == "IN"]).fullmatch(letter) is not None for letter in letters
            )
            total += -math.log2(members / len(letters)) if members else math.inf
        elif name.endswith("REPEAT"):
            total += arg[0] * bits(arg[2], letters, flags) if arg[0] else 0.0
        elif name == "SUBPATTERN":
            total += bits(arg[3], letters, flags)
        elif name == "BRANCH":
            chance = sum(2 ** -bits(choice, letters, flags) for choice in arg[1])
            total += -math.log2(chance) if chance else math.inf
    return total


def _one(op: Any, arg: Any) -> str:
    name = str(op)
    if name == "LITERAL":
        return re.escape(chr(arg))
    if name == "NOT_LITERAL":
        return f"[^{re.escape(chr(arg))}]"
    if name == "ANY":
        return "."
    classes = {"CATEGORY_WORD": r"\w", "CATEGORY_DIGIT": r"\d", "CATEGORY_SPACE": r"\s", "CATEGORY_NOT_SPACE": r"\S"}
    if name == "CATEGORY":
        return classes[str(arg)]
    parts = []
    for inner, value in arg:
        kind = str(inner)
        if kind == "RANGE":
            parts.append(f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}")
        else:
            parts.append(
                "^" if kind == "NEGATE" else classes[str(value)] if kind == "CATEGORY" else re.escape(chr(value))
            )
    return f"[{''.join(parts)}]"


def test_which_shapes_random_base64_has_is_computed(rules: RuleSet) -> None:
    """Those that it has once in 250 MB, 28 bits, are in the table, with what decides there; a new rule is noticed."""
    plain = string.ascii_letters + string.digits
    short = set()
    for rule in rules.rules:
        relaxed = without_boundaries(rule.id, rule.pattern)
        pattern = relaxed if relaxed is not None else rule.pattern
        if rule.bounded or "[ \\t\\w.-]{0,20}" in pattern:
            continue
        # gitleaks writes (?i) before all of an expression, or behind the prefix.
        flags = (re.IGNORECASE if pattern.startswith("(?i)") else 0, re.IGNORECASE if "(?i" in pattern else 0)
        parsed = re._parser.parse(_python(pattern))  # type: ignore[attr-defined]
        if min(bits(parsed, plain + others, flags) for others in ("+/", "-_")) < 28:
            short.add(rule.id)
    assert len(short) > 12
    own = {rule["id"] for rule in tomllib.loads(OWN.read_text())["rules"] if not rule.get("within_letters", True)}
    assert short <= {*IN_NOISE, *own}, short - {*IN_NOISE, *own}
    # These base32 has, in capitals or small letters; no other is left out.
    assert own <= {*short, "bitbucket-app-password", "nuget-key"}
    assert set(IN_NOISE) <= {rule.id for rule in rules.rules}


def test_random_letters_of_every_kind_set_off_no_alarm(rules: RuleSet) -> None:
    numbers = random.Random(9)
    for _ in range(12):
        blob = numbers.randbytes(300_000)
        for text in (
            base64.b64encode(blob),
            base64.urlsafe_b64encode(blob),
            base64.encodebytes(blob),
            base64.b32encode(blob),
            base64.b32encode(blob).lower(),
        ):
            assert rules.find(text, generic=False) is None
    dlp = Dlp(rules)
    assert dlp.look_at_body(base64.urlsafe_b64encode(numbers.randbytes(1 << 20)), "text/plain", "") is None
