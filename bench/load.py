"""Load on a bottle and on two bare mitmdumps, one kind after the other: errors, small requests beside it, memory.

`make load` prints a table; --idle N: looks N seconds after the last load at what the proxies have kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The client's program finds its neighbour there as it does in its container.
sys.path[:0] = [str(ROOT), str(ROOT / "tests/integration"), str(ROOT / "bench")]

import world  # noqa: E402
from load_work import LOADS  # noqa: E402

from bench.chain import CHAIN, PYTHON, TWO_HOPS, Setting, memory, setting  # noqa: E402


@dataclass
class Row:
    """What one load did over one path, and how small requests beside it fared, in ms."""

    path: str
    done: int
    errors: int
    times: list[str]
    memory: list[float]
    restarts: int

    def __str__(self) -> str:
        return " | ".join(map(str, (self.path, self.done, self.errors, *self.times, self.memory, self.restarts)))


def row(here: Setting, path: str, load: str, seconds: float) -> Row:
    """One load over one path."""
    argv = ["exec", here.client, PYTHON, "/bench/load_work.py", load, "--proxy", here.paths[path]]
    figures = json.loads(world.docker(*argv, "--seconds", str(seconds), timeout=900))
    times = [f"{figures[kind]['p50'] * 1e3:.0f} / {figures[kind]['p99'] * 1e3:.0f}" for kind in ("kept", "fresh")]
    return Row(path, figures["done"], figures["errors"], times, used(here, path), restarts(here, path))


def used(here: Setting, path: str) -> list[float]:
    return [round(memory(part)) for part in here.parts[path]]


def restarts(here: Setting, path: str) -> int:
    return sum(int(world.docker("inspect", "-f", "{{.RestartCount}}", part)) for part in here.parts[path])


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12, help="of each kind of load")
    parser.add_argument("--idle", type=float, default=0, help="seconds of rest before the last look at the memory")
    parser.add_argument("--load", action="append", choices=list(LOADS), help="only this; may be given again")
    args = parser.parse_args()
    sources = {"load_work": "bench/load_work.py", "server": "tests/integration/slow_server.py"}
    programs = {f"bench/{name}.py": (ROOT / source).read_bytes() for name, source in sources.items()}
    with tempfile.TemporaryDirectory() as name, setting(Path(name), {}, b"", programs) as here:
        print("| load | path | done | errors | kept p50 / p99, ms | fresh p50 / p99, ms | memory, MB | restarts |")
        print("|---|---|---|---|---|---|---|---|")
        began = used(here, CHAIN)
        for load in ("alone", *(one for one in args.load or LOADS if one != "alone")):
            for path in (TWO_HOPS, CHAIN):
                print(f"| {load} | {row(here, path, load, args.seconds)} |", flush=True)
        time.sleep(args.idle)
        print(f"\nMemory before {began} and {args.idle:.0f} s after: {used(here, CHAIN)} MB (egress, pipelock).")


if __name__ == "__main__":
    main()
