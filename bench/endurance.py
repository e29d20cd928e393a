"""Mixed traffic through the chain for a long time: memory, open files and threads of the proxies must not grow.

Exits with 1 if one does: the median of the last third of the rounds against the first third after the warm-up.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/integration")]

import world  # noqa: E402

from bench.chain import CHAIN, setting  # noqa: E402
from bench.report import keep, put  # noqa: E402
from bench.traffic import HOSTS  # noqa: E402

MIXED = (
    "small, 16 clients, kept", "small, 16 clients, fresh", "small, HTTP/2, 16 streams", "POST 10 kB", "POST 1 MB",
    "download 4 MB", "server-sent events", "a turn of Claude Code", "500 small files", HOSTS,
)  # fmt: skip
ALLOWED = {"MB": 15.0, "open files": 8, "threads": 2}  # more than at the beginning
# Of the proxy itself: the process with the most memory in its container.
_LOOK = """
rss() { awk '/VmRSS/ {print $2}' $1/status 2>/dev/null; }
big=$(for p in /proc/[0-9]*; do echo "$(rss $p) $p"; done | sort -n | tail -1 | cut -d' ' -f2)
echo $(rss $big) $(ls $big/fd | wc -l) $(ls $big/task | wc -l)
"""


def look(container: str) -> dict[str, float]:
    """Resident MB (1e6), open files and threads."""
    kilobytes, files, threads = map(int, world.docker("exec", container, "sh", "-c", _LOOK).split())
    return {"MB": kilobytes * 1024 / 1e6, "open files": files, "threads": threads}


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    args = parser.parse_args()
    seen: dict[str, list[dict[str, float]]] = {}
    rounds = 0
    with tempfile.TemporaryDirectory() as name, setting(Path(name), {}, b"") as here:
        started = time.monotonic()
        while time.monotonic() - started < args.minutes * 60:
            for work in MIXED:
                here.measure(CHAIN, work)
            rounds += 1
            for container in here.parts[CHAIN]:
                part = container.removeprefix("claude-bottle-").rpartition("-")[0]
                seen.setdefault(part, []).append(look(container))
            print(
                rounds,
                {part: {k: round(v) for k, v in values[-1].items()} for part, values in seen.items()},
                flush=True,
            )
    lines = [f"{args.minutes:g} minutes, {rounds} rounds, {rounds * 1000} hosts.", ""]
    lines += ["| part | what | first third | last third |", "|---|---|---|---|"]
    grown, figures = [], {}
    for part, values in seen.items():
        kept = values[2:] or values  # warm: pools, caches and the event loop's buffers have their size
        third = max(1, len(kept) // 3)
        for what, allowed in ALLOWED.items():
            first, last = (statistics.median(v[what] for v in some) for some in (kept[:third], kept[-third:]))
            lines.append(f"| {part} | {what} | {first:.0f} | {last:.0f} |")
            figures[f"{part}, {what}"] = [round(first, 1), round(last, 1)]
            if last - first > allowed:
                grown.append(f"{part}: {what} grew from {first:.0f} to {last:.0f}")
    put("endurance", "\n".join(lines))
    keep(endurance={"minutes": args.minutes, "rounds": rounds, **figures})
    print("\n".join([*lines, *grown]))
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
