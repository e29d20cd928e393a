"""Scans everything in a push for secrets: contents, messages, names, tags, options."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from ..remotes import Remote
from .added import FAR, NEAR, added
from .finding import Finding
from .known import OWN_RULE, Views, digest_of, needle, own_credentials, upstream_has
from .leaks import Gitleaks
from .masked import Mask
from .objects import KNOWN, Object, new_objects, too_large, versions
from .plain import readable
from .unpack import Bounds, CannotUnpack, PushBound, unpacked
from .work import ScanError, TooMuch, Work, unpacked_mb

__all__ = ["KNOWN", "Judged", "Looked", "ScanError", "Secret", "TooMuch", "look", "tree_names"]

_DIGESTS = 100  # values for which a digest is computed in one push
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Secret:
    """The place of a secret, never its value. place: for a person. commit: the commit that introduces it, if any."""

    place: str
    line: int
    rule: str
    commit: str = ""
    digests: tuple[str, ...] = ()  # with which the owner may exempt it; the gate's own credentials have none

    def __str__(self) -> str:
        where = f", commit {self.commit[:12]}" if self.commit else ""
        return f"{self.place}, line {self.line}{where}: REDACTED (rule {self.rule})"


@dataclass(frozen=True)
class Judged:
    """One finding for its owner's judgement. digest: of the value. where: object, line and rule. shown: its place, and
    context: the rule's match, both with every secret of the push masked."""

    digest: str
    where: str
    shown: str
    context: str


@dataclass
class Looked:
    """The result of scanning a push. Paths: too_large, with sizes; lfs, of new LFS pointers; closed, of archives that
    cannot be scanned, with the reason."""

    secrets: list[Secret] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)  # each of the findings behind `secrets`
    beyond: bool = False  # one is not for the owner to judge: the gate's own credential, or one without a digest
    too_large: list[str] = field(default_factory=list)
    lfs: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    commits: int = 0
    objects: int = 0


@dataclass(frozen=True)
class _Text:
    """A text for gitleaks. place: for a person. objects: one for each line, or one for all. packed: it was unpacked
    from an object."""

    place: str
    objects: Sequence[Object] = ()
    packed: bool = False

    def object_at(self, line: int) -> Object | None:
        return self.objects[min(line, len(self.objects)) - 1] if self.objects else None


