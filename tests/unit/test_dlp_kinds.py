"""Kinds of secrets by their vendors' documents and by other rule sets, none made from a rule of ours: bench/dlp_kinds.tsv."""

from __future__ import annotations

import json
import random
import tomllib

import pytest

from bench.dlp_kinds import Kind, kinds, measure_kinds
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import GITLEAKS, OWN, RuleSet
from sidecar_images.git_gate.scanning.leaks import with_own

KINDS = kinds()
# Expired, published, or given as an example by the one who is named.
PUBLISHED = {
    "discord-bot-token": "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",  # discord.com, reference
    "docker-hub-token": "dckr_pat_tkzBYxjNNC3R_Yg6jd_O-G8FbrJ",  # kingfisher dockerhub.yml
    "google-oauth-client-secret": "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",  # kingfisher google.yml
    "google-oauth-access-token": "ya29.Ci_UA7aEsvT6-oVI8f96kvB6i8oO13WgdZUviLaCVtpEPYZqhQcQycR-u2X9xtmYGA",  # the same
    "cratesio-token": "ciotgp8BGZBlX192iExSQPm0SrUlBunG8zd",  # kingfisher crates.io.yml
    "dependency-track-key": "odt_KTJlDq2AGGGlqG4riKdT7p980AW8RlU5",  # kingfisher dependency_track.yml
    "ionic-token": "ion_VNR17uGgdxr9P2aOrCulvSLTFDqijIV2ImQsOUhDEI",  # kingfisher ionic.yml
    "segment-token": "sgp_pOqmnKCOAdIxlEbeRLlJKUOE4ravQJ3ZEijxzK4bpPrWaMNPP35kz4OU7ZVsDtgU",  # kingfisher segment.yml
    "stackhawk-key": "hawk.nHAOHdJjXoNyzAcTDC5M.R2gqQh2aCesrh0yCGB7q",  # kingfisher stackhawk.yml
    "square-secret": "sq0csp-pyRoa8ZyBlEisE5NQtN7sS-PqR6sK3W9JoF_Ov3Es2M",  # kingfisher square.yml
    "nuget-key": "oy2er16dp0r068m6p36u4bvr9nmkescfm1pf9lek1bgn3n",  # kingfisher nuget.yml
    "adafruit-io-key": "aio_NrZCb67VvzSaM7fr3nMXrfZ1uMPH",  # kingfisher adafruitio.yml
    "posthog-personal-key": "phx_WQV1jrBNdIiYiH_XoWIb5KqZv18v_4JQbNBVuGihaYw",  # kingfisher posthog.yml
    "google-oauth-refresh-token": "1//xEoDL4iW3cxlI7yDbSRFYNG01kVKM2C-259HOF2aQbI",  # Google, OAuth 2.0 for web servers
    "connection-string": "postgresql://nimda:vg498hwegw1udp6s@db-postgresql-nyc1-64297-do-user.db.ondigitalocean.com:25060/d",
    "netrc-password": "machine api.github.com login ziggy^stardust password 012345abcdef",  # kingfisher netrc.yml
    "wireguard-key": "PresharedKey = uRsfsZ2Ts1rach4Zv3hhwcx6wa5fuIo2u3w7sa+7j8A=",  # kingfisher wireguard.yml, last letter
}  # fmt: skip


@pytest.fixture(scope="module")
def dlp() -> Dlp:
    return Dlp(RuleSet())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_kind_is_found_in_a_header_in_json_and_in_an_env_file(dlp: Dlp, kind: Kind) -> None:
    """By its shape: the name beside it says nothing. In an env file the word TOKEN would do for the generic rule."""
    secret = kind.sample(random.Random(kind.name))
    assert dlp.look_at_body(json.dumps({"note": secret}).encode(), "application/json", "") is not None
    assert dlp.look_at_body(f"A=1\nNOTE={secret}\nB=2\n".encode(), "text/plain", "") is not None
    if "\n" not in secret:
        assert dlp.look_at_headers([(b"x-note", secret.encode())]) is not None


@pytest.mark.parametrize("rule", PUBLISHED)
def test_published_ones_are_called_by_their_name(dlp: Dlp, rule: str) -> None:
    finding = dlp.look_at_body(f"note {PUBLISHED[rule]} end".encode(), "text/plain", "")
    assert finding is not None
    assert finding.rule == rule


def test_each_way_and_pairs_of_ways_find_nearly_all() -> None:
    """A part of what `make dlp` measures."""
    measurement = measure_kinds(every=9, pairs=12)
    assert sum(measurement.tried.values()) > 1000
    assert sum(measurement.hits.values()) >= 0.99 * sum(measurement.tried.values()), measurement.missed
    assert sum(measurement.pairs_found.values()) >= 0.9 * sum(measurement.pairs_tried.values())
    assert len(measurement.near) <= 1, measurement.near


def test_every_kind_and_every_own_rule_names_a_source() -> None:
    assert len(KINDS) >= 150
    assert len({kind.name for kind in KINDS}) == len(KINDS)
    assert all(kind.source for kind in KINDS)
    own = tomllib.loads(OWN.read_text())["rules"]
    assert all(rule.get("source") for rule in own)
    ids = [rule["id"] for rule in own + tomllib.loads(GITLEAKS.read_text())["rules"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    "text",
    [
        "postgres://user:password@db.example.com/app",  # what documents write
        "postgresql://postgres:postgres@localhost:5432/app",
        "DATABASE_URL=postgres://app:hV7kq2Lw9TzR@db:5432/app",  # a name of the containers' own network
        "redis://:hV7kq2Lw9TzR@127.0.0.1:6379/0",
        "https://x-access-token:${GITHUB_TOKEN}@github.com/acme/widget",
        "https://user:{{ password }}@registry.example.com",
        "https://example.com:8443/a@b.example.com",
        "machine api.example.com login me password $TOKEN",
        'const auths = {"auths": {"registry.example.com": {"auth": ""}}}',
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",  # AWS's own example
        "the function sk_buff_head and vcp_state, ion_channel_gate, class_9f86d081884c7d659a2feaa0c55ad015",
        "task_9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",  # SHA-256
        "configuration_9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "CONF-9f86d081884c7d659a2feaa0c55ad015",
    ],
)
def test_what_only_resembles_them_passes(dlp: Dlp, text: str) -> None:
    assert dlp.look_at_body(f"some words\n{text}\nand more\n".encode(), "text/plain", "") is None


def test_git_gate_reads_the_same_rules_but_for_those_that_the_owner_takes_out() -> None:
    every = {rule["id"] for rule in tomllib.loads(OWN.read_text())["rules"] if "check" not in rule}
    assert {rule["id"] for rule in tomllib.loads(with_own("[extend]\nuseDefault = true\n"))["rules"]} == every
    owners = """
[extend]
useDefault = true
disabledRules = ["groq-api-key", "jwt"]
[[rules]]
id = "xai-api-key"
regex = '''mine'''
"""
    merged = tomllib.loads(with_own(owners))["rules"]
    assert len(merged) == len(every) - 1
    assert [rule["regex"] for rule in merged if rule["id"] == "xai-api-key"] == ["mine"]
    alone = "[[rules]]\nid = 'x'\nregex = 'x'\n"
    assert with_own(alone) == alone
