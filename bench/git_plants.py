"""Plants secrets at random places of real histories, and pushes them through git-gate's scan: none may be missed.

The kinds and their shapes are those of bench/dlp_kinds.tsv, from the vendors' documents and other rule sets.
"""

from __future__ import annotations

import random
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from bench.dlp_kinds import Kind, kinds
from bench.git_histories import History

_TRIES = 20
_LINES = ("{}", "the value is {} as of today", 'token = "{}"', "# {}", '  "secret": "{}",', "export API_KEY={}")


class Plot:
    """One commit of a history as the upstream's newest, and what a push puts on top of it."""

    def __init__(self, history: History, rng: random.Random) -> None:
        self._git, self._rng = history.git, rng
        self._index = {"GIT_INDEX_FILE": str(history.folder / "plants.index")}
        self.base = rng.choice(history.last(2_000))[0]
        listing = self._git("ls-tree", "-r", "-z", self.base).split("\0")
        rows = (entry.partition("\t") for entry in listing if entry.startswith("100"))
        self._files = {path: entry.split()[2] for entry, _, path in rows}
        self.path = rng.choice(sorted(self._files))

    def text(self, path: str) -> list[bytes]:
        return self._git("cat-file", "blob", self._files[path]).encode(errors="surrogateescape").split(b"\n")

    def commit(self, files: dict[str, list[bytes] | None], *parents: str, message: str = "work") -> str:
        """On top of the first parent; None takes a file away."""
        self._git("read-tree", parents[0], **self._index)
        for path, lines in files.items():
            entry = f"0 {'0' * 40}"
            if lines is not None:
                blob = self._git("hash-object", "-w", "--stdin", stdin=b"\n".join(lines))
                entry = f"100644 {blob}"
            self._git("update-index", "-z", "--index-info", stdin=f"{entry}\t{path}\0".encode(), **self._index)
        tree = self._git("write-tree", **self._index)
        who = dict.fromkeys(
            ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@b.c"
        )
        return self._git("commit-tree", tree, *(word for one in parents for word in ("-p", one)), "-m", message, **who)

    def with_line(self, lines: list[bytes], line: bytes) -> list[bytes]:
        at = self._rng.randrange(len(lines) + 1)
        return [*lines[:at], line, *lines[at:]]


def new_file(plot: Plot, line: bytes, _: bytes) -> tuple[str, str]:
    folder = PurePosixPath(plot.path).parent
    return plot.base, plot.commit({str(folder / "planted.txt"): plot.with_line(plot.text(plot.path), line)}, plot.base)


def old_file(plot: Plot, line: bytes, _: bytes) -> tuple[str, str]:
    return plot.base, plot.commit({plot.path: plot.with_line(plot.text(plot.path), line)}, plot.base)


def renamed(plot: Plot, line: bytes, _: bytes) -> tuple[str, str]:
    lines = plot.with_line(plot.text(plot.path), line)
    return plot.base, plot.commit({plot.path: None, f"{plot.path}.renamed": lines}, plot.base)


def moved(plot: Plot, line: bytes, _: bytes) -> tuple[str, str]:
    """Into another folder in one commit, the secret in the next, which a third takes out again."""
    lines, place = plot.text(plot.path), f"a folder/{plot.path}"
    first = plot.commit({plot.path: None, place: lines}, plot.base)
    second = plot.commit({place: plot.with_line(lines, line)}, first)
    return plot.base, plot.commit({place: lines}, second)


def merged(plot: Plot, line: bytes, _: bytes) -> tuple[str, str]:
    """In a merge alone, in neither of its sides."""
    lines = plot.text(plot.path)
    sides = [plot.commit({f"side {side}": [b"text"], plot.path: [*lines, side]}, plot.base) for side in (b"1", b"2")]
    return plot.base, plot.commit({plot.path: plot.with_line(lines, line)}, *sides)


def beside(plot: Plot, line: bytes, old: bytes) -> tuple[str, str]:
    """In the line after one of the same kind that the upstream has."""
    before = plot.with_line(plot.text(plot.path), old)
    base, at = plot.commit({plot.path: before}, plot.base), before.index(old)
    return base, plot.commit({plot.path: [*before[: at + 1], line, *before[at + 1 :]]}, base)


def in_a_message(plot: Plot, line: bytes, _: bytes) -> tuple[str, str]:
    return plot.base, plot.commit({}, plot.base, message=line.decode())


PLACES: dict[str, Callable[[Plot, bytes, bytes], tuple[str, str]]] = {
    place.__name__.replace("_", " "): place
    for place in (new_file, old_file, renamed, moved, merged, beside, in_a_message)
}


def plant(histories: Sequence[History], count: int, rng: random.Random) -> list[str]:
    """Lines of a report: how many of each place were missed, and which kinds no rule of the gate's knows anywhere."""
    tried, missed, report = Counter[str](), Counter[str](), []
    chosen: list[Kind] = []
    while len(chosen) < count:
        chosen += rng.sample(all_of_them := kinds(), len(all_of_them))
    for number, kind in enumerate(chosen[:count]):
        place = list(PLACES)[number % len(PLACES)]
        history = rng.choice(histories)
        form = rng.choice(_LINES)
        line, old = (form.format(kind.sample(rng)).encode() for _ in range(2))
        base, tip = _planted(history, place, line, old, rng)
        history.upstream_has([base])
        tried[place] += 1
        said = history.push(tip)
        if isinstance(said, str) or not said.secrets:
            missed[place] += 1
            report.append(f"missed: {kind.name} ({kind.source}), {place} in {history.name}, as {form}")
    rows = [f"| {place} | {missed[place]} of {tried[place]} |" for place in tried]
    return [*report, "| planted | missed |", "|---|---|", *rows, f"| all | {missed.total()} of {tried.total()} |"]


def _planted(history: History, place: str, line: bytes, old: bytes, rng: random.Random) -> tuple[str, str]:
    """Where the history's files are too large for a snapshot of it, another commit is chosen."""
    for _ in range(_TRIES):
        try:
            return PLACES[place](Plot(history, rng), line, old)
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace")
    raise SystemExit(f"nothing can be planted in {history.name}: {said}")
