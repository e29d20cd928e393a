"""Brings N small bottles up on this engine, measures what each one more costs, and takes them away. `make fleet N=20`.

Every bottle is a stack of its own, as in a project with many stacks. Nothing leaves the machine: they share a network
that leads nowhere, with one server of the run's own on it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/integration")]

import world  # noqa: E402

from bench.chain import used_memory  # noqa: E402
from bench.report import DOCS, keep, put, row  # noqa: E402
from claude_bottle.policy.names.roles import ROLES  # noqa: E402
from components import images  # noqa: E402

_ROLES = [role for role in ROLES if role != "git-gate"]
_ASK = "curl -s -m 20 -o /dev/null -w '%{time_total}\\n' https://echo.example.com/"
_WORK = f"end=$(( $(date +%s) + 12 )); while [ $(date +%s) -lt $end ]; do {_ASK}; done"
_LATENCY = f"for n in $(seq 30); do {_ASK}; done"


def memory(stacks: list[str]) -> list[float]:
    """Megabytes (1e6) of each bottle, agent too, as `docker stats` tells them."""
    used = dict.fromkeys(stacks, 0.0)
    for name, mb in used_memory(f"claude-bottle-{role}-{stack}" for stack in stacks for role in _ROLES).items():
        used[name.rpartition("-")[2]] += mb
    return list(used.values())


def latency(bottle: world.BottleUnderTest, others: list[world.BottleUnderTest]) -> float:
    """Median milliseconds of a small request, with its TLS handshakes, while the others ask all the time."""
    with ThreadPoolExecutor(max(1, len(others))) as pool:
        for other in others:
            pool.submit(other.agent, _WORK, timeout=60)
        time.sleep(2 if others else 0)
        times = [float(line) for line in bottle.agent(_LATENCY, timeout=120).split()]
    return 1e3 * statistics.median(times)


def run(count: int, marks: set[int]) -> list[dict[str, Any]]:
    """Bring them up one after another; measure at the marks."""
    results: list[dict[str, Any]] = []
    with world.fake_internet(images.tag("egress")) as internet, contextlib.ExitStack() as stack:
        manifest = {
            "agent": {"memory": "1g"},
            "egress": {"routes": [{"host": "echo.example.com"}]},
            "pipelock": {"ca_files": ["root.pem"]},
            "network": {"external": internet.network},
            "supervise": True,
        }
        bottles: list[world.BottleUnderTest] = []
        ups: list[float] = []
        for number in range(1, count + 1):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "project"
            bottle = stack.enter_context(world.bottle(folder, manifest, files={"root.pem": internet.ca}))
            started = time.perf_counter()
            bottle.up()
            ups.append(time.perf_counter() - started)
            bottles.append(bottle)
            print(f"bottle {number} of {count} is up: {ups[-1]:.1f} s", flush=True)
            if number in marks:
                used = memory([one.name for one in bottles])
                alone, busy = latency(bottle, []), latency(bottle, bottles[:-1])
                results.append(
                    {"bottles": number, "mb": used, "up_s": ups[-min(5, number) :], "alone_ms": alone, "busy_ms": busy}
                )
                print(json.dumps({**results[-1], "mb": round(sum(used))}), flush=True)
        print("taking all of them away", flush=True)
        started = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda one: one.stack.destroy(), bottles))
        print(f"{count} bottles are gone: {time.perf_counter() - started:.0f} s", flush=True)
        left = [part for one in bottles for part in world.leftovers(one.name)]
        if left:
            raise SystemExit(f"left over: {left}")
    return results


def plot(results: list[dict[str, Any]], file: Path) -> None:
    """Memory, start and latency by the number of bottles."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    counts = [one["bottles"] for one in results]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.2))
    left.plot(counts, [sum(one["mb"]) for one in results], "o-")
    left.set_ylabel("MB of all bottles, agents too")
    middle.plot(counts, [statistics.median(one["up_s"]) for one in results], "o-")
    middle.set_ylabel("seconds of one more up")
    right.plot(counts, [one["alone_ms"] for one in results], "o-", label="others idle")
    right.plot(counts, [one["busy_ms"] for one in results], "o-", label="others at work")
    right.set_ylabel("ms of a small fresh request")
    right.legend()
    for axes in (left, middle, right):
        axes.set_xlabel("bottles")
        axes.set_ylim(bottom=0)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=20)
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    args = parser.parse_args()
    results = run(args.count, {1, 5, args.count})
    if args.write:
        plot(results, DOCS / "performance-fleet.png")
        lines = ["![cost by the number of bottles](performance-fleet.png)", ""]
        head = ["bottles", "MB each: minimum / median / maximum", "MB in all", "seconds of one more `up`"]
        head += ["ms of a small fresh request, others idle", "others at work"]
        lines.append(f"| {' | '.join(head)} |")
        lines += ["|---|---|---|---|---|---|"]
        for one in results:
            cells = [row(one["mb"]), f"{sum(one['mb']):.0f}", f"{statistics.median(one['up_s']):.1f}"]
            lines.append(f"| {one['bottles']} | {' | '.join(cells)} | {one['alone_ms']:.0f} | {one['busy_ms']:.0f} |")
        put("fleet", "\n".join(lines))
        keep(fleet=[{**one, "mb": round(sum(one["mb"]))} for one in results])


if __name__ == "__main__":
    main()
