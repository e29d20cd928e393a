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

The agent knows the rules. Whoever wants to evade them can use these ways:

- **Encryption**, and every encoding that is not listed here: Morse, words for letters, base58, base91, a private
  cipher. Also:
  - deflate without a header
  - uuencode outside of mail
  - base85 in more than 64 kB
  - hexadecimal pairs and numbers with unusual separators, in more than 1 kB
  - base64 in the labels of a name below a wildcard. Names are sent in small letters, in which base64 cannot be decoded.
    Hexadecimal, base32 and the bare text are detected there
- **Pieces:**
  - pieces with ordinary text at the cuts (such as the fields of YAML, CSV and XML)
  - pieces of encoded data (base64 in two requests)
  - pieces sent more than a minute apart
  - more than two pieces, with other requests between them, if none holds a vendor's prefix whole
  - less than the secret, such as a key without one letter
- **A picture's pixels, sound, and anything that only a running program shows.**
- **Secrets without a shape:**
  - a password without a word for it beside it
  - a secret that a rule knows only by a word beside it (`adafruit = ...`), if the word is missing or a letter follows
    the secret
  - a value after a credential's name, if it is code that names a thing by its own name (`api_key = client.api_key`),
    or itself the name of a credential in three or more words (`private_key_pem`)
  - a seed phrase between separators of different kinds, if two of its words are repeated (one in 2,000 phrases of
    twelve words)
  - fewer than fifteen bytes in base64 or hexadecimal
- **A secret known only by its name, under another name.** The generic rule matches if a name says credential.
  `nextToken`, `cache_key` or `csrf_token` say that a value is none (claude_bottle/dlp/rules/names.toml). An agent that
  wants to send a password can use such a name. An AWS key id does not count in the scope of a signature, as in signed
  addresses.
- **Timing, sizes, order**, and the choice of allowed hosts, paths and headers: these carry a bit at a time.
- **Combined encodings:**
  - backwards or rot13, and also encoded, in more than 2 kB (base64 and hexadecimal: 16 kB)
  - three nested encodings, if one of them is neither base64, hexadecimal nor escapes
  - look-alike letters in more than 64 kB of data that is no text
  - Discord's bot tokens backwards
- **A secret between random letters on both sides** (sixteen and more), if random base64 has its shape now and then and
  its vendor publishes neither a checksum nor a longer prefix: Adobe, Artifactory, ClickHouse, EasyPost, Facebook pages,
  Infracost, Prefect, Square, old ones of Alibaba. Also AWS between capitals and digits, as in base32. In such text,
  tokens of GitHub and npm are found by their checksum, and Google's by `AIzaSy`.
- **What gitleaks' own allowlists exempt**: placeholders, and for its generic rule the words of examples beside a
  secret. Text behind a vendor's secret does not exempt it.
- **Hosts on `passthrough`**, which are not read.
- **`ion_`, `NF-`, `cio` and the like with a letter before them**, because ordinary names end so, followed by a digest.
- **In a stream** (a body longer than `max_body_mb`): quoted-printable, and a secret that is split over the fields of
  JSON, if the JSON is itself in an archive or a part. Everything else is scanned as it passes, archives included. If a
  stream pauses, the data before the pause has been sent. If a secret is cut there, its first part has been sent: at
  most the vendor's prefix and five letters.

**Packs.** pipelock always looks for credentials, and for seed phrases while `seed_phrases` is on, because all of these
have a checksum or a shape. `pipelock.dlp.packs` adds `crypto` (private keys and addresses of Bitcoin, by Base58Check
and Bech32, and addresses of Ethereum in mixed case, by EIP-55) and `payment` (cards by Luhn, IBANs by their check digits).
An address of Ethereum in small letters or in capitals alone has no checksum, so it is not found. Both packs are
off by default, for these reasons:

- An address is no secret.
- One in ten numbers of a card's length passes the check by chance.
- Their expressions begin with no fixed word, so they slow the engine down: by half for text, several times for lists of
  digests.

