"""Writes what a run has measured: docs/performance.json, the plots, and the tables of docs/performance.md."""

from __future__ import annotations

import datetime
import json
import platform
import statistics
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, FIGURES = DOCS / "performance.md", DOCS / "performance.json"
BEGIN, END = "<!-- measured: {} -->\n", "<!-- end of measured: {} -->\n"
CHAIN, BARE = "claude-bottle", "mitmdump, 2 hops"
# What is shown of each work: measure, unit, factor, whether less is better.
SHOWN = {
    "p50": ("ms", 1e3, True),
    "rps": ("/s", 1, False),
    "mb_s": ("MB/s", 1, False),
    "ms_p50": ("ms", 1, True),
    "ms_p99": ("ms", 1, True),
    "first_ms": ("ms", 1, True),
    "whole": ("ms", 1e3, True),
}
Parts = dict[str, dict[str, float]]  # container, measure
Found = dict[str, dict[str, dict[str, list[float]]]]  # work, path, measure, one value a round


def measure_of(work: str) -> str:
    """The one measure by which a work is compared."""
    if "16" in work:
        return "rps"
    if "download" in work or "500 MB" in work:
        return "mb_s"
    return {"server-sent events": "ms_p50", "500 small files": "whole"}.get(work, "p50")


def machine() -> str:
    """Processor, cores, memory."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    return f"{model[0] if model else platform.machine()}, {len(model)} cores, {memory:.0f} GiB, {platform.system()}"


def keep(**figures: Any) -> None:
    """Put figures into performance.json, beside those of the other parts of `make bench`."""
    known = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    known.update(figures, machine=machine(), date=datetime.datetime.now(datetime.UTC).date().isoformat())
    FIGURES.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")


def put(part: str, text: str) -> None:
    """Replace one measured part of the page."""
    begin, end, page = BEGIN.format(part), END.format(part), PAGE.read_text()
    head, _, rest = page.partition(begin)
    _, marker, tail = rest.partition(end)
    if not marker:
        raise ValueError(f"{PAGE} has no place for {part}")
    PAGE.write_text(f"{head}{begin}{text.strip()}\n{end}{tail}")


def row(values: list[float], factor: float = 1) -> str:
    """Minimum, median and maximum."""
    shown = [min(values) * factor, statistics.median(values) * factor, max(values) * factor]
    return " / ".join(f"{v:.0f}" if v >= 100 else f"{v:.1f}" if v >= 10 else f"{v:.2f}" for v in shown)


def median(results: Found, work: str, path: str, measure: str) -> float:
    return statistics.median(results[work][path][measure])


def ratio(results: Found, work: str, measure: str) -> float:
    """Of the chain to bare mitmdump with two hops."""
    return median(results, work, CHAIN, measure) / median(results, work, BARE, measure)


def table(results: Found) -> str:
    """Work by path; the ratio first."""
    paths = list(next(iter(results.values())))
    lines = [f"| work | unit | chain to bare 2 hops | {' | '.join(paths)} |", f"|---|---|---|{'---|' * len(paths)}"]
    for work in results:
        measures = ["ms_p50", "ms_p99", "first_ms"] if work == "server-sent events" else [measure_of(work)]
        for measure in measures:
            unit, factor, less = SHOWN[measure]
            cells = [row(results[work][path][measure], factor) for path in paths]
            name = f"{work}, {measure.replace('ms_', '').replace('_ms', '')}" if len(measures) > 1 else work
            better = "less" if less else "more"
            lines.append(
                f"| {name} | {unit}, {better} is better | **{ratio(results, work, measure):.2f}** |"
                f" {' | '.join(cells)} |"
            )
    return "\n".join(lines)


def plot(results: Found, file: Path) -> None:
    """Each work's ratio to bare mitmdump, so that above one is slower."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    works = list(results)
    paths = [path for path in next(iter(results.values())) if path != "direct"]
    figure, axes = plt.subplots(figsize=(9, 0.55 * len(works) + 1.2))
    for index, path in enumerate(paths):
        costs = []
        for work in works:
            measure = measure_of(work)
            share = median(results, work, path, measure) / median(results, work, BARE, measure)
            costs.append(share if SHOWN[measure][2] else 1 / share)
        axes.barh([n + 0.26 * (index - 1) for n in range(len(works))], costs, 0.24, label=path)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(works)), works)
    axes.invert_yaxis()
    axes.set_xlabel("cost, bare mitmdump with two hops = 1 (less is better)")
    axes.legend(loc="upper right")
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def write(results: Found, idle: dict[str, float], after: Parts, grown: Parts) -> None:
    """All of the chain's part."""
    from bench import dlp_speed

    speeds = dlp_speed.measure()
    events = "server-sent events"
    measures = ("ms_p50", "ms_p99", "first_ms")
    added = {m: median(results, events, CHAIN, m) - median(results, events, "direct", m) for m in measures}
    keep(
        p50_ratio=round(ratio(results, "small, 1 client, kept", "p50"), 3),
        rps_ratio=round(ratio(results, "small, 16 clients, kept", "rps"), 3),
        post_1mb_ratio=round(ratio(results, "POST 1 MB", "p50"), 3),
        download_ratio=round(min(ratio(results, f"download {size}", "mb_s") for size in ("4 MB", "500 MB")), 3),
        sse_added_ms_p50=round(added["ms_p50"], 3),
        sse_added_ms_p99=round(added["ms_p99"], 3),
        sse_first_byte_added_ms=round(added["first_ms"], 3),
        dlp_mb_s=round(statistics.median(speeds["random text"])),
        dlp_mb_s_by_kind={kind: round(statistics.median(values)) for kind, values in speeds.items()},
        grown_mb=round(max(sizes["after"] - sizes["before"] for sizes in grown.values())),
        sidecars_mb=round(sum(idle.values())),
        sidecars_mb_each={role: round(mb) for role, mb in idle.items()},
        chain={
            work: {
                path: {m: [round(v, 6) for v in values] for m, values in measured.items()}
                for path, measured in paths.items()
            }
            for work, paths in results.items()
        },
    )
    plot(results, DOCS / "performance-chain.png")
    put("chain", table(results))
    lines = ["| part | resident MB after it all | CPU seconds |", "|---|---|---|"]
    lines += [f"| {_part(name)} | {costs['mb']:.0f} | {costs['cpu_s']:.1f} |" for name, costs in after.items()]
    lines += ["", "| proxy | resident MB before | after 500 MB down and 500 MB up |", "|---|---|---|"]
    lines += [f"| {_part(name)} | {sizes['before']:.0f} | {sizes['after']:.0f} |" for name, sizes in grown.items()]
    lines += ["", "| sidecar, idle | MB |", "|---|---|", *(f"| {role} | {mb:.0f} |" for role, mb in idle.items())]
    lines.append(f"| all | {sum(idle.values()):.0f} |")
    put("parts", "\n".join(lines))
    lines = ["| body of 1 MB | MB/s: minimum / median / maximum |", "|---|---|"]
    put("dlp", "\n".join([*lines, *(f"| {kind} | {row(values)} |" for kind, values in speeds.items())]))


def _part(container: str) -> str:
    name = container.removeprefix("claude-bottle-")
    return (
        name.replace("bench-bare-1", "bare mitmdump, the last hop").replace(
            "bench-bare-2", "bare mitmdump, the first of two"
        )
        if "bare" in name
        else name.rpartition("-")[0]
    )
