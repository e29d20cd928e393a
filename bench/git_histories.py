"""git-gate's scan on real histories: what of them it refuses, how fast it is, whether it finds what is planted there.

    python -m bench.git_histories REPO... [--last 500] [--plants 500]

REPO is any repository on this machine; it is read only. Each of its last commits is looked at as a push of its own to
an upstream that has its parents, and all of them as one push. The scan is the module that runs in the gate, with the
same gitleaks. Secrets are planted by bench/git_plants.py.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from bench.dlp_scanners import as_in_the_gate  # noqa: E402
from sidecar_images.git_gate.remotes import Remote  # noqa: E402
from sidecar_images.git_gate.scanning import leaks, scan  # noqa: E402

UPSTREAM = Remote("history", "a history on disk", max_push_mb=10_000, max_blob_mb=100)


class History:
    """A bare repository with the objects of another one, whose refs are what an upstream has."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.name, self.folder = source.resolve().parent.name if source.name == "repo" else source.name, folder
        subprocess.run(["git", "clone", "-q", "--bare", "--shared", str(source), str(folder)], check=True)
        self.tip = self.git("rev-parse", "HEAD")
        self.upstream_has([])

    def git(self, *argv: str, stdin: bytes = b"", **env: str) -> str:
        done = subprocess.run(
            ["git", *argv], cwd=self.folder, input=stdin, capture_output=True, check=True, env={**os.environ, **env}
        )
        return done.stdout.decode(errors="surrogateescape").strip()

    def last(self, count: int) -> list[list[str]]:
        """The last commits, each with its parents, the newest first."""
        listing = self.git("rev-list", "--topo-order", "--parents", f"--max-count={count}", self.tip)
        return [line.split() for line in listing.splitlines()]

    def upstream_has(self, commits: Sequence[str]) -> None:
        """From now on, these and what they reach."""
        deletions = self.git("for-each-ref", "--format=delete %(refname)").splitlines()
        lines = [
            *deletions,
            *(f"create refs/heads/u{n}-{name} {name}" for n, name in enumerate(dict.fromkeys(commits))),
        ]
        gone, created = [line for line in lines if line[0] == "d"], [line for line in lines if line[0] == "c"]
        for some in (gone, created):
            self.git("update-ref", "--stdin", stdin="".join(f"{line}\n" for line in some).encode())

    def push(self, tip: str) -> scan.Looked | str:
        """What the gate says of it; in words where it is beyond a bound."""
        os.chdir(self.folder)
        try:
            return scan.look(UPSTREAM, [tip], ["refs/heads/main"])
        except scan.ScanError as error:
            return str(error)
        finally:
            os.chdir(ROOT)


@dataclass
class Told:
    """Of one history. rules: findings of the commits by themselves, by rule."""

    name: str
    commits: int = 0
    refused: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    whole: str = ""
    findings: int = 0
    speed: float = 0.0
    processor: float = 0.0

    def row(self) -> str:
        rules = ", ".join(f"{rule} {count}" for rule, count in self.rules.most_common()) or "none"
        whole = f"{self.findings} {self.whole}".strip()
        figures = (self.name, self.commits, self.refused, rules, whole, f"{self.speed:.0f}", f"{self.processor:.1f}")
        return "".join(f"| {figure} " for figure in figures) + "|"


def reasons(said: scan.Looked | str) -> list[tuple[str, str]]:
    """(kind, line) for each reason of a refusal."""
    if isinstance(said, str):
        return [("a bound", said)]
    pairs = [(secret.rule, str(secret)) for secret in said.secrets]
    pairs += [("archive", line) for line in said.closed] + [("size", line) for line in said.too_large]
    return pairs + [("LFS", line) for line in said.lfs]


def measure(history: History, last: int, *, singles: bool = True) -> Told:
    """All commits in one push, and each by itself."""
    figures, commits = Told(history.name), history.last(last)
    inside = {commit for commit, *_ in commits}
    history.upstream_has([parent for _, *parents in commits for parent in parents if parent not in inside])
    begun, used = time.perf_counter(), os.times()
    said = history.push(history.tip)
    spent, now = time.perf_counter() - begun, os.times()
    figures.speed = len(commits) / spent
    figures.processor = sum(now[:4]) - sum(used[:4])
    refusals = reasons(said)
    figures.findings, figures.whole = len(refusals), said if isinstance(said, str) else ""
    figures.lines = [f"in one push: {line}" for _, line in refusals]
    for commit, *parents in commits if singles else ():
        history.upstream_has(parents)
        refusals = reasons(history.push(commit))
        figures.commits += 1
        figures.refused += bool(refusals)
        figures.rules.update(kind for kind, _ in refusals)
        figures.lines += [f"{commit[:12]}: {line}" for _, line in refusals]
    return figures


@contextmanager
def histories(sources: Sequence[Path]) -> Iterator[list[History]]:
    """Those on disk, each as a repository that may be written to; and gitleaks as in the gate."""
    with tempfile.TemporaryDirectory() as name:
        tools = Path(name) / "bin"
        tools.mkdir()
        for program, path in as_in_the_gate().items():
            (tools / program).symlink_to(path)
        os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
        with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
            leaks.SCRATCH = Path(scratch)
            yield [History(source, Path(name) / f"{number}.git") for number, source in enumerate(sources)]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repo", type=Path, nargs="+")
    parser.add_argument("--last", type=int, default=500)
    parser.add_argument("--plants", type=int, default=500)
    parser.add_argument("--whole-only", action="store_true", help="each history as one push, and nothing else")
    args = parser.parse_args()
    with histories(args.repo) as all_of_them:
        rows = []
        for history in all_of_them:
            rows.append(measure(history, args.last, singles=not args.whole_only))
            print(*rows[-1].lines, rows[-1].row(), sep="\n", flush=True)
        print("| history | commits | refused | by | findings in one push | commits a second | processor, s |")
        print("|---|---|---|---|---|---|---|", *(row.row() for row in rows), sep="\n")
        commits, refused = sum(row.commits for row in rows), sum(row.refused for row in rows)
        if commits:
            print(f"{refused} of {commits} commits refused, {refused / commits:.2%}", flush=True)
        if args.plants and not args.whole_only:
            from bench.git_plants import plant

            rng = random.Random(22)  # noqa: S311 - the same in every run
            print(*plant(all_of_them, args.plants, rng), sep="\n")


if __name__ == "__main__":
    main()