**What a host has said** is known to it, so sending it back is no leak (claude_bottle/dlp/said.py,
claude_bottle/dlp/heard.py). pipelock reads answers as they pass: headers, and the first 256 kB of JSON, event streams,
HTML, XML and forms. It remembers whole values only: a token in JSON, a cookie, a hidden field, a parameter of an
address. It remembers nothing from running text. Such a value may go back to the same host by the same scheme, for eight
hours after its last use:

- in a header or a cookie
- in the address of a GET or HEAD
- in a body, or in the address of a request that may write: only as a whole field, and only if it has no vendor's shape
  or is a JSON Web Token

To every other host the value is a secret as before. So is a longer value, or another value beside it. A value that
egress injects never counts as known. pipelock keeps only salted digests, in memory: 4,096 for a host and 65,536 in all.
After a restart of pipelock a client has to log in again.

**Addresses.** If a host gives an address (`Location`, `Link`, JSON, HTML), the agent may fetch exactly that address for
an hour, by GET or HEAD and without a body. An address on another host must meet further conditions, so that the agent
has no part in it:

- The other host is allowed.
- No eight letters of the secret in a row, and not the other host's name, stood in the agent's request, in any reading.
- The secret was never said back to anybody, and the host that gave the address has not said it before as its own.
- No rule is off for the host that gave the address, and the owner has let nothing through to it.

A login at one host for another host (a token service for its registry, a cookie for a whole domain, an upload by a
signed address) is not recognized this way. For example, Docker Hub's tokens and those of many MCP servers have an
issuer on another host. The host that gets such a token has not said it, so the request can be refused. Disable the rule
for that host: `dlp.hosts: {registry.example.com: {disabled_rules: [jwt]}}`.

**Refused, because it cannot be scanned:**

- encrypted archives, 7-Zip, RAR, LZ4, Lzip and Snappy, and zip's rarely used compression methods
- encodings and archives nested deeper than four
- in a body that is held: data that unpacks to more than 64 MB, or to more than 8 MB plus a hundred times the body's size
- in a stream: data that unpacks to more than 64 MB and to more than a hundred times its size
- more than 10,000 parts, or 50,000 members
- more than 100,000 places that look like a secret to one rule and are none, in one text (a megabyte of ordinary text
  has room for fewer)

**False alarms** in 8,326 files of a system (344 MB: programs, libraries, documents, fonts):

- in 17 files, twelve words of the BIP-39 list in a row whose checksum is right by chance, as in one of sixteen such
  rows (names in programs and translations, and the list itself)
- 3 passwords of examples
- 4 matches of the generic rule
- a vendor's token only in documents and tests that contain one
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
        "Written by `make dlp` (bench/dlp_table.py); do not edit. This page has two measurements. The first one is a regression test.",
        "The second one, \"Kinds from elsewhere\", shows what the engine finds.",
        "",
        "For each rule, the test makes a random secret from the rule's own expression and sends it in",
        f"{len(hows)} ways. A near-miss is the same secret, shortened until no rule matches it. Of {figures.rules} rules",
        f"(gitleaks 8.30 and the project's own), {figures.rules - len(figures.without_sample)} have a sample. A secret counts as found if the request that contains it is refused.",
        "",
        f"- detection: **{hits} of {tried}** ({100 * hits / tried:.1f} %)",
        f"- near-misses that set off an alarm: **{len(figures.near)}**{_list(figures.near)}",
        f"- ordinary requests that set off an alarm: **{len(figures.alarms)} of {figures.ordinary}**{_list([' '.join(a) for a in figures.alarms])}",
        f"- random base64, half of it base64url: **{figures.base64_alarms} alarms in {figures.base64_mb:.0f} MB**",
        f"- kinds with a shape of their own that are not found if a letter is beside the secret: **{len(figures.beside)} of {figures.shapes}**{_list(figures.beside)}",
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
