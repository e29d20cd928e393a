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

from bench.dlp_kinds import Found, measure_kinds, section
from bench.dlp_samples import Sample, Sent, ordinary, samples, ways
from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.recent import Recent
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.verdict import Unscannable


@dataclass
class Figures:
    """found, tried: by (family, way). near: families whose near-miss set off an alarm. alarms: ordinary kinds that did."""

    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    tried: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: list[tuple[str, str]] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    alarms: list[tuple[str, str]] = field(default_factory=list)
    ordinary: int = 0
    base64_mb: float = 0.0
    base64_alarms: int = 0
    beside: list[str] = field(default_factory=list)  # kinds that a letter beside the secret hides
    shapes: int = 0  # kinds that have a shape of their own
    without_sample: list[str] = field(default_factory=list)
    rules: int = 0


def is_found(dlp: Dlp, sent: Sent) -> bool:
    """Whether any of the requests is refused, as pipelock would look at them."""
    recent = Recent()
    for path, headers, body, kind, encoding in sent.requests:
        edges: list[bytes] = []
        try:
            finding = dlp.look_at_url("api.example.com", path, edges) or dlp.look_at_headers(headers, edges)
            finding = finding or dlp.look_at_body(body, kind, encoding, edges) or recent.look(dlp, edges)
        except Unscannable:
            return True
        if finding:
            return True
    return False


def hidden_by_letters(rules: RuleSet, chosen: list[Sample]) -> tuple[list[str], int]:
    """Kinds with a shape of their own that a letter before or behind the secret hides, and how many such kinds there are."""
    hidden, shapes = [], 0
    for sample in chosen:
        rule = next(rule for rule in rules.rules if rule.id == sample.rule)
        secret = rule.find(sample.line.encode("latin-1", "replace"), rules._common)
        if rule.bounded or secret is None or rules.find(secret, generic=False) is None:
            continue
        shapes += 1
        beside = (secret + b"x", secret + b"7", secret + b"A", b"x" + secret, b"Zq" + secret + b"7k")
        if any(rules.find(text, generic=False) is None for text in beside):
            hidden.append(sample.rule)
    return hidden, shapes


def measure(*, base64_mb: int = 20, every: int = 1) -> Figures:
    """All of it. every: take only each n-th rule."""
    rules = RuleSet()
    dlp, rng, figures = Dlp(rules), random.Random(3), Figures(rules=len(rules.rules))
    all_samples, figures.without_sample = samples(rules)
    chosen: list[Sample] = all_samples[::every]
    figures.beside, figures.shapes = hidden_by_letters(rules, chosen)
    for sample in chosen:
        for sent in ways(sample.line):
            key = (sample.family, sent.how)
            figures.tried[key] += 1
            if is_found(dlp, sent):
                figures.hits[key] += 1
            else:
                figures.missed.append((sample.rule, sent.how))
        if is_found(
            dlp, Sent("near miss", [("/x", [], sample.near_miss.encode("latin-1", "replace"), "text/plain", "")])
        ):
            figures.near.append(sample.rule)
    for kind, path, body, content_type in ordinary():
        figures.ordinary += 1
        # Each by itself, and the memory of what came before it as in a day's work.
        edges: list[bytes] = []
        finding = dlp.look_at_url("api.example.com", path, edges) or dlp.look_at_body(body, content_type, "", edges)
        if finding:
            figures.alarms.append((kind, finding.rule))
    figures.alarms += in_a_row(dlp)
    for number in range(2 * base64_mb):
        encode = base64.b64encode if number % 2 else base64.urlsafe_b64encode
        blob = encode(rng.randbytes(768 << 10))
        figures.base64_mb += len(blob) / (1 << 20)
        figures.base64_alarms += dlp.look_at_body(b'{"data": "' + blob + b'"}', "application/json", "") is not None
    return figures


def in_a_row(dlp: Dlp) -> list[tuple[str, str]]:
    """Alarms of the memory over ordinary requests that come one after the other."""
    recent, alarms = Recent(), []
    for kind, path, body, content_type in ordinary(seed=12):
        edges: list[bytes] = []
        dlp.look_at_url("api.example.com", path, edges)
        dlp.look_at_body(body, content_type, "", edges)
        if finding := recent.look(dlp, edges):
            alarms.append((kind, f"{finding.rule}, with the request before it"))
    return alarms


