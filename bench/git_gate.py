"""Clone and push through git-gate against direct to the upstream, side by side, alternating, in one run.

`make bench-git`. The upstream is a sshd of the run's own on a Docker network of its own; nothing else is contacted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/integration")]

import world  # noqa: E402
from forge import HOST, git_forge  # noqa: E402

from bench.report import put, row  # noqa: E402
from components import images  # noqa: E402

URL = f"git@{HOST}:/srv/acme/bench.git"
_SSH = "ssh -i /owner -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"


def history(commits: int) -> bytes:
    """A fast-import stream: commits on main, each changing one of 200 files of a few kB."""
    out = []
    for number in range(commits):
        text = f"file of commit {number}\n" + "".join(f"line {line} {number * line}\n" for line in range(100))
        stamp = f"Bench <bench@example.com> {1_600_000_000 + number} +0000"
        head = f"commit refs/heads/main\ncommitter {stamp}\ndata {len(str(number))}\n{number}\n"
        out.append(f"{head}M 100644 inline src/{number % 200}.txt\ndata {len(text)}\n{text}\n")
    return "".join(out).encode()


def timed(work: Callable[[], str]) -> float:
    """Seconds of one piece of work, which must end in OK."""
    started = time.perf_counter()
    said = work()
    if not said.strip().endswith("OK"):
        raise SystemExit(f"failed: {said[-600:]}")
    return time.perf_counter() - started


LINES: list[str] = []  # of the table


def show(what: str, gate: list[float], direct: list[float]) -> None:
    """One line: minimum, median and maximum of both, and the ratio of the medians."""
    shown = [f"{min(t):6.2f} {statistics.median(t):6.2f} {max(t):6.2f}" for t in (gate, direct)]
    ratio = statistics.median(gate) / statistics.median(direct)
    LINES.append(f"| {what} | **{ratio:.2f}** | {row(direct)} | {row(gate)} |")
    print(f"{what:<26} gate {shown[0]}   direct {shown[1]}   ratio {ratio:5.2f}", flush=True)


def run(bottle: world.BottleUnderTest, client: str, rounds: int) -> None:
    """The comparisons."""

    def direct(script: str) -> str:
        env = ["-e", f"GIT_SSH_COMMAND={_SSH}"]
        return world.docker("exec", *env, client, "bash", "-c", f"{{ {script}\n}} 2>&1", check=False, timeout=600)

    def gate(script: str) -> str:
        return bottle.agent(script, timeout=600)

    def alternate(what: str, prepare: str, script: str) -> None:
        times: dict[Callable[[str], str], list[float]] = {gate: [], direct: []}
        for number in range(rounds):
            for side in (gate, direct) if number % 2 else (direct, gate):
                mark = f"{what.replace(chr(32), chr(95))}-{side.__name__}-{number}"
                side(f"rm -rf /tmp/w; {prepare}".replace("MARK", mark))
                times[side].append(timed(lambda side=side, mark=mark: side(script.replace("MARK", mark))))  # type: ignore[misc]
        show(what, times[gate], times[direct])

    print(f"{rounds} rounds, seconds: minimum, median, maximum")
    gate(f"git ls-remote {URL} >/dev/null")  # the first contact makes the mirror; timed below, by itself
    clone, config = f"git clone -q {URL} /tmp/w", "git config user.name B; git config user.email b@example.com"
    change = "cd /tmp/w; for n in $(seq COUNT); do echo MARK $n >> src/$((n % 50)).txt; git commit -qam MARK-$n; done"
    alternate("ls-remote", ":", f"git ls-remote {URL} >/dev/null && echo OK")
    alternate("clone", ":", f"{clone} && echo OK")
    alternate("fetch, nothing new", clone, "cd /tmp/w; git fetch -q && echo OK")
    for count in (1, 100):
        ready = f"{clone}; cd /tmp/w; {config}; {change.replace('COUNT', str(count))}"
        alternate(f"push of {count} commits", ready, "cd /tmp/w; git push -q origin HEAD:refs/heads/MARK && echo OK")
    big = f"{clone}; cd /tmp/w; {config}; head -c 15000000 /dev/urandom > big; git add -A; git commit -qm MARK"
    alternate("push of 15 MB", big, "cd /tmp/w; git push -q origin HEAD:refs/heads/big-MARK && echo OK")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    args = parser.parse_args()
    host_image = "claude-bottle/test-git-host:1"
    world.build_git_host(host_image)
    client = "claude-bottle-test-bench-client"
    with tempfile.TemporaryDirectory() as name, world.fake_internet(images.tag("egress")) as internet:
        folder = Path(name)
        with git_forge(internet, host_image, folder) as forge:
            forge.run("git init -q --bare /srv/acme/bench.git")
            forge.run("git -C /srv/acme/bench.git fast-import --quiet", stdin=history(args.commits))
            forge.run("git -C /srv/acme/bench.git repack -adq")
            remote = {
                "name": "bench",
                "upstream": URL,
                "identity_file": str(forge.key),
                "known_hosts": forge.known_hosts,
            }
            manifest = {"git": [remote], "network": {"external": internet.network}, "agent": {"memory": "2g"}}
            try:
                label = ["--label", f"{world.LABEL}=bench"]
                world.docker(
                    "run", "-d", "--name", client, *label, "--network", internet.network, host_image, "sleep", "3600"
                )
                owner = world.tar({"owner": forge.key.read_bytes()}, mode=0o600)
                world.docker("cp", "-", f"{client}:/", stdin=owner)
                with world.bottle(folder / "project", manifest) as bottle:
                    bottle.up()
                    first = timed(lambda: bottle.agent(f"git ls-remote {URL} > /dev/null && echo OK", timeout=600))
                    print(f"first contact, which makes the mirror of {args.commits} commits: {first:.2f} s")
                    run(bottle, client, args.rounds)
            finally:
                world.docker("rm", "-f", client, check=False)
    if args.write:
        head = [f"A history of {args.commits} commits, {args.rounds} rounds, seconds.", ""]
        head += ["| git | gate to direct | direct | through git-gate |", "|---|---|---|---|"]
        put("git", "\n".join([*head, *LINES]))


if __name__ == "__main__":
    main()
