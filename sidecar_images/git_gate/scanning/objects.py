"""The objects of a push. Their number and sizes are checked before any content is read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import IO

from ..remotes import Remote
from ..wishes import OUTSIDERS
from .added import COMPARED
from .work import OBJECTS, ScanError, TooMuch, Work, unpacked_mb

_PATH = 1_000  # bytes of a path that are kept: very deep trees would use up the memory
# The upstream's refs: the mirror was synchronised when this push began. Refs of outsiders are not the upstream's own.
UPSTREAMS = (*(f"--exclude={family}*" for family in OUTSIDERS), "--glob=refs/*")
KNOWN = ("--not", *UPSTREAMS)


_FILES = (":100644", ":100755", ":120000")  # the modes of files and links (gitformat-index(5))


@dataclass(frozen=True)
class Object:
    """path: the first one found; empty for commits, tags and root trees. commit: the first new one that has it; empty
    for the upstream's. base: the object in its place in that commit's first parent, if that may be read."""

    name: str
    kind: str
    size: int
    path: str
    commit: str = ""
    base: Object | None = None


def new_objects(work: Work, remote: Remote, tips: Iterable[str]) -> list[Object]:
    """Every object that is reachable from `tips` and not from the upstream's refs. Raises TooMuch, ScanError."""
    wanted = list(tips)
    if not wanted:
        return []
    paths = _listed(work, wanted)
    objects = _checked(work, paths)
    limit = unpacked_mb(remote)
    if (size := sum(one.size for one in objects if not too_large(remote, one))) > limit << 20:
        raise TooMuch(f"too large: {size >> 20} MB in all when unpacked, {limit} MB are allowed; push it in parts")
    return _in_order(work, remote, wanted, {one.name: one for one in objects})


def _checked(work: Work, paths: Mapping[str, str]) -> list[Object]:
    asked = "".join(f"{name}\n" for name in paths).encode()
    output = work.git("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=asked)
    objects = []
    for line, (name, path) in zip(output.splitlines(), paths.items(), strict=True):
        words = line.decode().split()
        if len(words) != 3 or words[0] != name or words[1] == "missing":
            raise ScanError(f"object {name} cannot be read")
        objects.append(Object(name, words[1], int(words[2]), path))
    return objects


def _in_order(work: Work, remote: Remote, tips: list[str], new: dict[str, Object]) -> list[Object]:
    """The same objects, ordered by commit, each after its base.

    A base is an object of the upstream's or an earlier one here, at the same path, because file names decide which
    rules apply.
    """
    rows, bases = [], {}
    placed: dict[str, Object] = {}
    for commit, name, old, path in _first_seen(work, tips, new):
        one = replace(new[name], commit=commit)
        before = placed.get(old)
        if one.kind == "blob" and path == one.path and old.strip("0"):
            if before is not None and before.path == path:
                rows.append((one.name, old))
            elif old not in new:
                rows.append((one.name, old))
                bases[old] = path
        placed[name] = one
    known = {one.name: one for one in _checked(work, bases)}
    for name, old in rows:
        base = known.get(old) or placed[old]
        if base.kind == "blob" and not too_large(remote, base):
            placed[name] = replace(placed[name], base=base)
    others = (one for name, one in new.items() if name not in placed)
    return [*placed.values(), *(replace(one, commit=one.name) if one.kind == "commit" else one for one in others)]


def _first_seen(work: Work, tips: list[str], new: Mapping[str, Object]) -> Iterator[tuple[str, str, str, str]]:
    """(commit, object, the first parent's object there, path) for each new object in a tree, parents first."""
    argv = ["git", "log", "--topo-order", "--reverse", "--raw", "-z", "-r", "-t", "--root", "--no-abbrev"]
    argv += ["--no-renames", "--diff-merges=first-parent", "--no-mailmap", "--no-show-signature", "--format=%H %T"]
    seen: set[str] = set()
    with work.reading([*argv, *tips, *KNOWN]) as log:
        parts = _parts(log.stdout)
        commit = ""
        for part in parts:
            words = part.decode(errors="replace").split()
            if not words:
                continue
            if part.lstrip(b"\n").startswith(b":"):
                path = next(parts, b"")[-_PATH:].decode(errors="replace")
                # A submodule's entry names no file of the upstream's: it may name any object of the push.
                old, name = words[2] if words[0] in _FILES else "", words[3]
            else:
                commit, name, old, path = words[0], words[1], "", ""
            if name in new and name not in seen:
                seen.add(name)
                yield commit, name, old, path
    work.left()
    if log.returncode != 0:
        raise ScanError("git log: the commits of this push cannot be listed")


def _parts(stream: IO[bytes] | None) -> Iterator[bytes]:
    """The stream's content, split at zero bytes."""
    left = b""
    while stream is not None and (data := stream.read(1 << 16)):
        *whole, left = (left + data).split(b"\0")
        yield from whole
    yield left


def too_large(remote: Remote, one: Object) -> bool:
    """Whether an object is larger than the owner allows a file to be; then it is not read. Applies to all kinds of
    objects."""
    return one.size > remote.max_blob_mb << 20


def _listed(work: Work, tips: list[str]) -> dict[str, str]:
    paths: dict[str, str] = {}
    argv = ["git", "rev-list", "--objects", *tips, *KNOWN]
    with work.reading(argv) as lister:
        for line in lister.stdout or ():
            name, _, path = line.rstrip(b"\n").partition(b" ")
            paths[name.decode()] = path[-_PATH:].decode(errors="replace")
            if len(paths) > OBJECTS:
                raise TooMuch(f"too large: more than {OBJECTS:,} new objects in one push; push it in parts")
    work.left()
    if lister.returncode != 0:
        raise ScanError("git rev-list: the objects of this push cannot be listed")
    return paths


def versions(work: Work, objects: Iterable[Object]) -> Iterator[tuple[Object, bytes, bytes | None]]:
    """Each object with its content and, if it has a base to compare with, the base's content. Raises ScanError."""
    wanted = [(one, one.base if one.base and max(one.size, one.base.size) <= COMPARED else None) for one in objects]
    read = contents(work, (each for one, base in wanted for each in (base, one) if each))
    for one, base in wanted:
        old = next(read)[1] if base else None
        yield one, next(read)[1], old


def contents(work: Work, objects: Iterable[Object]) -> Iterator[tuple[Object, bytes]]:
    """Each object with its content, one in memory at a time. Raises ScanError, TooMuch."""
    wanted = list(objects)
    with tempfile.TemporaryFile() as names:
        names.write("".join(f"{one.name}\n" for one in wanted).encode())
        names.seek(0)
        with work.reading(["git", "cat-file", "--batch"], names) as reader:
            assert reader.stdout is not None  # noqa: S101 - it is a pipe
            for one in wanted:
                head = reader.stdout.readline().split()
                data = reader.stdout.read(one.size + 1)
                if head[:1] != [one.name.encode()] or head[2:] != [b"%d" % one.size] or len(data) != one.size + 1:
                    work.left()
                    raise ScanError(f"object {one.name} cannot be read")
                yield one, data[:-1]
