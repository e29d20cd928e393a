"""What DLP makes of files that a machine has: bench/dlp_corpora.py FOLDER... [--mb 20]

Takes so many megabytes of each kind (source code, lock files, minified JavaScript, pictures in base64, logs), each file as
a body of its own, and prints alarms by kind, per 10 MB, with rule and file. Source code holds keys of tests and examples:
such an alarm is a secret that somebody has published, so each is shown for a person to judge. Nothing of the files is in
this repository.
"""

from __future__ import annotations

import argparse
import base64
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from claude_bottle.dlp.engine import Dlp
from claude_bottle.dlp.rules.ruleset import RuleSet
from claude_bottle.dlp.verdict import Unscannable

_LONGEST = 2 << 20  # bytes of a file
_SOURCE = {".go", ".py", ".js", ".ts", ".rs", ".java", ".c", ".h", ".rb", ".php", ".sh"}
_LOCKS = {
    "go.sum",
    "package-lock.json",
    "yarn.lock",
    "Cargo.lock",
    "poetry.lock",
    "uv.lock",
    "pnpm-lock.yaml",
    "requirements.txt",
}
KINDS: dict[str, Callable[[Path], bool]] = {
    "source code": lambda file: file.suffix in _SOURCE and ".min." not in file.name,
    "lock files": lambda file: file.name in _LOCKS or (file.suffix == ".lock"),
    "minified JavaScript": lambda file: file.name.endswith((".min.js", ".min.mjs", ".bundle.js")),
    "pictures in base64": lambda file: file.suffix in (".png", ".jpg", ".gif", ".webp", ".ico", ".woff2"),
    "logs": lambda file: file.suffix in (".log", ".out") or file.parent.name == "log",
}


def bodies(kind: str, files: list[Path], most: int) -> Iterator[tuple[Path, bytes]]:
    """So many bytes of a kind, of files in a random order."""
    size = 0
    for file in files:
        try:
            data = file.read_bytes()[:_LONGEST]
        except OSError:
            continue
        if kind == "pictures in base64":
            data = b'{"image": "data:image/png;base64,' + base64.b64encode(data) + b'"}'
        if len(data) > 100:
            yield file, data
            size += len(data)
        if size >= most:
            return


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--mb", type=int, default=20)
    args = parser.parse_args()
    dlp = Dlp(RuleSet())
    everything = [file for folder in args.folders for file in sorted(folder.rglob("*")) if file.is_file()]
    random.Random(1).shuffle(everything)
    print("| kind | files | MB | alarms | per 10 MB |\n|---|---|---|---|---|")
    shown = []
    for kind, is_one in KINDS.items():
        size = count = alarms = 0
        for file, data in bodies(kind, [file for file in everything if is_one(file)], args.mb << 20):
            size, count = size + len(data), count + 1
            try:
                finding = dlp.look_at_body(data, "", "")
            except Unscannable as error:
                finding, place = None, f"{error.reason}: {error}"
            else:
                place = f"{finding.rule} in {finding.where}: {finding.place[:120]!r}" if finding else ""
            if place:
                alarms += 1
                shown.append(f"{kind}: {file}: {place}")
        print(f"| {kind} | {count} | {size / 1e6:.0f} | {alarms} | {alarms / max(size / 1e7, 0.01):.2f} |", flush=True)
    print("\n" + "\n".join(shown))


if __name__ == "__main__":
    main()
