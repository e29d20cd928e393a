"""Samples for the DLP engine: for each rule a secret made from its own expression and one that just misses, and ordinary requests.

Everything is random and valid nowhere. Seeded, so that a run can be repeated.
"""

from __future__ import annotations

import base64
import json
import random
import re
import string
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_bottle.dlp.rules.ruleset import Rule, RuleSet, shannon_entropy

ALNUM = string.ascii_letters + string.digits


class Maker:
    """Makes texts that an expression matches, by walking through how Python parses it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def make(self, pattern: str) -> str:
        """A text. Raises ValueError for what the walk does not know."""
        return self._all(re._parser.parse(_python(pattern)))  # type: ignore[attr-defined]

    def _all(self, parsed: Any) -> str:
        return "".join(self._one(op, arg) for op, arg in parsed)

    def _one(self, op: Any, arg: Any) -> str:
        name = str(op)
        if name == "LITERAL":
            return chr(arg)
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, inner = arg
            # The longest that is usual: entropy rules want length.
            count = (
                low
                if int(high) > 10_000 and low
                else min(int(high), max(low, 40 if low == 0 and int(high) > 100 else low))
            )
            if low == 0 and int(high) <= 60 and name == "MIN_REPEAT":
                count = 0
            return "".join(self._all(inner) for _ in range(count))
        if name == "IN":
            return self.random.choice(_choices(arg))
        if name == "ANY":
            return self.random.choice(ALNUM)
        if name == "BRANCH":
            return self._all(self.random.choice(arg[1]))
        if name == "SUBPATTERN":
            return self._all(arg[3])
        if name == "NOT_LITERAL":
            return self.random.choice([c for c in ALNUM if ord(c) != arg])
        if name == "CATEGORY":
            return self.random.choice(_category(str(arg)))
        if name == "AT":
            return ""
        raise ValueError(name)


def _choices(items: Any) -> str:
    letters, negated = set(), False
    for op, arg in items:
        name = str(op)
        if name == "LITERAL":
            letters.add(chr(arg))
        elif name == "RANGE":
            letters.update(chr(c) for c in range(arg[0], min(arg[1], 126) + 1))
        elif name == "CATEGORY":
            letters.update(_category(str(arg)))
        elif name == "NEGATE":
            negated = True
    if negated:
        return "".join(c for c in ALNUM if c not in letters) or "x"
    plain = sorted(c for c in letters if c in ALNUM) or sorted(c for c in letters if c.isprintable()) or sorted(letters)
    return "".join(plain)


def _category(name: str) -> str:
    return {"CATEGORY_DIGIT": string.digits, "CATEGORY_SPACE": " ", "CATEGORY_NOT_SPACE": ALNUM}.get(name, ALNUM)


def _python(pattern: str) -> str:
    """RE2's spelling as Python's: flags in the middle apply to a group, classes have other names."""
    pattern = pattern.replace("[[:alnum:]]", "[A-Za-z0-9]").replace("[:alnum:]", "A-Za-z0-9").replace("\\z", "\\Z")
    pattern = re.sub(r"\(\?i\)", "", pattern)
    return re.sub(r"\(\?P<", "(?P<", re.sub(r"\(\?-i:", "(?:", re.sub(r"\(\?i:", "(?:", pattern)))


@dataclass(frozen=True)
class Sample:
    """One rule's secret, in a line as it is found in files, and a line that just misses."""

    rule: str
    family: str
    line: str
    near_miss: str


def samples(rules: RuleSet, seed: int = 7, tries: int = 300) -> tuple[list[Sample], list[str]]:
    """A sample for each rule that one can be made for, and the rules for which none was found."""
    chosen, missing = [], []
    for rule in rules.rules:
        sample = _sample(rule, rules, seed, tries)
        if sample is None:
            missing.append(rule.id)
        else:
            chosen.append(sample)
    return chosen, missing