RESIDUAL = """## What it does not find

The agent knows the rules. These ways out are left to one who uses them on purpose:

- **Encryption**, and every encoding that is not named here: Morse, words for letters, base58, base91, a cipher of its own. Also
  deflate without a header, uuencode outside of mail, base85 within more than 64 kB, and hexadecimal pairs and numbers with
  something unusual between them within more than 1 kB.
- **Pieces with ordinary text at the cuts** (the fields of YAML, CSV and XML are such), pieces of what is encoded (base64 in two
  requests), or pieces sent more than a minute apart, or one after the other with others between them
  where there are more than two and none has a vendor's prefix in it whole. Less than the secret: a letter of a key left out.
- **A picture's pixels, sound, and what a program would have to be run to see.**
- **Secrets without a shape**: a password beside no word for it; what a rule knows only by a word beside it (`adafruit = ...`),
  with the word left out or a letter put behind it. Fewer than fifteen bytes in base64 or hexadecimal.
- **What is known by its name alone, under another name.** The generic rule counts where a name says credential: `nextToken`,
  `cache_key` or `csrf_token` say that it is none (claude_bottle/dlp/rules/names.toml), and so would one who wants to send a password.
  A key's id of AWS counts for none in the scope of a signature, as signed addresses have it.
- **Timing, sizes, order**, and which of the allowed hosts, paths and headers are used: a bit at a time.
- **Backwards, or moved by thirteen letters, and encoded at once**, in more than 2 kB (base64 and hexadecimal: 16 kB). Three ways
  within one another where one of them is none of base64, hexadecimal and escapes. Look-alike letters within more than 64 kB of
  what is no text. Discord's bot tokens backwards.
- **Within random letters on both sides** (sixteen and more), kinds whose shape random base64 has now and then and whose
  vendors publish no checksum and no longer prefix: Adobe, Artifactory, ClickHouse, EasyPost, Facebook pages, Infracost,
  Prefect, Square, old ones of Alibaba; AWS within capitals and digits, as base32 has them. Tokens of GitHub and npm are found
  there by their checksum, Google's by `AIzaSy`.
- **What gitleaks' own allowlists exempt**: placeholders, and for its generic rule the words of examples beside a secret. A
  vendor's secret is not exempt for what is written behind it.
- **Hosts on `passthrough`**, which are not read.
- **`ion_`, `NF-`, `cio` and the like with a letter before them**: ordinary names end so, with a digest behind.
- **In a stream** (a body longer than `max_body_mb`): a secret that is split over the fields of JSON that is itself in an
  archive or a part, and quoted-printable. All the rest is looked at as it passes, archives too. Where a stream pauses, what
  came before has gone on: of a secret that is cut there the first part, up to a vendor's prefix and five letters.

**Packs.** Credentials are always looked for, and seed phrases while `seed_phrases` is on, for all have a checksum or a shape.
`pipelock.dlp.packs` adds `crypto` (private keys and addresses of Bitcoin, by Base58Check and Bech32) and `payment` (cards by Luhn,
IBANs by their check digits). Both are off by default: an address is no secret, one number in ten of a card's length is one by
chance, and their expressions, which no word begins, make the engine slower: text by half, lists of digests several times.

**What a host has said** is known to it, and is no leak to it (claude_bottle/dlp/said.py, claude_bottle/dlp/heard.py). pipelock hears answers as
they pass: headers, and the first 256 kB of JSON, event streams, HTML, XML and forms. What stood there as a whole value, a token in
JSON, a cookie, a hidden field, the parameter of an address, may go back to the same host by the same scheme for eight hours after
its last use: in a header or a cookie, in the address of a GET or HEAD; in a body, or the address of what may write, where it
is the whole of a field and has no vendor's shape or is a JSON Web Token. Running text says nothing. To every other host it is a
secret as before, and so is one that is longer, or another one beside it. A value that egress puts in is never known. Kept are salted digests,
4,096 of a host and 65,536 in all, in memory alone: after a restart of pipelock a client logs in again.
**Addresses.** An address that a host gives (`Location`, `Link`, JSON, HTML) may be fetched for an hour, exactly as it stands,
by GET or HEAD and with no body. Where it leads to another host, that one must be allowed too, and the agent must have no part in
it: nothing of the secret, in pieces of eight letters, and not the other host's name stood in the request, in any reading; the secret
was never said back to anybody, nor said before by this host as its own; no rule is off for this host, and its owner has let nothing
through to it. A login at one host for another one (a token service for its registry, a cookie for a whole
domain, an upload by a signed address) is not known so: name the rule for that host, `dlp.hosts: {registry.example.com: {disabled_rules: [jwt]}}`.

What is refused because it cannot be looked at: encrypted archives, 7-Zip, RAR, LZ4, Lzip and Snappy, ways to pack that zip
has and nobody uses, encodings and archives nested deeper than four, more than 64 MB and a hundred times its size (8
MB and a hundred times its size, for a body of less than 1 MB) when unpacked, 10,000 parts, 50,000 members, and 100,000 places in a megabyte that look like a secret and are
none.

What it takes for a secret and is none, of 8,326 files of a system (344 MB: programs, libraries, documents, fonts): in 17
twelve words of the BIP-39 list in a row whose checksum is right by chance, as one in sixteen is (names in programs and
translations, and the list itself); 3 passwords of examples; 4 by the generic rule; a token of a vendor's in none but
documents and tests that have one.
""".splitlines()


