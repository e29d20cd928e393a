"""Secrets that no rule of this project has made, in every way and in two at once: what of them the engine finds.

The kinds are those of bench/dlp_kinds.tsv, which names a source for each. `make dlp` writes the figures into docs/dlp.md.
"""

from __future__ import annotations

import base64
import random
import re
import string
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from bench.dlp_samples import ways
from bench.dlp_ways import BINARY, ENCODINGS, WRITINGS
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.rules.shapes import checksum_of
from claude_bottle.dlp.verdict import Unscannable

KINDS = Path(__file__).with_suffix(".tsv")
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
CLASSES = {
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "digit": string.digits,
    "small": string.ascii_lowercase,
    "CAPS": string.ascii_uppercase,
    "letters": string.ascii_letters,
    "lower": string.ascii_lowercase + string.digits,
    "upper": string.ascii_uppercase + string.digits,
    "alnum": string.ascii_letters + string.digits,
    "w": string.ascii_letters + string.digits + "_",
    "word": string.ascii_letters + string.digits + "_-",
    "b64": string.ascii_letters + string.digits + "+/",
    "base32": _BASE32,
    "b32": _BASE32.lower(),
    "bech32": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",  # BIP-173, in capitals as age has it
}
_PLACE = re.compile(r"\{(\w+)(?::(\d+))?\}|\{\{|\}\}|\\n")
_CHECKED = re.compile(r"(gh[opsur]|npm)_")


@dataclass(frozen=True)
class Kind:
    """One kind of secret."""

    name: str
    shape: str
    source: str

    def sample(self, rng: random.Random) -> str:
        """A made-up one, valid nowhere; with its checksum where the vendor documents one."""

        def filled(match: re.Match[str]) -> str:
            name, count = match.groups()
            if name is None:
                return {"{{": "{", "}}": "}"}.get(match.group(), "\n")
            if name == "snowflake":  # the bot's id: 18 digits
                return base64.b64encode(str(rng.randrange(10**17, 10**18)).encode()).decode()
            return "".join(rng.choice(CLASSES[name]) for _ in range(int(count)))

        text = _PLACE.sub(filled, self.shape)
        return text[:-6] + checksum_of(text[-36:-6].encode()).decode() if _CHECKED.match(text) else text


def kinds() -> list[Kind]:
    """All of them."""
    lines = [line for line in KINDS.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [Kind(*line.split("\t")) for line in lines]


@dataclass
class Found:
    """found, tried: by way, or pair of ways. missed: kinds, by way. near: kinds of which a shorter one set off an alarm."""

    hits: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)
    pairs_found: Counter[str] = field(default_factory=Counter)
    pairs_tried: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[str, str]] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    kinds: int = 0


def measure_kinds(*, every: int = 1, pairs: int = 40) -> Found:
    """All of it. every: take only each n-th kind. pairs: of ways, at random, for each kind."""
    from bench.dlp_table import is_found

    dlp, rng, figures = Dlp(RuleSet()), random.Random(17), Found()
    around = [(inner, outer) for inner in ENCODINGS if inner not in BINARY for outer in ENCODINGS]
    for kind in kinds()[::every]:
        figures.kinds += 1
        secret = kind.sample(rng)
        for sent in ways(secret):
            figures.tried[sent.how] += 1
            figures.hits[sent.how] += is_found(dlp, sent)
            figures.missed += [] if is_found(dlp, sent) else [(kind.name, sent.how)]
        for how, write in WRITINGS.items():
            figures.tried[how] += 1
            hit = is_seen(dlp, write(secret.encode()))
            figures.hits[how] += hit
            figures.missed += [] if hit else [(kind.name, how)]
        for inner, outer in rng.sample(around, pairs):
            figures.pairs_tried[outer] += 1
            figures.pairs_found[outer] += is_seen(dlp, ENCODINGS[outer](ENCODINGS[inner](secret.encode())))
        # How it begins is none, by the shape that its vendor gives.
        if is_seen(dlp, f"note {secret[:14]} end".encode()):
            figures.near.append(kind.name)
    return figures


def is_seen(dlp: Dlp, body: bytes) -> bool:
    """Whether a body is refused."""
    try:
        return dlp.look_at_body(body, "text/plain", "") is not None
    except Unscannable:
        return True


# Why a near miss sets off an alarm, by kind.
_NEAR = {
    "slack-legacy-workspace-token": "gitleaks' rule takes eight letters and more after `xoxa-`, so it also takes the cut value",
}


def _near(kind: str) -> str:
    return f"{kind} ({_NEAR[kind]})" if kind in _NEAR else kind


def section(figures: Found) -> list[str]:
    """Lines of docs/dlp.md."""
    hits, tried = sum(figures.hits.values()), sum(figures.tried.values())
    pairs_found, pairs_tried = sum(figures.pairs_found.values()), sum(figures.pairs_tried.values())
    missed = Counter(kind for kind, _ in figures.missed)
    return [
        "## Kinds from elsewhere",
        "",
        f"These {figures.kinds} kinds come from vendors' documents and other rule sets (`bench/dlp_kinds.tsv` names the source of each).",
        "No kind comes from a rule of this project. The test sends a secret of each kind in the ways of the table above and in those of",
        f"`bench/dlp_ways.py`. It also sends it in {pairs_tried // max(figures.kinds, 1)} random pairs of ways, one within the other. The secret's first 14 letters are a near miss.",
        "",
        f"- one way: **{hits} of {tried}** ({100 * hits / tried:.1f} %)",
        f"- two ways at once: **{pairs_found} of {pairs_tried}** ({100 * pairs_found / pairs_tried:.1f} %)",
        f"- near misses that set off an alarm: **{len(figures.near)}** {', '.join(map(_near, figures.near))}".rstrip(),
        "",
        "| way | found | tried | found, with another way within | tried |",
        "|---|---|---|---|---|",
        *(
            f"| {how} | {figures.hits[how] or ''} | {figures.tried[how] or ''} | {figures.pairs_found[how] or ''} | {figures.pairs_tried[how] or ''} |"
            for how in dict.fromkeys((*figures.tried, *figures.pairs_tried))
        ),
        "",
        f"Kinds that most ways miss: {', '.join(f'{kind} ({count})' for kind, count in missed.most_common(12)) or 'none'}.",
        "",
    ]