def _sample(rule: Rule, rules: RuleSet, seed: int, tries: int) -> Sample | None:
    maker = Maker(seed + len(rule.id))
    for _ in range(tries):
        try:
            text = maker.make(rule.pattern).strip()
        except (ValueError, re.error, RecursionError, IndexError):
            return None
        # A key as people write it: the word before it, where the rule wants one.
        for line in (text, f"{text} ", f'{text}"'):
            if "\n" in line and "PRIVATE" not in line:
                continue
            secret = rule.find(line.encode("latin-1", "replace"), rules._common)
            if (
                secret is not None
                and shannon_entropy(secret) > rule.entropy
                and rules.find(line.encode("latin-1", "replace"))
            ):
                return Sample(rule.id, rule.id.split("-")[0], line, _near_miss(line, secret.decode("latin-1"), rules))
    return None


def _near_miss(line: str, secret: str, rules: RuleSet) -> str:
    """The line with a secret that is cut short, or all of one letter: what no rule should take for one."""
    for cut in range(1, len(secret)):
        short = line.replace(secret, secret[:-cut])
        if rules.find(short.encode("latin-1", "replace")) is None:
            return short
    return line.replace(secret, "x" * len(secret))


# --- how a secret can be sent ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """Requests, in order; each is (path, headers, body, content type, content encoding)."""

    how: str
    requests: list[tuple[str, list[tuple[bytes, bytes]], bytes, str, str]]


def ways(line: str) -> Iterator[Sent]:
    """Every way in which the table sends a line."""
    from urllib.parse import quote

    import brotli
    import zstandard

    raw = line.encode("latin-1", "replace")
    plain = "text/plain"

    def body(data: bytes, kind: str = plain, encoding: str = "") -> list[tuple[str, list[Any], bytes, str, str]]:
        return [("/x", [], data, kind, encoding)]

    def obj(value: str) -> bytes:
        return json.dumps({"id": 7, "note": value, "tags": ["a"]}).encode()

    yield Sent("query", [(f"/x?note={quote(line, safe='')}", [], b"", "", "")])
    yield Sent("path", [(f"/x/{quote(line, safe='')}", [], b"", "", "")])
    if "\n" not in line:
        yield Sent("header", [("/x", [(b"x-note", raw)], b"", "", "")])
        yield Sent("cookie", [("/x", [(b"cookie", b"a=1; note=" + raw)], b"", "", "")])
    yield Sent("plain", body(b"some words before\n" + raw + b"\nand some after\n"))
    yield Sent("json", body(obj(line), "application/json"))
    yield Sent("form", body(f"a=1&note={quote(line, safe='')}".encode(), "application/x-www-form-urlencoded"))
    part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\n' + raw + b"\r\n--b--\r\n"
    yield Sent("multipart", body(part, "multipart/form-data; boundary=b"))
    yield Sent("gzip", body(_gzip(raw), plain, "gzip"))
    yield Sent("deflate", body(zlib.compress(raw), plain, "deflate"))
    yield Sent("br", body(brotli.compress(raw), plain, "br"))
    yield Sent("zstd", body(zstandard.compress(raw), plain, "zstd"))
    yield Sent("base64", body(obj(base64.b64encode(raw).decode()), "application/json"))
    yield Sent("base64url", body(base64.urlsafe_b64encode(b"note: " + raw).rstrip(b"=")))
    yield Sent("base64 twice", body(base64.b64encode(base64.b64encode(raw))))
    yield Sent("hex", body(raw.hex().encode()))
    yield Sent("percent", body("".join(f"%{byte:02x}" for byte in raw).encode()))
    yield Sent(
        "unicode escapes",
        body(("{" + '"n": "' + "".join(f"\\u{byte:04x}" for byte in raw) + '"}').encode(), "application/json"),
    )
    yield Sent("reversed", body(raw[::-1]))
    middle = len(line) // 2
    third = max(len(line) // 3, 1)
    fields = {"a": line[:third], "b": line[third : 2 * third], "c": line[2 * third :]}
    yield Sent("split over fields", body(json.dumps(fields).encode(), "application/json"))
    halves = [line[:middle], line[middle:]]
    yield Sent("split over requests", [("/x", [], obj_only(half), "application/json", "") for half in halves])
    yield Sent("zero-width", body("\u200b".join(line).encode()))
    yield Sent("homoglyphs", body(line.translate(str.maketrans("aceopxyAEKMT", "асеорхуАЕКМТ")).encode()))
    yield Sent("full-width", body("".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in line).encode()))