def page(figures: Figures, kinds: Found) -> str:
    """docs/dlp.md."""
    hows = list(dict.fromkeys(how for _, how in figures.tried))
    families: dict[str, Counter[str]] = defaultdict(Counter)
    for (family, how), count in figures.tried.items():
        families[family]["tried"] += count
        families[family]["found"] += figures.hits[family, how]
    tried, hits = sum(figures.tried.values()), sum(figures.hits.values())
    lines = [
        "# What the DLP engine finds",
        "",
        "Written by `make dlp` (bench/dlp_table.py); do not edit. Two tables: kinds from elsewhere, further down, say what is found; this",
        "one is a regression test. For each rule a secret is made at random from the rule's own",
        f"expression, and sent in {len(hows)} ways; a near-miss is the same cut short until no rule matches it. {figures.rules} rules",
        f"(gitleaks 8.30 and the project's own), {figures.rules - len(figures.without_sample)} with a sample. A secret counts as found when a request that carries it is refused.",
        "",
        f"- detection: **{hits} of {tried}** ({100 * hits / tried:.1f} %)",
        f"- near-misses that set off an alarm: **{len(figures.near)}**{_list(figures.near)}",
        f"- ordinary requests that set off an alarm: **{len(figures.alarms)} of {figures.ordinary}**{_list([' '.join(a) for a in figures.alarms])}",
        f"- random base64, and as much base64url: **{figures.base64_alarms} alarms in {figures.base64_mb:.0f} MB**",
        f"- kinds with a shape of their own that a letter beside the secret hides: **{len(figures.beside)} of {figures.shapes}**{_list(figures.beside)}",
        "",
        "| way | found | tried |",
        "|---|---|---|",
        *(f"| {how} | {sum(figures.hits[f, how] for f in families)} | {sum(figures.tried[f, how] for f in families)} |" for how in hows),
        "",
        "Not found, by way (rules):",
        "",
        *(_missed(figures, how) for how in hows if any(h == how for _, h in figures.missed)),
        "",
        "## By family",
        "",
        "| family | found | tried | near-miss alarms |",
        "|---|---|---|---|",
        *(f"| {name} | {c['found']} | {c['tried']} | {sum(r.split('-')[0] == name for r in figures.near)} |" for name, c in sorted(families.items())),
        "",
        f"Without a sample: {', '.join(figures.without_sample) or 'none'}.",
        "",
        *section(kinds),
        *RESIDUAL,
    ]  # fmt: skip
    return "\n".join(lines)


def _list(items: list[str]) -> str:
    return f" ({', '.join(items[:20])}{', …' if len(items) > 20 else ''})" if items else ""


def _missed(figures: Figures, how: str) -> str:
    rules = [rule for rule, h in figures.missed if h == how]
    return f"- {how}: {len(rules)}{_list(rules)}"


if __name__ == "__main__":
    figures = measure()
    document = page(figures, measure_kinds())
    (ROOT / "docs/dlp.md").write_text(document)
    print(document[:2500])