def look(
    remote: Remote, new: Iterable[str], refs: Iterable[str], options: Iterable[str] = (), work: Work | None = None
) -> Looked:
    """Scan everything that `new` introduces: each object that the upstream does not have and, in a file with an old
    version, the parts that are new. Raises ScanError."""
    work, looked, own = work or Work(), Looked(), own_credentials()
    bounds = Bounds(unpacked_mb(remote) << 20, check=work.left)
    texts: list[_Text] = []
    findings: list[Finding] = []
    seen: set[bytes] = set()
    with Gitleaks(remote, work, own) as gitleaks:

        def add(text: _Text, content: bytes, name: str = "", parts: Sequence[tuple[int, int]] | None = None) -> None:
            texts.append(text)
            for credential in own:
                if (at := content.find(credential.encode())) >= 0:
                    line = content.count(b"\n", 0, at) + 1
                    findings.append(Finding(len(texts) - 1, line, line, OWN_RULE, credential, credential))
            lines = last = 0
            for start, end in [(0, len(content))] if parts is None else parts:
                lines += content.count(b"\n", last, start)
                gitleaks.add(len(texts) - 1, content[start:end], name, lines)
                last = start

        names: dict[str, Object] = {}
        small = []
        for one in new_objects(work, remote, new):
            looked.objects += 1
            looked.commits += one.kind == "commit"
            if too_large(remote, one):
                looked.too_large.append(f"{_place(one)}: {one.size >> 20} MB, {remote.max_blob_mb} MB are allowed")
            else:
                small.append(one)
        for one, data, old in versions(work, small):
            if one.kind == "tree":
                for name in tree_names(data, len(one.name) // 2):
                    names.setdefault(name, one)
                continue
            if one.kind == "blob" and data.startswith(_LFS):
                looked.lfs.append(one.path)
            text = _Text(_place(one), (one,))
            content = readable(data)
            near = FAR if remote.rules else NEAR
            add(text, content, one.path, None if old is None else added(readable(old), content, near))
            inside = b"\n".join(_inside(one, data, bounds, looked))
            if inside and (digest := hashlib.sha256(inside).digest()) not in seen:
                seen.add(digest)
                add(_Text(f"{text.place}, unpacked", text.objects, packed=True), inside)
        lines = {" ".join(name.splitlines()): tree for name, tree in names.items()}
        add(_Text("the name of a file", list(lines.values())), "\n".join(lines).encode())
        add(_Text("the name of a ref"), "\n".join(refs).encode())
        add(_Text("a push option"), "\n".join(options).encode())
        findings += gitleaks.findings()
    _news(work, remote, own, texts, findings, looked)
    return looked


def _news(
    work: Work, remote: Remote, own: Sequence[str], texts: Sequence[_Text], findings: Sequence[Finding], looked: Looked
) -> None:
    """Report each finding once, at the first commit that introduces it, and each line once; leave out those known
    upstream."""
    first: dict[tuple[str, str, bytes], Finding] = {}
    for one in sorted(findings, key=lambda one: (one.text, one.line)):  # gitleaks has no order; texts come by commit
        first.setdefault((texts[one.text].place, one.rule, needle(one.secret, one.match)), one)
    always = {key for key, one in first.items() if any(credential in one.match for credential in own)}
    views = Views(work)
    asked = {}
    for key, one in first.items():
        text = texts[one.text]
        about = text.object_at(one.line)
        if key in always or about is None or not views.had_before(about, one, packed=text.packed):
            asked[key] = one
    had = upstream_has(work, {key[2] for key in asked if key not in always})
    news = {key: one for key, one in asked.items() if key in always or key[2] not in had}
    # Only for the first ones, because a digest is slow. A finding without one is reported but cannot be exempted.
    values = dict.fromkeys(key[2] for key in news if key not in always)
    digests = {value: digest_of(remote, value) for value in islice(values, _DIGESTS)}
    masked = Mask([*(one.secret for one in findings), *own])
    secrets: dict[tuple[str, int, str], Secret] = {}
    for key, one in news.items():
        digest = "" if key in always else digests.get(key[2], "")
        if digest in remote.known_findings:
            continue
        about = texts[one.text].object_at(one.line)
        commit = about.commit if about else ""
        secret = secrets.setdefault((key[0], one.line, commit), Secret(key[0], one.line, one.rule, commit))
        secrets[key[0], one.line, commit] = replace(secret, digests=(*secret.digests, *filter(None, (digest,))))
        looked.beyond = looked.beyond or not digest
        if looked.beyond:
            continue
        looked.judged.append(
            Judged(
                digest,
                f"{about.name if about else key[0]} {one.line} {one.rule}",
                masked.hide(str(replace(secret, place=json.dumps(masked.hide(key[0]), ensure_ascii=False)))),
                masked.hide(one.match if one.secret in one.match else one.secret),  # otherwise gitleaks has decoded it
            )
        )
    looked.secrets = list(secrets.values())


def _place(one: Object) -> str:
    if one.kind in ("commit", "tag"):
        return f"the message of commit {one.name[:12]}" if one.kind == "commit" else f"the tag {one.name[:12]}"
    return one.path or f"the {one.kind} {one.name[:12]}"


def _inside(one: Object, data: bytes, bounds: Bounds, looked: Looked) -> Iterator[bytes]:
    """The readable contents of archives in an object. Those that cannot be unpacked are reported in `closed`."""
    try:
        for content in unpacked(data, bounds):
            yield readable(content)
    except PushBound as bound:
        raise TooMuch(f"too large: the archives in this push unpack to {bound}; push it in parts") from None
    except CannotUnpack as closed:
        looked.closed.append(f"{_place(one)}: {closed}")


def tree_names(data: bytes, hash_length: int) -> Iterator[str]:
    """The names in a tree object."""
    at = 0
    while at < len(data):
        end = data.index(b"\0", at)
        yield data[at:end].partition(b" ")[2].decode(errors="replace")
        at = end + 1 + hash_length
