"""Detection and false alarms of the DLP engine over every rule family, way of sending and ordinary request.

A part of it here, in seconds; all of it in `make containment`, and by `make dlp` into docs/dlp.md.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from bench.dlp_samples import ordinary
from bench.dlp_table import Figures, measure
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.recent import SECONDS, Recent
from claude_bottle.dlp.rules.ruleset import OWN, RuleSet

ALL = int(os.environ.get("CLAUDE_BOTTLE_EXAMPLES", "0")) >= 500
# One letter too few to be told from ordinary hex; a rule without a shape, which does not count backwards or over requests.
KNOWN_MISSES = {
    *((rule, how) for rule in ("slack-app-token", "slack-legacy-token", "slack-legacy-workspace-token") for how in ("hex", "base64 twice")),
    ("generic-api-key", "reversed"), ("generic-api-key", "split over requests"),
    ("discord-bot-token", "reversed"),  # it has no word that could be looked for backwards
}  # fmt: skip


@pytest.fixture(scope="module")
def figures() -> Figures:
    return measure(base64_mb=20 if ALL else 2, every=1 if ALL else 6)


def test_every_secret_is_found_in_every_way(figures: Figures) -> None:
    assert sum(figures.tried.values()) > (5000 if ALL else 800)
    assert set(figures.missed) <= KNOWN_MISSES
    assert len(figures.without_sample) < 12


def test_near_misses_and_ordinary_requests_pass(figures: Figures) -> None:
    assert figures.near == []
    assert figures.ordinary >= 300
    assert figures.alarms == []
    assert figures.base64_alarms == 0


def test_a_letter_beside_a_secret_hides_no_shape(figures: Figures) -> None:
    """A sample of Square's is made as short as gitleaks allows, where a mangled name of a program looks the same. And
    `ion_`, `NF-` and the like end ordinary names, with a digest behind them."""
    own = tomllib.loads(OWN.read_text())["rules"]
    endings = {rule["id"] for rule in own if rule["regex"].startswith("(?:^|[^a-zA-Z0-9_])")}
    assert len(endings) < 12
    assert figures.shapes >= (100 if ALL else 12)
    assert set(figures.beside) <= {"square-access-token", *endings}


def test_the_page_is_there_and_says_how_to_make_it() -> None:
    page = (Path(__file__).parents[2] / "docs/dlp.md").read_text()
    assert "make dlp" in page
    assert f"of {len(ordinary())}**" in page


def test_a_secret_in_two_requests_is_seen_for_a_minute() -> None:
    now = [0.0]
    dlp, secret = Dlp(RuleSet()), b"ghp_A1b2C3d4E5f6G7h8J9k0L1m2N3p4Q5r6S7t8"
    for parts in (2, 3, 5):
        size = -(-len(secret) // parts)
        pieces = [secret[i : i + size] for i in range(0, len(secret), size)]
        recent = Recent(lambda: now[0])
        findings = [recent.look(dlp, [piece]) for piece in pieces]
        assert [f is not None for f in findings] == [False] * (len(pieces) - 1) + [True], parts
    recent = Recent(lambda: now[0])
    assert recent.look(dlp, [secret[:20]]) is None
    for n in range(5):  # others in between
        assert recent.look(dlp, [b"ordinary %d" % n]) is None
    assert recent.look(dlp, [secret[20:]]) is not None
    now[0] += SECONDS + 1
    assert recent.look(dlp, [secret[20:]]) is None
