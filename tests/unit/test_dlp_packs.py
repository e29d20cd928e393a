"""What is looked for beside credentials, by checksums; and rules that do not count for one host."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from flows import flow
from loaded import loaded_pipelock, run

from addons.pipelock.addon import Pipelock
from addons.pipelock.core import Policy
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.checksums import is_base58check, is_bech32, is_card_number, is_iban
from claude_bottle.dlp.rules.keccak import _own, is_eip55, keccak_256
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.manifest.model import Manifest
from claude_bottle.manifest.render.pipelock import render

# Numbers that documents give as examples.
EXAMPLES = {
    "bitcoin-private-key": ["5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",  # Bitcoin wiki, Wallet import format
                            "KwdMAjGmerYanjeui5SHS7JkmpZvVipYvB2LJGU1ZxJwYvP98617"],
    "bitcoin-address": ["1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG"],  # the first block; BIP 13
    "bitcoin-address-bech32": ["BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",  # BIP 173
                               "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"],  # BIP 350
    "ethereum-address": ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",  # EIP-55, test cases
                         "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
                         "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
                         "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"],
    "payment-card": ["4111111111111111", "4242 4242 4242 4242", "5555-5555-5555-4444", "378282246310005"],  # Stripe, testing
    "iban": ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000"],  # ISO 13616, Wikipedia's examples
}  # fmt: skip
# BIP 32, test vector 1, chain m.
EXTENDED = (
    "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi"
)


@pytest.fixture(scope="module")
def every() -> Dlp:
    return Dlp(RuleSet(packs=("crypto", "payment", "placeholders")))


@pytest.fixture(scope="module")
def credentials() -> Dlp:
    return Dlp(RuleSet())


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in EXAMPLES.items() for text in texts])
def test_a_pack_finds_what_has_its_checksum(every: Dlp, credentials: Dlp, rule: str, text: str) -> None:
    for body in (f"pay {text} now".encode(), json.dumps({"to": text}).encode()):
        finding = every.look_at_body(body, "application/json", "")
        assert finding is not None
        assert finding.rule == rule
        assert credentials.look_at_body(body, "application/json", "") is None


@pytest.mark.parametrize("text", [text for texts in EXAMPLES.values() for text in texts])
def test_a_digit_changed_makes_it_none(every: Dlp, text: str) -> None:
    wrong = text[:-3] + ("2" if text[-3] != "2" else "3") + text[-2:]
    assert every.look_at_body(f"pay {wrong} now".encode(), "text/plain", "") is None


# Of the Keccak team's own test vectors (KeccakKAT, ShortMsgKAT_256: lengths 0 and 8), and Ethereum's empty code hash.
DIGESTS = {
    b"": "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
    b"\xcc": "eead6dbfc7340a56caedc044696a168870549a6a7f6f56961e84a54bd9970b8a",
}


@pytest.mark.parametrize("data", DIGESTS)
def test_keccak_is_ethereums_and_not_sha_3(data: bytes) -> None:
    assert _own(data) == keccak_256(data) == DIGESTS[data]


@pytest.mark.parametrize("length", [1, 40, 134, 135, 136, 137, 272, 500])
def test_both_keccaks_agree(length: int) -> None:
    data = bytes(n % 251 for n in range(length))
    assert _own(data) == keccak_256(data)


def test_an_address_of_ethereum_counts_by_its_checksum_alone(every: Dlp) -> None:
    """EIP-55's addresses in capitals or in small letters alone hold none."""
    rng = random.Random(4)
    for text in ("0x52908400098527886E0F7030069857D2E4169EE7", "0xde709f2102306220921060314715629080e2fb77"):
        assert not is_eip55(text.encode())
    mixed = ["0x" + "".join(rng.choice("0123456789abcdefABCDEF") for _ in range(40)) for _ in range(2000)]
    assert not any(is_eip55(text.encode()) for text in mixed)
    assert every.look_at_body("\n".join(mixed[:200]).encode(), "text/plain", "") is None


