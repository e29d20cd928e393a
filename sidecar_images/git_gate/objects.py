"""The objects that a push brings: how many and how large they are is asked before any content is read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .remotes import Remote
from .work import OBJECTS, ScanError, TooMuch, Work, unpacked_mb

_PATH = 1_000  # bytes of a path that are kept: a tree as deep as there are objects would fill the memory with them
# What the upstream has: the mirror was made like it when this push began.
KNOWN = ("--not", "--glob=refs/*")


@dataclass(frozen=True)
class Object:
    """path: where it was first seen; empty for commits, tags and root trees."""

    name: str
    kind: str
    size: int
    path: str


def new_objects(work: Work, remote: Remote, tips: Iterable[str]) -> list[Object]:
    """Every object that is reachable from `tips` and not from what the mirror has. Raises TooMuch, ScanError."""
    wanted = list(tips)
    if not wanted:
        return []
    paths = _listed(work, wanted)
    asked = "".join(f"{name}\n" for name in paths).encode()
    told = work.git("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=asked)
    found = []
    for line, (name, path) in zip(told.splitlines(), paths.items(), strict=True):
        words = line.decode().split()
        if len(words) != 3 or words[0] != name or words[1] == "missing":
            raise ScanError(f"object {name} cannot be read")
        found.append(Object(name, words[1], int(words[2]), path))
    limit = unpacked_mb(remote)
    if (size := sum(one.size for one in found if not too_large(remote, one))) > limit << 20:
        raise TooMuch(f"too large: {size >> 20} MB in all when unpacked, {limit} MB are allowed; push it in parts")
    return found


def too_large(remote: Remote, one: Object) -> bool:
    """A single file beyond what the owner allows; nothing reads it. Commits, trees and tags have the same bound."""
    return one.size > remote.max_blob_mb << 20


def _listed(work: Work, tips: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    argv = ["git", "rev-list", "--objects", *tips, *KNOWN]
    with work.reading(argv) as lister:
        for line in lister.stdout or ():
            name, _, path = line.rstrip(b"\n").partition(b" ")
            found[name.decode()] = path[-_PATH:].decode(errors="replace")
            if len(found) > OBJECTS:
                raise TooMuch(f"too large: more than {OBJECTS:,} new objects in one push; push it in parts")
    work.left()
    if lister.returncode != 0:
        raise ScanError("git rev-list: the objects of this push cannot be listed")
    return found


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
