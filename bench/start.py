"""How long an owner waits: up to a ready bottle, up without changes, preview, an edit, destroy. `make bench`."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/integration")]

import world  # noqa: E402

from bench.report import keep, put, row  # noqa: E402

TARGETS = {"up": 12.0, "up without changes": 4.0, "preview": 4.0, "a new route, until it is live": 4.0, "destroy": 8.0}
MANIFEST: dict[str, Any] = {
    "egress": {"routes": [{"host": "api.anthropic.com"}, {"host": "api.example.com", "path": ["/v1"]}]},
    "supervise": True,
}


def pulumi(bottle: world.BottleUnderTest, verb: str) -> float:
    """Seconds of one command of the owner's."""
    extra = ["--yes", "--skip-preview"] if verb != "preview" else []
    started = time.perf_counter()
    done = bottle.run("pulumi", verb, "--non-interactive", "--stack", bottle.name, *extra)
    taken = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return taken


def once(bottle: world.BottleUnderTest) -> dict[str, float]:
    """One life of a bottle; the measures."""
    times = {"up": pulumi(bottle, "up")}
    if "Claude Code" not in bottle.agent("claude --version"):
        raise SystemExit("Claude Code is not ready after up")
    times["up without changes"] = pulumi(bottle, "up")
    times["preview"] = pulumi(bottle, "preview")
    bottle.write({**MANIFEST, "egress": {"routes": [*MANIFEST["egress"]["routes"], {"host": "new.example.com"}]}})
    times["a new route, until it is live"] = pulumi(bottle, "up")
    if "new.example.com" not in bottle.curl("http://_egress.local/routes")[1]:
        raise SystemExit("the new route is not live after up")
    times["destroy"] = pulumi(bottle, "destroy")
    return times


def steps(bottle: world.BottleUnderTest) -> dict[str, float]:
    """Seconds of each resource of an up, by its name; independent ones run side by side."""
    begun: dict[str, float] = {}
    spent: dict[str, float] = {}

    def note(event: Any) -> None:
        if event.resource_pre_event:
            begun[event.resource_pre_event.metadata.urn] = time.perf_counter()
        elif event.res_outputs_event:
            urn = event.res_outputs_event.metadata.urn
            spent[urn.rpartition("::")[2]] = time.perf_counter() - begun.get(urn, time.perf_counter())

    bottle.up(on_event=note)
    pulumi(bottle, "destroy")
    return {name.replace(f"-{bottle.name}", "").replace(f"{bottle.name}-", ""): s for name, s in spent.items()}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    results: dict[str, list[float]] = {}
    with world.docker_network() as outside, tempfile.TemporaryDirectory() as name:
        MANIFEST["network"] = {"external": outside}
        with world.bottle(Path(name) / "project", MANIFEST) as bottle:
            bottle.up()  # images built
            pulumi(bottle, "destroy")
            for _ in range(args.rounds):
                bottle.write(MANIFEST)
                for what, seconds in once(bottle).items():
                    results.setdefault(what, []).append(seconds)
                print({what: round(times[-1], 1) for what, times in results.items()}, flush=True)
            bottle.write(MANIFEST)
            slowest = sorted(steps(bottle).items(), key=lambda item: -item[1])[:12]
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "toolchain", "setup"], cwd=ROOT, check=True, capture_output=True)
    results["set-up, warm"] = [time.perf_counter() - started]
    lines = ["| what | seconds: minimum / median / maximum | target |", "|---|---|---|"]
    targets = {**TARGETS, "set-up, warm": 10.0}
    lines += [f"| {what} | {row(times)} | {targets[what]:g} |" for what, times in results.items()]
    lines += ["", "The time of an `up` by resource. Independent resources run in parallel:", ""]
    lines += ["| resource | seconds |", "|---|---|", *(f"| {name} | {seconds:.1f} |" for name, seconds in slowest)]
    put("start", "\n".join(lines))
    middle = {what: round(statistics.median(times), 2) for what, times in results.items()}
    keep(
        up_s=middle["up"],
        noop_up_s=middle["up without changes"],
        preview_s=middle["preview"],
        route_edit_s=middle["a new route, until it is live"],
        destroy_s=middle["destroy"],
        setup_warm_s=middle["set-up, warm"],
    )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