def test_an_extended_key_is_a_credential(credentials: Dlp) -> None:
    assert credentials.look_at_body(f"key {EXTENDED}".encode(), "text/plain", "") is not None
    assert credentials.look_at_body(f"key {EXTENDED[:-1]}j".encode(), "text/plain", "") is None


def test_checksums_are_right_by_chance_as_seldom_as_they_say() -> None:
    rng = random.Random(3)
    numbers = ["4" + "".join(rng.choice("0123456789") for _ in range(15)) for _ in range(2000)]
    assert 150 < sum(is_card_number(number.encode()) for number in numbers) < 250  # one in ten
    assert not is_card_number(b"0000000000000000")
    assert is_iban(b"GB82WEST12345698765432")
    assert not is_base58check(b"1" * 30)
    assert not is_bech32(b"bc1")


HOSTS = {"open.example.org": {"disabled_rules": ["github-pat"]}, "*.wide.example.org": {"disabled_rules": ["jwt"]}}
MANIFEST = Manifest.model_validate(
    {"pipelock": {"allow": ["open.example.org", "other.example.org"], "dlp": {"hosts": HOSTS, "packs": ["payment"]}}}
)
LEAK = "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"


@pytest.fixture
def pipelock(tmp_path: Path) -> Pipelock:
    return loaded_pipelock(tmp_path, MANIFEST)


def test_a_rule_that_is_off_for_one_host_counts_for_the_others(pipelock: Pipelock) -> None:
    places: list[dict[str, Any]] = [{"body": f"note {LEAK}".encode()}, {"x_note": LEAK}]
    for place in places:
        assert run(pipelock, flow("https://open.example.org/a", method="POST", **place)) is None
        assert run(pipelock, flow("https://other.example.org/a", method="POST", **place)) == "dlp_match"
    assert run(pipelock, flow(f"https://open.example.org/?q={LEAK}")) is None
    # And every other rule counts there.
    other = b"note AKIAQ3EGRV7XWZ2MN5KP"
    assert run(pipelock, flow("https://open.example.org/a", method="POST", body=other)) == "dlp_match"


def test_half_of_it_to_one_host_and_half_to_another_is_seen(pipelock: Pipelock) -> None:
    halves = [LEAK[:20].encode(), LEAK[20:].encode()]
    assert run(pipelock, flow("https://open.example.org/a", method="POST", body=halves[0])) is None
    assert run(pipelock, flow("https://other.example.org/a", method="POST", body=halves[1])) == "dlp_match"


def test_packs_reach_the_engine(pipelock: Pipelock) -> None:
    paid = flow("https://other.example.org/a", method="POST", body=b"card 4242 4242 4242 4242")
    assert run(pipelock, paid) == "dlp_match"


def test_a_policy_names_only_rules_that_there_are(tmp_path: Path) -> None:
    text = render(MANIFEST)
    assert Policy.parse(text.encode()).rules_off("a.wide.example.org") == {"jwt"}
    assert Policy.parse(text.encode()).rules_off("open.example.org") == {"github-pat"}
    assert Policy.parse(text.encode()).rules_off("not.example.org") == frozenset()
    (tmp_path / "pipelock.yaml").write_text(text.replace("github-pat", "github-pta"))
    addon = Pipelock(tmp_path / "pipelock.yaml", tmp_path)
    addon._file.poll()
    assert "no such rule" in str(addon._file.error)


# As they stand in the vendors' documents: AWS, "Managing access keys"; GitHub, "Authenticating to the REST API" and its
# secret scanning; Slack, "Tokens"; SendGrid, "API keys".
PLACEHOLDERS = ["AKIAIOSFODNN7EXAMPLE", "ghp_" + "x" * 36, "xoxb-" + "0" * 12 + "-" + "0" * 12 + "-" + "x" * 24]


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_examples_of_documents_are_findings_where_that_is_asked_for(text: str) -> None:
    body = f"use {text} as the key".encode()
    assert Dlp(RuleSet()).look_at_body(body, "text/plain", "") is None
    assert Dlp(RuleSet(packs=["placeholders"])).look_at_body(body, "text/plain", "") is not None
    assert Dlp(RuleSet(packs=["placeholders"])).look_at_body(b"use the key of the project", "text/plain", "") is None
