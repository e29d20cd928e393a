# ruff: noqa: S108 - in a container
"""Whole histories of repositories on this machine, each as one push through a real gate: seconds, and what it refuses.

    python -m bench.git_push REPO... [--last 2000] [--known flask=DIGEST]

Each upstream has a commit of the history's main line, with at least so many commits after it. The agent pushes all of
them to main, through a bottle's git-gate, by ssh to a forge of the run's own. REPO is read only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/integration")]

import world  # noqa: E402
from forge import HOST, Forge, git_forge  # noqa: E402

from components import images  # noqa: E402


def git(repo: Path, *argv: str) -> bytes:
    return subprocess.run(["git", "-C", str(repo), *argv], capture_output=True, check=True).stdout


def base(repo: Path, last: int) -> tuple[str, int]:
    """A commit of the main line, and how many come after it: at least so many, or all."""
    line = git(repo, "rev-list", "--first-parent", "HEAD").decode().split()
    low, high = 0, len(line) - 1
    while low < high:
        middle = (low + high) // 2
        enough = int(git(repo, "rev-list", "--count", f"{line[middle]}..HEAD")) >= last
        low, high = (low, middle) if enough else (middle + 1, high)
    return line[low], int(git(repo, "rev-list", "--count", f"{line[low]}..HEAD"))


def packed(repo: Path, *wanted: str) -> bytes:
    """The objects of these commits and what they reach."""
    return subprocess.run(
        ["git", "-C", str(repo), "pack-objects", "--revs", "--stdout", "-q"],
        input="\n".join([*wanted, ""]).encode(), capture_output=True, check=True,
    ).stdout  # fmt: skip


def prepare(repo: Path, name: str, forge: Forge, last: int) -> tuple[str, int]:
    """The upstream, which has all but the last commits. Gives its newest commit, and the number of the others."""
    start, count = base(repo, last)
    forge.run(f"git init -q --bare /srv/acme/{name}.git")
    forge.run(f"git -C /srv/acme/{name}.git index-pack --stdin", stdin=packed(repo, start))
    forge.run(f"git -C /srv/acme/{name}.git update-ref refs/heads/main {start}")
    return start, count


def push(bottle: world.BottleUnderTest, repo: Path, name: str, count: int) -> str:
    """A row of the table."""
    agent, url = f"claude-bottle-agent-{bottle.name}", f"git@{HOST}:/srv/acme/{name}.git"
    tip = git(repo, "rev-parse", "HEAD").decode().strip()
    world.docker("exec", "-i", "-u", "node", agent, "git", "init", "-q", "--bare", f"/tmp/{name}")
    reading = ["exec", "-i", "-u", "node", agent, "git", "-C", f"/tmp/{name}", "index-pack", "--stdin"]
    world.docker(*reading, stdin=packed(repo, tip), timeout=600)
    bottle.agent(f"git ls-remote {url}", timeout=600)  # the first contact makes the mirror
    begun = time.perf_counter()
    said = bottle.agent(f"git -C /tmp/{name} push {url} {tip}:refs/heads/main; echo exit $?", timeout=900)
    seconds = time.perf_counter() - begun
    ok = said.rstrip().endswith("exit 0")
    print(said if not ok else "", file=sys.stderr)
    refused = sum("REDACTED (rule" in line for line in said.splitlines())
    return f"| {name} | {count} | {seconds:.1f} | {count / seconds:.0f} | {'none' if ok else f'{refused} findings'} |"


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repo", type=Path, nargs="+")
    parser.add_argument("--last", type=int, default=2000)
    parser.add_argument("--known", action="append", default=[], help="NAME=DIGEST: a finding that is allowed")
    args = parser.parse_args()
    host_image = "claude-bottle/test-git-host:1"
    world.build_git_host(host_image)
    with (
        tempfile.TemporaryDirectory() as folder,
        world.fake_internet(images.tag("egress")) as internet,
        git_forge(internet, host_image, Path(folder)) as forge,
    ):
        names = [(repo.resolve().parent if repo.name == "repo" else repo).name.split("+")[-1] for repo in args.repo]
        counts = [prepare(repo, name, forge, args.last)[1] for repo, name in zip(args.repo, names, strict=True)]
        common = {"identity_file": str(forge.key), "known_hosts": forge.known_hosts}
        known = {name: [one.partition("=")[2] for one in args.known if one.startswith(f"{name}=")] for name in names}
        remotes = [
            {"name": name, "upstream": f"git@{HOST}:/srv/acme/{name}.git", "known_findings": known[name], **common}
            for name in names
        ]
        manifest = {"git": remotes, "network": {"external": internet.network}, "agent": {"memory": "2g"}}
        with world.bottle(Path(folder) / "project", manifest) as bottle:
            bottle.up()
            print("| history | commits | seconds | commits a second | refused |\n|---|---|---|---|---|")
            for repo, name, count in zip(args.repo, names, counts, strict=True):
                print(push(bottle, repo, name, count), flush=True)


if __name__ == "__main__":
    main()
