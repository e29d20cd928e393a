"""Takes each layer away in turn, in a copy of the checkout, and runs the attacks against it: the tests of that layer must fail.

    python3 tests/containment/mutations.py [LAYER …]      (through: python3 -m toolchain run -- …)

Prints a table: the layer, what was taken away, and which attacks of that layer got through.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from mutation_table import MUTATIONS, Mutation

ROOT = Path(__file__).resolve().parents[2]


_REAL = ["tcp-metadata", "tcp-private", "udp-multicast", "udp-broadcast", "default-route"]


def run(mutation: Mutation) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory(prefix="claude-bottle-mutation-") as folder:
        copy = Path(folder) / "checkout"
        skip = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis")
        shutil.copytree(ROOT, copy, ignore=skip)
        (copy / ".venv").symlink_to(ROOT / ".venv")
        changed = 0
        for name, pattern, replacement in mutation.edits:
            text = (copy / name).read_text()
            mutated_text, count = re.subn(pattern, lambda _, r=replacement: r, text)  # type: ignore[misc]
            changed += count
            (copy / name).write_text(mutated_text)
        if not changed:
            return f"| {mutation.layer} | {mutation.what} | nothing was taken away: the source has changed |"
        rows = yaml.safe_load((ROOT / "tests/containment/attacks.yaml").read_text())
        judges = [row["id"] for row in rows if row["layer"] == mutation.layer and re.match(mutation.rows, row["id"])]
        others = [row["id"] for row in rows if row["id"] not in judges and row["layer"] != "none"]
        # Without the network layer these would leave this machine: the metadata address is on the sink, but not only there.
        env = {**os.environ, "CLAUDE_BOTTLE_LEAVE_OUT": " ".join([*others, *_REAL])}
        argv = ["python3", "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider"]
        argv += mutation.tests or ["tests/containment/test_attacks.py", "-k", "test_attack["]
        done = subprocess.run(argv, cwd=copy, capture_output=True, text=True, check=False, timeout=1500, env=env)
        expression = r"^FAILED (\S+)" if mutation.tests else r"^FAILED \S+test_attack\[([a-z0-9-]+)-(?:node|0)\]"
        failed = re.findall(expression, done.stdout, re.MULTILINE)
        if not failed and " passed" not in done.stdout:
            return f"| {mutation.layer} | {mutation.what} | did not come up: {done.stdout.strip().splitlines()[-1][:100]} |"
        if mutation.tests:
            return (
                f"| {mutation.layer} | {mutation.what} | {len(failed)}: tests that failed, {', '.join(failed)[-120:]} |"
            )
    through, total = sorted(set(failed)), len(judges)
    return f"| {mutation.layer} | {mutation.what} | {len(through)} of {total}: {', '.join(through[:8])} |"


def main() -> int:
    wanted = sys.argv[1:]
    print("| layer | taken away | its attacks that got through |\n|---|---|---|", flush=True)
    missed = 0
    for mutation in MUTATIONS:
        if not wanted or mutation.layer in wanted or any(word in mutation.what for word in wanted):
            line = run(mutation)
            missed += (
                "| 0: " in line.rpartition("|")[0].rpartition("|")[0]
                or "nothing was taken" in line
                or "did not come" in line
            )
            print(line, flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
