"""Writes docs/dlp.md: what the DLP engine finds of every rule family in every place and encoding, and what it takes for a secret.

Run with `make dlp`. The same figures are held by tests/unit/test_dlp_table.py.
"""

from __future__ import annotations

import base64
import random
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from addons.dlp import Dlp
from addons.dlp_recent import Recent
from addons.dlp_rules import RuleSet
from bench.dlp_samples import Sample, Sent, ordinary, samples, ways


@dataclass
class Figures:
    """found, tried: by (family, way). near: families whose near-miss set off an alarm. alarms: ordinary kinds that did."""

    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[tuple[str, str]] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    alarms: list[tuple[str, str]] = field(default_factory=list)
    ordinary: int = 0
    base64_mb: float = 0.0
    base64_alarms: int = 0
    without_sample: list[str] = field(default_factory=list)
    rules: int = 0


def is_found(dlp: Dlp, sent: Sent) -> bool:
    """Whether any of the requests is refused, as pipelock would look at them."""
    recent = Recent()
    for path, headers, body, kind, encoding in sent.requests:
        edges: list[bytes] = []
        finding = dlp.look_at_url("api.example.com", path, edges) or dlp.look_at_headers(headers)
        finding = finding or dlp.look_at_body(body, kind, encoding, edges) or recent.look(dlp, edges)
        if finding:
            return True
    return False


def measure(*, base64_mb: int = 20, every: int = 1) -> Figures:
    """All of it. every: take only each n-th rule."""
    rules = RuleSet()
    dlp, rng, told = Dlp(rules), random.Random(3), Figures(rules=len(rules.rules))
    made, told.without_sample = samples(rules)
    chosen: list[Sample] = made[::every]
    for sample in chosen:
        for sent in ways(sample.line):
            key = (sample.family, sent.how)
            told.tried[key] += 1
            if is_found(dlp, sent):
                told.found[key] += 1
            else:
                told.missed.append((sample.rule, sent.how))
        if is_found(
            dlp, Sent("near miss", [("/x", [], sample.near_miss.encode("latin-1", "replace"), "text/plain", "")])
        ):
            told.near.append(sample.rule)
    for kind, path, body, content_type in ordinary():
        told.ordinary += 1
        # Each by itself, and the memory of what came before it as in a day's work.
        edges: list[bytes] = []
        found = dlp.look_at_url("api.example.com", path, edges) or dlp.look_at_body(body, content_type, "", edges)
        if found:
            told.alarms.append((kind, found.rule))
    told.alarms += in_a_row(dlp)
    for _ in range(base64_mb):
        blob = base64.b64encode(rng.randbytes(768 << 10))
        told.base64_mb += len(blob) / (1 << 20)
        told.base64_alarms += dlp.look_at_body(b'{"data": "' + blob + b'"}', "application/json", "") is not None
    return told


def in_a_row(dlp: Dlp) -> list[tuple[str, str]]:
    """Alarms of the memory over ordinary requests that come one after the other."""
    recent, alarms = Recent(), []
    for kind, path, body, content_type in ordinary(seed=12):
        edges: list[bytes] = []
        dlp.look_at_url("api.example.com", path, edges)
        dlp.look_at_body(body, content_type, "", edges)
        if found := recent.look(dlp, edges):
            alarms.append((kind, f"{found.rule}, with the request before it"))
    return alarms


def page(told: Figures) -> str:
    """docs/dlp.md."""
    hows = list(dict.fromkeys(how for _, how in told.tried))
    families: dict[str, Counter[str]] = defaultdict(Counter)
    for (family, how), count in told.tried.items():
        families[family]["tried"] += count
        families[family]["found"] += told.found[family, how]
    tried, found = sum(told.tried.values()), sum(told.found.values())
    lines = [
        "# What the DLP engine finds",
        "",
        "Written by `make dlp` (bench/dlp_table.py); do not edit. For each rule a secret is made at random from the rule's own",
        f"expression, and sent in {len(hows)} ways; a near-miss is the same cut short until no rule matches it. {told.rules} rules",
        f"(gitleaks 8.30), {told.rules - len(told.without_sample)} with a sample. A secret counts as found when a request that carries it is refused.",
        "",
        f"- detection: **{found} of {tried}** ({100 * found / tried:.1f} %)",
        f"- near-misses that set off an alarm: **{len(told.near)}**{_list(told.near)}",
        f"- ordinary requests that set off an alarm: **{len(told.alarms)} of {told.ordinary}**{_list([' '.join(a) for a in told.alarms])}",
        f"- random base64: **{told.base64_alarms} alarms in {told.base64_mb:.0f} MB**",
        "",
        "| way | found | tried |",
        "|---|---|---|",
        *(f"| {how} | {sum(told.found[f, how] for f in families)} | {sum(told.tried[f, how] for f in families)} |" for how in hows),
        "",
        "Not found, by way (rules):",
        "",
        *(_missed(told, how) for how in hows if any(h == how for _, h in told.missed)),
        "",
        "## By family",
        "",
        "| family | found | tried | near-miss alarms |",
        "|---|---|---|---|",
        *(f"| {name} | {c['found']} | {c['tried']} | {sum(r.split('-')[0] == name for r in told.near)} |" for name, c in sorted(families.items())),
        "",
        f"Without a sample: {', '.join(told.without_sample) or 'none'}.",
        "",
        "## What it does not find",
        "",
        "A secret under encryption, in a picture, in an encoding that is not in the table, or in parts with ordinary text at the",
        "cuts; and what gitleaks' own allowlists exempt (placeholders, words of examples). Hosts on `passthrough` are not read.",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _list(items: list[str]) -> str:
    return f" ({', '.join(items[:20])}{', …' if len(items) > 20 else ''})" if items else ""


def _missed(told: Figures, how: str) -> str:
    rules = [rule for rule, h in told.missed if h == how]
    return f"- {how}: {len(rules)}{_list(rules)}"


if __name__ == "__main__":
    figures = measure()
    (ROOT / "docs/dlp.md").write_text(page(figures))
    print(page(figures)[:2500])
