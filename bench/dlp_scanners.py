"""Writes docs/leak-scanners.md: gitleaks, which git-gate runs, beside its successor betterleaks, on the same texts.

Run with `make dlp`. Both are built from the modules that are pinned here, with one Go.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.dlp_samples import Sample, samples
from claude_bottle.dlp.rules.ruleset import OWN, RuleSet
from toolchain.go_build import build_environment, find_go
from toolchain.shell import CACHE, run

SCANNERS = {
    "gitleaks 8.30.1": ("sidecar_images/git_gate/gitleaks", "github.com/zricethezav/gitleaks/v8"),
    "betterleaks 1.0.0": ("bench/betterleaks", "github.com/betterleaks/betterleaks"),
}
RULES = ROOT / "claude_bottle/dlp/rules/gitleaks/gitleaks.toml"
ROUNDS, MB = 5, 8


@dataclass
class Row:
    """found: samples. false: near-misses. seconds: of one run over MB megabytes of text, median. size: of the program."""

    hits: int
    false: int
    own: int
    seconds: float
    size: int


def as_in_the_gate() -> dict[str, Path]:
    """gitleaks as git-gate's image has it (sidecar_images/git_gate/Dockerfile), by their names there."""
    if not Path("/usr/include/re2/re2.h").exists():
        raise SystemExit("git-gate's gitleaks matches by RE2; to build it here: apt-get install g++ pkgconf libre2-dev")
    gitleaks = "gitleaks 8.30.1"
    return {"gitleaks": built(gitleaks), "gitleaks-re2": built(gitleaks, "gore2regex,re2_cgo")}


def built(name: str, tags: str = "") -> Path:
    """The program, built once. tags: for the Go build; with any, C++ is built too."""
    folder, package = SCANNERS[name]
    target = CACHE / "bench" / "-".join([*name.split(), *filter(None, tags.split(","))])
    target.parent.mkdir(parents=True, exist_ok=True)
    argv: list[str | Path] = [find_go(), "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", target]
    environment = {**build_environment(), "GOFLAGS": "-mod=readonly"}
    if tags:
        environment |= {"CGO_ENABLED": "1", "GOFLAGS": f"-mod=readonly -tags={tags}"}
    run([*argv, package], f"build {name}", cwd=ROOT / folder, env=environment)
    return target


def scan(program: Path, folder: Path, rules: Path | None) -> set[str]:
    """Names of the files in which it finds something, with these rules or its own."""
    argv = [program, "dir", folder, "--no-banner", "--log-level", "error", "--redact", "--exit-code", "0"]
    argv += ["--ignore-gitleaks-allow", "--max-decode-depth", "3", "-i", "/nonexistent", "-f", "json", "-r", "-"]
    argv += ["--config", rules] if rules else []
    said = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=folder).stdout
    return {Path(finding["File"]).name for finding in json.loads(said or "[]")}


def measure(program: Path, chosen: list[Sample], text: str) -> Row:
    """All of one program's figures."""
    with tempfile.TemporaryDirectory() as name:
        folders = {}
        for kind in ("line", "near_miss"):
            folders[kind] = Path(name) / kind
            folders[kind].mkdir()
            for number, sample in enumerate(chosen):
                (folders[kind] / f"{number}.txt").write_text(f"{getattr(sample, kind)}\n")
        big = Path(name) / "big"
        big.mkdir()
        (big / "text.txt").write_text(text)
        spent = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            scan(program, big, RULES)
            spent.append(time.perf_counter() - begun)
        hits, false = scan(program, folders["line"], RULES), scan(program, folders["near_miss"], RULES)
        own = scan(program, folders["line"], None)
    return Row(len(hits), len(false), len(own), statistics.median(spent), program.stat().st_size)


def page(rows: dict[str, Row], tried: int) -> str:
    """docs/leak-scanners.md."""
    return "\n".join(
        [
            "# gitleaks beside betterleaks",
            "",
            "Written by `make dlp` (bench/dlp_scanners.py); do not edit. git-gate runs gitleaks; betterleaks is its",
            "successor. Both use the rules of `claude_bottle/dlp/rules/gitleaks/`. For each rule of gitleaks for which a secret can be made,",
            f"both scan one file. They also scan {MB} MB of random words to measure the speed (median of {ROUNDS} runs, 2 cores). When this was",
            "written, no module of betterleaks newer than 1.0.0 was available, and 1.0.0 pins decoders with known vulnerabilities. git-gate",
            "therefore keeps gitleaks, whose modules this project raises to newer versions.",
            "",
            "| scanner | secrets found | near-misses reported as secrets | found with its own rules | MB/s | program |",
            "|---|---|---|---|---|---|",
            *(
                f"| {name} | {r.hits} of {tried} | {r.false} | {r.own} | {MB / r.seconds:.1f} | {r.size / 2**20:.0f} MB |"
                for name, r in rows.items()
            ),
            "",
        ]
    )


if __name__ == "__main__":
    own = [rule["id"] for rule in tomllib.loads(OWN.read_text())["rules"]]  # neither program knows these
    chosen, _ = samples(RuleSet(disabled=own, fast=False))
    words, dice = (
        ["token", "return", "example", "key", "value", "import", "class", "0x1f", "secret", "="],
        random.Random(7),
    )
    filler = "\n".join(" ".join(dice.choices(words, k=12)) for _ in range(MB * 15000))[: MB * 2**20]
    document = page({name: measure(built(name), chosen, filler) for name in SCANNERS}, len(chosen))
    (ROOT / "docs/leak-scanners.md").write_text(document)
    print(document)