def obj_only(value: str) -> bytes:
    return json.dumps({"v": value}).encode()


def _gzip(data: bytes) -> bytes:
    import gzip

    return gzip.compress(data)


# --- ordinary requests -------------------------------------------------------------------------------------------------


def ordinary(seed: int = 11) -> list[tuple[str, str, bytes, str]]:
    """What developers send all day: (kind, path, body, content type)."""
    rng = random.Random(seed)
    requests: list[tuple[str, str, bytes, str]] = []

    def hexes(n: int) -> str:
        return "".join(rng.choice("0123456789abcdef") for _ in range(n))

    def b64(n: int) -> str:
        return base64.b64encode(rng.randbytes(n)).decode()

    names = [
        "react",
        "lodash",
        "typescript",
        "@types/node",
        "eslint-plugin-import",
        "requests",
        "numpy",
        "serde",
        "tokio",
        "express",
    ]
    for name in names:
        version = f"{rng.randrange(20)}.{rng.randrange(40)}.{rng.randrange(10)}"
        requests += [
            ("npm metadata", f"/{name.replace('/', '%2f')}", b"", ""),
            ("npm tarball", f"/{name}/-/{name.split('/')[-1]}-{version}.tgz", b"", ""),
            ("pip index", f"/simple/{name.lower()}/", b"", ""),
            (
                "pip wheel",
                f"/packages/{hexes(2)}/{hexes(2)}/{hexes(60)}/{name.split('/')[-1]}-{version}-py3-none-any.whl#sha256={hexes(64)}",
                b"",
                "",
            ),
            ("crate", f"/api/v1/crates/{name.split('/')[-1]}/{version}/download", b"", ""),
            ("go module", f"/github.com/acme/{name.split('/')[-1]}/@v/v{version}.zip", b"", ""),
            ("docker layer", f"/v2/library/{name.split('/')[-1]}/blobs/sha256:{hexes(64)}", b"", ""),
            (
                "apt",
                f"/debian/pool/main/{name[0]}/{name.split('/')[-1]}/{name.split('/')[-1]}_{version}-1+b1_amd64.deb",
                b"",
                "",
            ),
        ]
    for n in range(12):
        commit, ident = hexes(40), str(uuid.UUID(int=rng.getrandbits(128)))
        issue = {
            "title": f"Crash in parser #{n}",
            "body": f'See {commit} and request {ident}.\n```\nTraceback (most recent call last):\n  File "a.py", line {n}\n```',
            "labels": ["bug"],
        }
        requests += [
            ("github issue", f"/repos/acme/project/issues?state=open&page={n}&per_page=100", json.dumps(issue).encode(), "application/json"),
            ("github tree", f"/repos/acme/project/git/trees/{commit}?recursive=1", b"", ""),
            ("graphql", "/graphql", json.dumps({"query": "query($o:String!,$n:String!){repository(owner:$o,name:$n){id defaultBranchRef{name}}}", "variables": {"o": "acme", "n": f"p{n}"}}).encode(), "application/json"),
            ("git fetch", "/acme/project.git/git-upload-pack", f"0098want {commit} multi_ack_detailed no-done side-band-64k thin-pack ofs-delta deepen-since agent=git/2.47.3\n00000032have {hexes(40)}\n0009done\n".encode(), "application/x-git-upload-pack-request"),
            ("telemetry", "/v1/traces", json.dumps({"resourceSpans": [{"traceId": hexes(32), "spanId": hexes(16), "name": "GET /", "startTimeUnixNano": str(rng.getrandbits(60))}]}).encode(), "application/json"),
            ("uuids", "/batch", json.dumps({"ids": [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(40)]}).encode(), "application/json"),
            ("hashes", "/verify", "\n".join(f"{hexes(64)}  file-{i}.bin" for i in range(40)).encode(), "text/plain"),
            ("package-lock", "/upload", json.dumps({"packages": {f"node_modules/{m}": {"version": "1.2.3", "resolved": f"https://registry.example.com/{m}/-/{m}-1.2.3.tgz", "integrity": f"sha512-{b64(64)}"} for m in names}}).encode(), "application/json"),
            ("go.sum", "/upload", "\n".join(f"example.com/acme/{m} v1.{i}.0 h1:{b64(32)}" for i, m in enumerate(names)).encode(), "text/plain"),
            ("requirements", "/upload", "\n".join(f"{m}==1.{i} \\\n    --hash=sha256:{hexes(64)}" for i, m in enumerate(names)).encode(), "text/plain"),
            ("cargo.lock", "/upload", "\n".join(f'[[package]]\nname = "{m}"\nversion = "1.{i}.0"\nchecksum = "{hexes(64)}"' for i, m in enumerate(names)).encode(), "text/plain"),
            ("image", "/upload", b"\x89PNG\r\n\x1a\n" + rng.randbytes(6000), "image/png"),
            ("image in json", "/v1/messages", json.dumps({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": b64(20_000)}}]}]}).encode(), "application/json"),
            ("data url", "/upload", f"<img alt='logo' src='data:image/svg+xml;base64,{b64(3000)}'>".encode(), "text/html"),
            ("font in css", "/upload", f"@font-face{{font-family:A;src:url(data:font/woff2;base64,{b64(8000)}) format('woff2')}}".encode(), "text/css"),
            ("diff", "/upload", f"diff --git a/x.py b/x.py\nindex {hexes(7)}..{hexes(7)} 100644\n--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n-key = load('a')\n+key = os.environ['API_KEY']\n".encode(), "text/plain"),
            ("minified", "/upload", ("!function(e,t){" + "".join(f"var {rng.choice(ALNUM[:52])}{i}=t[{rng.randrange(999)}],{rng.choice(ALNUM[:52])}={i};" for i in range(400)) + "}(window,[])").encode(), "text/javascript"),
            ("source map", "/upload", json.dumps({"version": 3, "sources": ["a.ts"], "mappings": "".join(rng.choice(ALNUM + ";,+/") for _ in range(3000))}).encode(), "application/json"),
            ("ssh public key", "/user/keys", json.dumps({"title": "laptop", "key": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{b64(32)[:43]} me@laptop"}).encode(), "application/json"),
            ("certificate", "/upload", f"-----BEGIN CERTIFICATE-----\n{b64(700)}\n-----END CERTIFICATE-----\n".encode(), "application/x-pem-file"),
            ("csv", "/upload", "\n".join(f"{i},{rng.random():.6f},{hexes(12)},{rng.choice(names)}" for i in range(200)).encode(), "text/csv"),
            ("sql", "/query", json.dumps({"sql": f"SELECT id, password_hash IS NULL FROM users WHERE token_id = {n} AND created > '2026-01-01'"}).encode(), "application/json"),
            ("form", "/search", f"q=how+to+rotate+api+keys&page={n}&csrf_field=present&sort=date".encode(), "application/x-www-form-urlencoded"),
            ("etag", f"/file-{n}?v={hexes(32)}&etag=%22{hexes(40)}%22", b"", ""),
            ("prose", "/comments", json.dumps({"body": "Please rotate the secret, then set TOKEN in the environment. The key should never be in the repository; use a password manager. " * 3}).encode(), "application/json"),
            ("base64 blob", "/upload", b64(30_000).encode(), "text/plain"),
            ("yaml", "/apply", f"apiVersion: v1\nkind: Deployment\nmetadata: {{name: web-{n}, uid: {ident}}}\nspec: {{image: 'registry.example.com/web@sha256:{hexes(64)}'}}\n".encode(), "application/yaml"),
            ("placeholder", "/upload", b"API_KEY=your-api-key-here\nTOKEN=${TOKEN}\npassword: changeme\nSECRET_KEY=<secret>\n", "text/plain"),
        ]  # fmt: skip
    return requests + list(library_files())


def library_files(count: int = 60) -> Iterator[tuple[str, str, bytes, str]]:
    """Real source text: modules of Python's standard library, as an upload."""
    folder = Path(json.__file__).parents[1]
    for file in sorted(folder.glob("*.py"))[: count * 2 : 2]:
        yield "source file", "/upload", file.read_bytes()[:100_000], "text/x-python"
