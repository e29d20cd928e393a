"""Looks for secrets in everything that a push brings: contents, messages, names, tags, options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .leaks import Gitleaks
from .objects import KNOWN, Object, contents, new_objects, too_large
from .plain import readable
from .remotes import Remote
from .unpack import Bounds, CannotUnpack, unpacked
from .work import ScanError, TooMuch, Work, unpacked_mb

__all__ = ["KNOWN", "Looked", "ScanError", "Secret", "TooMuch", "look", "tree_names"]

_LFS = b"version https://git-lfs.github.com/spec/"
_NAMED = 20  # secrets whose commit is looked for


@dataclass(frozen=True)
class Secret:
    """Where a secret is; never what it is. place: for a person. commit: the commit that brings it, if one does."""

    place: str
    line: int
    rule: str
    commit: str = ""

    def __str__(self) -> str:
        where = f", commit {self.commit[:12]}" if self.commit else ""
        return f"{self.place}, line {self.line}{where}: REDACTED (rule {self.rule})"


@dataclass
class Looked:
    """What a look at a push found, and what was in it. Paths: too_large, with sizes; lfs, of new LFS pointers; closed,
    of what is packed so that it cannot be looked at, with the reason."""

    secrets: list[Secret] = field(default_factory=list)
    too_large: list[str] = field(default_factory=list)
    lfs: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    commits: int = 0
    objects: int = 0


@dataclass
class _Text:
    """A text that gitleaks gets. place: for a person. objects: the one of each line, or of all where there is one."""

    place: str
    objects: Sequence[str] = ()

    def object_at(self, line: int) -> str:
        return self.objects[min(line, len(self.objects)) - 1] if self.objects else ""


def look(
    remote: Remote, new: Iterable[str], refs: Iterable[str], options: Iterable[str] = (), work: Work | None = None
) -> Looked:
    """Look at every object that is reachable from `new` and not from what the mirror has. Raises ScanError."""
    work, tips, told = work or Work(), list(new), Looked()
    bounds = Bounds(unpacked_mb(remote) << 20, check=work.left)
    texts: list[_Text] = []
    with Gitleaks(remote, work) as gitleaks:

        def add(text: _Text, content: bytes, name: str = "") -> None:
            texts.append(text)
            gitleaks.add(len(texts) - 1, content, name)

        names: dict[str, str] = {}
        small = []
        for one in new_objects(work, remote, tips):
            told.objects += 1
            told.commits += one.kind == "commit"
            if too_large(remote, one):
                told.too_large.append(f"{_place(one)}: {one.size >> 20} MB, {remote.max_blob_mb} MB are allowed")
            else:
                small.append(one)
        for one, data in contents(work, small):
            if one.kind == "tree":
                # Older trees come later: the name is of the first commit that has it.
                names.update((name, one.name) for name in tree_names(data, len(one.name) // 2))
                continue
            if one.kind == "blob" and data.startswith(_LFS):
                told.lfs.append(one.path)
            text = _Text(_place(one), (one.name,))
            add(text, readable(data), one.path)
            if inside := b"\n".join(_inside(one, data, bounds, told)):
                add(_Text(f"{text.place}, unpacked", text.objects), inside)
        lines = {" ".join(name.splitlines()): tree for name, tree in names.items()}
        add(_Text("the name of a file", list(lines.values())), "\n".join(lines).encode())
        add(_Text("the name of a ref"), "\n".join(refs).encode())
        add(_Text("a push option"), "\n".join(options).encode())
        known: dict[tuple[str, str, str], Secret] = {}
        for found in gitleaks.findings():
            text = texts[found.text]
            name = text.object_at(found.line)
            known.setdefault((text.place, found.rule, name), Secret(text.place, found.line, found.rule, name))
    for number, secret in enumerate(known.values()):
        commit = _commit_of(work, secret.commit, tips) if secret.commit and number < _NAMED else ""
        told.secrets.append(Secret(secret.place, secret.line, secret.rule, commit))
    return told


def _place(one: Object) -> str:
    if one.kind in ("commit", "tag"):
        return f"the message of commit {one.name[:12]}" if one.kind == "commit" else f"the tag {one.name[:12]}"
    return one.path or f"the {one.kind} {one.name[:12]}"


def _inside(one: Object, data: bytes, bounds: Bounds, told: Looked) -> Iterator[bytes]:
    """What is packed in there, readable; what cannot be unpacked is told."""
    try:
        for content in unpacked(data, bounds):
            yield readable(content)
    except CannotUnpack as closed:
        told.closed.append(f"{_place(one)}: {closed}")


def tree_names(data: bytes, hash_length: int) -> Iterator[str]:
    """The names in a tree object."""
    at = 0
    while at < len(data):
        end = data.index(b"\0", at)
        yield data[at:end].partition(b" ")[2].decode(errors="replace")
        at = end + 1 + hash_length


def _commit_of(work: Work, name: str, tips: list[str]) -> str:
    """The first new commit that has this object."""
    kind = work.git("cat-file", "-t", name).strip()
    if kind != b"blob" and kind != b"tree":
        return name if kind == b"commit" else ""
    argv = ["log", "-m", "-t", "--format=%H", "--no-mailmap", "--topo-order", f"--find-object={name}"]
    found = work.git(*argv, *tips, *KNOWN).split()
    if found:
        return found[-1].decode()
    # A root tree is in no difference: the commit that has it is listed with it.
    for line in work.git(
        "log", "--format=%H %T", "--no-mailmap", "--topo-order", "--reverse", *tips, *KNOWN
    ).splitlines():
        commit, _, tree = line.decode().partition(" ")
        if tree == name:
            return commit
    return ""
